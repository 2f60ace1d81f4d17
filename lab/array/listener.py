"""A port that can refuse connections and be opened again, with a thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

_BACKLOG = 512
# Seconds. A client that connects and says nothing must not keep a thread for good.
_IDLE = 120.0

Serve = Callable[[ssl.SSLSocket, Any], None]


class Listener:
    """Accepts TLS connections and serves each in a thread of its own."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, serve: Serve) -> None:
        """Take the port, without listening yet.

        Args:
            address: Host and port; port 0 takes a free one.
            context: The server's side of TLS.
            serve: Talks to one client until it is done.
        """
        self._context = context
        self._serve = serve
        self._socket = _bound(address)
        self.host: str = self._socket.getsockname()[0]
        self.port: int = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._accepting: threading.Thread | None = None
        self._closed = False

    def start(self) -> None:
        """Listen, unless the listener is closed."""
        if self._accepting is None and not self._closed:
            self._socket.listen(_BACKLOG)
            self._accepting = threading.Thread(target=self._accept, name=f"accept-{self.port}", daemon=True)
            self._accepting.start()

    def stop(self) -> None:
        """Refuse new connections and cut the open ones; the port stays taken, so `start` can follow."""
        if self._accepting is not None:
            # On Linux this ends listening and wakes accept; the port stays bound, and connecting to it is refused.
            self._socket.shutdown(socket.SHUT_RDWR)
            self._accepting.join()
            with self._lock:
                self._accepting = None
        self.cut()

    def cut(self) -> None:
        """Cut the open connections."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    # Not SSLSocket's own, which takes TLS off the connection while its thread may be writing.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop for good."""
        self._closed = True
        self.stop()
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._socket.accept()
            except OSError:
                return
            threading.Thread(
                target=self._talk, args=(connection, address), name=f"client-{address[1]}", daemon=True
            ).start()

    def _talk(self, connection: socket.socket, address: Any) -> None:
        connection.settimeout(_IDLE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            # The handshake is the client's pace, so it happens here and not where connections are accepted.
            with self._context.wrap_socket(connection, server_side=True) as secure, self._tracked(secure):
                self._serve(secure, address)
        except OSError:
            connection.close()

    @contextlib.contextmanager
    def _tracked(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            if self._accepting is None:
                # It was shaking hands when the port was closed.
                raise ConnectionAbortedError
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)


def _bound(address: tuple[str, int]) -> socket.socket:
    """Return a socket that holds its port even while it does not listen.

    Linux lets go of a port that it chose itself when listening ends. So a free one is taken twice, the second time by
    number, while the first keeps it from anybody else.
    """
    first = _reusable(address)
    if address[1]:
        return first
    with first:
        return _reusable(first.getsockname())


def _reusable(address: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    new = socket.socket(family, socket.SOCK_STREAM)
    try:
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        new.bind(address)
    except BaseException:
        new.close()
        raise
    return new
