"""JSON, one document a line, over a Unix socket, each step within a deadline."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any, Self

from lab.vm.errors import LabError, Unanswered

POLL = 0.005  # seconds between two looks where nothing would wake us
_LONGEST_PATH = 107  # sun_path in sockaddr_un, less its final zero


class Deadline:
    """A moment not to wait beyond."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        return self._end - time.monotonic()

    def passed(self) -> bool:
        return self.left() <= 0

    def pause(self, seconds: float = POLL) -> None:
        """Wait a little, but not beyond the deadline."""
        time.sleep(max(0.0, min(seconds, self.left())))


class Wire:
    """An open connection."""

    def __init__(self, path: Path, connection: socket.socket) -> None:
        self._path = path
        self._socket = connection
        self._buffer = bytearray()

    @classmethod
    def connect(cls, path: Path, deadline: Deadline) -> Self:
        """Connect as soon as somebody listens there.

        Raises:
            Unanswered: Nobody does by the deadline.
        """
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(max(deadline.left(), 0.001))
            try:
                connection.connect(str(path))
            except OSError as error:
                connection.close()
                if deadline.passed():
                    raise Unanswered(f"nobody listens at {path}: {error}") from error
                deadline.pause()
            else:
                return cls(path, connection)

    def send(self, document: dict[str, Any], deadline: Deadline, *, prefix: bytes = b"") -> None:
        self._socket.settimeout(max(deadline.left(), 0.001))
        try:
            self._socket.sendall(prefix + json.dumps(document).encode() + b"\n")
        except OSError as error:
            raise Unanswered(f"{self._path}: {error}") from error

    def receive(self, deadline: Deadline) -> dict[str, Any]:
        line = self.read_until(b"\n", deadline)
        try:
            document = json.loads(line)
        except ValueError as error:
            raise Unanswered(f"{self._path}: not JSON: {bytes(line[:100])!r}") from error
        if not isinstance(document, dict):
            raise Unanswered(f"{self._path}: not a JSON object: {bytes(line[:100])!r}")
        return document

    def read_until(self, mark: bytes, deadline: Deadline) -> bytearray:
        """Return what comes before a mark, and swallow the mark."""
        searched = 0
        while (end := self._buffer.find(mark, searched)) < 0:
            searched = len(self._buffer)
            self._buffer += self._read_some(deadline)
        found = self._buffer[:end]
        del self._buffer[: end + len(mark)]
        return found

    def _read_some(self, deadline: Deadline) -> bytes:
        self._socket.settimeout(max(deadline.left(), 0.001))
        try:
            data = self._socket.recv(1 << 20)
        except OSError as error:
            raise Unanswered(f"{self._path}: no answer: {error}") from error
        if not data:
            raise Unanswered(f"{self._path}: closed by the other side")
        return data

    def close(self) -> None:
        self._socket.close()


def check_path(path: Path) -> None:
    """Refuse a path too long for a Unix socket before QEMU does so less clearly."""
    if len(bytes(path)) > _LONGEST_PATH:
        raise LabError(f"{path} is too long for a Unix socket; set CSI_SOLIDFIRE_LAB_CACHE to a shorter directory")
