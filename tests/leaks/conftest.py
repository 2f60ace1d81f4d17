"""The story, told once for all tests of the module."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from lab.kube import ControlPlane
from lab.site import Node, Site
from tests.kube import driver_role
from tests.leaks.controller import Host
from tests.leaks.orchestrator import Orchestrator
from tests.leaks.places import CORES, Watched
from tests.leaks.story import Story
from tests.leaks.tape import Tape
from tests.realnode.volumes import PATIENCE, start_driver

# A process that dies of a signal leaves all its memory in a file, unless it has seen to it that it does not.
_LET_CORES_BE_DUMPED = f"""
mkdir -p {CORES} /run/systemd/system/csi-solidfire.service.d
printf '[Service]\\nLimitCORE=infinity\\n' > /run/systemd/system/csi-solidfire.service.d/core.conf
systemctl daemon-reload
echo {CORES}/core.%p > /proc/sys/kernel/core_pattern
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Told to its end, with everything still up."""
    with ExitStack() as stack:
        plane = stack.enter_context(ControlPlane.start(tmp_path_factory.mktemp("kube") / "plane", say=print))
        site = stack.enter_context(Site.start(drivers=False))
        with ThreadPoolExecutor() as pool:
            watched = dict(zip(site.nodes, pool.map(_prepare, site.nodes.values()), strict=True))
        told = _story(stack, plane, site, watched)
        told.tell()
        yield told


def _prepare(node: Node) -> Watched:
    node.machine.run(_LET_CORES_BE_DUMPED, timeout=PATIENCE)
    watched = Watched.begin(node)
    start_driver(node)
    return watched


def _story(stack: ExitStack, plane: ControlPlane, site: Site, watched: dict[str, Watched]) -> Story:
    admin = stack.enter_context(plane.api(plane.admin))
    driver_role.install(admin)
    kubelets = {
        name: stack.enter_context(plane.api(plane.kubeconfig(f"system:node:{name}", ["system:nodes"])))
        for name in site.nodes
    }
    tape = Tape()
    kubeconfig = plane.service_account_kubeconfig(driver_role.NAMESPACE, driver_role.ACCOUNT)
    host = Host(site, kubeconfig)
    return Story(site, plane, admin, host, Orchestrator(site, admin, kubelets, tape), tape, watched)
