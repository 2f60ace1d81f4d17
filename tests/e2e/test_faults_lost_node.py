"""A node that Kubernetes has lost: its pod goes on elsewhere with its data, and the node can't write to it any more.

The StatefulSet's pod writes all the time; an administrator says that the node is out of service, as Kubernetes'
documentation has it. In the end the node is taken back, and the pod runs there again.
"""

from __future__ import annotations

from lab.kube import Api
from lab.kube.cluster import Cluster
from tests.e2e.breaking import cordoned, cut_off, frozen, given_up, initiators, traces_of, wait_until_whole
from tests.e2e.space import Space
from tests.e2e.writing import Start, Writer


def test_frozen_node(cluster: Cluster, api: Api, space: Space) -> None:
    """Nothing on it knows of the time that has passed when it wakes up in the middle of its writing."""
    writer = Writer.start(space)
    node, machine, uid = writer.node, writer.machine, writer.uid()
    lost = writer.now()

    with frozen(machine), given_up(cluster, api, node):
        writer.running(after=uid)
        assert writer.node != node
        found, digest = writer.found(lost), writer.digest(lost)

    _wait_until_clean(cluster, api, writer, node)
    notes = lost.notes()
    assert found in (notes.acknowledged, notes.acknowledged + 1)
    assert not notes.resumed
    _check_all_is_well(cluster, writer, lost, (found, digest))


def test_node_cut_off_from_kubernetes_alone(cluster: Cluster, api: Api, space: Space) -> None:
    """Its pod goes on, with its volume in reach, and nobody there hears that it is another one's now."""
    writer = Writer.start(space)
    node, machine, uid = writer.node, writer.machine, writer.uid()
    lost = writer.now()

    with cut_off(machine), given_up(cluster, api, node):
        writer.running(after=uid)
        assert writer.node != node
        found, digest = writer.found(lost), writer.digest(lost)
        lost.wait_for_failures()
        notes = lost.notes()
        assert machine.identity.initiator_name not in initiators(cluster, writer.handle)
        _wait_until_alone(cluster, writer)
    assert found in (notes.acknowledged, notes.acknowledged + 1)
    assert not notes.resumed
    assert writer.digest(lost) == digest

    _wait_until_clean(cluster, api, writer, node)
    _check_all_is_well(cluster, writer, lost, (found, digest))


def _wait_until_alone(cluster: Cluster, writer: Writer) -> None:
    """Wait until its node alone is logged in: a slow one may be logging in again just now."""
    alone = [cluster.nodes[writer.node].identity.initiator_name]
    writer.space.until(lambda: initiators(cluster, writer.handle) == alone, f"be at {writer.node} alone")


def _wait_until_clean(cluster: Cluster, api: Api, writer: Writer, node: str) -> None:
    """Wait until the node is back and nothing of the volume is on it."""
    wait_until_whole(cluster, api)
    volume = writer.space.bound(writer.claim)
    writer.space.until(lambda: not traces_of(cluster, node, volume), f"get off {node}")


def _check_all_is_well(cluster: Cluster, writer: Writer, lost: Start, kept: tuple[int, str]) -> None:
    """Check that the pod was not disturbed, and let it go back to the node that was lost."""
    uid, elsewhere = writer.uid(), writer.now()
    assert not elsewhere.notes().failures
    assert (writer.found(lost), writer.digest(lost)) == kept

    with cordoned(cluster, writer.node):
        writer.space.api.delete("Pod", writer.pod, writer.space.name)
        writer.running(after=uid)
    assert writer.machine == lost.machine
    writer.now()
    assert (writer.found(lost), writer.digest(lost)) == kept
    assert writer.found(elsewhere) >= elsewhere.notes().acknowledged
    _wait_until_alone(cluster, writer)

    writer.stop()
    assert writer.is_sound()
