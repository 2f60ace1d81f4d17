"""Requests to Kubernetes' API, bounded by the caller's deadline, with failures in the driver's words."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient, Configuration, CoreV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
from urllib3.exceptions import HTTPError

from csi_solidfire import deadline, errors, metrics

_CALL_SECONDS = 15.0
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


def connect(kubeconfig: Path | None) -> CoreV1Api:
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
    return CoreV1Api(ApiClient(configuration))


def call(verb: str, what: str, method: Callable[..., Any], *arguments: object, **options: object) -> Any:
    """Make one request.

    Args:
        verb: As RBAC calls it, `get`.
        what: The object, for messages.
        method: A method of the library's, called with the rest.

    Raises:
        Missing: There is no such object.
        Conflict: It exists already or was changed.
        errors.Unavailable: Everything else. No text of Kubernetes' is passed on: it may repeat what was sent.
    """
    limit = deadline.remaining(_CALL_SECONDS)
    started, outcome = time.monotonic(), "unanswered"
    try:
        answer = method(*arguments, _request_timeout=limit, **options)
        outcome = "ok"
    except ApiException as error:
        outcome = str(error.status)
        raise _failure(verb, what, int(error.status or 0)) from None
    except (HTTPError, OSError) as error:
        raise errors.Unavailable(
            f"Kubernetes' API did not answer ({verb} {what}: {type(error).__name__}); asking again"
        ) from None
    finally:
        metrics.kubernetes_call(verb, outcome, time.monotonic() - started)
    return answer


def _failure(verb: str, what: str, status: int) -> Exception:
    if status == 404 and verb != "create":
        return Missing(what)
    if status == 409:
        return Conflict(what)
    reason = "has no such namespace" if status == 404 else _FAILURES.get(status, f"answers with status {status}")
    return errors.Unavailable(f"{verb} {what}: Kubernetes {reason}")
