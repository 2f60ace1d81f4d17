"""Cut short anywhere, asked again: the same end as without the accident. And asked twice: the same as once."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from csi_solidfire import errors
from csi_solidfire.node.host import CommandFailed
from csi_solidfire.node.plugin import Plugin
from csi_solidfire.node.specs import Access, Filesystem
from tests.node.dying_host import Died, dying
from tests.node.world import BLOCK, EXT4, HANDLE, POD, STAGING, World

ACCESSES = [
    pytest.param(access, id=getattr(access, "type", "block"))
    for access in (EXT4, Filesystem("xfs"), Filesystem("btrfs"), BLOCK)
]
LONGEST = 40  # operations; no recipe needs as many


@dataclass(frozen=True)
class Act:
    """One call to the driver.

    Attributes:
        prepare: The calls before it.
        end: What is on the node after it: mounts and sessions.
    """

    name: str
    prepare: Callable[[World, Access], None]
    call: Callable[[World, Plugin, Access], None]
    mounted: tuple[str, ...]


def _nothing(world: World, access: Access) -> None:
    pass


def _published(world: World, access: Access) -> None:
    world.stage(access)
    world.publish(access)


ACTS = [
    Act("stage", _nothing, lambda w, p, a: p.stage(w.stage_spec(a)), ("staging",)),
    Act("publish", lambda w, a: w.stage(a), lambda w, p, a: p.publish(w.publish_spec(a)), ("staging", "pod")),
    Act(
        "publish read-only",
        lambda w, a: w.stage(a),
        lambda w, p, a: p.publish(w.publish_spec(a, read_only=True)),
        ("staging", "pod"),
    ),
    Act("unpublish", _published, lambda w, p, a: p.unpublish(HANDLE, str(POD)), ("staging",)),
    Act("unstage", lambda w, a: w.stage(a), lambda w, p, a: p.unstage(HANDLE, str(STAGING)), ()),
]


def check_end(world: World, act: Act, access: Access) -> None:
    staged_at = STAGING / "device" if access is BLOCK else STAGING
    wanted = [staged_at, POD][: len(act.mounted)]
    assert [mount.point for mount in world.host.mounts if mount.id > 2] == wanted
    assert len(world.host.sessions) == bool(wanted)
    assert world.lun.formatted <= (access is not BLOCK) * 2
    assert (POD in world.host.dirs or POD in world.host.files) == (len(wanted) == 2)
    assert not any("initiatorpw1" in text for text in world.host.files.values())
    if not wanted:
        assert world.leftovers() == []


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_call_cut_short_anywhere_is_finished_by_the_next(act: Act, access: Access, done: bool) -> None:
    """Whichever operation is the last one of a killed driver, the next driver ends where the first would have."""
    for nth in range(1, LONGEST):
        world = World()
        act.prepare(world, access)
        host, life = dying(world.host, nth, done=done)
        with suppress(Died):
            act.call(world, world.plugin(host), access)
        if life.lived:
            assert nth > 2, "the call did nothing"
            return
        act.call(world, world.plugin(), access)
        check_end(world, act, access)
    pytest.fail(f"{act.name} needs more than {LONGEST} operations")


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("done", [False, True], ids=["undone", "done"])
@pytest.mark.parametrize("failure", [CommandFailed("x", 1, "no"), OSError(errno.EIO, "Input/output error")], ids=type)
def test_whatever_fails_is_to_be_tried_again(act: Act, access: Access, done: bool, failure: Exception) -> None:
    """Any one operation that fails without reason makes the call fail as UNAVAILABLE, and the next call finishes it."""
    for nth in range(1, LONGEST):
        world = World()
        act.prepare(world, access)
        host, life = dying(world.host, nth, done=done, end=failure)
        try:
            act.call(world, world.plugin(host), access)
        except errors.Unavailable:
            act.call(world, world.plugin(), access)
        check_end(world, act, access)
        if life.lived:
            return
    pytest.fail(f"{act.name} needs more than {LONGEST} operations")


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.name)
@pytest.mark.parametrize("access", ACCESSES)
def test_twice_is_once(act: Act, access: Access, world: World) -> None:
    act.prepare(world, access)

    act.call(world, world.plugin(), access)
    check_end(world, act, access)
    before = len(world.host.argvs)
    act.call(world, world.plugin(), access)

    check_end(world, act, access)
    changing = [argv[0] for argv in world.host.argvs[before:] if argv[0] not in ("blkid", "iscsiadm")]
    assert changing == []


@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_a_stage_cut_short_anywhere_can_be_given_up(access: Access, done: bool) -> None:
    """Kubelet may unstage instead of staging again: nothing is left of the half that was done."""
    for nth in range(1, LONGEST):
        world = World()
        host, life = dying(world.host, nth, done=done)
        with suppress(Died):
            world.plugin(host).stage(world.stage_spec(access))
        if life.lived:
            return
        world.unstage()
        assert world.leftovers() == []
    pytest.fail("staging needs more operations than thought")
