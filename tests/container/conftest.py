"""An array and a node whose driver runs in the container image, as the chart has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from csi_solidfire.pb import csi_pb2
from lab.site import KUBELET, Node, Site
from tests.container import pod
from tests.realnode.volumes import Volume

Make = Callable[[csi_pb2.VolumeCapability], Volume]


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    disk = pod.disk(tmp_path_factory.mktemp("image"))
    with Site.start(nodes=["node-1"], drivers=False) as running:
        running.start_controller()
        machine = running.node("node-1").machine
        pod.insert(machine, disk)
        machine.run(["mkdir", "-p", KUBELET])
        pod.start_node(running.node("node-1"))
        yield running
    disk.unlink()


@pytest.fixture
def node(site: Site) -> Node:
    return site.node("node-1")


@pytest.fixture
def make(site: Site, node: Node) -> Iterator[Make]:
    """Make a volume, published to the node; what a test forgets there is cleaned up by hand."""
    made = []

    def volume(capability: csi_pb2.VolumeCapability) -> Volume:
        new = Volume(site, capability)
        made.append(new)
        new.publish(node)
        return new

    yield volume
    for each in made:
        each.clean(node)
