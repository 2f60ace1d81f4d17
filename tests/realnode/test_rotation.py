"""CHAP secrets are rotated while a pod writes, and then its node loses sight of the array and has to log in again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import grpc
import pytest

from csi_solidfire.handles import Chap
from lab import csi
from lab.pods import written
from lab.site import Node, Site
from tests.fencing.handover import Held
from tests.realnode.conftest import Make
from tests.realnode.volumes import session_ids
from tests.support.ask import refused
from tests.support.driver import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("realnode")]

_LOGGED_IN = "LOGGED_IN"


@pytest.fixture
def held(make: Make, node: Node) -> Iterator[Held]:
    """A filesystem on node-1 that a pod writes to."""
    held = Held.by(node, make(csi.mount("ext4")))
    yield held
    held.writer.stop()


def rotate(site: Site) -> None:
    command = [sys.executable, "-m", "csi_solidfire", "rotate-chap", f"--clusters-dir={site.clusters}", "--all"]
    subprocess.run(command, check=True, timeout=120)


def lose_sight(site: Site, held: Held) -> None:
    """Cut the array off until the node's kernel has noticed, and let it come back."""
    site.array.cut("storage")
    try:
        wait_until(lambda: held.session() != _LOGGED_IN, 120)
    finally:
        site.array.restore_link("storage")


def test_a_pod_writes_on_through_a_rotation_and_gets_the_new_secrets_later(site: Site, node: Node, held: Held) -> None:
    volume, old = held.volume, dict(held.volume.context)
    before = session_ids(node, volume)
    rotate(site)
    lose_sight(site, held)
    wait_until(lambda: held.session() == _LOGGED_IN, 120)
    held.wait_for_writes()
    assert held.writer.notes().failures == []
    assert session_ids(node, volume) == before
    assert volume.publish(node) == old

    held.writer.stop()
    acknowledged = held.writer.notes().acknowledged
    volume.hide(node, held.target)
    volume.unstage(node)
    volume.unpublish(node)
    new = dict(volume.publish(node))
    assert all(old[key] != new[key] for key in Chap.KEYS)
    # kubelet comes with the Secret it read a moment too early, and then again with the present one.
    with refused(grpc.StatusCode.UNAUTHENTICATED):
        volume.stage(node, context=old)
    assert volume.left_on(node) == []
    volume.stage(node)
    assert written(node, volume.show(node), block=False) in (acknowledged, acknowledged + 1)
    volume.hide(node, volume.target(node))
    volume.unstage(node)
    assert volume.left_on(node) == []
