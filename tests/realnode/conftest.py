"""An array and two nodes for all tests here. Each test has volumes of its own, and leaves the nodes as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from csi_solidfire.pb import csi_pb2
from lab import csi
from lab.site import Node, Site
from tests.realnode.volumes import Volume, start_driver

Make = Callable[..., Volume]


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    """An array, two nodes with the driver, which logs all it can, and its controller."""
    with Site.start(nodes=["node-1", "node-2"], drivers=False) as running:
        running.start_controller()
        with ThreadPoolExecutor() as pool:
            list(pool.map(start_driver, running.nodes.values()))
        yield running


@pytest.fixture
def node(site: Site) -> Node:
    return site.node("node-1")


@pytest.fixture
def other_node(site: Site) -> Node:
    return site.node("node-2")


@pytest.fixture
def make(site: Site, node: Node) -> Iterator[Make]:
    """Make a volume, published to node-1; what a test forgets on the nodes is cleaned up by hand."""
    made = []

    def volume(capability: csi_pb2.VolumeCapability | None = None, size: int = csi.GIB, **parameters: str) -> Volume:
        new = Volume(site, capability or csi.mount("ext4"), size, parameters)
        made.append(new)
        new.publish(node)
        return new

    yield volume
    for each in made:
        for where in site.nodes.values():
            each.clean(where)


@pytest.fixture
def volume(make: Make) -> Volume:
    """A blank volume of 1 GiB for ext4, published to node-1."""
    return make()
