"""An array and two nodes for all tests here; each test makes volumes and accounts of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lab.site import Site
from tests.lio.initiator import Account, Initiator, Volume


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    """An array and two nodes without the driver."""
    with Site.start(nodes=["node-1", "node-2"], drivers=False) as running:
        yield running


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for what the test makes."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[-60:].strip("-")


@pytest.fixture
def account(site: Site, name: str) -> Account:
    """An account without volumes."""
    return Account.make(site, name)


@pytest.fixture
def volume(site: Site, account: Account, name: str) -> Volume:
    """A blank volume of 1 GiB."""
    return Volume.make(site, account, name)


@pytest.fixture
def node(site: Site) -> Iterator[Initiator]:
    """The first node, which forgets all targets afterwards."""
    yield from _initiator(site, "node-1")


@pytest.fixture
def other_node(site: Site) -> Iterator[Initiator]:
    """The second node, which forgets all targets afterwards."""
    yield from _initiator(site, "node-2")


def _initiator(site: Site, name: str) -> Iterator[Initiator]:
    machine = site.node(name).machine
    yield Initiator(machine)
    machine.run("iscsiadm -m node --logoutall=all; iscsiadm -m node -o delete", check=False)
