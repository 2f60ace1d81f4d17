"""The community's csi-sanity against controller and node service in a VM, on the real kernel.

Every spec passes, but for those that belong to capabilities the driver does not advertise. Which those
are is written down here: a spec that is skipped for any other reason fails this test.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import programs
from lab.site import KUBELET, MVIP, Node, Site

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

_GUEST = "/opt/csi-sanity"
_CLUSTER = "/run/csi-solidfire/clusters/lab"
# Specs that csi-sanity itself skips: each for a capability that is not advertised, or for its own reasons.
_NOT_ADVERTISED = re.compile(
    r"CreateSnapshot|DeleteSnapshot|ListSnapshots|GetSnapshot|GroupController|ExpandVolume|NodeExpandVolume|ModifyVolume"
    r"|ControllerModifyVolume|VolumeHealth|StorageHealth|SnapshotMetadata"
    r"|from an existing source snapshot|source snapshot is not found|from an existing source volume"
    r"|source volume is not found|volume attributes? class|mutable"
)
_NOT_ASKED_FOR = (
    "pagination should detect volumes added between pages",  # pending in csi-sanity itself
    "publishing more volumes than the node max attach limit",  # runs only with a flag of csi-sanity's
)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node that runs both services in one process."""
    with Site.start(nodes=["node-1"], drivers=False) as site:
        node = site.node("node-1")
        secret = site.clusters / "lab"
        for key in ("username", "password", "caCert", "svip"):
            node.machine.write_file(f"{_CLUSTER}/{key}", (secret / key).read_bytes(), mode=0o600)
        node.machine.write_file(f"{_CLUSTER}/endpoint", f"https://{MVIP}".encode())
        node.machine.send_tree({_GUEST: programs.built(programs.CSI_SANITY)})
        node.start_driver(
            f"--clusters-dir={Path(_CLUSTER).parent}", "--chap-in-publish-context", "--threads=16", mode="all"
        )
        yield node


@pytest.mark.parametrize("access", ["mount", "block"])
def test_csi_sanity_finds_nothing_to_complain_about(node: Node, access: str, tmp_path: Path) -> None:
    """Nothing failed, and nothing was skipped that an advertised capability switches on."""
    report = f"/run/sanity-{access}.xml"
    command = [
        _GUEST,
        "--csi.endpoint=dns:///127.0.0.1:9000",
        f"--csi.mountdir={KUBELET}/sanity-mount",
        f"--csi.stagingdir={KUBELET}/sanity-staging",
        f"--csi.testvolumeaccesstype={access}",
        f"--csi.testvolumesize={1 << 30}",
        f"--ginkgo.junit-report={report}",
        "--ginkgo.no-color",
    ]
    node.machine.run(["mkdir", "-p", KUBELET])
    ran = node.machine.run(command, check=False, timeout=800)
    specs = ET.fromstring(node.machine.read_file(report)).iter("testcase")  # noqa: S314 - written by us a moment ago
    outcomes = {spec.attrib["name"]: spec.attrib["status"] for spec in specs if "[It]" in spec.attrib["name"]}

    failed = {name: state for name, state in outcomes.items() if state not in ("passed", "skipped", "pending")}
    assert (ran.exit_code, failed) == (0, {}), f"{failed}\n{ran.stdout[-6000:]}\n{node.driver_log()[-3000:]}"
    skipped = [name for name, state in outcomes.items() if state in ("skipped", "pending")]
    unexplained = [
        name
        for name in skipped
        if not _NOT_ADVERTISED.search(name) and not any(reason in name for reason in _NOT_ASKED_FOR)
    ]
    assert not unexplained, unexplained
    assert len(outcomes) - len(skipped) > 50, f"only {len(outcomes) - len(skipped)} specs ran"


def test_csi_sanity_leaves_nothing_behind(node: Node) -> None:
    """After all of it the node has no session, disk or record."""
    left = "ls -d /sys/class/iscsi_session/* /sys/block/sd* /etc/iscsi/nodes/* 2>/dev/null"
    assert node.machine.run(left, check=False).stdout == ""
