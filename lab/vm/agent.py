"""The guest agent's client: commands and files in a VM, with no network and no SSH."""

from __future__ import annotations

import base64
import itertools
import shlex
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.vm.errors import CommandFailed, LabError, Unanswered
from lab.vm.wire import Deadline, Wire

_ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
_FIRST_POLL: Final = 0.005  # seconds; half as long again after each look
_LAST_POLL: Final = 0.05
_ANSWER_TIMEOUT: Final = 30.0  # seconds for one answer, on a host with more to do
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Result:
    """How a command in a guest ended; 128 and the signal's number if one ended it."""

    exit_code: int
    output: bytes
    errors: bytes

    @property
    def stdout(self) -> str:
        return self.output.decode(errors="replace")

    @property
    def stderr(self) -> str:
        return self.errors.decode(errors="replace")


class Agent:
    """One VM's guest agent. Its methods may be called by several threads."""

    def __init__(self, path: Path, *, keep_open: bool = True) -> None:
        """Connect at the first use.

        Args:
            path: The socket that QEMU made for the agent.
            keep_open: Off, each operation makes a connection of its own: QEMU
                serves one at a time, and others queue. On is some 0.1 s faster.
        """
        self._path = path
        self._keep_open = keep_open
        self._lock = threading.RLock()
        self._wire: Wire | None = None
        self._ids = itertools.count(1)

    def call(self, command: str, *, timeout: float = _ANSWER_TIMEOUT, **arguments: Any) -> Any:
        """Carry out one of the agent's own commands.

        Raises:
            LabError: The agent refused it.
            Unanswered: No answer in time; it may have been done all the same.
        """
        deadline = Deadline(timeout)
        with self._lock:
            try:
                wire = self._connected(deadline)
                wire.send({"execute": command, "arguments": arguments}, deadline)
                answer = wire.receive(deadline)
            except Unanswered:
                self.close()
                raise
        if "error" in answer:
            raise LabError(f"the guest's agent refused {command}: {answer['error'].get('desc')}")
        return answer["return"]

    def run(
        self,
        command: str | Sequence[str],
        *,
        input: str | bytes = b"",  # noqa: A002, as subprocess.run calls it
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        check: bool = True,
    ) -> Result:
        """Run a command in the guest and wait for its end.

        Args:
            command: A line for `sh`, or a program and its arguments.
            input: For its standard input; at most some MiB.
            env: Added to a root shell's usual environment.
            timeout: Seconds, after which the command is killed.
            check: Whether another exit status than 0 is an error.

        Raises:
            CommandFailed: It ended with another status than 0.
            Unanswered: It did not end in time, or the guest does not answer.
        """
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        deadline = Deadline(timeout)
        try:
            result = self._finish(self._start(argv, _bytes(input), env or {}, timeout), argv, deadline)
        finally:
            if not self._keep_open:
                self.close()
        if check and result.exit_code:
            raise CommandFailed(_short(argv), result.exit_code, result.stderr)
        return result

    def write_file(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Write a file in the guest, its directories made on the way."""
        self.run(["install", "-D", "-m", f"{mode:o}", "/dev/null", path])
        for start in range(0, len(data), _CHUNK):
            self.run(["dd", f"of={path}", "oflag=append", "conv=notrunc", "status=none"], input=data[start:][:_CHUNK])

    def read_file(self, path: str) -> bytes:
        """Read a file of the guest, of at most some MiB."""
        return self.run(["cat", path]).output

    def close(self) -> None:
        with self._lock:
            if self._wire is not None:
                self._wire.close()
                self._wire = None

    def _connected(self, deadline: Deadline) -> Wire:
        """Return the connection, made anew if need be.

        Left-over answers to an earlier client are skipped: 0xFF makes the
        agent drop half a request, and it marks the answer to this one.
        """
        if self._wire is None:
            wire = Wire.connect(self._path, deadline)
            token = next(self._ids)
            try:
                wire.send({"execute": "guest-sync-delimited", "arguments": {"id": token}}, deadline, prefix=b"\xff")
                wire.read_until(b"\xff", deadline)
                while wire.receive(deadline).get("return") != token:
                    wire.read_until(b"\xff", deadline)
            except Unanswered:
                wire.close()
                raise
            self._wire = wire
        return self._wire

    def _start(self, argv: list[str], data: bytes, env: Mapping[str, str], timeout: float) -> int:
        more = {"input-data": base64.b64encode(data).decode()} if data else {}
        environment = [f"{name}={value}" for name, value in (_ENVIRONMENT | dict(env)).items()]
        answer = self.call(
            "guest-exec",
            timeout=min(timeout, _ANSWER_TIMEOUT),
            **{"path": argv[0], "arg": argv[1:], "env": environment, "capture-output": True, **more},
        )
        return int(answer["pid"])

    def _finish(self, pid: int, argv: list[str], deadline: Deadline) -> Result:
        pause = _FIRST_POLL
        while not (status := self.call("guest-exec-status", pid=pid))["exited"]:
            if deadline.passed():
                self.call("guest-exec", path="/bin/kill", arg=["-KILL", str(pid)])
                raise Unanswered(f"{_short(argv)}: not done in time, killed")
            deadline.pause(pause)
            pause = min(pause * 1.5, _LAST_POLL)
        if status.get("out-truncated") or status.get("err-truncated"):
            raise LabError(f"{_short(argv)}: more output than the guest's agent keeps")
        return Result(
            exit_code=128 + status["signal"] if "signal" in status else status["exitcode"],
            output=base64.b64decode(status.get("out-data", "")),
            errors=base64.b64decode(status.get("err-data", "")),
        )


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _short(argv: Sequence[str]) -> str:
    return shlex.join(argv[2:] if argv[:2] == ["/bin/sh", "-c"] else argv)[:200]
