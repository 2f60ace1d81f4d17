"""An mkfs that did not end: killed at several of its writes, with the driver or without, or with the node's power."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from lab import csi
from lab.site import Node, Site
from tests.realnode.conftest import Make
from tests.realnode.volumes import Volume, disk_of, mounted_at, start_driver
from tests.support.ask import refused
from tests.support.driver import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("realnode")]

_STAND_IN = Path(__file__).parent / "guest" / "mkfs_cut_short.py"
_FILESYSTEMS = ("ext4", "xfs", "btrfs")
# Which write to be cut before: the first, one early, one later, and (0) after the last.
_MOMENTS = {"ext4": (1, 8, 100, 0), "xfs": (1, 4, 30, 0), "btrfs": (1, 10, 30, 0)}
_CHECK = {"ext4": "e2fsck -fn", "xfs": "xfs_repair -n", "btrfs": "btrfs check --readonly"}


def place(node: Node) -> None:
    """Put the stand-in before the real programs."""
    for fstype in _FILESYSTEMS:
        node.machine.write_file(f"/usr/local/sbin/mkfs.{fstype}", _STAND_IN.read_bytes(), mode=0o755)


def remove(node: Node) -> None:
    node.machine.run("rm -f /usr/local/sbin/mkfs.* /run/mkfs-*")


@pytest.fixture
def stand_in(site: Site) -> Iterator[None]:
    place(site.node("node-1"))
    yield
    remove(site.node("node-1"))


def plan(node: Node, nth: int, how: str) -> None:
    node.machine.write_file("/run/mkfs-plan", json.dumps({"nth": nth, "how": how}).encode())


def was_cut(node: Node) -> bool:
    """Tell whether an mkfs has got to where it was to be cut, and forget it."""
    return node.machine.run(["rm", "/run/mkfs-cut"], check=False).exit_code == 0


def check_clean(node: Node, volume: Volume, fstype: str) -> None:
    """Let the filesystem's own checker look at it, unmounted; then put it back and use it."""
    staging = volume.staging()
    assert mounted_at(node, staging)[0].split()[0] == fstype
    node.machine.run(["umount", staging])
    found = node.machine.run(f"{_CHECK[fstype]} {disk_of(node, volume)}", check=False, timeout=180)
    assert found.exit_code == 0, found.stdout + found.stderr
    volume.stage(node)
    node.machine.run(f"echo used > {staging}/file && sync -f {staging}")
    volume.unstage(node)
    volume.stage(node)
    assert node.machine.run(["cat", f"{staging}/file"]).stdout == "used\n"
    volume.unstage(node)
    assert volume.left_on(node) == []


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("fstype", _FILESYSTEMS)
def test_an_mkfs_killed_at_any_write_is_done_again(make: Make, node: Node, fstype: str) -> None:
    """Each time it starts over, whatever the last one left, and what it makes in the end is sound."""
    volume = make(csi.mount(fstype))
    for nth in _MOMENTS[fstype]:
        plan(node, nth, "kill")
        with refused(grpc.StatusCode.UNAVAILABLE, "mkfs"):
            volume.stage(node)
        assert was_cut(node)
        assert mounted_at(node, volume.staging()) == []
    node.machine.run(["rm", "/run/mkfs-plan"])

    volume.stage(node)

    check_clean(node, volume, fstype)


@pytest.mark.usefixtures("stand_in")
def test_a_driver_killed_with_its_mkfs_starts_over(volume: Volume, node: Node) -> None:
    plan(node, 20, "kill both")
    with refused(grpc.StatusCode.UNAVAILABLE):
        volume.stage(node)
    assert was_cut(node)
    node.machine.run(["rm", "/run/mkfs-plan"])
    start_driver(node)

    volume.stage(node)

    check_clean(node, volume, "ext4")


@pytest.mark.parametrize("fstype", _FILESYSTEMS)
def test_an_mkfs_cut_off_by_a_power_cut_is_done_again_elsewhere(
    site: Site, make: Make, node: Node, other_node: Node, fstype: str
) -> None:
    """Half of it is on the disk; the next node takes it for what it is."""
    volume = make(csi.mount(fstype))
    place(node)
    plan(node, _MOMENTS[fstype][2], "freeze")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(volume.stage, node)
        wait_until(lambda: was_cut(node), 120)
        node.machine.kill()
        node.csi.close()
        assert isinstance(call.exception(), (grpc.RpcError, ValueError))
    replace(site, "node-1")
    assert volume.read(56 << 20, 14) == b"csi-solidfire:"
    volume.unpublish(site.node("node-1"))
    volume.publish(other_node)

    volume.stage(other_node)

    check_clean(other_node, volume, fstype)


def replace(site: Site, name: str) -> None:
    """Start a node anew in place of one whose power was cut."""
    old = site.node(name).machine
    machine = site.run.start(name, address=old.identity.addresses, forwards=old.forwards)
    site.nodes[name] = Node(machine)
    start_driver(site.nodes[name])
