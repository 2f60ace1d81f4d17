"""The driver in its container: what it does there reaches the node's kernel, iscsid and kubelet's directory."""

from __future__ import annotations

import pytest

from csi_solidfire.pb import csi_pb2
from lab import csi
from lab.site import Node, Site
from tests.container import pod
from tests.container.conftest import Make
from tests.realnode.volumes import mounted_at
from tests.support.driver import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("container")]

_SOLE = csi_pb2.VolumeCapability.AccessMode.SINGLE_NODE_SINGLE_WRITER
_NEEDED = (
    *("blkid", "blockdev", "btrfs", "dd", "e2fsck", "flock", "mkfs.btrfs", "mkfs.ext4", "mkfs.xfs", "mount", "nsenter"),
    *("resize2fs", "stat", "umount", "xfs_growfs"),
)
_ABSENT = ("pip", "pip3", "gcc", "cc", "make", "iscsiadm", "iscsid", "multipath", "curl")


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_the_node_sees_what_the_container_mounts(make: Make, node: Node, fstype: str) -> None:
    volume = make(csi.mount(fstype, mode=_SOLE))
    volume.stage(node)
    target = volume.show(node)

    (layer,) = mounted_at(node, target)
    assert layer.split()[0] == fstype
    node.machine.run(f"echo precious > {target}/data && sync -f {target}/data")
    record = node.machine.run(f"cat /etc/iscsi/nodes/{volume.iqn}/*/*").stdout
    assert "node.session.auth.authmethod" in record
    assert not any(secret in record for secret in volume.secrets)

    volume.hide(node, target)
    volume.unstage(node)
    assert volume.left_on(node) == []


def test_the_node_sees_the_device_that_the_container_shows(make: Make, node: Node) -> None:
    volume = make(csi.block())
    volume.stage(node)
    target = volume.show(node)

    node.machine.run(f"dd if=/dev/zero of={target} bs=64K count=1 oflag=direct conv=notrunc,nocreat status=none")
    assert int(node.machine.run(["blockdev", "--getsize64", target]).stdout) == csi.GIB

    volume.hide(node, target)
    volume.unstage(node)
    assert volume.left_on(node) == []


def test_a_pod_outlives_the_driver_and_the_next_driver_cleans_up(make: Make, node: Node) -> None:
    volume = make(csi.mount("ext4"))
    volume.stage(node)
    target = volume.show(node)
    node.machine.run(f"echo precious > {target}/data")

    node.stop_driver("KILL")
    assert node.machine.run(["cat", f"{target}/data"]).stdout == "precious\n"
    node.machine.run(f"echo more >> {target}/data && sync -f {target}/data")
    pod.start_node(node)

    assert volume.show(node) == target
    volume.hide(node, target)
    volume.unstage(node)
    assert volume.left_on(node) == []
    volume.stage(node)
    target = volume.show(node)
    assert node.machine.run(["cat", f"{target}/data"]).stdout == "precious\nmore\n"
    volume.hide(node, target)
    volume.unstage(node)


def test_without_iscsid_it_is_not_ready(node: Node) -> None:
    """It asks the node's iscsid, which is not in the container."""
    probe = csi_pb2.ProbeRequest()
    node.machine.run(["systemctl", "stop", "iscsid.socket", "iscsid.service"])
    try:
        assert not node.csi.identity.Probe(probe, timeout=60).ready.value
    finally:
        node.machine.run(["systemctl", "start", "iscsid.socket"])
    assert node.csi.identity.Probe(probe, timeout=60).ready.value


def test_the_image_has_what_it_runs_and_little_else(node: Node) -> None:
    script = 'for tool in "$@"; do command -v "$tool" > /dev/null && echo "$tool"; done; true'
    found = pod.run(node.machine, "node", "sh", "-c", script, "sh", *_NEEDED, *_ABSENT, wait=True)
    assert sorted(found.split()) == sorted(_NEEDED)


def test_its_mkfs_are_the_ones_that_were_tried(node: Node) -> None:
    """Where they write is known for these (docs/decisions/0009-unfinished-mkfs.md); others are to be tried first."""
    script = "mkfs.ext4 -V 2>&1; mkfs.xfs -V; mkfs.btrfs --version"
    versions = pod.run(node.machine, "node", "sh", "-c", script, wait=True)
    assert "mke2fs 1.47.0 " in versions
    assert "mkfs.xfs version 6.1.0\n" in versions
    assert "btrfs-progs v6.2\n" in versions


def test_every_module_of_the_driver_finds_what_it_imports(node: Node) -> None:
    """Half of the Kubernetes client is not in the image."""
    script = (
        "import importlib, pkgutil, csi_solidfire\n"
        "for found in pkgutil.walk_packages(csi_solidfire.__path__, 'csi_solidfire.'):\n"
        "    if not found.name.endswith('__main__'):\n"
        "        importlib.import_module(found.name)\n"
        "print('all')"
    )
    command = ("/opt/csi-solidfire/bin/python", "-c", script)
    assert pod.run(node.machine, "controller", *command, wait=True) == "all\n"


def test_the_controller_needs_neither_root_nor_a_writable_root(site: Site, node: Node) -> None:
    machine = node.machine
    program = ("/opt/csi-solidfire/bin/csi-solidfire", "controller", "--hostname=node-1", "--log-level=debug")
    pod.run(machine, "controller", *program, "--metrics-address=127.0.0.1:9810", unit="controller")
    ask = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9810/readyz', timeout=30).read())"

    def answer() -> str:
        return machine.run(["python3", "-c", ask], check=False).stdout

    try:
        wait_until(lambda: "ok" in answer(), 300)
        status = machine.run("cat /proc/$(systemctl show -P MainPID controller)/status").stdout
    finally:
        log = machine.run("journalctl -u controller --no-pager -o cat; systemctl stop controller", check=False).stdout
    facts = dict(line.split(":\t", 1) for line in status.splitlines())
    assert set(facts["Uid"].split()) == {"65532"}
    assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
    assert "ERROR" not in log
