"""Requests to Kubernetes' API, bounded by the caller's deadline, with failures in the driver's words.

The library signs in and carries the requests. Its classes for kinds of objects stay unloaded: those that come with
the class for Secrets take 22 MB, and as long to load as all else in the controller.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from kubernetes.client import ApiClient, ApiException, Configuration
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from csi_solidfire import deadline, errors, https, metrics

Object = dict[str, Any]
"""An object as Kubernetes' API writes it in JSON."""

_CALL_SECONDS = 15.0
_LARGEST = 8 << 20  # bytes; etcd takes objects of 1.5 MiB, and one volume's Secrets are all that is ever listed
_METHODS: Final = {"get": "GET", "list": "GET", "create": "POST", "update": "PUT", "delete": "DELETE"}
_HEADERS: Final = {"Accept": "application/json", "Content-Type": "application/json"}
_FAILURES = {
    401: "does not know the controller's ServiceAccount any more",
    403: "forbids it: the controller's Role needs the verbs get, list, create, update and delete for secrets",
    422: "holds it to be invalid",
    429: "is overloaded",
}


class Missing(Exception):
    """There is no such object."""


class Conflict(Exception):
    """The object exists already, or is not as it was when it was read."""


class Api:
    """Made by `connect`. Threads may share it."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    def call(
        self, verb: str, what: str, path: str, *, query: dict[str, str] | None = None, body: Object | None = None
    ) -> Object:
        """Make one request.

        Args:
            verb: As RBAC calls it, `get`.
            what: The object, for messages.
            path: Of the URL, `/api/v1/namespaces/storage/secrets`, as it is sent.
            query: Of the URL, not quoted.
            body: What is sent.

        Raises:
            Missing: There is no such object.
            Conflict: It exists already or was changed.
            errors.Unavailable: Everything else. No text of Kubernetes' is passed on: it may repeat what was sent.
        """
        started, outcome = time.monotonic(), "unanswered"
        try:
            request = self._client.param_serialize(
                _METHODS[verb],
                path,
                query_params=list((query or {}).items()),
                header_params=dict(_HEADERS),
                body=body,
                auth_settings=["BearerToken"],
            )
            status, content = self._exchange(request)
        except (ApiException, HTTPError, OSError, ValueError) as error:  # the first is what TLS' refusals are made into
            raise errors.Unavailable(
                f"Kubernetes' API did not answer ({verb} {what}: {type(error).__name__}); asking again"
            ) from None
        else:
            outcome = "ok" if 200 <= status < 300 else str(status)
        finally:
            metrics.kubernetes_call(verb, outcome, time.monotonic() - started)
        if outcome != "ok":
            raise _failure(verb, what, status)
        return _parse(verb, what, content)

    def _exchange(self, request: tuple[Any, Any, Any, Any, Any]) -> tuple[int, bytes]:
        """Return status and body of an answer, of one that is too large the beginning."""
        with deadline.until(_CALL_SECONDS):  # `https.Socket` asks for it at every step.
            answer = self._client.call_api(*request, _request_timeout=deadline.remaining()).response
            with closing(answer):  # Closes a connection, too, that was not read to the end of the answer.
                return answer.status, answer.read(_LARGEST + 1)


def connect(kubeconfig: Path | None) -> Api:
    """Return the API as the pod's ServiceAccount, whose token is read anew as it is renewed, or as a kubeconfig says.

    Raises:
        OSError: There is neither, or it cannot be used.
    """
    # Earlier releases of the client logged the bodies of answers at debug level, Secrets included. 37 does not.
    logging.getLogger("kubernetes").setLevel(logging.INFO)
    configuration = Configuration()
    configuration.retries = False  # The caller's next try comes soon enough; hidden ones would use up its time.
    try:
        if kubeconfig is None:
            load_incluster_config(client_configuration=configuration)
        else:
            load_kube_config(str(kubeconfig), client_configuration=configuration, persist_config=False)
    except ConfigException as error:
        raise OSError(f"Kubernetes: {error}") from error
    client = ApiClient(configuration)
    manager = client.rest_client.pool_manager
    manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "https": _Pool}
    return Api(client)


class _Connection(HTTPSConnection):
    """One whose sockets keep to the deadline, and which else is urllib3's own."""

    def connect(self) -> None:
        # A new one each time, as urllib3 does: it loads the CA into it, which may have been renewed.
        self.ssl_context = create_urllib3_context(cert_reqs=resolve_cert_reqs(self.cert_reqs))
        self.ssl_context.sslsocket_class = https.Socket
        if not (self.ca_certs or self.ca_cert_data):
            self.ssl_context.load_default_certs()
        super().connect()


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


def _parse(verb: str, what: str, content: bytes) -> Object:
    try:
        answer = json.loads(content) if len(content) <= _LARGEST else None
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise errors.Unavailable(f"Kubernetes' API answered with something else than an object ({verb} {what})")
    return answer


def _failure(verb: str, what: str, status: int) -> Exception:
    if status == 404 and verb != "create":
        return Missing(what)
    if status == 409:
        return Conflict(what)
    reason = "has no such namespace" if status == 404 else _FAILURES.get(status, f"answers with status {status}")
    return errors.Unavailable(f"{verb} {what}: Kubernetes {reason}")
