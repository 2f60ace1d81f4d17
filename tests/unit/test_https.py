"""Arrays that answer slowly, endlessly or in broken HTTP: a call ends with its deadline, and with an error of ours."""

from __future__ import annotations

import json
import socket

import pytest

from csi_solidfire import deadline, errors
from csi_solidfire.element.transport import Credentials, Transport, Unreachable
from csi_solidfire.element.types import Malformed
from tests.support.strange import FLOODS, TRICKLES, Strange, flooding, requests, saying, trickling


def _call(server: Strange, *, repeat: bool = False) -> object:
    transport = Transport(Credentials(f"https://127.0.0.1:{server.port}", "admin", "kept-to-oneself", server.ca))
    try:
        return transport.call("12.5", "GetClusterInfo", {}, repeat=repeat)
    finally:
        transport.close()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("repeat", [False, True], ids=["once", "again and again"])
@pytest.mark.parametrize("what", TRICKLES)
def test_the_deadline_bounds_an_answer_that_trickles_in(what: str, repeat: bool) -> None:
    handshake, beginning, rest = TRICKLES[what]
    with Strange(trickling(beginning, rest), handshake=handshake) as server:
        with deadline.until(0.5), pytest.raises(Unreachable, match="it took too long"):
            _call(server, repeat=repeat)
        assert server.left.wait(10), "a connection that was not read to its end must not be used again"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", FLOODS)
def test_an_answer_without_end_is_none(what: str) -> None:
    with Strange(flooding(FLOODS[what])) as server:
        with pytest.raises(errors.Unavailable, match=r"more than 32 MiB|HTTP 302"):
            _call(server)
        assert server.left.wait(10)


ODD: dict[str, bytes] = {
    "nothing": b"",
    "another protocol": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    "a chunk of negative size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}",
    "a long line": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n{}",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}",
    "packed that is not": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "a charset that is none": b"HTTP/1.1 200 OK\r\nContent-Type: a/b; charset=\xff\r\nContent-Length: 1\r\n\r\n\xff",
    "led nowhere": b"HTTP/1.1 302 Found\r\nLocation: \xff\r\nContent-Length: 0\r\n\r\n",
    "led nowhere in IPv6": b"HTTP/1.1 307 X\r\nLocation: https://[\r\nContent-Length: 0\r\n\r\n",
    "cookies": b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff=\x00; expires=x\r\nContent-Length: 0\r\n\r\n",
    "a tower": b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000,
    "a number of 10,000 digits": b'HTTP/1.1 200 OK\r\n\r\n{"id": 1, "result": ' + b"1" * 10_000 + b"}",
    "not a number": b'HTTP/1.1 200 OK\r\n\r\n{"id": 1, "result": {"a": NaN}}',
    "half a character": b'HTTP/1.1 200 OK\r\n\r\n{"id": 1, "result": {"a": ["\\ud800"]}}',
    "half a character in an error": b'HTTP/1.1 200 OK\r\n\r\n{"id": 1, "error": {"name": "\\uDFFF"}}',
    "an error that is none": b'HTTP/1.1 200 OK\r\n\r\n{"id": 1, "error": "no", "result": {}}',
}


@pytest.mark.parametrize("what", ODD)
def test_odd_http_is_no_answer(what: str) -> None:
    with Strange(saying(ODD[what])) as server, pytest.raises((Unreachable, Malformed)) as caught:
        _call(server)
    assert "kept-to-oneself" not in str(caught.value)


def test_one_connection_serves_many_calls() -> None:
    def answer(connection: socket.socket) -> None:
        for question in requests(connection):
            body = json.dumps({"id": json.loads(question)["id"], "result": {}}).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    with Strange(answer) as server:
        transport = Transport(Credentials(f"https://127.0.0.1:{server.port}", "admin", "secret", server.ca))
        for _ in range(10):
            assert transport.call("12.5", "GetClusterInfo", {}, repeat=False) == {}
        assert server.connections == 1
        transport.close()
