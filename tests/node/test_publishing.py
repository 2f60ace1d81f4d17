"""NodePublishVolume, NodeUnpublishVolume and NodeGetVolumeStats: what a user of the node sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from csi_solidfire import errors
from csi_solidfire.node.host import Usage
from csi_solidfire.node.specs import Access, Filesystem
from tests.node.world import BLOCK, EXT4, HANDLE, KUBELET, OTHER, OTHER_STAGING, POD, SECOND_POD, STAGING, World

KUBELET_MAP = KUBELET / "plugins/kubernetes.io/csi/volumeDevices/pvc-1/dev/pod-1"
ACCESSES = [EXT4, Filesystem("xfs"), Filesystem("btrfs"), BLOCK]


@pytest.mark.parametrize("access", ACCESSES)
def test_a_pod_gets_the_volume_and_gives_it_back(world: World, access: Access) -> None:
    world.stage(access)
    world.publish(access)
    [mount] = world.host.mounts_at(POD)
    assert mount.disk is not None
    assert mount.disk.lun.handle == HANDLE
    assert (mount.fstype == "devtmpfs") == (access is BLOCK)

    world.unpublish()

    assert world.host.mounts_at(POD) == []
    assert POD not in world.host.dirs
    assert POD not in world.host.files


@pytest.mark.parametrize("access", ACCESSES)
def test_not_staged_is_refused_and_nothing_made(world: World, access: Access) -> None:
    with pytest.raises(errors.Refused, match="not staged"):
        world.publish(access)

    assert world.leftovers() == []


def test_staged_for_files_is_not_staged_for_a_device(world: World) -> None:
    world.stage(EXT4)

    with pytest.raises(errors.Refused, match="not staged as a block device"):
        world.publish(BLOCK)


@pytest.mark.parametrize("access", ACCESSES)
def test_read_only_is_read_only(world: World, access: Access) -> None:
    world.stage(access)

    world.publish(access, read_only=True)

    assert "ro" in world.host.mounts_at(POD)[0].options
    assert world.host.disks["sda"].read_only == (access is BLOCK)


def test_a_device_is_writable_again_for_the_next_pod(world: World) -> None:
    world.stage(BLOCK)
    world.publish(BLOCK, read_only=True)
    world.unpublish()

    world.publish(BLOCK)

    assert not world.host.disks["sda"].read_only


def test_a_device_is_not_writable_and_protected_at_once(world: World) -> None:
    world.stage(BLOCK)
    world.publish(BLOCK)

    with pytest.raises(errors.Refused, match=str(POD)):
        world.publish(BLOCK, path=str(SECOND_POD), read_only=True)

    assert not world.host.disks["sda"].read_only
    assert SECOND_POD not in world.host.files


@pytest.mark.parametrize("read_only", [False, True])
def test_two_pods_share_a_device_that_kubelet_has_mounted_for_itself(world: World, read_only: bool) -> None:
    """Kubelet binds each target once more below its own directory, and remounts that writable whatever was asked."""
    world.stage(BLOCK)
    world.publish(BLOCK, read_only=read_only)
    [mount] = world.host.mounts_at(POD)
    map_of_kubelet = replace(mount, id=1000, point=KUBELET_MAP, options={"rw"})
    world.host.mounts.append(map_of_kubelet)

    world.publish(BLOCK, path=str(SECOND_POD), read_only=read_only)

    assert ("ro" in world.host.mounts_at(SECOND_POD)[0].options) == read_only
    assert world.host.disks["sda"].read_only == read_only


@pytest.mark.parametrize("lost", [False, True])
def test_a_protected_device_is_not_writable_for_another_pod(world: World, lost: bool) -> None:
    """Not even where somebody has taken the kernel's protection away meanwhile."""
    world.stage(BLOCK)
    world.publish(BLOCK, read_only=True)
    disk = world.host.disks["sda"]
    disk.read_only = not lost

    with pytest.raises(errors.Refused, match=str(POD)):
        world.publish(BLOCK, path=str(SECOND_POD))

    assert disk.read_only == (not lost)
    assert SECOND_POD not in world.host.files


@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("read_only", [False, True])
def test_the_hosts_own_view_of_a_staged_volume_is_no_pod(world: World, access: Access, read_only: bool) -> None:
    """A container that sees the host's root at /host has all that it mounts there for a second time."""
    world.stage(access)
    world.host.mounts += [
        replace(mount, id=1000 + mount.id, point=Path(f"/host{mount.point}")) for mount in world.host.mounts
    ]

    world.publish(access, sole=True, read_only=read_only)

    assert len(world.host.mounts_at(POD)) == 1


@pytest.mark.parametrize("access", ACCESSES)
def test_the_same_target_in_another_way(world: World, access: Access) -> None:
    world.stage(access)
    world.publish(access)

    with pytest.raises(errors.AlreadyExists):
        world.publish(access, read_only=True)

    assert "ro" not in world.host.mounts_at(POD)[0].options


def test_a_target_that_has_another_volume(world: World) -> None:
    world.stage()
    world.publish()
    world.plugin().stage(world.stage_spec(handle=OTHER, target=world.other_target, path=str(OTHER_STAGING)))

    with pytest.raises(errors.AlreadyExists):
        world.publish(handle=OTHER, staging_path=str(OTHER_STAGING))
    with pytest.raises(errors.Refused, match=r"jyay\.1"):
        world.plugin().unpublish(OTHER, str(POD))

    assert len(world.host.mounts_at(POD)) == 1


@pytest.mark.parametrize("access", ACCESSES)
def test_two_pods_may_share_unless_it_is_for_one(world: World, access: Access) -> None:
    world.stage(access)
    world.publish(access)

    with pytest.raises(errors.Refused, match="single pod"):
        world.publish(access, path=str(SECOND_POD), sole=True)
    assert world.host.mounts_at(SECOND_POD) == []
    world.publish(access, path=str(SECOND_POD))

    assert world.host.mounts_at(SECOND_POD)


def test_the_only_pod_may_be_published_again(world: World) -> None:
    world.stage()
    world.publish(sole=True)

    world.publish(sole=True)

    assert len(world.host.mounts_at(POD)) == 1


def test_unpublishing_one_pod_leaves_the_other(world: World) -> None:
    world.stage()
    world.publish()
    world.publish(path=str(SECOND_POD))

    world.unpublish()

    assert world.host.mounts_at(SECOND_POD)
    assert world.host.mounts_at(STAGING)


def test_unpublishing_what_is_not_there_is_fine(world: World) -> None:
    world.unpublish()


def test_files_below_the_mount_are_never_deleted(world: World) -> None:
    world.host.dirs.add(POD)
    world.host.files[POD / "precious"] = "data"

    with pytest.raises(errors.Refused, match="files"):
        world.unpublish()

    assert world.host.files[POD / "precious"] == "data"


def test_a_file_with_content_is_never_deleted(world: World) -> None:
    world.host.files[Path("/kubelet/config.yaml")] = "kind: KubeletConfiguration"

    with pytest.raises(errors.Refused, match="content"):
        world.unpublish(Path("/kubelet/config.yaml"))

    assert Path("/kubelet/config.yaml") in world.host.files


def test_a_busy_target_stays_and_says_so(world: World) -> None:
    world.stage()
    world.publish()
    world.host.busy.points.add(POD)

    with pytest.raises(errors.Unavailable, match="open file"):
        world.unpublish()

    assert POD in world.host.dirs


@pytest.mark.parametrize("access", ACCESSES)
def test_a_target_whose_disk_has_gone_can_be_cleaned_up(world: World, access: Access) -> None:
    world.stage(access)
    world.publish(access)
    world.host.disks.clear()
    world.host.sessions.clear()
    for mount in world.host.mounts:
        if mount.fstype == "devtmpfs" and mount.id > 2:
            mount.root += "//deleted"

    world.unpublish()
    world.unstage()

    assert world.leftovers() == []


def test_a_target_whose_parent_is_missing(world: World) -> None:
    world.stage()

    with pytest.raises(errors.InvalidRequest, match="does not exist"):
        world.publish(path="/kubelet/nowhere/mount")


@pytest.mark.parametrize(
    "path",
    [
        "relative",
        "/etc",
        "/kubelet/../etc",
        "/kubelet",
        "/kubelet/link",
        "/kubelet/outside/x",
        "/kubelet/" + "x" * 256,
        "/a\0b",
        "/",
    ],
)
def test_paths_that_are_not_what_they_claim(world: World, path: str) -> None:
    world.host.links = {Path("/kubelet/link"): POD, Path("/kubelet/outside"): Path("/etc")}
    world.host.dirs.add(POD)
    world.stage()
    before = len(world.host.argvs)

    with pytest.raises(errors.InvalidRequest):
        world.publish(path=path)
    with pytest.raises(errors.InvalidRequest):
        world.unpublish(Path(path))
    with pytest.raises(errors.InvalidRequest):
        world.plugin().unstage(HANDLE, path)
    with pytest.raises(errors.InvalidRequest):
        world.plugin().stage(world.stage_spec(handle=OTHER, target=world.other_target, path=path))
    with pytest.raises(errors.NotFound):
        world.plugin().stats(HANDLE, path)

    assert [argv[0] for argv in world.host.argvs[before:]] == []


def test_names_with_spaces_and_backslashes(world: World) -> None:
    odd = Path("/kubelet/pods/a b\\040\tc\nd#ü")
    world.stage()

    world.publish(path=str(odd))
    world.publish(path=str(odd))
    assert len(world.host.mounts_at(odd)) == 1
    world.unpublish(odd)

    assert odd not in world.host.dirs


@pytest.mark.parametrize("path", [STAGING, POD])
def test_statistics_of_a_filesystem(world: World, path: Path) -> None:
    world.stage()
    world.publish()

    usage = world.plugin().stats(HANDLE, str(path))

    assert isinstance(usage, Usage)
    assert usage.total == world.lun.size
    assert usage.used + usage.available == usage.total
    assert usage.inodes == usage.inodes_used + usage.inodes_free


@pytest.mark.parametrize("path", [STAGING, POD])
def test_statistics_of_a_device(world: World, path: Path) -> None:
    world.stage(BLOCK)
    world.publish(BLOCK)

    assert world.plugin().stats(HANDLE, str(path)) == world.lun.size


@pytest.mark.parametrize("path", ["some/path", "/kubelet/pods/pod-2", "/nowhere"])
def test_statistics_where_the_volume_is_not(world: World, path: str) -> None:
    world.stage()

    with pytest.raises(errors.NotFound):
        world.plugin().stats(HANDLE, path)
    with pytest.raises(errors.NotFound):
        world.plugin().stats(OTHER, str(STAGING))
