"""TLS connections that keep to the caller's deadline, however slowly the other side sends.

A socket's timeout is for one recv: an answer that trickles in, headers or body, would be waited for without end.
"""

from __future__ import annotations

import ssl
from typing import Any

from csi_solidfire import deadline, errors

_HANDSHAKE_SECONDS = 10.0


class Socket(ssl.SSLSocket):
    """What a TLS context makes if it is its `sslsocket_class`. Its own timeout is replaced before each step.

    Within a step OpenSSL may receive any number of times; Python bounds them together.
    """

    def do_handshake(self, block: bool = False) -> None:
        self._hurry(_HANDSHAKE_SECONDS)
        super().do_handshake(block)

    def send(self, *args: Any) -> int:
        self._hurry()
        return super().send(*args)

    def recv_into(self, *args: Any) -> int:
        self._hurry()
        return super().recv_into(*args)

    def _hurry(self, at_most: float = deadline.DEFAULT) -> None:
        try:
            self.settimeout(deadline.remaining(at_most))
        except errors.Unavailable as error:
            raise TimeoutError("the deadline has passed") from error
