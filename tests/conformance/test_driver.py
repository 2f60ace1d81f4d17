"""What the storage suite is told of the driver is what the driver says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from csi_solidfire.pb import csi_pb2, csi_pb2_grpc
from csi_solidfire.rpc.node import Node
from csi_solidfire.rpc.server import Server
from lab import programs
from lab.array import Array
from lab.conformance import suite
from lab.csi import GIB, block, mount
from lab.kube import release
from tests.node.world import World
from tests.support.ask import Mode, create, create_request
from tests.support.driver import Driver

_MANIFESTS = Path(__file__).parents[2] / "deploy/kubernetes/csi-solidfire.yaml"
_Controller = csi_pb2.ControllerServiceCapability.RPC
_Node = csi_pb2.NodeServiceCapability.RPC


@pytest.fixture
def told() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(suite.DRIVER.read_text())
    return read


@pytest.fixture
def driver() -> Iterator[Driver]:
    with Array.start() as array, Driver(array) as driver:
        yield driver


@pytest.fixture
def of_node(tmp_path: Path) -> Iterator[set[int]]:
    server = Server(f"unix://{tmp_path}/csi.sock", [Node(World().plugin())], threads=2)
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        answer = csi_pb2_grpc.NodeStub(channel).NodeGetCapabilities(csi_pb2.NodeGetCapabilitiesRequest())
        yield {each.rpc.type for each in answer.capabilities}
    server.stop(0)


def test_what_calls_there_are(told: dict[str, Any], driver: Driver, of_node: set[int]) -> None:
    answer = driver.controller.ControllerGetCapabilities(csi_pb2.ControllerGetCapabilitiesRequest())
    of_controller = {each.rpc.type for each in answer.capabilities}
    both = _Controller.SINGLE_NODE_MULTI_WRITER in of_controller and _Node.SINGLE_NODE_MULTI_WRITER in of_node

    offered = {
        "controllerExpansion": _Controller.EXPAND_VOLUME in of_controller,
        "nodeExpansion": _Node.EXPAND_VOLUME in of_node,
        "snapshotDataSource": _Controller.CREATE_DELETE_SNAPSHOT in of_controller,
        "pvcDataSource": _Controller.CLONE_VOLUME in of_controller,
        "volumeMountGroup": _Node.VOLUME_MOUNT_GROUP in of_node,
        "readWriteOncePod": both,  # as kubelet and the attacher find out whether it is
    }
    capabilities = told["DriverInfo"]["Capabilities"]
    assert {name: capabilities[name] for name in offered} == offered
    assert ("VolumeAttributesClass" in told) == (_Controller.MODIFY_VOLUME in of_controller)


def test_how_volumes_can_be_used(told: dict[str, Any], driver: Driver) -> None:
    capabilities = told["DriverInfo"]["Capabilities"]
    handle = create(driver)

    def takes(capability: csi_pb2.VolumeCapability) -> bool:
        request = csi_pb2.ValidateVolumeCapabilitiesRequest(volume_id=handle, volume_capabilities=[capability])
        return driver.controller.ValidateVolumeCapabilities(request).HasField("confirmed")

    asked = [name for name in told["DriverInfo"]["SupportedFsType"] if name]
    assert [takes(mount(name)) for name in asked] == [True] * len(asked)
    assert not takes(mount("ext3")), "the suite has specs for it"
    assert takes(block()) == capabilities["block"]
    assert takes(block(mode=Mode.MULTI_NODE_MULTI_WRITER)) == capabilities["RWX"]
    assert takes(mount(mode=Mode.MULTI_NODE_READER_ONLY)) == capabilities["capReadOnlyMany"]


def test_the_smallest_volume(told: dict[str, Any], driver: Driver) -> None:
    def size(wanted: int) -> int:
        return driver.controller.CreateVolume(create_request(f"pvc-{wanted}", size=wanted)).volume.capacity_bytes

    assert told["DriverInfo"]["SupportedSizeRange"]["Min"] == "1Gi"
    assert size(1) <= GIB
    assert size(GIB) == GIB


def test_what_the_chart_installs(told: dict[str, Any]) -> None:
    values = yaml.safe_load((release.CHART / "values.yaml").read_text())
    rendered = yaml.safe_load_all(_MANIFESTS.read_text())
    (object_,) = [document for document in rendered if document and document["kind"] == "CSIDriver"]
    capabilities = told["DriverInfo"]["Capabilities"]

    assert told["DriverInfo"]["Name"] == object_["metadata"]["name"]
    assert told["StorageClass"] == {"FromExistingClassName": release.STORAGE_CLASS}
    assert capabilities["seLinuxMount"] == object_["spec"]["seLinuxMount"]
    assert capabilities["fsGroup"] == (object_["spec"]["fsGroupPolicy"] == "File")
    assert capabilities["capacity"] == object_["spec"]["storageCapacity"]
    assert capabilities["volumeLimits"] == (values["node"]["maxVolumes"] > 0)


def test_the_suite_is_of_the_kubernetes_that_it_tests() -> None:
    assert programs.STORAGE_SUITE.version == programs.KUBELET.version
