"""JSON-RPC over HTTPS to one cluster: one pooled session, the caller's deadline, retries of what passes.

`call` is the whole of it. A call that may be repeated is repeated, with jittered backoff, while the array
says that it is busy or says nothing; a call that makes something never is, since the lost answer may
have been a yes.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.adapters
import tenacity
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError, ProtocolError

from csi_solidfire import deadline, errors, logs, metrics
from csi_solidfire.element import tls
from csi_solidfire.element.errors import TRANSIENT, ElementError, of_answer
from csi_solidfire.element.types import Malformed

log = logs.get(__name__)

_SECRETS = frozenset({"initiatorSecret", "targetSecret"})  # all that a call carries of them: AddAccount's
# A call takes the array milliseconds; a clone or a busy moment, seconds. Trident waits 90 s, Cinder 30 s.
_CALL_SECONDS = 30.0
# For each address that a name resolves to. The resolver asks before that for as long as /etc/resolv.conf tells it to.
_CONNECT_SECONDS = 10.0
# All of an array's 4,000 volumes in one answer, with 8 KiB for each; they have two to three.
_LARGEST = 32 << 20  # bytes
_TO_TELL = 0.05  # Seconds before the deadline in which nothing is begun any more.
_NAME = re.compile(r"\w{1,64}", re.ASCII)
_BACKOFF = tenacity.wait_exponential(multiplier=0.05, max=2.0) + tenacity.wait_random(0, 0.05)


class Unreachable(errors.Unavailable):
    """The connection failed or the answer was lost; what was asked may have been done."""


class NoSuchDialect(Unreachable):
    """There is nothing at the path of this API version (HTTP 404); at its address is another array than before."""


@dataclass(frozen=True)
class Credentials:
    """How to reach a cluster's API as one of its cluster admins.

    Attributes:
        endpoint: `https://<MVIP>[:port]`.
        ca_cert: PEM certificates to trust instead of the system's, with no `tls.problem`; empty for the system's.
        verify_tls: False takes any certificate.
    """

    endpoint: str
    username: str
    password: str = field(repr=False)
    ca_cert: str = field(repr=False, default="")
    verify_tls: bool = True

    @property
    def host(self) -> str:
        """What a message may call the cluster."""
        return urlsplit(self.endpoint).netloc.rpartition("@")[2]


class _Adapter(requests.adapters.HTTPAdapter):
    """Trusts what its TLS context trusts and nothing else; `requests` would add its own list of CAs."""

    def __init__(self, context: ssl.SSLContext, pool_size: int) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=pool_size)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: str, verify: bool | str, cert: Any) -> None:
        """Leave the decision to the context."""


class _Session(requests.Session):
    """Looks at no `Location`: `requests` would parse it and read what came with it, even where it follows none."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class Transport:
    """Calls methods of one cluster. Thread-safe."""

    def __init__(self, credentials: Credentials, parallel: int = 32) -> None:
        self.credentials = credentials
        self._slots = threading.BoundedSemaphore(parallel)
        self._ids = itertools.count(1)
        self._session = _Session()
        # No proxy and no .netrc: the environment must not decide who gets the admin password.
        self._session.trust_env = False
        # As UTF-8; `requests` would encode text as Latin-1 and fail on the rest.
        self._session.auth = HTTPBasicAuth(credentials.username.encode(), credentials.password.encode())
        self._session.verify = credentials.verify_tls
        self._session.mount(
            "https://", _Adapter(tls.context(credentials.ca_cert, verify=credentials.verify_tls), parallel)
        )

    def close(self) -> None:
        self._session.close()

    def call(self, version: str, method: str, params: Mapping[str, Any], *, repeat: bool) -> dict[str, Any]:
        """Call a method and return its `result`.

        Args:
            version: API version of the endpoint, e.g. `12.5`.
            repeat: Whether a second call does no harm. Only such calls are retried.

        Raises:
            ElementError: The array answered with an error; its subclass says of which kind.
            Unreachable: No answer came.
            Malformed: The answer makes no sense.
            errors.Unauthenticated: The array refused the user name or the password.
        """
        if not repeat:
            return self._once(version, method, params)
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            wait=_BACKOFF,
            stop=_out_of_time,
            before_sleep=lambda state: _note_retry(self.credentials.host, method, state),
            reraise=True,
        ):
            with attempt:
                return self._once(version, method, params)
        raise AssertionError("unreachable: reraise is set")

    def _once(self, version: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if not self._slots.acquire(timeout=deadline.remaining()):
            raise errors.Unavailable(f"{method}: too many calls to {self.credentials.host} are waiting")
        began, outcome = time.monotonic(), "ok"
        try:
            return self._exchange(version, method, params)
        except errors.DriverError as error:
            outcome = error.name if isinstance(error, ElementError) else type(error).__name__
            raise
        finally:
            self._slots.release()
            metrics.element_call(self.credentials.host, method, outcome, time.monotonic() - began)

    def _exchange(self, version: str, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        number = next(self._ids)
        request = {"method": method, "params": dict(params), "id": number}
        try:
            status, body = self._post(f"{self.credentials.endpoint}/json-rpc/{version}", request)
        except requests.exceptions.SSLError as error:
            why = tls.reason(error, self.credentials.ca_cert)
            raise Unreachable(f"{method}: TLS with {self.credentials.host} failed: {why}") from error
        except (requests.RequestException, HTTPError, ValueError) as error:  # the last is about headers and chunks
            raise Unreachable(f"{method}: no answer from {self.credentials.host} ({_reason(error)})") from error
        return _result(self.credentials, method, params, number, status, body)

    def _post(self, url: str, request: dict[str, Any]) -> tuple[int, bytes]:
        """Return status and body of an answer, of one that is too large the beginning."""
        with deadline.until(_CALL_SECONDS):  # `https.Socket` asks for it at every step.
            left = deadline.remaining()
            with self._session.post(
                url,
                json=request,
                headers={"Accept-Encoding": "identity"},  # A few bytes could unfold to gigabytes.
                timeout=(min(left, _CONNECT_SECONDS), left),
                allow_redirects=False,
                stream=True,
            ) as response:  # Its end closes a connection that was not read to the end of the answer.
                return response.status_code, response.raw.read(_LARGEST + 1)


def _result(
    credentials: Credentials, method: str, params: Mapping[str, Any], number: int, status: int, body: bytes
) -> dict[str, Any]:
    """Take the result out of an HTTP answer."""
    if status == requests.codes.unauthorized:
        raise errors.Unauthenticated(_refused(credentials, method))
    if status == requests.codes.not_found:
        raise NoSuchDialect(f"{method}: {credentials.host} knows no such API version (HTTP 404)")
    if status != requests.codes.ok:
        raise Unreachable(f"{method}: {credentials.host} answered HTTP {status}")
    if len(body) > _LARGEST:
        raise Malformed(f"{method}: {credentials.host} answered more than {_LARGEST >> 20} MiB")
    try:
        answer = _decode(body)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"{method}: {credentials.host} answered something that is not JSON") from error
    if not isinstance(answer, dict) or answer.get("id") != number:
        raise Malformed(f"{method}: {credentials.host} answered another question")
    problem, result = answer.get("error"), answer.get("result")
    if isinstance(problem, dict):
        name, said = (_without_secrets(str(problem.get(key) or ""), params) for key in ("name", "message"))
        # It becomes a label of a metric: what is no word there would end the answering of /metrics for good.
        raise of_answer(method, name if _NAME.fullmatch(name) else "unnamed error", said)
    if problem is not None or not isinstance(result, dict):
        raise Malformed(f"{method}: {credentials.host} answered without a result")
    return result


def _decode(body: bytes) -> object:
    """Read JSON; ValueError or RecursionError if it is none."""
    answer: object = json.loads(body, parse_constant=_no_json)
    if b"\\u" in body:  # Half a surrogate pair is no text: no message of gRPC's, no metric and no request can hold it.
        json.dumps(answer, ensure_ascii=False).encode()
    return answer


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON, though Python reads it")


def _without_secrets(message: str, params: Mapping[str, Any]) -> str:
    """Return what the array said, should it have repeated what it was sent: this ends up in events of namespaces."""
    for name in _SECRETS & params.keys():
        message = message.replace(params[name], "***")
    return message


def _refused(credentials: Credentials, method: str) -> str:
    """Tell of a 401, without the user name: somebody may have put the password there."""
    text = f"{method}: {credentials.host} refuses username and password: check both (HTTP 401)"
    if (credentials.username + credentials.password).isascii():
        return text
    return f"{text}; they are sent as UTF-8: if they are right, choose ones of ASCII characters only"


def _passes(error: BaseException) -> bool:
    """Whether a repetition may help."""
    if isinstance(error, ElementError):
        return error.name in TRANSIENT
    return isinstance(error, Malformed) or (isinstance(error, Unreachable) and not _is_tls(error))


def _is_tls(error: Unreachable) -> bool:
    return isinstance(error.__cause__, requests.exceptions.SSLError)


def _out_of_time(state: tenacity.RetryCallState) -> bool:
    """Stop while the last answer can still be told, and not with the deadline's passing as the reason."""
    try:
        left = deadline.remaining(_CALL_SECONDS)
    except errors.Unavailable:
        return True
    return left <= state.upcoming_sleep + _TO_TELL or (state.seconds_since_start or 0) > _CALL_SECONDS


def _note_retry(array: str, method: str, state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    reason = error.name if isinstance(error, ElementError) else type(error).__name__
    metrics.element_retry(array, method, reason)
    log.debug("asking the array again", element_method=method, reason=reason, attempt=state.attempt_number)


def _reason(error: Exception) -> str:
    """Say what went wrong without the URL and the headers that some of requests' messages carry."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "it could not be connected to in time"
    if isinstance(error, requests.exceptions.Timeout) or any(
        isinstance(cause, TimeoutError) for cause in tls.causes(error)
    ):
        return "it took too long"
    if any(isinstance(cause, socket.gaierror) for cause in tls.causes(error)):
        return "its name does not resolve to an address"
    if any(isinstance(cause, ConnectionRefusedError) for cause in tls.causes(error)):
        return "nothing listens there: the connection was refused"
    if isinstance(error, requests.exceptions.ConnectionError | ProtocolError):
        return "the connection failed or broke off"
    return type(error).__name__
