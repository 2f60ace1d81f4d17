"""HTTP as the array speaks it: paths, credentials, the JSON-RPC envelope, and faults on the way."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import ssl
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from lab.array import choices, lab_api, params
from lab.array.calls import Call, starred
from lab.array.errors import ElementError
from lab.array.faults import ECHO, GARBAGE, Fault, Moment
from lab.array.methods.cluster_info import supported

if TYPE_CHECKING:
    from lab.array.array import Array

_PATH = re.compile(r"/json-rpc/([0-9]+\.[0-9]+)/?")
_LARGEST = 16 * 1024**2
_ENDS = ("fail", "lose", "refuse", "garbage")


@dataclass(frozen=True)
class Reply:
    """What goes back to the client; no reply at all closes the connection."""

    status: int
    body: bytes
    kind: str = choices.CONTENT_TYPE


@dataclass(frozen=True)
class Caller:
    """Who calls, and what they may."""

    username: str
    rights: tuple[str, ...]


class Handler(BaseHTTPRequestHandler):
    """Serves one client's connection."""

    protocol_version = "HTTP/1.1"
    server_version = "element-lab"

    def __init__(self, array: Array, connection: ssl.SSLSocket, address: Any) -> None:
        """Serve until the client is done."""
        self._array = array
        super().__init__(connection, address, server=None)  # type: ignore[arg-type]

    def do_POST(self) -> None:
        """Serve a call, or the lab's own interface."""
        self._respond()

    def do_GET(self) -> None:
        """Serve the lab's own interface; the API has no GET."""
        self._respond()

    def do_DELETE(self) -> None:
        """Serve the lab's own interface."""
        self._respond()

    def do_PUT(self) -> None:
        """Refuse."""
        self._respond()

    def _respond(self) -> None:
        body = self._body()
        reply = None if body is None else self._reply(body)
        if reply is None:
            self.close_connection = True
            return
        head = f"HTTP/1.1 {reply.status} {self.responses.get(reply.status, ('',))[0]}\r\n"
        head += f"Content-Type: {reply.kind}\r\nContent-Length: {len(reply.body)}\r\n"
        if reply.status == 401:
            head += 'WWW-Authenticate: Basic realm="Element"\r\n'
        # One write: two would wait for each other's acknowledgement with some clients.
        self.wfile.write(f"{head}\r\n".encode() + reply.body)

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _LARGEST:
            return None
        return self.rfile.read(int(length))

    def _reply(self, body: bytes) -> Reply | None:
        caller = self._array.authenticate(*_credentials(self.headers.get("Authorization", "")))
        if caller is None:
            return _html(401, choices.UNAUTHORIZED_BODY)
        if self.path.startswith("/lab/"):
            status, answer = lab_api.serve(self._array, caller.rights, self.command or "", self.path, body)
            return Reply(status, json.dumps(answer, indent=1).encode() + b"\n")
        path = _PATH.fullmatch(self.path.partition("?")[0])
        if path is None or path[1] not in supported(self._array.identity.api_version):
            return _html(404, choices.NOT_FOUND_BODY)
        if self.command != "POST":
            return _html(405, choices.METHOD_NOT_ALLOWED_BODY)
        return serve_call(self._array, caller, path[1], body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Stay silent: `Array.calls` is the log."""


def _html(status: int, text: str) -> Reply:
    return Reply(status, text.encode(), "text/html")


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        text = base64.b64decode(encoded, validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    username, _, password = text.partition(":")
    return username, password


def same(one: str, other: str) -> bool:
    """Compare two secrets in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


@dataclass(frozen=True)
class Request:
    """One decoded call."""

    method: str
    params: dict[str, Any]
    id: Any


def _no_number(text: str) -> None:
    # Python would take NaN and Infinity for numbers and give them back; JSON has none.
    raise ValueError(text)


def _decode(body: bytes) -> Request:
    try:
        request = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ElementError(choices.MALFORMED_REQUEST, "The request is not JSON") from None
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        raise ElementError(choices.MALFORMED_REQUEST, "The request must be an object with a method")
    given = request.get("params")
    if given is not None and not isinstance(given, dict):
        raise ElementError(choices.MALFORMED_REQUEST, "params must be an object")
    return Request(request["method"], given or {}, request.get("id"))


def serve_call(array: Array, caller: Caller, version: str, body: bytes) -> Reply | None:
    """Carry out one call, as far as faults let it, and record it."""
    started = time.monotonic()
    try:
        request = _decode(body)
    except ElementError as error:
        return _json({"id": None, "error": error.to_json()})
    hits = array.faults.of_call(request.method)
    time.sleep(array.latency + sum(fault.seconds for fault in hits))
    end = next((fault for fault in hits if fault.kind in _ENDS), None)
    outcome, reply, done = _carry_out(array, caller, version, request, hits, end)
    seconds = time.monotonic() - started
    made = Call(request.method, starred(request.params), outcome, seconds, version, caller.username, done)
    array.calls.append(made)
    return reply


def _carry_out(
    array: Array, caller: Caller, version: str, request: Request, hits: list[Fault], end: Fault | None
) -> tuple[str, Reply | None, bool]:
    """Return what to record as the outcome, what to answer, and whether the call was done."""
    answer: dict[str, Any] = {}
    if end is None or end.kind == "lose" or end.carried_out:
        for fault in hits:
            if fault.before:
                fault.before(Moment("before", request.method, request.params))
        answer = _answer(array, caller, version, request)
        for fault in hits:
            if fault.after:
                fault.after(Moment("after", request.method, request.params, answer))
    done = "result" in answer
    if end is None:
        return ("ok" if done else answer["error"]["name"]), _json(answer), done
    if end.kind == "fail":
        error = ElementError(end.name, end.message.replace(ECHO, json.dumps(request.params)))
        return end.name, _json({"id": request.id, "error": error.to_json()}), done
    if end.kind == "garbage":
        return "garbage", _garbage(end.name, answer), done
    return ("lost" if end.kind == "lose" else "refused"), None, done


def _answer(array: Array, caller: Caller, version: str, request: Request) -> dict[str, Any]:
    try:
        found = array.cluster.call(
            request.method, request.params, params.version(version), caller.rights, caller.username
        )
    except ElementError as error:
        return {"id": request.id, "error": error.to_json()}
    warning = {"warning": {"unusedParameters": found.unused}} if found.unused else {}
    return {"id": request.id, "result": found.result} | warning


def _json(answer: dict[str, Any]) -> Reply:
    return Reply(200, json.dumps(answer).encode())


def _garbage(name: str, answer: dict[str, Any]) -> Reply:
    status, text = GARBAGE[name]
    whole = json.dumps(answer)
    body = whole[: len(whole) // 2] if text is None else text
    return Reply(status, body.encode(), choices.CONTENT_TYPE if status == 200 else "text/html")
