"""A volume's whole life on a node, as a pod sees it, for every filesystem and for the raw device."""

from __future__ import annotations

import secrets

import grpc
import pytest

from csi_solidfire.pb import csi_pb2
from lab import csi
from lab.site import KUBELET, Node
from tests.realnode.conftest import Make
from tests.realnode.volumes import MIB, Volume, disk_of, mounted_at, session_ids
from tests.support.ask import refused

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("realnode")]

_Unit = csi_pb2.VolumeUsage
_Mode = csi_pb2.VolumeCapability.AccessMode
_MAGIC = {"ext4": (1080, b"\x53\xef"), "xfs": (0, b"XFSB"), "btrfs": (65600, b"_BHRfS_M")}


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_files_go_with_the_volume_to_the_next_node(make: Make, node: Node, other_node: Node, fstype: str) -> None:
    """Made, mounted, written, taken away without a trace, and intact on another node that mounts it as it is."""
    volume = make(csi.mount(fstype, flags=("noatime",)))
    volume.stage(node)
    target = volume.show(node)
    node.machine.run(f"dd if=/dev/urandom of={target}/data bs=1M count=8 conv=fsync status=none; sync -f {target}")
    before = node.machine.run(f"cd {target} && sha256sum data").stdout
    (layer,) = mounted_at(node, target)
    size = volume.stats(node, target)[_Unit.BYTES]
    volume.hide(node, target)
    assert node.machine.run(["test", "-e", target], check=False).exit_code == 1
    volume.unstage(node)

    assert layer.split()[0] == fstype
    assert "noatime" in layer.split()[1].split(",")
    assert size.used >= 8 * MIB
    assert size.used + size.available <= size.total <= csi.GIB
    at, magic = _MAGIC[fstype]
    assert volume.read(at, len(magic)) == magic
    assert volume.left_on(node) == []
    volume.unpublish(node)
    volume.publish(other_node)
    volume.stage(other_node)
    target = volume.show(other_node)
    assert other_node.machine.run(f"cd {target} && sha256sum data").stdout == before
    volume.hide(other_node, target)
    volume.unstage(other_node)
    assert volume.left_on(other_node) == []


def test_the_raw_device_is_real(make: Make, node: Node, other_node: Node) -> None:
    """A pod gets the device: what it writes past all caches is in the array's bytes, and on the next node."""
    volume = make(csi.block())
    staging = volume.stage(node)
    target = volume.show(node)
    pattern = secrets.token_bytes(64 * 1024)
    where = f"bs=64K seek={3 * MIB} oflag=direct,seek_bytes"
    node.machine.run(f"dd of={target} {where} conv=notrunc,nocreat iflag=fullblock status=none", input=pattern)

    assert node.machine.run(["stat", "-c", "%F", target]).stdout == "block special file\n"
    assert int(node.machine.run(["blockdev", "--getsize64", target]).stdout) == csi.GIB
    assert volume.read(3 * MIB, len(pattern)) == pattern
    usage = volume.stats(node, target)
    assert {unit: found.total for unit, found in usage.items()} == {_Unit.BYTES: csi.GIB}
    assert volume.stats(node, staging)[_Unit.BYTES].total == csi.GIB
    volume.hide(node, target)
    assert node.machine.run(["test", "-e", target], check=False).exit_code == 1
    volume.unstage(node)
    assert volume.left_on(node) == []
    assert node.machine.run(["find", staging, "-mindepth", "1"]).stdout == ""
    volume.unpublish(node)
    volume.publish(other_node)
    volume.stage(other_node)
    target = volume.show(other_node)
    read = other_node.machine.run(f"dd if={target} bs=64K skip=48 count=1 iflag=direct status=none").output
    assert read == pattern
    volume.hide(other_node, target)
    volume.unstage(other_node)
    assert volume.left_on(other_node) == []


def test_everything_twice_is_once(volume: Volume, node: Node) -> None:
    """Calls repeated end as the first did: one session, one mount at each path, data untouched."""
    staging = volume.stage(node)
    node.machine.run(["touch", f"{staging}/kept"])
    before = session_ids(node, volume)
    assert volume.stage(node) == staging
    target = volume.show(node)
    volume.show(node)

    assert session_ids(node, volume) == before
    assert len(before) == 1
    assert len(mounted_at(node, staging)) == len(mounted_at(node, target)) == 1
    assert node.machine.run(["ls", "-A", target]).stdout.split() == ["kept", "lost+found"]
    for _ in range(2):
        volume.hide(node, target)
    for _ in range(2):
        volume.unstage(node)
    assert volume.left_on(node) == []


def test_pods_share_a_volume_and_one_may_only_read(volume: Volume, node: Node) -> None:
    """Two targets on a node: the writable one writes, the read-only one sees it and is refused to write."""
    volume.stage(node)
    writable, protected = volume.show(node, "pod-1"), volume.show(node, "pod-2", readonly=True)
    node.machine.run(f"echo shared > {writable}/file")

    assert node.machine.run(["cat", f"{protected}/file"]).stdout == "shared\n"
    assert "Read-only" in node.machine.run(["touch", f"{protected}/file"], check=False).stderr
    with refused(grpc.StatusCode.UNAVAILABLE, "still in use"):
        volume.unstage(node)  # takes the staging mount away and must leave the pods theirs
    assert node.machine.run(["cat", f"{protected}/file"]).stdout == "shared\n"
    assert len(session_ids(node, volume)) == 1
    volume.hide(node, writable)
    volume.hide(node, protected)
    volume.unstage(node)
    assert volume.left_on(node) == []


def test_a_read_only_device_refuses_writes_and_the_next_pod_may_write(make: Make, node: Node) -> None:
    """Protection is the device's, so a pod that is root can't get around it."""
    volume = make(csi.block())
    volume.stage(node)
    target = volume.show(node, readonly=True)
    write = f"dd if=/dev/zero of={target} bs=4096 count=1 oflag=direct conv=notrunc,nocreat status=none"

    assert node.machine.run(write, check=False).exit_code != 0
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "read-only"):
        volume.show(node, "pod-2")
    volume.hide(node, target)
    assert volume.show(node) == target
    assert node.machine.run(write).exit_code == 0
    volume.hide(node, target)
    volume.unstage(node)
    assert volume.left_on(node) == []


@pytest.mark.parametrize("kind", ["files", "device"])
def test_a_volume_for_one_pod_is_refused_to_a_second(make: Make, node: Node, kind: str) -> None:
    """ReadWriteOncePod: the second target is refused and not made, the first one may be asked for again."""
    mode = _Mode.SINGLE_NODE_SINGLE_WRITER
    volume = make(csi.mount("ext4", mode=mode) if kind == "files" else csi.block(mode=mode))
    volume.stage(node)
    first, second = volume.show(node, "pod-1"), volume.target(node, "pod-2")

    with refused(grpc.StatusCode.FAILED_PRECONDITION, first):
        volume.show(node, "pod-2")

    assert node.machine.run(["test", "-e", second], check=False).exit_code == 1
    assert volume.show(node, "pod-1") == first
    volume.hide(node, first)
    assert volume.show(node, "pod-2") == second
    volume.hide(node, second)
    volume.unstage(node)
    assert volume.left_on(node) == []


def test_a_read_only_volume_of_the_array_is_mounted_read_only(volume: Volume, node: Node) -> None:
    """The array protects it, so the node does not try to write, and says so to who asks otherwise."""
    staging = volume.stage(node)
    node.machine.run(["touch", f"{staging}/kept"])
    volume.unstage(node)
    volume.site.call("ModifyVolume", {"volumeID": volume.number, "access": "readOnly"})
    before = volume.digest()

    staging = volume.stage(node)
    target = volume.show(node)

    assert node.machine.run(["ls", f"{target}/kept"]).exit_code == 0
    assert "Read-only" in node.machine.run(["touch", f"{target}/new"], check=False).stderr
    volume.hide(node, target)
    volume.unstage(node)
    assert volume.left_on(node) == []
    assert volume.digest() == before


def test_the_node_says_who_and_where_it_is(node: Node) -> None:
    """Its initiator's name, the topology Kubernetes schedules by, and how many volumes it takes."""
    info = node.csi.node.NodeGetInfo(csi_pb2.NodeGetInfoRequest(), timeout=60)

    assert info.node_id == node.id
    assert info.node_id.startswith("node-1/iqn.")
    assert dict(info.accessible_topology.segments) == {"topology.csi-solidfire.io/hostname": "node-1"}
    assert info.max_volumes_per_node > 0


def test_statistics_count_what_is_written(volume: Volume, node: Node) -> None:
    """Bytes and inodes grow with a file; a path without the volume is not found."""
    staging = volume.stage(node)
    before = volume.stats(node, staging)
    node.machine.run(f"dd if=/dev/zero of={staging}/data bs=1M count=16 conv=fsync status=none")
    after = volume.stats(node, staging)

    assert after[_Unit.BYTES].used - before[_Unit.BYTES].used >= 16 * MIB
    assert after[_Unit.INODES].used == before[_Unit.INODES].used + 1
    assert after[_Unit.INODES].total == after[_Unit.INODES].used + after[_Unit.INODES].available
    for elsewhere in (f"{KUBELET}/pods", "/", f"{staging}/lost+found"):
        with refused(grpc.StatusCode.NOT_FOUND):
            volume.stats(node, elsewhere)
    volume.unstage(node)


def test_a_grown_volume_is_used_whole_on_the_next_node(volume: Volume, node: Node, other_node: Node) -> None:
    """The filesystem is grown when it is mounted; the data stays."""
    staging = volume.stage(node)
    node.machine.run(f"echo kept > {staging}/file")
    before = volume.stats(node, staging)[_Unit.BYTES].total
    volume.unstage(node)
    volume.unpublish(node)
    volume.site.call("ModifyVolume", {"volumeID": volume.number, "totalSize": 2 * csi.GIB})
    volume.publish(other_node)

    staging = volume.stage(other_node)

    assert volume.stats(other_node, staging)[_Unit.BYTES].total > before + csi.GIB // 2
    assert other_node.machine.run(["cat", f"{staging}/file"]).stdout == "kept\n"
    assert disk_of(other_node, volume)
    volume.unstage(other_node)
    assert volume.left_on(other_node) == []
