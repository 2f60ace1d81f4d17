"""A TLS server that says what no array and no Kubernetes would, byte by byte if need be."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

from lab.array import tls

Talk = Callable[[socket.socket], None]
_PACE = 0.01  # seconds between two bytes that trickle
_BROKEN_OFF = (OSError, ValueError)  # the latter by Python, for a socket that is being closed


class Strange:
    """It is gone at the end of a `with`, and whoever it talks to is cut off.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        ca: The certificate to trust.
        connections: How many it has had.
        left: Set when somebody hung up on it.
    """

    def __init__(self, talk: Talk, *, handshake: bool = True) -> None:
        """Talk to each connection in a thread of its own; without `handshake` from its first byte on."""
        certificate = tls.make(())
        self.ca = certificate.cert
        self.connections = 0
        self.left = threading.Event()
        self._talk = talk
        self._context = tls.server_context(certificate) if handshake else None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Strange:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._socket.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own, which takes TLS off the connection while its thread may be writing.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with self._context.wrap_socket(connection, server_side=True) if self._context else connection as secure:
                self._open.append(secure)
                self._talk(secure)
        except _BROKEN_OFF:
            self.left.set()
        finally:
            connection.close()


def requests(connection: socket.socket) -> Iterator[bytes]:
    """Yield the bodies of what is asked until nothing more is."""
    with connection.makefile("rb") as stream:
        while stream.readline():
            length = 0
            while (line := stream.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            yield stream.read(length)


def saying(answer: bytes) -> Talk:
    """Answer each question alike and then hang up."""

    def talk(connection: socket.socket) -> None:
        next(requests(connection), None)
        connection.sendall(answer)

    return talk


def trickling(beginning: bytes, rest: bytes) -> Talk:
    """Send `rest` again and again after the beginning, a byte at a time, until the other side hangs up."""

    def talk(connection: socket.socket) -> None:
        if isinstance(connection, ssl.SSLSocket):
            next(requests(connection), None)
        connection.sendall(beginning)
        waiting = threading.Event()
        while True:
            for byte in rest:
                connection.sendall(bytes([byte]))
                waiting.wait(_PACE)

    return talk


def flooding(beginning: bytes) -> Talk:
    """Send zeros after the beginning, as fast as they are taken, until the other side hangs up."""

    def talk(connection: socket.socket) -> None:
        next(requests(connection), None)
        connection.sendall(beginning)
        while True:
            connection.sendall(b"0" * 65536)

    return talk


# Where an answer can stop making progress: (whether TLS comes up, what is said at once, what trickles).
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
TRICKLES: dict[str, tuple[bool, bytes, bytes]] = {
    "handshake": (False, b"\x16\x03\x03\x40\x00", b"\x02"),
    "status line": (True, b"HTTP/1.1 200 ", b"O"),
    "headers": (True, _HEAD, b"X: y\r\n"),
    "further headers": (True, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (True, _HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "chunks": (True, _HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "body without an end": (True, _HEAD + b"\r\n", b" "),
}
FLOODS: dict[str, bytes] = {
    "200": _HEAD + b"Content-Length: 1000000000000\r\n\r\n",
    "no length": _HEAD + b"\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n",
    "one chunk": _HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
}
