"""The server and what surrounds every call, through a real socket."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from csi_solidfire import deadline, errors, logs, metrics
from csi_solidfire.handles import Chap
from csi_solidfire.pb import csi_pb2, csi_pb2_grpc
from csi_solidfire.rpc.identity import CAPABILITIES, Identity
from csi_solidfire.rpc.server import EndpointError, Server

PATIENCE = 30.0  # seconds for what takes milliseconds
ADMIN = "s3cret-of-the-admin"
CHAP_IN = "chapsecret12"
CHAP_OUT = "chapsecret34"

Request = csi_pb2.ControllerPublishVolumeRequest
Response = csi_pb2.ControllerPublishVolumeResponse


class Controller(csi_pb2_grpc.ControllerServicer):
    """Does in its calls what a test says."""

    def __init__(self) -> None:
        self.act: Callable[[], Response] = Response

    def ControllerPublishVolume(self, request: Request, context: grpc.ServicerContext) -> Response:
        return self.act()

    def ControllerGetVolume(
        self, request: csi_pb2.ControllerGetVolumeRequest, context: grpc.ServicerContext
    ) -> csi_pb2.ControllerGetVolumeResponse:
        self.act()
        return csi_pb2.ControllerGetVolumeResponse()


@pytest.fixture
def controller() -> Controller:
    return Controller()  # type: ignore[abstract] # most calls stay unimplemented


@pytest.fixture
def server(tmp_path: Path, controller: Controller) -> Iterator[Server]:
    server = Server(f"unix://{tmp_path}/csi.sock", services(controller), threads=2)
    server.start()
    yield server
    server.stop(0)


@pytest.fixture
def stub(server: Server) -> Iterator[csi_pb2_grpc.ControllerStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield csi_pb2_grpc.ControllerStub(channel)


@pytest.fixture(params=logs.FORMATS)
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure("debug", request.param, stream)
    yield stream
    logging.basicConfig(handlers=[], force=True)
    logging.captureWarnings(capture=False)


def services(controller: Controller) -> list[object]:
    return [Identity("block.example.org", "1", CAPABILITIES, lambda: True), controller]


def is_ready(address: str, authority: str | None = None) -> bool:
    options = [("grpc.default_authority", authority)] if authority else []
    with grpc.insecure_channel(address, options=options) as channel:
        probe = csi_pb2_grpc.IdentityStub(channel).Probe(csi_pb2.ProbeRequest(), timeout=PATIENCE)
        return probe.ready.value


def raising(error: Exception) -> Callable[[], Response]:
    def act() -> Response:
        raise error

    return act


def failure(stub: csi_pb2_grpc.ControllerStub, error: Exception, controller: Controller) -> grpc.RpcError:
    controller.act = raising(error)
    with pytest.raises(grpc.RpcError) as failed:
        stub.ControllerPublishVolume(Request(volume_id="jyay.1"), timeout=PATIENCE)
    return failed.value


# The socket


def test_a_stale_socket_is_replaced(tmp_path: Path, controller: Controller) -> None:
    path = tmp_path / "csi.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    server = Server(f"unix://{path}", services(controller))
    server.start()
    try:
        assert is_ready(server.address)
    finally:
        server.stop(0)


def test_a_live_socket_is_left_to_its_owner(server: Server, tmp_path: Path, controller: Controller) -> None:
    with pytest.raises(EndpointError, match="another process is listening"):
        Server(f"unix://{tmp_path}/csi.sock", services(controller)).start()
    assert is_ready(server.address)


def test_a_file_in_the_sockets_place_is_not_removed(tmp_path: Path, controller: Controller) -> None:
    path = tmp_path / "csi.sock"
    path.write_text("precious")
    with pytest.raises(EndpointError, match="not a socket"):
        Server(f"unix://{path}", services(controller)).start()
    assert path.read_text() == "precious"


def test_the_directory_is_made_and_the_socket_is_not_for_everybody(tmp_path: Path, controller: Controller) -> None:
    umask = os.umask(0)
    os.umask(umask)
    path = tmp_path / "plugins" / "block.example.org" / "csi.sock"
    server = Server(f"unix://{path}", services(controller))
    server.start()
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert list(path.parent.iterdir()) == [path]
    finally:
        server.stop(0)
    assert not path.exists()
    assert os.umask(umask) == umask


def test_an_impossible_directory_is_an_endpoint_error(tmp_path: Path, controller: Controller) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EndpointError, match="cannot listen on unix://"):
        Server(f"unix://{tmp_path}/file/csi.sock", services(controller)).start()


def test_tcp_serves_and_a_taken_port_is_refused(controller: Controller) -> None:
    server = Server("tcp://127.0.0.1:0", services(controller))
    server.start()
    try:
        assert is_ready(server.address)
        with pytest.raises(EndpointError, match="something else listening"):
            Server(f"tcp://{server.address}", services(controller)).start()
    finally:
        server.stop(0)


@pytest.mark.parametrize("authority", ["localhost", "/csi/csi.sock", "%2Fcsi%2Fcsi.sock"])
def test_every_authority_that_go_clients_send_is_served(server: Server, authority: str) -> None:
    assert is_ready(server.address, authority)


def test_a_service_the_contract_does_not_know_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="implements no CSI service"):
        Server(f"unix://{tmp_path}/csi.sock", [object()])


def test_a_busy_driver_still_answers_probe(
    server: Server, stub: csi_pb2_grpc.ControllerStub, controller: Controller
) -> None:
    """With all its threads at work the driver is alive, and its liveness probe must see it."""
    inside, release = threading.Barrier(3), threading.Event()

    def work() -> Response:
        inside.wait(PATIENCE)
        release.wait(PATIENCE)
        return Response()

    controller.act = work
    calls = [stub.ControllerPublishVolume.future(Request(), timeout=PATIENCE) for _ in range(2)]
    inside.wait(PATIENCE)
    assert is_ready(server.address)
    release.set()
    assert [call.result() for call in calls] == [Response(), Response()]


# Deadlines


@pytest.mark.parametrize(("given", "at_least", "at_most"), [(50.0, 20.0, 49.7), (5.0, 0.0, 4.7), (None, 60.0, 120.0)])
def test_the_callers_deadline_is_passed_on_less_a_margin(
    stub: csi_pb2_grpc.ControllerStub,
    controller: Controller,
    given: float | None,
    at_least: float,
    at_most: float,
) -> None:
    seen = []  # gRPC's C core rounds deadlines up by as much as one in a hundred on the wire

    def look() -> Response:
        seen.append(deadline.remaining(1e6))
        return Response()

    controller.act = look
    stub.ControllerPublishVolume(Request(), timeout=given)
    assert at_least < seen[0] <= at_most


# Codes and messages


def test_a_named_error_has_its_code_and_message(stub: csi_pb2_grpc.ControllerStub, controller: Controller) -> None:
    error = failure(stub, errors.Refused("volume jyay.1 is published to\nnode-2"), controller)
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == "volume jyay.1 is published to node-2"
    assert "grpc-status-details-bin" not in [item.key for item in error.trailing_metadata() or ()]


def test_an_unforeseen_error_is_in_the_log_and_not_in_the_answer(
    stub: csi_pb2_grpc.ControllerStub, controller: Controller, log: io.StringIO
) -> None:
    error = failure(stub, KeyError("internals"), controller)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "internals" not in (error.details() or "")
    call = (error.details() or "").split()[-1]
    (line,) = (line for line in log.getvalue().splitlines() if "broke off" in line)
    assert call in line
    assert "Traceback" in log.getvalue()
    assert "internals" in log.getvalue()


def test_an_unforeseen_error_of_a_call_that_only_looks_is_internal(
    stub: csi_pb2_grpc.ControllerStub, controller: Controller
) -> None:
    controller.act = raising(KeyError("x"))
    with pytest.raises(grpc.RpcError) as failed:
        stub.ControllerGetVolume(csi_pb2.ControllerGetVolumeRequest(volume_id="jyay.1"), timeout=PATIENCE)
    assert failed.value.code() is grpc.StatusCode.INTERNAL


def test_a_call_that_is_not_offered_is_unimplemented(stub: csi_pb2_grpc.ControllerStub) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        stub.CreateSnapshot(csi_pb2.CreateSnapshotRequest(), timeout=PATIENCE)
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


# Log and metrics


def test_no_secret_is_ever_logged(stub: csi_pb2_grpc.ControllerStub, controller: Controller, log: io.StringIO) -> None:
    controller.act = lambda: Response(publish_context={Chap.PASSWORD: CHAP_OUT, "portal": "10.0.0.1:3260"})
    request = Request(
        volume_id="jyay.77",
        secrets={"username": "admin", "password": ADMIN},
        volume_context={Chap.PASSWORD_IN: CHAP_IN},
    )
    stub.ControllerPublishVolume(request, timeout=PATIENCE)
    failure(stub, errors.Unavailable("no answer"), controller)
    controller.act = raising(KeyError("x"))
    with pytest.raises(grpc.RpcError):
        stub.ControllerPublishVolume(request, timeout=PATIENCE)
    text = log.getvalue()
    assert "jyay.77" in text
    assert "10.0.0.1:3260" in text
    assert "***" in text
    for secret in (ADMIN, CHAP_IN, CHAP_OUT):
        assert secret not in text


def test_a_change_is_one_line_at_info_and_a_look_none(
    stub: csi_pb2_grpc.ControllerStub, controller: Controller
) -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    try:
        stub.ControllerPublishVolume(Request(volume_id="jyay.1", node_id="node-1/iqn"), timeout=PATIENCE)
        stub.ControllerGetVolume(csi_pb2.ControllerGetVolumeRequest(volume_id="jyay.1"), timeout=PATIENCE)
        failure(stub, errors.NotFound("node-9"), controller)
    finally:
        logging.basicConfig(handlers=[], force=True)
    done, failed = (json.loads(line) for line in stream.getvalue().splitlines())
    subject = {"method": "ControllerPublishVolume", "volume_id": "jyay.1", "node_id": "node-1/iqn"}
    assert done.items() >= (subject | {"event": "done", "code": "OK", "level": "info"}).items()
    assert failed.items() >= {"event": "failed", "error": "node-9", "code": "NOT_FOUND", "level": "warning"}.items()
    assert done["call"] != failed["call"]


def test_calls_are_counted_by_method_and_code(stub: csi_pb2_grpc.ControllerStub, controller: Controller) -> None:
    def count(code: str) -> float:
        labels = {"method": "ControllerPublishVolume", "code": code}
        return metrics.REGISTRY.get_sample_value("csi_solidfire_rpc_duration_seconds_count", labels) or 0

    ok, busy = count("OK"), count("ABORTED")
    stub.ControllerPublishVolume(Request(), timeout=PATIENCE)
    failure(stub, errors.Busy("somebody"), controller)
    assert (count("OK"), count("ABORTED")) == (ok + 1, busy + 1)


# Stopping


def test_stop_lets_calls_in_flight_end(
    server: Server, stub: csi_pb2_grpc.ControllerStub, controller: Controller
) -> None:
    inside, release = threading.Event(), threading.Event()

    def work() -> Response:
        inside.set()
        release.wait(PATIENCE)
        return Response(publish_context={"portal": "p"})

    controller.act = work
    call = stub.ControllerPublishVolume.future(Request(), timeout=PATIENCE)
    assert inside.wait(PATIENCE)
    stopped: list[bool] = []
    stopping = threading.Thread(target=lambda: stopped.append(server.stop(PATIENCE)))
    stopping.start()
    release.set()
    assert call.result().publish_context == {"portal": "p"}
    stopping.join(PATIENCE)
    assert stopped == [True]


def test_stop_says_when_a_call_outlasts_the_grace(
    server: Server, stub: csi_pb2_grpc.ControllerStub, controller: Controller
) -> None:
    inside, release = threading.Event(), threading.Event()

    def work() -> Response:
        inside.set()
        release.wait(PATIENCE)
        return Response()

    controller.act = work
    call = stub.ControllerPublishVolume.future(Request(), timeout=PATIENCE)
    assert inside.wait(PATIENCE)
    assert server.stop(0) is False
    with pytest.raises(grpc.RpcError):
        call.result()
    release.set()
