"""An array and two nodes for all tests here, whose kernels give up on a lost session after some seconds."""

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
    with Site.start(drivers=False) as running:
        running.start_controller()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: start_driver(node, "--replacement-timeout=5"), running.nodes.values()))
        yield running


@pytest.fixture(scope="package")
def node(site: Site) -> Node:
    """The node that has a volume first."""
    return site.node("node-1")


@pytest.fixture(scope="package")
def other_node(site: Site) -> Node:
    return site.node("node-2")


@pytest.fixture
def make(site: Site) -> Iterator[Make]:
    """Make a volume; what a test forgets of it on the nodes is cleaned up by hand."""
    made = []

    def volume(capability: csi_pb2.VolumeCapability | None = None, **parameters: str) -> Volume:
        made.append(Volume(site, capability or csi.block(), parameters=parameters))
        return made[-1]

    yield volume
    for each in made:
        for where in site.nodes.values():
            each.clean(where)
