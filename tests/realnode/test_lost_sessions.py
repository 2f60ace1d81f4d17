"""The array is out of reach, or has shut a node out, while the volume is in use there.

Kubelet's calls end retryable until the volume can be let go of without losing what was written, or until the kernel
has given up on it.
"""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from lab.site import Node, Site
from tests.realnode.volumes import Volume, mounted_at, session_ids, session_state, start_driver, until_done
from tests.support.ask import refused
from tests.support.driver import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("realnode")]

_RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
_LOGGED_IN = "LOGGED_IN"


@pytest.fixture(scope="module")
def impatient(site: Site) -> Iterator[Node]:
    """Node-1, whose kernel gives up on a lost session soon."""
    node = site.node("node-1")
    start_driver(node, "--replacement-timeout=4")
    yield node
    start_driver(node)


def wait_for_loss(node: Node, volume: Volume) -> None:
    wait_until(lambda: session_state(node, volume) != _LOGGED_IN, 120)


def wait_for_return(node: Node, volume: Volume) -> None:
    wait_until(lambda: session_state(node, volume) == _LOGGED_IN, 120)


def test_nothing_written_is_lost_when_the_array_is_out_of_reach(volume: Volume, node: Node) -> None:
    """Unstaging then ends retryable and ends no session: it has data still to be sent. Later, all of it is there."""
    staging = volume.stage(node)
    node.machine.run(f"sync -f {staging}; head -c 8M /dev/urandom > {staging}/data")
    before = node.machine.run(f"cd {staging} && sha256sum data").stdout
    volume.site.array.cut("storage")
    try:
        wait_for_loss(node, volume)
        with pytest.raises(grpc.RpcError) as failed:
            volume.unstage(node, timeout=6)
        assert failed.value.code() in _RETRYABLE
        assert len(session_ids(node, volume)) == 1
    finally:
        volume.site.array.restore_link("storage")
    wait_for_return(node, volume)

    until_done(lambda: volume.unstage(node))

    assert volume.left_on(node) == []
    volume.stage(node)
    assert node.machine.run(f"cd {staging} && sha256sum data").stdout == before
    volume.unstage(node)


def test_a_lost_session_that_nobody_uses_is_made_anew(volume: Volume, node: Node) -> None:
    """Staging does not wait for it to come back by itself, and leaves one session."""
    staging = volume.stage(node)
    node.machine.run(f"echo kept > {staging}/file; umount {staging}")
    (lost,) = session_ids(node, volume)
    volume.site.array.cut("storage")
    try:
        wait_for_loss(node, volume)
        with pytest.raises(grpc.RpcError) as failed:
            volume.stage(node, timeout=6)
        assert failed.value.code() in _RETRYABLE
        assert mounted_at(node, staging) == []
    finally:
        volume.site.array.restore_link("storage")

    until_done(lambda: volume.stage(node))

    assert len(session_ids(node, volume)) == 1
    assert session_state(node, volume) == _LOGGED_IN
    assert node.machine.run(["cat", f"{staging}/file"]).stdout == "kept\n"
    volume.unstage(node)
    assert volume.left_on(node) == []
    assert lost


def test_a_volume_locked_behind_the_node_s_back_can_be_let_go(volume: Volume, impatient: Node) -> None:
    """Nothing stays on the node, and what was safe before is safe."""
    node = impatient
    staging = volume.stage(node)
    node.machine.run(f"echo safe > {staging}/file; sync -f {staging}")
    volume.site.call("ModifyVolume", {"volumeID": volume.number, "access": "locked"})

    until_done(lambda: volume.unstage(node))

    assert volume.left_on(node) == []
    with refused(grpc.StatusCode.UNAUTHENTICATED):
        volume.stage(node)
    assert volume.left_on(node) == []
    volume.site.call("ModifyVolume", {"volumeID": volume.number, "access": "readWrite"})
    volume.stage(node)
    assert node.machine.run(["cat", f"{staging}/file"]).stdout == "safe\n"
    volume.unstage(node)


def test_what_a_pod_wrote_is_safe_once_it_is_unpublished(volume: Volume, impatient: Node, other_node: Node) -> None:
    """Unstaging may never be asked for: kubelet forgets it when it is killed just then."""
    volume.stage(impatient)
    target = volume.show(impatient)
    before = impatient.machine.run(f"cd {target} && head -c 8M /dev/urandom > data && sha256sum data").stdout
    volume.hide(impatient, target)

    volume.unpublish(impatient)
    volume.publish(other_node)
    volume.stage(other_node)
    target = volume.show(other_node)
    assert other_node.machine.run(f"cd {target} && sha256sum data").stdout == before
    volume.hide(other_node, target)
    volume.unstage(other_node)
    until_done(lambda: volume.unstage(impatient))
    assert volume.left_on(impatient) == volume.left_on(other_node) == []


def test_a_node_that_lost_its_volume_writes_nothing_to_it(volume: Volume, impatient: Node, other_node: Node) -> None:
    """Moved while it was mounted and being written to: node-1 is shut out, cleans up, and node-2 has its data."""
    node = impatient
    staging = volume.stage(node)
    target = volume.show(node)
    node.machine.run(f"echo before > {target}/file; sync -f {target}")
    volume.unpublish(node)
    volume.publish(other_node)
    volume.stage(other_node)
    other_node.machine.run(f"grep -x before {staging}/file && echo after > {staging}/file && sync -f {staging}")

    late = node.machine.run(f"echo late > {target}/file && sync -f {target}", check=False, timeout=180)

    assert late.exit_code != 0
    until_done(lambda: volume.hide(node, target))
    until_done(lambda: volume.unstage(node))
    assert volume.left_on(node) == []
    volume.unstage(other_node)
    volume.stage(other_node)
    assert other_node.machine.run(["cat", f"{staging}/file"]).stdout == "after\n"
    volume.unstage(other_node)


def test_a_volume_that_was_elsewhere_meanwhile_is_not_taken_for_staged(
    volume: Volume, impatient: Node, other_node: Node
) -> None:
    """Node-1 still has it mounted from before, and what it remembers of the disk is no longer so.

    The old session does not come back with the volume, so nothing stale is written or shown. Once the old mount is
    gone, all is as the other node left it.
    """
    node = impatient
    staging = volume.stage(node)
    node.machine.run(f"echo before > {staging}/file; sync -f {staging}; ls -lR {staging} > /dev/null")
    (old,) = session_ids(node, volume)
    volume.unpublish(node)
    volume.publish(other_node)
    volume.stage(other_node)
    other_node.machine.run(f"echo after > {staging}/file; mkdir {staging}/more; echo more > {staging}/more/file")
    volume.unstage(other_node)
    volume.unpublish(other_node)
    volume.publish(node)

    with refused(grpc.StatusCode.UNAVAILABLE, "session is down"):
        volume.stage(node)
    node.machine.run(f"echo stale > {staging}/file; sync -f {staging}", check=False, timeout=180)
    until_done(lambda: volume.unstage(node))
    volume.stage(node)

    assert node.machine.run(f"cd {staging} && cat file more/file").stdout == "after\nmore\n"
    assert session_ids(node, volume) != [old]
    volume.unstage(node)
    assert volume.left_on(node) == []
