"""Paths that are not what they claim: the right code, and nothing changed on the node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from csi_solidfire.pb import csi_pb2
from lab import csi
from lab.site import KUBELET, Node
from tests.realnode.conftest import Make
from tests.realnode.volumes import Volume, mounted_at
from tests.support.ask import refused

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("realnode")]

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_BAD = {
    "relative": "var/lib/kubelet/x",
    "outside": "/srv/x",
    "kubelet's own directory": KUBELET,
    "a beginning alike": f"{KUBELET}-other/x",
    "dots": f"{KUBELET}/../../../srv/x",
    "a link": f"{KUBELET}/bad/link",
    "below a link that leads out": f"{KUBELET}/bad/out/x",
    "too long": f"{KUBELET}/{'x' * 300}",
}


@pytest.fixture(scope="module", autouse=True)
def places(request: pytest.FixtureRequest) -> None:
    """Links, and a directory that they lead to."""
    machine = request.getfixturevalue("site").node("node-1").machine
    machine.run(
        f"mkdir -p {KUBELET}/bad/real /srv/x {KUBELET}-other/x && echo keep > /srv/x/file && "
        f"ln -sfn {KUBELET}/bad/real {KUBELET}/bad/link && ln -sfn /srv {KUBELET}/bad/out"
    )


@contextmanager
def unchanged(node: Node) -> Iterator[None]:
    """Expect the same mounts, files, sessions and records afterwards."""
    look = (
        f"cat /proc/self/mountinfo; find {KUBELET} {KUBELET}-other /srv/x -xdev -printf '%p %y %l\\n' | sort;"
        " ls /sys/class/iscsi_session /etc/iscsi/nodes"
    )
    before = node.machine.run(look, check=False).stdout
    yield
    assert node.machine.run(look, check=False).stdout == before


@pytest.mark.parametrize("path", _BAD.values(), ids=_BAD)
def test_a_staging_path_that_is_not_what_it_claims(volume: Volume, node: Node, path: str) -> None:
    with unchanged(node):
        with refused(_INVALID, "staging_target_path"):
            volume.stage(node, path=path)
        with refused(_INVALID, "staging_target_path"):
            volume.unstage(node, path=path)
        with refused(grpc.StatusCode.NOT_FOUND):
            volume.stats(node, path)


def test_target_paths_that_are_not_what_they_claim(volume: Volume, node: Node) -> None:
    volume.stage(node)
    for path in _BAD.values():
        with unchanged(node):
            with refused(_INVALID, "target_path"):
                volume.show(node, path=path)
            with refused(_INVALID, "target_path"):
                volume.hide(node, path)
    with unchanged(node), refused(_INVALID, "does not exist"):
        volume.show(node, path=f"{KUBELET}/pods/nobody/volumes/x")
    volume.unstage(node)


def test_a_staging_directory_that_is_missing_or_a_file(volume: Volume, node: Node) -> None:
    node.machine.run(["touch", f"{KUBELET}/bad/file"])
    for path in (f"{KUBELET}/bad/missing", f"{KUBELET}/bad/file"):
        with unchanged(node), refused(_INVALID, "directory"):
            volume.stage(node, path=path)


@pytest.mark.parametrize("kind", ["files", "device"])
def test_something_else_is_mounted_there(make: Make, node: Node, kind: str) -> None:
    """Neither mounted over nor unmounted."""
    volume = make(csi.mount("ext4") if kind == "files" else csi.block())
    staging = node.staging_path(volume.handle)
    node.machine.run(["mount", "-t", "tmpfs", "other", staging])
    with unchanged(node):
        with refused(grpc.StatusCode.ALREADY_EXISTS, staging):
            volume.stage(node)
        with refused(grpc.StatusCode.FAILED_PRECONDITION, staging):
            volume.unstage(node)
    node.machine.run(["umount", staging])
    volume.stage(node)
    target = volume.target(node)
    node.machine.run(f"mkdir -p {target} && mount -t tmpfs other {target}")
    with unchanged(node):
        with refused(grpc.StatusCode.ALREADY_EXISTS, target):
            volume.show(node)
        with refused(grpc.StatusCode.FAILED_PRECONDITION, target):
            volume.hide(node, target)
    node.machine.run(f"umount {target} && rmdir {target}")
    volume.unstage(node)
    assert volume.left_on(node) == []


def test_another_volume_is_mounted_there(make: Make, node: Node) -> None:
    volume, other = make(), make()
    staging, target = other.stage(node), volume.target(node)

    with unchanged(node):
        with refused(grpc.StatusCode.ALREADY_EXISTS, volume.handle):
            volume.stage(node, path=staging)
        with refused(grpc.StatusCode.FAILED_PRECONDITION, other.handle):
            volume.unstage(node, path=staging)
        with refused(grpc.StatusCode.FAILED_PRECONDITION, volume.handle):
            volume.show(node, path=target, staging=staging)
        with refused(grpc.StatusCode.NOT_FOUND, volume.handle):
            volume.stats(node, staging)

    other.unstage(node)
    assert other.left_on(node) == []


def test_files_in_a_target_are_nobody_s_to_delete(volume: Volume, node: Node) -> None:
    """A directory that holds something is not removed, nor is a file with content."""
    target = volume.target(node)
    node.machine.run(f"mkdir -p {target} && echo keep > {target}/file")
    with unchanged(node):
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "files"):
            volume.hide(node, target)
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "file"):
            volume.hide(node, f"{target}/file")
    assert node.machine.run(["cat", f"{target}/file"]).stdout == "keep\n"


def test_staged_in_another_way(volume: Volume, node: Node) -> None:
    """As a device, or with another filesystem, or somewhere else: refused, and what is staged goes on."""
    staging = volume.stage(node)
    elsewhere = f"{KUBELET}/bad/elsewhere"
    node.machine.run(["mkdir", "-p", elsewhere])

    with unchanged(node):
        for capability in (csi.block(), csi.mount("xfs")):
            with refused(grpc.StatusCode.UNAVAILABLE, volume.handle, staging):
                volume.stage(node, capability=capability)
        with refused(grpc.StatusCode.UNAVAILABLE, staging):
            volume.stage(node, path=elsewhere)
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "not staged"):
            volume.show(node, capability=csi.block(), path=f"{KUBELET}/bad/device")

    assert len(mounted_at(node, staging)) == 1
    volume.unstage(node)
    assert volume.left_on(node) == []


def test_what_is_not_staged_cannot_be_published(volume: Volume, node: Node) -> None:
    target, staging = volume.target(node), node.staging_path(volume.handle)

    with unchanged(node):
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "not staged"):
            volume.show(node, path=target, staging=staging)
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "staging_target_path"):
            volume.show(node, path=target, staging="")


def test_what_was_never_there_is_gone_already(volume: Volume, node: Node) -> None:
    """Unpublishing and unstaging nothing is success; so is a volume of another cluster."""
    volume.hide(node, volume.target(node))
    volume.unstage(node)
    request = csi_pb2.NodeUnstageVolumeRequest(volume_id="none.77", staging_target_path=f"{KUBELET}/bad/real")
    node.csi.node.NodeUnstageVolume(request, timeout=60)
