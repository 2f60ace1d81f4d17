"""The storage address's answers, byte by byte: this needs no VM."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest

from lab.array.redirect import Redirector

IQN = "iqn.2010-01.com.solidfire:lab1.pvc-1.1"
INITIATOR = "iqn.1993-08.org.debian:01:abc"
ISID = bytes.fromhex("00023d000001")


@pytest.fixture
def svip() -> Iterator[Redirector]:
    """A storage address that sends initiators of one target to a storage node."""
    redirector = Redirector("127.0.0.1", 0, peer_seconds=0.3)
    redirector.route(IQN, "192.0.2.11")
    redirector.start()
    yield redirector
    redirector.close()


def _request(text: str, *, opcode: int = 0x43, flags: int = 0x87) -> bytes:
    """Spell a login request; `;` separates the keys."""
    data = text.replace(";", "\0").encode() + b"\0"
    header = bytes([opcode, flags, 0, 0, 0]) + len(data).to_bytes(3) + ISID + bytes(2) + b"\1\2\3\4" + bytes(4)
    return header + struct.pack(">II", 7, 0) + bytes(16) + data + bytes(-len(data) % 4)


def _ask(svip: Redirector, sent: bytes) -> bytes:
    """Send bytes and return all that comes back until the end, which is a reset if some of them were not read."""
    answer = b""
    with socket.create_connection(("127.0.0.1", svip.port), timeout=10) as peer, suppress(ConnectionResetError):
        peer.sendall(sent)
        while part := peer.recv(4096):
            answer += part
    return answer


def _login(target: str = IQN, more: str = "SessionType=Normal") -> bytes:
    return _request(f"InitiatorName={INITIATOR};{more};TargetName={target}")


def _status(answer: bytes) -> str:
    return answer[36:38].hex()


def test_a_login_is_sent_on_to_the_storage_node(svip: Redirector) -> None:
    """The answer is a login response to that request: moved temporarily, with the address and no portal group."""
    answer = _ask(svip, _login())

    assert _status(answer) == "0101"
    assert answer[0] == 0x23
    assert answer[8:14] == ISID
    assert answer[16:20] == b"\1\2\3\4"
    text = b"TargetAddress=192.0.2.11:3260\0"
    assert int.from_bytes(answer[5:8]) == len(text)
    assert answer[48:] == text + bytes(-len(text) % 4)


def test_a_target_may_move(svip: Redirector) -> None:
    """The next login goes where the volume is then."""
    svip.route(IQN, "192.0.2.12")

    assert b"192.0.2.12:3260" in _ask(svip, _login())


@pytest.mark.parametrize(
    ("request_pdu", "status"),
    [
        (_login(IQN + "2"), "0203"),
        (_login(more="SessionType=Discovery"), "0209"),
        (_request(f"InitiatorName={INITIATOR}"), "0207"),
        (_request(f"TargetName={IQN}"), "0207"),
        (_request(f"InitiatorName={INITIATOR};Target", flags=0x40), "0200"),
        (_request("\udcff".encode("utf-8", "surrogatepass").decode("latin-1")), "0207"),
    ],
    ids=["no such target", "discovery", "no target", "no initiator", "more to come", "no text"],
)
def test_other_logins_are_refused(svip: Redirector, request_pdu: bytes, status: str) -> None:
    """With the status that RFC 7143 has for it, and no address."""
    answer = _ask(svip, request_pdu)

    assert (_status(answer), len(answer)) == (status, 48)


def test_a_closed_target_is_refused_and_a_removed_one_unknown(svip: Redirector) -> None:
    """An initiator gives up at once instead of trying for minutes."""
    svip.refuse(IQN)
    assert _status(_ask(svip, _login())) == "0202"
    svip.forget(IQN)
    assert _status(_ask(svip, _login())) == "0203"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: 192.0.2.10\r\nUser-Agent: somebody\r\n\r\n",
        _request("", opcode=0x40),
        b"\x43\x87\0\0\0\xff\xff\xff" + bytes(40),
        _login()[:60],
        b"",
    ],
    ids=["another protocol", "no login", "16 MiB of text", "half a login", "nothing"],
)
def test_what_is_no_login_gets_no_answer(svip: Redirector, sent: bytes) -> None:
    """The connection ends, and the next initiator is served."""
    assert _ask(svip, sent) == b""
    assert _status(_ask(svip, _login())) == "0101"


def test_silent_peers_keep_nobody_waiting(svip: Redirector) -> None:
    """Initiators are served while others hold connections open, and those end."""
    idle = [socket.create_connection(("127.0.0.1", svip.port), timeout=10) for _ in range(20)]

    assert _status(_ask(svip, _login())) == "0101"

    assert [peer.recv(1) for peer in idle] == [b""] * 20
    for peer in idle:
        peer.close()


def test_initiators_wait_for_it_to_start() -> None:
    """Nobody is told of an unknown target by an array that has not brought its targets up."""
    redirector = Redirector("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", redirector.port), timeout=10) as peer:
        peer.sendall(_login())
        redirector.route(IQN, "192.0.2.11")
        redirector.start()
        assert _status(peer.recv(4096)) == "0101"
    redirector.close()


def test_it_remembers_where_an_initiator_came_from(svip: Redirector) -> None:
    """For the array's list of sessions."""
    assert svip.seen(IQN, INITIATOR) is None

    with socket.create_connection(("127.0.0.1", svip.port), timeout=10) as peer:
        host, port = peer.getsockname()
        peer.sendall(_login())
        while peer.recv(4096):
            pass

    seen = svip.seen(IQN, INITIATOR)
    assert seen is not None
    assert (seen.address, seen.isid) == (f"{host}:{port}", 0x00023D000001)
