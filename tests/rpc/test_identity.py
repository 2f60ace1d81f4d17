"""The Identity service, through the socket."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from csi_solidfire import errors
from csi_solidfire.pb import csi_pb2, csi_pb2_grpc
from csi_solidfire.rpc.identity import CAPABILITIES, Client, Identity
from csi_solidfire.rpc.server import Server


class Readiness:
    """What the driver depends on."""

    answer = True
    error: Exception | None = None

    def __call__(self) -> bool:
        if self.error:
            raise self.error
        return self.answer


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
def server(tmp_path: Path, readiness: Readiness) -> Iterator[Server]:
    server = Server(f"unix://{tmp_path}/csi.sock", [Identity("block.example.org", "1.2.3", CAPABILITIES, readiness)])
    server.start()
    yield server
    server.stop(0)


@pytest.fixture
def identity(server: Server) -> Iterator[csi_pb2_grpc.IdentityStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield csi_pb2_grpc.IdentityStub(channel)


def test_name_and_version_are_what_sidecars_and_csi_sanity_accept(identity: csi_pb2_grpc.IdentityStub) -> None:
    info = identity.GetPluginInfo(csi_pb2.GetPluginInfoRequest())
    assert info.name == "block.example.org"
    assert re.fullmatch(r"[a-zA-Z][A-Za-z0-9.-]{0,61}[a-zA-Z]", info.name)
    assert info.vendor_version == "1.2.3"


def test_it_has_a_controller_and_topology(identity: csi_pb2_grpc.IdentityStub) -> None:
    capabilities = identity.GetPluginCapabilities(csi_pb2.GetPluginCapabilitiesRequest()).capabilities
    service = csi_pb2.PluginCapability.Service
    assert {c.service.type for c in capabilities} == {
        service.CONTROLLER_SERVICE,
        service.VOLUME_ACCESSIBILITY_CONSTRAINTS,
    }


@pytest.mark.parametrize("ready", [True, False])
def test_probe_tells_the_truth(identity: csi_pb2_grpc.IdentityStub, readiness: Readiness, ready: bool) -> None:
    readiness.answer = ready
    response = identity.Probe(csi_pb2.ProbeRequest())
    assert response.HasField("ready")
    assert response.ready.value is ready


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    client = Client(server.address, timeout=10)
    yield client
    client.close()


def test_the_driver_can_ask_itself(client: Client, readiness: Readiness) -> None:
    assert client.ready()
    readiness.answer = False
    assert not client.ready()


def test_a_driver_that_cannot_tell_is_alive(client: Client, readiness: Readiness) -> None:
    readiness.error = errors.Unavailable("iscsid")
    client.alive()
    with pytest.raises(grpc.RpcError):
        client.ready()


def test_a_driver_that_is_gone_does_not_answer_itself(server: Server, client: Client) -> None:
    client.alive()
    server.stop(0)
    for ask in (client.alive, client.ready):
        with pytest.raises(grpc.RpcError):
            ask()
