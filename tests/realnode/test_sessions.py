"""Sessions: credentials, iscsid, whoever else uses the node, and what stands in the way of letting go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from csi_solidfire.handles import Chap, PublishContext
from csi_solidfire.pb import csi_pb2
from lab import csi
from lab.site import KUBELET, Node, Site
from tests.realnode.array_side import offer_foreign, restart_target
from tests.realnode.conftest import Make
from tests.realnode.volumes import Volume, mounted_at, session_ids, until_done
from tests.support.ask import refused
from tests.support.driver import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("realnode")]

_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
_WRONG = "wrong-secret-1"


@pytest.mark.parametrize("key", [Chap.PASSWORD, Chap.PASSWORD_IN], ids=["ours", "the array's"])
def test_a_wrong_secret_is_final_and_leaves_nothing(volume: Volume, node: Node, key: str) -> None:
    """Neither session nor record; the right one works afterwards."""
    with refused(grpc.StatusCode.UNAUTHENTICATED, volume.iqn) as refusal:
        volume.stage(node, context=volume.context | {key: _WRONG})

    assert _WRONG not in refusal.message
    assert volume.left_on(node) == []
    volume.stage(node)
    volume.unstage(node)


def test_credentials_in_the_request_s_secrets_are_used(volume: Volume, node: Node) -> None:
    """As Kubernetes gives them, from a Secret: with nothing of them in the publish context."""
    chap = {key: volume.context[key] for key in Chap.KEYS}
    context = {key: value for key, value in volume.context.items() if key not in Chap.KEYS}
    request = csi_pb2.NodeStageVolumeRequest(
        volume_id=volume.handle,
        publish_context=context,
        secrets=chap,
        staging_target_path=node.staging_path(volume.handle),
        volume_capability=volume.capability,
    )
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "secrets"):
        volume.stage(node, context=context)
    node.csi.node.NodeStageVolume(request, timeout=180)

    assert len(session_ids(node, volume)) == 1
    volume.unstage(node)
    assert volume.left_on(node) == []


def test_a_volume_that_moved_is_refused_to_the_node_it_left(volume: Volume, node: Node, other_node: Node) -> None:
    """With all that node-1 was ever told it can't get in, and node-2 is not disturbed."""
    stale = volume.context
    volume.unpublish(node)
    volume.publish(other_node)
    staging = volume.stage(other_node)

    with refused(grpc.StatusCode.UNAUTHENTICATED):
        volume.stage(node, context=stale)

    assert volume.left_on(node) == []
    assert other_node.machine.run(f"echo ok > {staging}/file && sync -f {staging}").exit_code == 0
    volume.unstage(other_node)


def test_a_session_of_an_earlier_account_is_replaced(volume: Volume, node: Node) -> None:
    """The volume changed hands: the session that the old account left can't come back and is ended."""
    staging = volume.stage(node)
    node.machine.run(f"echo kept > {staging}/file; umount {staging}")
    (stale,) = session_ids(node, volume)
    account = {"username": "another", "initiatorSecret": "another-ours1", "targetSecret": "another-theirs"}
    account_id = volume.site.call("AddAccount", account)["accountID"]
    volume.site.call("ModifyVolume", {"volumeID": volume.number, "accountID": account_id})
    context = volume.context | {
        PublishContext.USERNAME: "another",
        Chap.USERNAME: "another",
        Chap.USERNAME_IN: "another",
        Chap.PASSWORD: account["initiatorSecret"],
        Chap.PASSWORD_IN: account["targetSecret"],
    }

    until_done(lambda: volume.stage(node, context=context))

    (fresh,) = session_ids(node, volume)
    assert fresh != stale
    assert node.machine.run(["cat", f"{staging}/file"]).stdout == "kept\n"
    volume.unstage(node)
    assert volume.left_on(node) == []


def test_a_record_deleted_by_hand_is_not_needed(volume: Volume, node: Node) -> None:
    staging = volume.stage(node)
    node.machine.run(["rm", "-r", f"/etc/iscsi/nodes/{volume.iqn}"])

    volume.unstage(node)

    assert volume.left_on(node) == []
    assert mounted_at(node, staging) == []


def test_a_restarted_iscsid_keeps_the_volume_going(volume: Volume, node: Node) -> None:
    """I/O goes on, and the new iscsid can log in again when the session breaks, with no secret left in the record."""
    staging = volume.stage(node)
    before = session_ids(node, volume)

    node.machine.run(["systemctl", "restart", "iscsid.service"])
    node.machine.run(f"echo one > {staging}/file && sync -f {staging}")
    restart_target(volume)
    node.machine.run(f"echo two > {staging}/file && sync -f {staging}", timeout=180)

    assert session_ids(node, volume) == before
    volume.unstage(node)
    assert volume.left_on(node) == []
    assert volume.stage(node) == staging
    assert node.machine.run(["cat", f"{staging}/file"]).stdout == "two\n"
    volume.unstage(node)


def test_without_iscsid_the_node_is_not_ready(volume: Volume, node: Node) -> None:
    """Probe says so, staging is to be tried again and leaves no secret, and it works once iscsid is back."""
    # Masked, for iscsiadm would start it: iscsid.conf tells it how.
    node.machine.run("systemctl mask --runtime --now iscsid.socket iscsid.service")
    try:
        assert not node.csi.identity.Probe(csi_pb2.ProbeRequest(), timeout=60).ready.value
        with refused(_UNAVAILABLE, "iscsid"):
            volume.stage(node)
        assert volume.left_on(node) == []
    finally:
        node.machine.run("systemctl unmask --runtime iscsid.socket iscsid.service; systemctl start iscsid.socket")
    assert node.csi.identity.Probe(csi_pb2.ProbeRequest(), timeout=60).ready.value
    volume.stage(node)
    volume.unstage(node)


@contextmanager
def program(node: Node, command: str) -> Iterator[None]:
    """Run a program in the VM that says that it is ready by making /run/holding; end it afterwards."""
    script = f"{command}; touch /run/holding; exec sleep infinity"
    node.machine.run(["systemd-run", "--quiet", "--collect", "--unit=holder", "bash", "-c", script])
    wait_until(lambda: node.machine.run(["rm", "/run/holding"], check=False).exit_code == 0, 60)
    try:
        yield
    finally:
        node.machine.run(["systemctl", "stop", "holder"])


@pytest.mark.parametrize("kind", ["files", "device"])
def test_a_busy_volume_is_not_detached(make: Make, node: Node, kind: str) -> None:
    """A process has a file open, or the device: nothing is logged out, and all is well once it has ended."""
    volume = make(csi.mount("ext4") if kind == "files" else csi.block())
    staging = volume.stage(node)
    held = f"{staging}/file" if kind == "files" else f"{staging}/device"

    with program(node, f"exec 3>>{held}"):
        with refused(_UNAVAILABLE, staging):
            volume.unstage(node)
        assert len(session_ids(node, volume)) == 1
        assert node.machine.run(f"dd if=/dev/zero of={held} bs=4096 count=1 conv=notrunc,fsync").exit_code == 0

    volume.unstage(node)
    assert volume.left_on(node) == []


def test_a_volume_mounted_in_another_namespace_is_not_detached(volume: Volume, node: Node) -> None:
    """No list that the driver can read shows it, but the kernel knows."""
    staging = volume.stage(node)
    with _copy_of_mounts(node):
        with refused(_UNAVAILABLE, "mount namespace"):
            volume.unstage(node)
        assert len(session_ids(node, volume)) == 1
        assert mounted_at(node, staging) == []

    volume.unstage(node)
    assert volume.left_on(node) == []


@contextmanager
def _copy_of_mounts(node: Node) -> Iterator[None]:
    hold = ["systemd-run", "--quiet", "--collect", "--unit=namespace"]
    node.machine.run([*hold, "unshare", "-m", "--propagation", "private", "sh", "-c", "touch /run/copied; sleep 9999"])
    wait_until(lambda: node.machine.run(["rm", "/run/copied"], check=False).exit_code == 0, 60)
    try:
        yield
    finally:
        node.machine.run(["systemctl", "stop", "namespace"])


def test_other_people_s_sessions_and_mounts_are_left_alone(site: Site, make: Make, node: Node) -> None:
    """A session to another vendor's target, one to a volume of ours that somebody logged in to, and mounts."""
    volume, manual = make(), make()
    iqn, portal = offer_foreign(site)
    record = ["iscsiadm", "-m", "node", "-T", iqn, "-p", portal]
    node.machine.run([*record, "-o", "new"])
    node.machine.run([*record, "--login"])
    staging = manual.stage(node)
    node.machine.run(f"umount {staging}; mkdir -p {KUBELET}/else && mount -t tmpfs else {KUBELET}/else")
    look = (
        f"grep -H . /sys/class/iscsi_session/*/targetname | grep -v {volume.iqn}; ls /etc/iscsi/nodes;"
        " cat /proc/self/mountinfo; ls /dev/disk/by-path"
    )
    settled = node.machine.run(f"udevadm settle; {look}").stdout

    for _ in range(2):
        volume.stage(node)
        volume.hide(node, volume.show(node))
        volume.unstage(node)
    with refused(grpc.StatusCode.UNAUTHENTICATED):
        volume.stage(node, context=volume.context | {Chap.PASSWORD: _WRONG})

    assert node.machine.run(f"udevadm settle; {look}").stdout == settled
    assert iqn in settled
    assert manual.iqn in settled
    node.machine.run([*record, "--logout"])
    node.machine.run([*record, "-o", "delete"])
    node.machine.run(["umount", f"{KUBELET}/else"])
    manual.unstage(node)
    assert manual.left_on(node) == []
