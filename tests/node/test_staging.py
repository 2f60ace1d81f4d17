"""NodeStageVolume and NodeUnstageVolume: what a user of the node sees."""

from __future__ import annotations

import pytest

from csi_solidfire import errors
from csi_solidfire.handles import VolumeHandle
from csi_solidfire.node.host import CommandFailed
from csi_solidfire.node.specs import Filesystem
from tests.node.fake_array import MIB
from tests.node.fake_array import Filesystem as OnDisk
from tests.node.world import BLOCK, EXT4, OTHER, OTHER_STAGING, STAGING, World

XFS = Filesystem("xfs")
BTRFS = Filesystem("btrfs")


@pytest.mark.parametrize("access", [EXT4, XFS, BTRFS])
def test_a_new_volume_gets_the_filesystem_asked_for(world: World, access: Filesystem) -> None:
    world.stage(access)

    [mount] = world.host.mounts_at(STAGING)
    assert mount.fstype == access.type
    assert world.lun.formatted == 1


def test_a_volume_used_before_keeps_its_data(world: World) -> None:
    world.stage()
    world.unstage()

    world.stage()

    assert world.lun.formatted == 1
    assert world.lun.filesystem is not None
    assert world.lun.filesystem.files


def test_unstaging_leaves_nothing(world: World) -> None:
    world.stage()

    world.unstage()

    assert world.leftovers() == []


def test_another_filesystem_than_asked_is_refused_and_left_alone(world: World) -> None:
    world.stage(XFS)
    world.unstage()

    with pytest.raises(errors.Refused, match="xfs"):
        world.stage(EXT4)

    assert world.leftovers() == []
    assert world.lun.formatted == 1


def test_without_a_wish_the_filesystem_that_is_there_is_mounted(world: World) -> None:
    world.stage(XFS)
    world.unstage()

    world.stage(Filesystem())

    assert world.host.mounts_at(STAGING)[0].fstype == "xfs"


@pytest.mark.parametrize("offset", [0, 4096, MIB - 4096, 56 * MIB, 2000 * MIB - MIB, 2000 * MIB - 4096])
def test_unknown_data_at_either_end_is_never_formatted(world: World, offset: int) -> None:
    world.lun.write(offset, b"x" * 4096)

    with pytest.raises(errors.Refused, match="unknown data"):
        world.stage()

    assert world.lun.formatted == 0
    assert world.leftovers() == []


@pytest.mark.parametrize("spoil", ["partitions", "ext3", "LUKS"])
def test_what_is_not_ours_to_mount_is_never_formatted(world: World, spoil: str) -> None:
    if spoil == "partitions":
        world.lun.partition_table = "gpt"
    else:
        world.lun.filesystem = OnDisk({"LUKS": "crypto_LUKS"}.get(spoil, spoil), world.lun.size, "uuid", files={"x"})

    with pytest.raises(errors.Refused, match="never formatted"):
        world.stage()

    assert world.lun.formatted == 0
    assert world.leftovers() == []


@pytest.mark.parametrize("access", [EXT4, XFS, BTRFS])
def test_an_mkfs_that_was_killed_is_done_again(world: World, access: Filesystem) -> None:
    world.host.failing["inside mkfs"] = errors.Unavailable("mkfs did not end in time and was stopped")
    with pytest.raises(errors.Unavailable):
        world.stage(access)
    world.host.failing.clear()

    world.stage(access)

    assert world.lun.formatted == 2
    assert len(world.host.mounts_at(STAGING)) == 1


def test_a_copy_of_a_volume_in_mid_mkfs_is_not_taken_for_blank(world: World) -> None:
    """Its marker names another volume: nothing proves that this copy was never mounted."""
    world.host.failing["inside mkfs"] = errors.Unavailable("stopped")
    with pytest.raises(errors.Unavailable):
        world.stage()
    world.host.failing.clear()
    other = world.array.lun(OTHER)
    other.blocks = dict(world.lun.blocks)

    with pytest.raises(errors.Refused, match="copy"):
        world.plugin().stage(world.stage_spec(handle=OTHER, target=world.other_target, path=str(OTHER_STAGING)))

    assert other.formatted == 0


@pytest.mark.parametrize(
    ("naa", "says"),
    [
        (OTHER.naa, "jyay.2"),
        (VolumeHandle("abcd", 1).naa, "abcd.1"),
        ("600140500000000000000000000000aa", "no volume of a SolidFire cluster"),
    ],
)
@pytest.mark.parametrize("access", [EXT4, BLOCK])
def test_the_wrong_disk_behind_the_right_name_is_never_touched(
    world: World, access: Filesystem, naa: str, says: str
) -> None:
    world.lun.naa = naa

    with pytest.raises(errors.Refused, match=says):
        world.stage(access)

    assert world.lun.blocks == {}
    assert world.lun.formatted == 0
    assert world.leftovers() == []


def test_a_disk_smaller_than_the_volume_is_refused(world: World) -> None:
    world.lun.size -= MIB

    with pytest.raises(errors.Refused, match="bytes"):
        world.stage()

    assert world.leftovers() == []


def test_a_path_with_another_volume_is_not_unmounted(world: World) -> None:
    world.plugin().stage(world.stage_spec(handle=OTHER, target=world.other_target))

    with pytest.raises(errors.Refused, match=r"jyay\.2"):
        world.unstage()
    with pytest.raises(errors.AlreadyExists):
        world.stage()

    [mount] = world.host.mounts_at(STAGING)
    assert mount.disk is not None
    assert mount.disk.lun.handle == OTHER


def test_unstaging_one_volume_leaves_the_others(world: World) -> None:
    world.stage()
    world.plugin().stage(world.stage_spec(handle=OTHER, target=world.other_target, path=str(OTHER_STAGING)))

    world.unstage()

    assert [session.iqn for session in world.host.sessions.values()] == [world.other_target.iqn]
    assert len(world.records()) == 1


@pytest.mark.parametrize("changes", [{"access": XFS}, {"access": BLOCK}, {"read_only": True}], ids=str)
def test_staged_in_another_way_already(world: World, changes: dict[str, object]) -> None:
    """Not final, as long as it is mounted: kubelet would never unstage it, and it would be detached under the mount."""
    world.stage()

    with pytest.raises(errors.Unavailable, match=str(STAGING)):
        world.stage(**changes)  # type: ignore[arg-type]

    assert len(world.host.mounts_at(STAGING)) == 1
    assert len(world.host.sessions) == 1


def test_a_volume_is_staged_at_one_path_only(world: World) -> None:
    world.stage()

    with pytest.raises(errors.Unavailable, match=str(STAGING)):
        world.stage(path=str(OTHER_STAGING))

    assert world.host.mounts_at(STAGING)
    assert world.host.sessions


def test_a_map_that_is_mounted_and_has_lost_its_session_is_not_left_for_good(world: World) -> None:
    world.host.with_multipath = True
    world.stage()
    [session] = world.host.sessions
    shown = world.host.disks["sda"]
    world.host.sessions[session].iqn = world.other_target.iqn

    with pytest.raises(errors.Unavailable, match=f"mounted at {STAGING}"):
        world.stage(path="/kubelet/missing")

    assert world.host.mounts_at(STAGING)[0].disk is shown


def test_a_mount_whose_disk_has_gone_may_be_the_volume_s(world: World) -> None:
    """kubelet has to unstage it, or nothing can be staged there any more."""
    world.stage()
    world.host.disks.clear()
    world.host.sessions.clear()

    with pytest.raises(errors.Unavailable, match="disk has gone"):
        world.stage()

    world.unstage()
    assert world.leftovers() == []


def test_a_blank_volume_cannot_be_used_read_only(world: World) -> None:
    with pytest.raises(errors.Refused, match="read-only"):
        world.stage(read_only=True)

    assert world.leftovers() == []


def test_read_only_is_mounted_read_only(world: World) -> None:
    world.stage()
    world.unstage()

    world.stage(read_only=True)

    assert "ro" in world.host.mounts_at(STAGING)[0].options


def test_a_volume_the_array_protects_is_mounted_read_only(world: World) -> None:
    world.stage()
    world.unstage()
    world.lun.read_only = True

    world.stage()
    world.stage()

    assert "ro" in world.host.mounts_at(STAGING)[0].options


def test_a_filesystem_that_needs_a_person_is_refused(world: World) -> None:
    world.stage()
    world.unstage()
    assert world.lun.filesystem is not None
    world.lun.filesystem.errors = True

    with pytest.raises(errors.Refused, match="e2fsck"):
        world.stage()

    assert world.leftovers() == []


@pytest.mark.parametrize("access", [EXT4, XFS, BTRFS])
def test_a_filesystem_smaller_than_its_disk_is_grown(world: World, access: Filesystem) -> None:
    world.stage(access)
    world.unstage()
    world.lun.size *= 2

    world.stage(access)

    assert world.lun.filesystem is not None
    assert world.lun.filesystem.size == world.lun.size


@pytest.mark.parametrize("access", [EXT4, XFS, BTRFS])
def test_growing_that_failed_is_made_up_for(world: World, access: Filesystem) -> None:
    world.stage(access)
    world.unstage()
    world.lun.size *= 2
    tool = {"ext4": "resize2fs", "xfs": "xfs_growfs", "btrfs": "btrfs"}[access.type]
    world.host.failing[tool] = CommandFailed(tool, 1, "no")
    with pytest.raises(errors.Unavailable):
        world.stage(access)
    world.host.failing.clear()

    world.stage(access)

    assert world.lun.filesystem is not None
    assert world.lun.filesystem.size == world.lun.size


def test_an_xfs_and_its_copy_can_be_mounted_on_one_node(world: World) -> None:
    world.stage(XFS)
    assert world.lun.filesystem is not None
    world.array.lun(OTHER).filesystem = OnDisk("xfs", world.lun.size, world.lun.filesystem.uuid)

    world.plugin().stage(world.stage_spec(XFS, handle=OTHER, target=world.other_target, path=str(OTHER_STAGING)))

    assert world.host.mounts_at(OTHER_STAGING)


def test_xfs_compares_uuids_unless_a_copy_is_mounted(world: World) -> None:
    world.stage(XFS)

    assert not any("nouuid" in " ".join(argv) for argv in world.host.argvs)


def test_mount_flags_reach_the_mount(world: World) -> None:
    world.stage(Filesystem("ext4", ("noatime", "discard")))

    assert any("noatime,discard" in argv for argv in world.host.argvs)


def test_a_staging_path_has_to_be_there(world: World) -> None:
    with pytest.raises(errors.InvalidRequest, match="directory"):
        world.stage(path="/kubelet/missing")

    assert world.leftovers() == []
