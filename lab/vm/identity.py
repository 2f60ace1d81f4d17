"""Who a VM is: one saved state serves them all, and each is told after it has been loaded."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from lab.vm.agent import Agent


@dataclass(frozen=True, slots=True)
class Identity:
    """A VM's name, and its addresses on the storage network."""

    name: str
    addresses: tuple[str, ...]

    @property
    def mac(self) -> str:
        """Of the storage card; the other is alone on a network of its own."""
        digest = self._digest()
        return f"52:54:00:{digest[:2]}:{digest[2:4]}:{digest[4:6]}"

    @property
    def initiator_name(self) -> str:
        return f"iqn.1993-08.org.debian:01:{self._digest()[:12]}"

    @property
    def machine_id(self) -> str:
        return self._digest()[:32]

    def put_on(self, agent: Agent) -> None:
        """Tell the VM who it is and what time it is; may be repeated."""
        environment = {
            "LAB_NAME": self.name,
            "LAB_MACHINE_ID": self.machine_id,
            "LAB_MAC": self.mac,
            "LAB_ADDRESSES": " ".join(self.addresses),
            "LAB_HOST_ADDRESS": next(iter(self.addresses), "127.0.1.1"),
            "LAB_INITIATOR": self.initiator_name,
        }
        wake(agent)
        agent.run(["/bin/sh", "-s"], input=guest_script("identity.sh"), env=environment)

    def _digest(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()


def named(name: str, addresses: Sequence[str]) -> Identity:
    return Identity(name, tuple(addresses))


def wake(agent: Agent) -> None:
    """Give a guest that was saved or paused the host's time, and randomness of its own.

    Not `guest-set-time`: it also writes the hardware clock, which takes a
    second. The difference is passed, not the time, so that a slow guest does
    not fall behind; what is left is half of the agent's answering time.
    """
    asked = time.time_ns()
    guest = int(agent.call("guest-get-time"))
    offset = (asked + time.time_ns()) // 2 - guest
    environment = {"LAB_OFFSET": str(offset), "LAB_SEED": secrets.token_hex(32)}
    agent.run(["perl", "-e", guest_script("wake.pl").decode()], env=environment)


def guest_script(name: str) -> bytes:
    """One of the scripts that run in the guest or on its root."""
    return (resources.files("lab.vm") / "guest" / name).read_bytes()
