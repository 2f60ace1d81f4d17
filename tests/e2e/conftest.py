"""One Kubernetes with the driver for all tests here, and a namespace for each.

`E2E_CLUSTER=kubernetes pytest -m e2e tests/e2e/test_life.py` uses what `make kubernetes` left up, and leaves it up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import driver_image
from lab.kube import Api, release
from lab.kube.cluster import Cluster
from tests.e2e.leftovers import wait_for_nothing_left
from tests.e2e.space import Space

_HERE = Path(__file__).parent
_TIMEOUT = 1800  # seconds for one test, the start of the cluster included
MakeSpace = Callable[[str], Space]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(_TIMEOUT))
    # A newcomer's page shows all volumes and pods there are, so it is walked before anybody else has some.
    items.sort(key=lambda item: item.path != _HERE / "test_pages.py")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A control plane, two nodes and an array, the chart installed; afterwards nothing of any volume is anywhere."""
    with _cluster() as running:
        yield running
        wait_for_nothing_left(running)


def _cluster() -> Cluster:
    name = os.environ.get("E2E_CLUSTER")
    if name:
        attached = Cluster.attach(name)
        if attached is None:
            raise LookupError(f"no cluster named {name} is up")
        return attached
    started = Cluster.start(images=[driver_image.driver_image(print)], say=print)
    try:
        release.install(started)
    except BaseException:
        started.close()
        raise
    return started


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[Api]:
    """The API for somebody who may do everything."""
    with cluster.api() as admin:
        yield admin


@pytest.fixture(scope="session")
def make_space(cluster: Cluster, api: Api) -> Iterator[MakeSpace]:
    """Make a namespace; what is in it goes with the session at the latest."""
    made: list[Space] = []

    def make(name: str) -> Space:
        space = Space.make(cluster, api, name)
        made.append(space)
        return space

    yield make
    for space in made:
        space.delete()
    for space in made:
        space.wait_gone()


@pytest.fixture
def space(request: pytest.FixtureRequest, cluster: Cluster, api: Api) -> Iterator[Space]:
    """A namespace named after the test, deleted afterwards."""
    name = request.node.name.removeprefix("test_").partition("[")[0].replace("_", "-")[:40].strip("-")
    made = Space.make(cluster, api, name)
    yield made
    made.delete()
    made.wait_gone()
    made.wait_detached()
