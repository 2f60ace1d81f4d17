"""What surrounds every CSI call: its id in the log, its metrics, its deadline, and the code it ends with."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import Message

from csi_solidfire import deadline, logs, metrics
from csi_solidfire.pb import csi_pb2
from csi_solidfire.rpc import redaction, status

log = logs.get(__name__)

# Seconds for a caller that gave no deadline; kubelet's own is two minutes.
_PATIENCE = 120.0
_ENDLESS = 86400.0  # seconds from which on a deadline is none: gRPC says 9e18 then

# The request's own fields that tell one call from another in the log; none of them is secret.
_TELLING = ("name", "volume_id", "source_volume_id", "snapshot_id", "group_snapshot_id", "node_id")

_Behavior = Callable[[Any, grpc.ServicerContext], Any]


class Calls(grpc.ServerInterceptor):  # type: ignore[type-arg] # the class takes arguments in the stubs only
    """The one interceptor.

    Args:
        urgent: Threads of their own for the Identity service: Probe has to be answered in time when all the
            others wait for an array or a disk, or the process would be restarted for being busy.
    """

    def __init__(self, urgent: ThreadPoolExecutor) -> None:
        self._urgent = urgent
        self._running = 0
        self._changed = threading.Condition()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no handler runs, those included whose caller hung up; return whether that is so.

        Args:
            timeout: Seconds to wait at most.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._running == 0, timeout)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._changed:
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        _, service, method = handler_call_details.method.split("/")
        inner = handler.unary_unary

        def behavior(request: Message, context: grpc.ServicerContext) -> Message:
            with self._counted():
                return _serve(method, inner, request, context)

        if service.endswith(".Identity"):
            # grpc._server looks for this attribute. Without it the call would only take its turn with the others.
            behavior.experimental_thread_pool = self._urgent  # type: ignore[attr-defined]
        return grpc.unary_unary_rpc_method_handler(behavior, handler.request_deserializer, handler.response_serializer)


def _serve(method: str, handler: _Behavior, request: Message, context: grpc.ServicerContext) -> Message:
    call = secrets.token_hex(4)
    with logs.bound(call=call, method=method), metrics.rpc_in_flight(method):
        if log.isEnabledFor(logging.DEBUG):
            log.debug("call", request=redaction.text(request))
        started = time.monotonic()
        outcome = _answer(handler, request, context)
        seconds = time.monotonic() - started
        if isinstance(outcome, Exception):
            code = status.code(outcome, method)
            metrics.rpc(method, code.name, seconds)
            _report_failure(request, outcome, code, seconds)
            context.abort(code, status.message(outcome, call))
        metrics.rpc(method, "OK", seconds)
        _report_success(method, request, outcome, seconds)
        return outcome


def _answer(handler: _Behavior, request: Message, context: grpc.ServicerContext) -> Message | Exception:
    """Call the handler within its caller's deadline, less what the answer needs to arrive in time."""
    left = context.time_remaining()
    with deadline.until(left - min(1.0, left / 10) if left < _ENDLESS else _PATIENCE):
        try:
            return handler(request, context)  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 - the edge is where everything unforeseen has to end
            return error


def _report_success(method: str, request: Message, response: Message, seconds: float) -> None:
    report = log.info if method in status.CHANGING else log.debug
    made = {"made": response.volume.volume_id} if isinstance(response, csi_pb2.CreateVolumeResponse) else {}
    report("done", code="OK", seconds=round(seconds, 4), **_subject(request), **made)
    if log.isEnabledFor(logging.DEBUG):
        log.debug("answer", response=redaction.text(response))


def _report_failure(request: Message, error: Exception, code: grpc.StatusCode, seconds: float) -> None:
    told: dict[str, Any] = {"code": code.name, "seconds": round(seconds, 4), **_subject(request)}
    if status.named(error) is None:
        log.error("broke off", exc_info=error, **told)
    elif isinstance(error, NotImplementedError):
        log.debug("not offered", **told)
    else:
        trace = error if log.isEnabledFor(logging.DEBUG) else None
        log.warning("failed", error=str(error), exc_info=trace, **told)


def _subject(request: Message) -> dict[str, str]:
    values = {name: getattr(request, name, "") for name in _TELLING}
    return {name: value if len(value) <= 140 else value[:140] + "…" for name, value in values.items() if value}
