"""The storage address (SVIP): an iSCSI portal that sends every initiator on to the storage node that serves its volume.

SolidFire answers a login at the SVIP, before authentication, with "target moved temporarily" and a storage node's
address. LIO cannot do that, so this small responder stands in front of it. It reads one login request (RFC 7143,
11.12) and answers with one login response (11.13); it never becomes a session.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import struct
import threading
import time
from dataclasses import dataclass
from enum import Enum

_log = logging.getLogger(__name__)

PORT = 3260
_MAX_TEXT = 65536

# opcode, flags, version max, version min, AHS length, data length (3 bytes), ISID, TSIH, ITT, CID, -, CmdSN, ExpStatSN
_REQUEST = struct.Struct(">BBBBB3s6sHIHHII16x")
# opcode, flags, version max, version active, AHS length, data length, ISID, TSIH, ITT, -, StatSN, ExpCmdSN, MaxCmdSN,
# status
_RESPONSE = struct.Struct(">BBBBB3s6sHI4xIIIH10x")
_LOGIN_REQUEST = 0x03
_LOGIN_RESPONSE = 0x23
_OPCODE = 0x3F
_CONTINUES = 0x40
_CURRENT_STAGE = 0x0C


class Status(Enum):
    """Status class and detail of a login response (RFC 7143, 11.13.5)."""

    MOVED_TEMPORARILY = 0x0101
    INITIATOR_ERROR = 0x0200
    NOT_ALLOWED = 0x0202
    NOT_FOUND = 0x0203
    MISSING_PARAMETER = 0x0207
    SESSION_TYPE_NOT_SUPPORTED = 0x0209


class BadPdu(Exception):
    """The peer does not speak iSCSI."""


@dataclass(frozen=True)
class Login:
    """What a login request says, and the fields that its answer repeats."""

    flags: int
    isid: bytes
    task_tag: int
    command: int
    keys: dict[str, str]

    @property
    def continues(self) -> bool:
        """Whether more text follows in another request."""
        return bool(self.flags & _CONTINUES)


@dataclass(frozen=True)
class Seen:
    """The latest login of an initiator to a target.

    Attributes:
        address: `ip:port` it came from.
        isid: Its part of the session id, as a number; it is the same at the storage node.
        when: Seconds since 1970.
    """

    address: str
    isid: int
    when: float


class Redirector:
    """The portal and its table of targets, which may be changed at any time."""

    def __init__(self, address: str, port: int = PORT, *, peer_seconds: float = 10.0) -> None:
        """Listen at `address`; initiators wait until `start`. A peer has `peer_seconds` for its request."""
        self.peer_seconds = peer_seconds
        self._routes: dict[str, str | None] = {}
        self._seen: dict[tuple[str, str], Seen] = {}
        self._server = _Server((address, port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="svip", daemon=True)

    def start(self) -> None:
        """Answer from now on. Doing it twice is fine."""
        if not self._thread.is_alive():
            self._thread.start()

    @property
    def port(self) -> int:
        """The port listened at; the one asked for, or the one the kernel chose for 0."""
        return int(self._server.server_address[1])

    def route(self, iqn: str, address: str) -> None:
        """Send initiators of the target to `address`."""
        self._routes[iqn] = address

    def refuse(self, iqn: str) -> None:
        """Let nobody on to the target, which exists."""
        self._routes[iqn] = None

    def forget(self, iqn: str) -> None:
        """Say from now on that there is no such target."""
        self._routes.pop(iqn, None)
        for known in [key for key in list(self._seen) if key[0] == iqn]:
            del self._seen[known]

    def seen(self, iqn: str, initiator: str) -> Seen | None:
        """Tell where the initiator came from when it was last sent on to the target."""
        return self._seen.get((iqn, initiator))

    def close(self) -> None:
        """Stop listening."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def answer(self, login: Login, peer: str) -> tuple[Status, str]:
        """Decide on a login from `peer` (`ip:port`): the status, and the address for a redirect."""
        if login.continues:
            return Status.INITIATOR_ERROR, ""
        if login.keys.get("SessionType") == "Discovery":
            return Status.SESSION_TYPE_NOT_SUPPORTED, ""
        initiator, iqn = login.keys.get("InitiatorName"), login.keys.get("TargetName")
        if not initiator or not iqn:
            return Status.MISSING_PARAMETER, ""
        if iqn not in self._routes:
            return Status.NOT_FOUND, ""
        if (address := self._routes.get(iqn)) is None:
            return Status.NOT_ALLOWED, ""
        self._seen[iqn, initiator] = Seen(peer, int.from_bytes(login.isid), time.time())
        return Status.MOVED_TEMPORARILY, address


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], redirector: Redirector) -> None:
        self.redirector = redirector
        super().__init__(address, _Peer)

    def handle_error(self, request: object, client_address: object) -> None:
        _log.exception("iSCSI login from %s failed", client_address)


class _Peer(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        host, port = self.client_address[:2]
        peer = f"{host}:{port}"
        seconds = self.server.redirector.peer_seconds
        try:
            login = _Request(self.request, seconds).login()
            status, address = self.server.redirector.answer(login, peer)
            self.request.sendall(_respond(login, status, address))
        except (BadPdu, OSError) as error:
            _log.info("%s went without a login: %s", peer, error)
        else:
            _log.info("%s logs in to %s: %s %s", peer, login.keys.get("TargetName"), status.name, address)


class _Request:
    """What one peer sends, within a time for all of it and not for each byte."""

    def __init__(self, peer: socket.socket, seconds: float) -> None:
        self._peer = peer
        self._deadline = time.monotonic() + seconds

    def login(self) -> Login:
        header = _REQUEST.unpack(self._read(_REQUEST.size))
        opcode, flags, _, lowest_version, ahs_words, length, isid, _, task_tag, _, _, command, _ = header
        if opcode & _OPCODE != _LOGIN_REQUEST or lowest_version != 0:
            raise BadPdu(f"opcode 0x{opcode:02x}, version {lowest_version}")
        size = int.from_bytes(length)
        if size > _MAX_TEXT:
            raise BadPdu(f"a login text of {size} bytes")
        self._read(ahs_words * 4)
        text = self._read(size + -size % 4)[:size]
        return Login(flags, isid, task_tag, command, _keys(text))

    def _read(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            # Zero would mean not to wait at all, and to fail in another way.
            self._peer.settimeout(max(self._deadline - time.monotonic(), 0.001))
            part = self._peer.recv(size - len(received))
            if not part:
                raise BadPdu(f"ended after {len(received)} of {size} bytes")
            received += part
        return bytes(received)


def _respond(login: Login, status: Status, address: str) -> bytes:
    # A redirect names no portal group, unlike SendTargets (RFC 7143, 13.8).
    text = f"TargetAddress={address}:{PORT}\0".encode() if status is Status.MOVED_TEMPORARILY else b""
    stage = login.flags & _CURRENT_STAGE
    header = _RESPONSE.pack(
        _LOGIN_RESPONSE, stage, 0, 0, 0, len(text).to_bytes(3), login.isid, 0, login.task_tag,
        0, login.command, login.command + 1 & 0xFFFFFFFF, status.value,
    )  # fmt: skip
    return header + text + bytes(-len(text) % 4)


def _keys(text: bytes) -> dict[str, str]:
    """Split `key=value` pairs that end in NUL; what is no such pair or no UTF-8 is left out or replaced."""
    pairs = (pair.decode("utf-8", "replace").partition("=") for pair in text.split(b"\0"))
    return {key: value for key, found, value in pairs if found}
