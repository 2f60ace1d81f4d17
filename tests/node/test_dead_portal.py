"""An array that does not answer keeps its own volumes waiting, and no other's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest

from csi_solidfire import deadline, errors
from csi_solidfire.handles import VolumeHandle
from csi_solidfire.node.plugin import Plugin
from csi_solidfire.node.specs import StageSpec
from tests.node.world import HANDLE, OTHER, OTHER_STAGING, STAGING, World
from tests.support.driver import wait_until

_PORTAL = "192.0.2.66:3260"
_AT_ONCE = 8


def _dead(world: World, number: int) -> StageSpec:
    """Return what stages a volume of the dead array."""
    handle = VolumeHandle("dead", number)
    target = replace(world.array.add(handle), portal=_PORTAL)
    return world.stage_spec(handle=handle, target=target, path=str(OTHER_STAGING))


def _stage(plugin: Plugin, spec: StageSpec) -> None:
    with suppress(errors.Unavailable):
        plugin.stage(spec)


@pytest.fixture
def plugin(world: World) -> Iterator[Plugin]:
    """A node with one volume of a healthy array staged, that logs in to as many of a dead one as it ever does."""
    world.stage()
    answer = world.host.gates[_PORTAL] = threading.Event()
    driver = world.plugin()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for number in range(1, _AT_ONCE + 1):
                pool.submit(_stage, driver, _dead(world, number))
                wait_until(lambda number=number: sum(_PORTAL in argv for argv in world.host.argvs) == number)  # type: ignore[misc]
            yield driver
        finally:
            answer.set()


def test_a_volume_of_another_array_is_unstaged(world: World, plugin: Plugin) -> None:
    """Or its failover to another node would wait for the dead array."""
    plugin.unstage(HANDLE, str(STAGING))

    assert world.host.sessions == {}


def test_a_volume_of_another_array_is_staged(world: World, plugin: Plugin) -> None:
    with deadline.until(5):
        plugin.stage(world.stage_spec(handle=OTHER, target=world.other_target, path=str(OTHER_STAGING)))

    assert world.host.mounts_at(OTHER_STAGING)


def test_one_more_of_the_dead_array_waits_its_turn(world: World, plugin: Plugin) -> None:
    with deadline.until(0.2), pytest.raises(errors.Unavailable, match=f"{_AT_ONCE} other logins to {_PORTAL}"):
        plugin.stage(_dead(world, 9))

    assert sum(_PORTAL in argv for argv in world.host.argvs) == _AT_ONCE
