"""QEMU's own monitor (QMP): stop and wake a VM, cut and mend its network links, save its state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.vm.errors import LabError
from lab.vm.wire import Deadline, Wire

_TIMEOUT = 20.0  # seconds for one command
_FORWARD = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)\s")


class Monitor:
    """One QEMU's monitor; connected to for each command, so several programs can use it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def execute(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Carry out a QMP command and return its answer.

        Raises:
            LabError: QEMU refused it.
            Unanswered: No answer in time.
        """
        deadline = Deadline(_TIMEOUT)
        wire = Wire.connect(self._path, deadline)
        try:
            wire.receive(deadline)  # the greeting
            _call(wire, deadline, {"execute": "qmp_capabilities"})
            return _call(wire, deadline, {"execute": command, "arguments": dict(arguments or {})})
        finally:
            wire.close()

    def status(self) -> str:
        """`running`, `paused`, `inmigrate`, …"""
        return str(self.execute("query-status")["status"])

    def set_link(self, card: str, *, up: bool) -> None:
        self.execute("set_link", {"name": card, "up": up})

    def forward(self, card: str, guest_port: int, host_port: int = 0) -> int:
        """Let a port of the host's loopback lead to a port of the guest.

        Args:
            card: QEMU's name of a card on a user network.
            guest_port: TCP port in the guest.
            host_port: 0 takes a free one.

        Returns:
            The host's port.
        """
        answer = self._human(f"hostfwd_add {card} tcp:127.0.0.1:{host_port}-:{guest_port}")
        if answer.strip():
            raise LabError(f"forwarding to port {guest_port}: {answer.strip()}")
        ports = {int(to): int(host) for host, to in _FORWARD.findall(self._human("info usernet"))}
        return ports[guest_port]

    def save(self, state: Path, *, timeout: float) -> None:
        """Write the state of a stopped VM, without its memory if that is a shared file."""
        self._leave_memory_out()
        self.execute("migrate", {"uri": f"exec:cat > '{state}'"})
        deadline = Deadline(timeout)
        while (status := self.execute("query-migrate").get("status")) != "completed":
            if status in ("failed", "cancelled") or deadline.passed():
                raise LabError(f"saving the state: {status}")
            deadline.pause()

    def load(self, state: Path, *, timeout: float) -> None:
        """Load a saved state into a QEMU that was started for it; the VM runs afterwards."""
        self._leave_memory_out()
        self.execute("migrate-incoming", {"uri": f"exec:cat '{state}'"})
        deadline = Deadline(timeout)
        while (status := self.status()) != "paused":  # as it was when it was saved
            if status != "inmigrate" or deadline.passed():
                raise LabError(f"loading the state: {status}")
            deadline.pause()
        self.execute("cont")

    def _leave_memory_out(self) -> None:
        capability = {"capability": "x-ignore-shared", "state": True}
        self.execute("migrate-set-capabilities", {"capabilities": [capability]})

    def _human(self, line: str) -> str:
        return str(self.execute("human-monitor-command", {"command-line": line}))


def _call(wire: Wire, deadline: Deadline, request: dict[str, Any]) -> Any:
    wire.send(request, deadline)
    while True:
        answer = wire.receive(deadline)
        if "error" in answer:
            raise LabError(f"QEMU refused {request['execute']}: {answer['error'].get('desc')}")
        if "return" in answer:
            return answer["return"]
