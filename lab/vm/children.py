"""A run's processes, kept by its supervisor: this is the side that asks."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.vm import supervisor
from lab.vm.errors import LabError, MachineDied, Unanswered
from lab.vm.wire import Deadline, Wire, check_path

_TIMEOUT = 30.0  # seconds for the supervisor's answer; it forks, no more
_LAST_WORDS = 2.0  # seconds from a closed connection to the process's end
_LOCK = "lock"
SWITCH = "switch"


class Children:
    """Starts and ends the processes of the run in one directory."""

    def __init__(self, directory: Path, own: subprocess.Popen[bytes] | None = None) -> None:
        """Speak to the supervisor that runs there.

        Args:
            directory: The run's.
            own: The supervisor, if this process started it.
        """
        self._directory = directory
        self._own = own

    @classmethod
    def supervise(cls, directory: Path, lock: int, *, detached: bool = False) -> Children:
        """Start a supervisor.

        Args:
            directory: The run's, empty but for its lock.
            lock: Its lock, held (`take_lock`); the supervisor keeps it from here on.
            detached: Whether the run goes on when this process has ended.
        """
        check_path(directory / "sw" / ".123456-12345678")
        with (directory / "supervisor.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, str(directory)],
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,
            )
        os.close(lock)
        if process.stdout is None or process.stdout.readline() != b"ready\n":
            raise LabError(f"the run's supervisor did not start: {tail(directory / 'supervisor.log')}")
        process.stdout.close()
        return cls(directory, process)

    def spawn(self, name: str, argv: Sequence[str], log: Path) -> int:
        """Start a process, its output appended to a log; return its id."""
        return int(self._ask({"do": "spawn", "name": name, "argv": list(argv), "log": str(log)})["pid"])

    @property
    def switch(self) -> Path:
        """The directory that is the network switch's address."""
        return self._directory / "sw"

    def spawn_switch(self) -> None:
        """Start the run's network switch."""
        log = self._directory / "switch.log"
        # Not as its own daemon (-d): it would fork away from the supervisor.
        self.spawn(SWITCH, ["vde_switch", "-s", str(self.switch), "-m", "600"], log)
        self.await_socket(SWITCH, self.switch / "ctl", log)

    def await_socket(self, name: str, socket: Path, log: Path) -> None:
        """Wait until a process that was just started has made its socket.

        Raises:
            MachineDied: It ended instead.
        """
        deadline = Deadline(_TIMEOUT)
        while not socket.exists():
            self.check_alive(name, log)
            if deadline.passed():
                raise Unanswered(f"{name} did not start: {tail(log)}")
            deadline.pause()

    def kill(self, name: str) -> None:
        """End a process, as a power cut would; return when it is gone."""
        self._ask({"do": "kill", "name": name})

    def exits(self) -> dict[str, int | None]:
        """Each process's exit status, or None while it runs."""
        return dict(self._ask({"do": "status"})["exits"])

    def check_alive(self, name: str, log: Path) -> None:
        """Raise MachineDied if a process has ended."""
        if (status := self.exits().get(name, -1)) is not None:
            raise MachineDied(f"{name} ended with status {status}: {tail(log)}")

    def await_end(self, name: str, timeout: float = _TIMEOUT) -> None:
        """Wait for a process that has been told to end."""
        deadline = Deadline(timeout)
        while self.exits().get(name, -1) is None:
            if deadline.passed():
                raise Unanswered(f"{name} does not end")
            deadline.pause()

    def blame(self, name: str, log: Path) -> None:
        """Raise MachineDied if a process that does not answer is about to end."""
        deadline = Deadline(_LAST_WORDS)
        while not deadline.passed():
            self.check_alive(name, log)
            deadline.pause()

    def end(self) -> None:
        """End all processes and remove the directory; may be repeated."""
        try:
            self._ask({"do": "end"})
        except (Unanswered, FileNotFoundError):
            if is_locked(self._directory):
                raise
        finally:
            if self._own is not None:
                if self._own.stdin is not None:
                    self._own.stdin.close()
                self._own.wait(_TIMEOUT)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        control = self._directory / supervisor.CONTROL
        if not control.exists():
            raise Unanswered(f"the run in {self._directory} has ended")
        deadline = Deadline(_TIMEOUT)
        wire = Wire.connect(control, deadline)
        try:
            wire.send(request, deadline)
            answer = wire.receive(deadline)
        finally:
            wire.close()
        if "error" in answer:
            raise LabError(f"starting {request.get('name')}: {answer['error']}")
        return answer


def take_lock(directory: Path) -> int:
    """Make a run's directory its owner's; return the held lock.

    Raises:
        BlockingIOError: Another run has it.
    """
    lock = os.open(directory / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def is_locked(directory: Path) -> bool:
    """Whether a run's supervisor is alive."""
    try:
        os.close(take_lock(directory))
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def tail(log: Path) -> str:
    """The end of a log, for a message."""
    try:
        return log.read_text(errors="replace").strip()[-1500:] or "nothing in its log"
    except OSError:
        return "no log"
