"""A node's own open-iscsi, driven as a person would, and volumes made through the Element API."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from lab.site import SVIP, Site
from lab.vm import Machine

PORTAL = f"{SVIP}:3260"
GIB = 1 << 30
_WAIT_SECONDS = 60.0

# The record's settings are written into its file: it is quicker than one iscsiadm for each.
_RECORD = """
iscsiadm -m node -T "$1" -p "$2,1" -o new > /dev/null
record="/etc/iscsi/nodes/$1/${2%:*},${2#*:},1/default"
sed -i '/^node.session.auth/d; /^node.session.timeo.replacement_timeout/d' "$record"
sed -i "/^# END RECORD/e cat /dev/stdin" "$record"
"""


def wait_until(happened: Callable[[], bool], seconds: float = _WAIT_SECONDS) -> None:
    """Wait for something that has no event.

    Raises:
        TimeoutError: It did not happen.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen")
        time.sleep(0.05)


@dataclass(frozen=True)
class Account:
    """An account of the array, with what its initiators know."""

    account_id: int
    username: str
    initiator_secret: str = field(repr=False)
    target_secret: str = field(repr=False)

    @classmethod
    def make(cls, site: Site, username: str) -> Account:
        """Add it to the array."""
        ours, theirs = secrets.token_hex(7), secrets.token_hex(7)
        added = site.call("AddAccount", {"username": username, "initiatorSecret": ours, "targetSecret": theirs})
        return cls(int(added["accountID"]), username, ours, theirs)

    def knowing(self, **changes: str) -> Account:
        """Return the account as somebody knows it who has something wrong, or newer."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Volume:
    """A volume of the array."""

    volume_id: int
    iqn: str
    naa: str

    @classmethod
    def make(cls, site: Site, account: Account, name: str, *, enable512e: bool = True, size: int = GIB) -> Volume:
        """Create it on the array."""
        asked = {"name": name, "accountID": account.account_id, "totalSize": size, "enable512e": enable512e}
        return cls.of(site.call("CreateVolume", asked)["volume"])

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Volume:
        """Take it from the array's answer."""
        return cls(answer["volumeID"], answer["iqn"], answer["scsiNAADeviceID"])


class Initiator:
    """The open-iscsi of one node VM."""

    def __init__(self, machine: Machine) -> None:
        """Drive the one in `machine`."""
        self.machine = machine

    def log_in(self, volume: Volume, account: Account, *, mutual: bool = False) -> int:
        """Log in with CHAP by the storage address; return iscsiadm's exit status."""
        auth = {
            "authmethod": "CHAP",
            "chap_algs": "SHA3-256,SHA256,SHA1,MD5",
            "username": account.username,
            "password": account.initiator_secret,
        }
        if mutual:
            auth |= {"username_in": account.username, "password_in": account.target_secret}
        settings = {f"node.session.auth.{name}": value for name, value in auth.items()}
        settings["node.session.timeo.replacement_timeout"] = "3"
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        self.machine.run(["sh", "-ec", _RECORD, "record", volume.iqn, PORTAL], input=lines)
        return self._iscsiadm(volume, "--login")

    def log_out(self, volume: Volume) -> int:
        """Log out; return iscsiadm's exit status."""
        return self._iscsiadm(volume, "--logout")

    def disk(self, volume: Volume) -> str:
        """Wait for the disk and return its device."""
        link = f"/dev/disk/by-path/ip-{PORTAL}-iscsi-{volume.iqn}-lun-0"
        wait_until(lambda: self.says(f"readlink -e {link}") != "")
        return self.says(f"readlink -e {link}")

    def state(self, volume: Volume) -> str:
        """Return the kernel's word for the state of the session; empty if there is none."""
        return self.says(f"cd {self._session(volume)} && cat state")

    def interruptions(self) -> int:
        """Count how often the kernel has lost a session's connection since it booted."""
        return int(self.says("dmesg | grep -c 'detected conn error'"))

    def attribute(self, volume: Volume, name: str) -> str:
        """Return what sysfs says of the session's connection or disk."""
        session = self._session(volume)
        return self.says(
            f"cat {session}/device/connection*/iscsi_connection/*/{name} {session}/device/target*/*:0/{name}"
        )

    def write(self, disk: str, text: str, *, at: int = 0) -> bool:
        """Write at the start of the n-th MiB, past the page cache; tell whether it was accepted."""
        command = f"dd of={disk} bs=4096 seek={at * 256} oflag=direct conv=notrunc,fsync iflag=fullblock count=1"
        block = text.encode().ljust(4096, b"\0")
        return self.machine.run(command, input=block, check=False).exit_code == 0

    def read(self, disk: str, *, at: int = 0) -> str:
        """Read what `write` wrote."""
        command = f"dd if={disk} bs=4096 skip={at * 256} iflag=direct count=1"
        return self.machine.run(command).output.rstrip(b"\0").decode()

    def size(self, disk: str) -> int:
        """Return the disk's size in bytes."""
        return int(self.says(f"blockdev --getsize64 {disk}"))

    def rescan(self, disk: str) -> None:
        """Let the kernel ask the array about the disk again."""
        self.machine.run(f"echo 1 > /sys/block/{disk.removeprefix('/dev/')}/device/rescan")

    def says(self, command: str) -> str:
        """Run a command that may fail; return what it prints."""
        return self.machine.run(command, check=False).stdout.strip()

    def _session(self, volume: Volume) -> str:
        found = f"grep -lx {volume.iqn} /sys/class/iscsi_session/*/targetname"
        return f"$(dirname $({found} || echo /none/none))"

    def _iscsiadm(self, volume: Volume, action: str) -> int:
        command = ["iscsiadm", "-m", "node", "-T", volume.iqn, "-p", PORTAL, action]
        return self.machine.run(command, check=False).exit_code
