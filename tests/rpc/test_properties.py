"""Arbitrary requests at every controller and identity call: planned answers, and nothing on the array beyond them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from csi_solidfire.pb import csi_pb2
from lab.array import Array
from lab.csi import mount, topology
from tests.support import arbitrary, ask
from tests.support.ask import NODE_1, create, publish
from tests.support.driver import Driver

UNPLANNED = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.UNAVAILABLE}
PLANNED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
CALLS = [
    (service.name.lower(), method.name, GetMessageClass(method.input_type))
    for service in (csi_pb2.DESCRIPTOR.services_by_name[name] for name in ("Identity", "Controller"))
    for method in service.methods
]
# Volume 1 is published to the first node when a test begins, and there is room for others.
GOOD: dict[str, Any] = {
    "CreateVolume": ask.create_request("pvc-2"),
    "DeleteVolume": csi_pb2.DeleteVolumeRequest(volume_id="lab1.1"),
    "ControllerPublishVolume": csi_pb2.ControllerPublishVolumeRequest(
        volume_id="lab1.1", node_id=NODE_1, volume_capability=mount()
    ),
    "ControllerUnpublishVolume": csi_pb2.ControllerUnpublishVolumeRequest(volume_id="lab1.1", node_id=NODE_1),
    "ValidateVolumeCapabilities": csi_pb2.ValidateVolumeCapabilitiesRequest(
        volume_id="lab1.1", volume_capabilities=[mount()]
    ),
}
relaxed = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


class _Errors(logging.Handler):
    """Keeps what is logged as an error: the driver does so for a failure that nobody foresaw."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.getMessage())


@contextmanager
def _no_errors_logged() -> Iterator[None]:
    handler = _Errors()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
    assert not handler.seen


def _send(driver: Driver, service: str, method: str, request: Any) -> Any:
    """Return the answer or the code."""
    try:
        return getattr(getattr(driver, service), method)(request, timeout=30)
    except grpc.RpcError as error:
        return error.code()


@pytest.mark.parametrize(("service", "method", "kind"), CALLS, ids=[method for _, method, _ in CALLS])
@relaxed
@given(data=st.data())
def test_any_request_has_a_planned_answer(
    array: Array, driver: Driver, service: str, method: str, kind: Any, data: st.DataObject
) -> None:
    if not array.cluster.volumes.get(1):
        publish(driver, create(driver, "pvc-1"), NODE_1)
    request = data.draw(arbitrary.requests(kind, GOOD.get(method)))
    # An endpoint in the request leads anywhere, and "nobody there" is a planned answer to that.
    elsewhere = "endpoint" in getattr(request, "secrets", {})
    before = ask.snapshot(array)
    with _no_errors_logged():
        answer = _send(driver, service, method, request)
    event(str(answer if isinstance(answer, grpc.StatusCode) else "OK"))
    if isinstance(answer, grpc.StatusCode):
        assert answer not in UNPLANNED - ({grpc.StatusCode.UNAVAILABLE} if elsewhere else set())
    _check(array, before, method, request, answer)


def _check(array: Array, before: dict[str, Any], method: str, request: Any, answer: Any) -> None:
    """Say that the array changed as the answer explains, and not at all if it was a refusal."""
    after = ask.snapshot(array)
    new = set(after["volumes"]) - set(before["volumes"])
    gone = set(before["volumes"]) - set(after["volumes"])
    if isinstance(answer, grpc.StatusCode) or method not in ("CreateVolume", "DeleteVolume"):
        assert not new
        assert not gone
    if isinstance(answer, grpc.StatusCode):
        assert after["volumes"] == before["volumes"]
        return
    if method == "CreateVolume":
        assert new <= {int(answer.volume.volume_id.split(".")[1])}
        assert answer.volume.capacity_bytes >= max(request.capacity_range.required_bytes, 1)
        assert answer.volume.capacity_bytes <= (request.capacity_range.limit_bytes or 2**63)
    if method == "DeleteVolume" and gone:
        assert {f"lab1.{number}" for number in gone} == {request.volume_id}


@relaxed
@given(
    name=st.text(min_size=1, max_size=128),
    host=st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", fullmatch=True),
    namespace=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True),
    required=st.integers(0, 2**43),
    slack=st.none() | st.integers(0, 2**43),
)
def test_a_volume_of_any_name_on_any_node_in_any_namespace(
    array: Array, driver: Driver, name: str, host: str, namespace: str, required: int, slack: int | None
) -> None:
    """What the array accepts, and how the driver spells names for it, must agree for everything that CSI allows."""
    limit = 0 if slack is None else required + slack
    request = ask.create_request(name, size=required, limit=limit, host="", namespace=namespace)
    request.accessibility_requirements.CopyFrom(topology(host))
    with _no_errors_logged():
        first = _send(driver, "controller", "CreateVolume", request)
        again = _send(driver, "controller", "CreateVolume", request)
    assert first == again
    if isinstance(first, grpc.StatusCode):
        assert first in PLANNED
