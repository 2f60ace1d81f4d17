"""What volumes outlive: nodes without power, and an API server, an array and kubelets that are away for a while."""

from __future__ import annotations

from lab.kube import Api
from lab.kube.cluster import Cluster
from tests.e2e import objects
from tests.e2e.breaking import Since, initiators, slowed, traces, wait_until_whole
from tests.e2e.space import Space
from tests.e2e.writing import Start, Writer

_SLOW = 5.0  # seconds that the array takes for a volume: long enough to lose the API server meanwhile


def test_node_that_lost_its_power(cluster: Cluster, api: Api, space: Space) -> None:
    """Its pod starts again on it, on the volume it had, with all that was acknowledged before."""
    writer = Writer.start(space)
    node, machine, uid = writer.node, writer.machine, writer.uid()
    before = writer.now()
    machine.run("sync")  # The container images, the notes: what is on the node's own disk is not what this is about.
    acknowledged = before.notes().acknowledged
    machine.kill()
    machine.power_on()

    space.until(lambda: writer.last(machine, uid) not in (None, before), f"have its writer again on {node}")
    wait_until_whole(cluster, api)
    assert (writer.uid(), writer.node) == (uid, node)
    writer.now()
    found, digest = writer.found(before), writer.digest(before)
    assert found >= acknowledged > 0
    # The target learns by its own time-out that the session from before the power cut is dead.
    space.until(
        lambda: initiators(cluster, writer.handle) == [machine.identity.initiator_name], "have one session alone"
    )

    writer.now()
    assert (writer.found(before), writer.digest(before)) == (found, digest)
    writer.stop()
    assert writer.is_sound()


def test_api_server_away_while_volumes_are_made(cluster: Cluster, api: Api, space: Space) -> None:
    """Twice, each time when the first of some volumes is there. A pod writes on meanwhile."""
    since = Since.now(cluster, api)
    writer = Writer.start(space)
    start = writer.now()
    names: list[str] = []
    for group in ("early", "late"):
        before = len(since.volumes())
        with slowed(cluster, "CreateVolume", _SLOW, nth=2):
            made = _start_pods_and_see_the_first_volume(space, since, group, before)
            names += made
            cluster.plane.stop_api()
            try:
                assert len(since.volumes()) < before + len(made)
                start.wait_for_writes()
            finally:
                cluster.plane.start_api()
        _wait_for_volumes(space, since, before + len(made))  # Or the array would make some of them in the next round.

    _check_pods(space, since, names)
    _check_undisturbed(writer, start)


def test_array_s_api_away_while_volumes_are_made(cluster: Cluster, api: Api, space: Space) -> None:
    """Its iSCSI serves on, and so pods write on; the rest is done when it answers again."""
    since = Since.now(cluster, api)
    writer = Writer.start(space)
    start = writer.now()
    cluster.array.array.run(["systemctl", "kill", "--signal=KILL", "lab-array"])
    try:
        names = _start_pods(space, "late")
        space.event("PersistentVolumeClaim", names[0], "no answer from")
        start.wait_for_writes()
    finally:
        cluster.array.start_array()

    _check_pods(space, since, names)
    _check_undisturbed(writer, start)


def test_kubelet_away_while_pods_start_and_end(cluster: Cluster, api: Api, space: Space) -> None:
    """Killed as volumes are mounted on its node, and as their pods end.

    Not in the middle of unmounting: of a volume that is unpublished and still staged kubelet knows nothing when it
    starts again, and leaves it there (docs/reference/limits.md).
    """
    since = Since.now(cluster, api)
    writer = Writer.start(space)
    machine, start = writer.machine, writer.now()
    node = writer.node
    before = len(traces(cluster, node))
    names = _start_pods(space, "here", node=node)
    space.until(lambda: len(traces(cluster, node)) > before, "have more on its node")
    machine.run(["systemctl", "kill", "--signal=KILL", "kubelet"])
    _check_pods(space, since, names)
    for name in names:
        api.delete("Pod", name, space.name, grace_seconds=10)  # It is killed long before it unmounts anything.
    machine.run(["systemctl", "kill", "--signal=KILL", "kubelet"])
    space.until(lambda: not any(space.find("Pod", name) for name in names), "get rid of its pods")
    _check_undisturbed(writer, start)
    wait_until_whole(cluster, api)


def _start_pods(space: Space, group: str, node: str = "") -> list[str]:
    names = [f"{group}-{number}" for number in range(3)]
    for name in names:
        space.apply(objects.claim(name), objects.pod(name, [name], node=node))
    return names


def _start_pods_and_see_the_first_volume(space: Space, since: Since, group: str, before: int) -> list[str]:
    names = _start_pods(space, group)
    _wait_for_volumes(space, since, before + 1)
    return names


def _wait_for_volumes(space: Space, since: Since, count: int) -> None:
    space.until(lambda: len(since.volumes()) >= count, f"have {count} volumes")


def _check_pods(space: Space, since: Since, names: list[str]) -> None:
    """Check that all have a volume each that keeps what is written to it, and that there are no others."""
    for name in names:
        space.running(name)
    written = [space.write(name, mib=2) for name in names]
    assert [space.read(name, mib=2) for name in names] == written
    assert len(set(written)) == len(names)
    claims = space.api.list("PersistentVolumeClaim", space.name)
    bound = sorted(each["spec"]["volumeName"] for each in claims)
    assert since.volumes() == bound
    assert since.secrets() == bound
    wait_until_whole(space.cluster, space.api)


def _check_undisturbed(writer: Writer, start: Start) -> None:
    """Check that the writer has written on all the time, and that all of it is there."""
    assert writer.now() == start
    notes = start.notes()
    assert not notes.failures
    assert writer.found(start) >= notes.acknowledged
    writer.stop()
    assert writer.is_sound()
