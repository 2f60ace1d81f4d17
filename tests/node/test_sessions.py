"""Sessions, records and disks: logging in, logging out, and what stands in the way of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from csi_solidfire import errors
from csi_solidfire.handles import Chap
from csi_solidfire.node.specs import Access, Filesystem
from tests.node.fake_kernel import NODES
from tests.node.world import BLOCK, CHAP, EXT4, HANDLE, OTHER_STAGING, POD, STAGING, World

XFS = Filesystem("xfs")
BTRFS = Filesystem("btrfs")


@pytest.mark.parametrize(
    "chap",
    [
        replace(CHAP, password="wrongpasswd1"),
        replace(CHAP, password_in="wrongpasswd1"),
        replace(CHAP, username="node-2-shop"),
    ],
)
def test_wrong_credentials_are_final_and_leave_nothing(world: World, chap: Chap) -> None:
    with pytest.raises(errors.Unauthenticated) as refused:
        world.stage(chap=chap)

    assert "wrongpasswd1" not in str(refused.value)
    assert world.leftovers() == []


def test_one_way_chap_is_enough(world: World) -> None:
    world.stage(chap=replace(CHAP, password_in=None))

    assert world.host.mounts_at(STAGING)


def test_a_login_that_fails_otherwise_is_tried_again_later_and_leaves_no_secret(world: World) -> None:
    world.array.target(HANDLE).login_status = 8

    with pytest.raises(errors.Unavailable):
        world.stage()
    assert world.records() == []
    world.array.target(HANDLE).login_status = 0
    world.stage()

    assert world.host.mounts_at(STAGING)


def test_the_record_holds_the_timers_and_no_secret_once_logged_in(world: World) -> None:
    world.stage()

    [record] = world.records()
    text = world.host.files[record]
    assert record == NODES / world.target.iqn / "10.0.0.10,3260,1" / "default"
    assert "node.startup = manual\n" in text
    assert "node.session.timeo.replacement_timeout = 120\n" in text
    assert CHAP.password not in text
    assert "targetsecret1" not in text


def test_the_record_is_put_back_if_somebody_removed_it(world: World) -> None:
    """A restarted iscsid takes the time-outs of a session from there."""
    world.stage()
    for path in [POD, STAGING]:
        world.host.mounts = [mount for mount in world.host.mounts if mount.point != path]
    for record in world.records():
        del world.host.files[record]

    world.stage()

    assert len(world.records()) == 1


def test_unstaging_needs_no_record(world: World) -> None:
    world.stage()
    for record in world.records():
        del world.host.files[record]

    world.unstage()

    assert world.host.sessions == {}


def test_a_dead_session_nobody_uses_is_made_anew(world: World) -> None:
    world.stage()
    world.host.mounts = [mount for mount in world.host.mounts if mount.point != STAGING]
    world.host.break_sessions()

    world.stage()

    [session] = world.host.sessions.values()
    assert session.live
    assert len(world.host.mounts_at(STAGING)) == 1


def test_a_dead_session_whose_disk_is_in_use_is_left_to_recover(world: World) -> None:
    """To end it would lose what the filesystem has not been able to write yet."""
    world.stage()
    world.host.break_sessions()

    with pytest.raises(errors.Unavailable):
        world.plugin().stage(world.stage_spec(path=str(OTHER_STAGING)))

    assert len(world.host.sessions) == 1
    assert world.host.mounts_at(STAGING)


def test_a_dead_session_can_be_unstaged(world: World) -> None:
    world.stage()
    world.host.break_sessions()

    world.unstage()

    assert world.leftovers() == []


def test_a_session_without_its_disk_gets_it_back(world: World) -> None:
    world.stage()
    world.host.mounts = [mount for mount in world.host.mounts if mount.point != STAGING]
    world.host.disks.clear()

    world.stage()

    assert len(world.host.sessions) == 1
    assert world.host.mounts_at(STAGING)


def test_a_busy_filesystem_is_not_detached(world: World) -> None:
    world.stage()
    world.host.busy.points.add(STAGING)

    with pytest.raises(errors.Unavailable, match="open file"):
        world.unstage()

    assert world.host.sessions
    world.host.busy.points.clear()
    world.unstage()
    assert world.leftovers() == []


def test_a_disk_that_a_pod_still_has_is_not_detached(world: World) -> None:
    world.stage()
    world.publish()

    with pytest.raises(errors.Unavailable, match=str(POD)):
        world.unstage()

    assert world.host.sessions
    assert world.host.mounts_at(POD)
    assert world.host.mounts_at(STAGING)


def test_a_device_that_a_pod_still_has_is_not_detached(world: World) -> None:
    world.stage(BLOCK)
    world.publish(BLOCK)

    with pytest.raises(errors.Unavailable, match=str(POD)):
        world.unstage()

    assert world.host.disks


def test_a_disk_claimed_out_of_sight_is_not_detached(world: World) -> None:
    """A filesystem mounted in another mount namespace is in no list we can read, but the kernel knows."""
    world.stage()
    world.host.busy.claims.add("sda")

    with pytest.raises(errors.Unavailable, match="mount namespace"):
        world.unstage()

    assert world.host.disks


def test_a_disk_claimed_out_of_sight_is_not_formatted(world: World) -> None:
    world.host.busy.claims.add("sda")

    with pytest.raises(errors.Unavailable):
        world.stage()

    assert world.lun.formatted == 0


@pytest.mark.parametrize("access", [EXT4, XFS, BTRFS, BLOCK])
def test_a_multipath_map_is_used_and_taken_away(world: World, access: Access) -> None:
    world.host.with_multipath = True

    world.stage(access)
    [mount] = world.host.mounts_at(STAGING / "device" if access is BLOCK else STAGING)
    assert mount.root.startswith("/dm-") if access is BLOCK else mount.source.startswith("/dev/dm-")
    world.unstage()

    assert world.leftovers() == []


def test_the_release_that_hangs_without_a_scan_gets_one(world: World) -> None:
    world.host.version = "2.1.11"

    world.stage()

    assert "node.session.scan = auto" in world.host.files[world.records()[0]]


def test_a_session_in_the_middle_of_a_reconnection_is_ended_a_moment_later(world: World) -> None:
    """iscsid then answers "try again later", as it did in half of the trials after a restart of it."""
    world.stage()
    world.host.reconnecting = 3

    world.unstage()

    assert world.leftovers() == []


def test_a_volume_that_is_mounted_without_a_session_is_not_called_ready(world: World) -> None:
    """What is mounted may be from before another node had the volume."""
    world.stage()
    [session] = world.host.sessions.values()
    session.live = False

    with pytest.raises(errors.Unavailable, match="session is down"):
        world.stage()

    assert world.host.mounts_at(STAGING)
    session.live = True
    world.stage()
