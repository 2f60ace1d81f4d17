"""What breaks in a cluster, and how it is seen that it is whole again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

import requests

from csi_solidfire.handles import VolumeHandle
from lab.kube import Api, release
from lab.kube.api import Object
from lab.kube.cluster import Cluster
from lab.site import ADMIN, DRIVER
from lab.vm import Machine
from tests.e2e.leftovers import on_nodes
from tests.e2e.space import until

_OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
_LEASE: Final = DRIVER.replace(".", "-")
_CHAP_SECRET: Final = "kubernetes.io/iscsi-chap"
# Looked for first, all or none, and killed together: a sidecar ends by itself as soon as the driver has gone,
# perhaps before it is its turn.
_KILL: Final = """
files=
for id in {}; do
    files="$files $(find /sys/fs/cgroup -path "*cri-containerd-$id.scope/cgroup.kill" | grep .)" || exit {}
done
killed=
for file in $files; do echo 1 > $file || test "$killed" || exit {}; killed=1; done
"""
_NOT_THERE: Final = 69


@contextmanager
def given_up(cluster: Cluster, api: Api, node: str) -> Iterator[None]:
    """Tell Kubernetes that a node which does not answer is down for good, as an administrator does; take it back."""
    until(lambda: not is_ready(api, node), f"{node} stays ready")
    cluster.kubectl("taint", "node", node, f"{_OUT_OF_SERVICE}=nodeshutdown:NoExecute")
    try:
        yield
    finally:
        cluster.kubectl("taint", "node", node, f"{_OUT_OF_SERVICE}-")


@contextmanager
def cordoned(cluster: Cluster, node: str) -> Iterator[None]:
    """Let no new pod come to a node."""
    cluster.kubectl("cordon", node)
    try:
        yield
    finally:
        cluster.kubectl("uncordon", node)


@contextmanager
def frozen(machine: Machine) -> Iterator[None]:
    machine.pause()
    try:
        yield
    finally:
        machine.resume()


@contextmanager
def cut_off(machine: Machine) -> Iterator[None]:
    """Part a node from Kubernetes, and not from the array."""
    machine.cut("management")
    try:
        yield
    finally:
        machine.restore_link("management")


def is_ready(api: Api, node: str) -> bool:
    conditions = api.get("Node", node)["status"]["conditions"]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def wait_until_whole(cluster: Cluster, api: Api) -> None:
    """Wait until all nodes are ready, and all pods of the driver."""
    until(lambda: all(is_ready(api, node) for node in cluster.nodes), "the nodes do not get ready")
    until(lambda: _all_run(api), "the driver's pods do not get ready")


def _all_run(api: Api) -> bool:
    """Whether all pods of the driver that there should be are there and ready."""
    deployments = [(each, "replicas", "readyReplicas") for each in api.list("Deployment", release.NAMESPACE)]
    sets = [(each, "desiredNumberScheduled", "numberReady") for each in api.list("DaemonSet", release.NAMESPACE)]
    return all(
        each["status"].get("observedGeneration") == each["metadata"]["generation"]
        and 0 < each["status"].get(wanted, 0) == each["status"].get(ready, 0)
        for each, wanted, ready in deployments + sets
    )


def driver_pods(api: Api, component: str = "") -> list[Object]:
    """Return the pods of the driver that are not on their way out, of one component alone if that is said."""
    labels = "app.kubernetes.io/name=csi-solidfire" + (f",app.kubernetes.io/component={component}" if component else "")
    pods = api.list("Pod", release.NAMESPACE, labels=labels)
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def leader(api: Api) -> Object:
    """Return the pod whose provisioner leads."""

    def found() -> Object | None:
        holder = api.get("Lease", _LEASE, release.NAMESPACE)["spec"].get("holderIdentity") or ""
        return next((pod for pod in driver_pods(api, "controller") if pod["metadata"]["name"] == holder), None)

    pod: Object = until(found, "no controller leads")
    return pod


def kill_containers(cluster: Cluster, api: Api, pod: Object, *names: str) -> None:
    """Kill all processes of a pod's containers at once, those that they run on the host among them.

    What the API tells of a container may be old: of one that has ended it is asked again.
    """
    name, machine = pod["metadata"]["name"], cluster.nodes[pod["spec"]["nodeName"]]

    def killed() -> bool:
        statuses = api.get("Pod", name, release.NAMESPACE)["status"]["containerStatuses"]
        running = [each["containerID"] for each in statuses if each["name"] in names and "running" in each["state"]]
        if len(running) < len(names):
            return False
        identities = " ".join(each.rpartition("/")[2] for each in running)
        result = machine.run(_KILL.format(identities, _NOT_THERE, _NOT_THERE), check=False)
        assert result.exit_code in (0, _NOT_THERE), result
        return result.exit_code == 0

    until(killed, f"pod {name} does not run {' and '.join(names)}")


@dataclass(frozen=True)
class Since:
    """What there is that was not there before.

    Attributes:
        names: Of the volumes and Secrets that were.
    """

    cluster: Cluster
    api: Api
    names: frozenset[str]

    @classmethod
    def now(cls, cluster: Cluster, api: Api) -> Self:
        none = cls(cluster, api, frozenset())
        return cls(cluster, api, frozenset([*none.volumes(), *none.secrets()]))

    def volumes(self) -> list[str]:
        """Return the names of volumes on the array, those in the recycle bin among them."""
        found = [
            volume["name"]
            for method in ("ListActiveVolumes", "ListDeletedVolumes")
            for volume in self.cluster.array.call(method).get("volumes", [])
        ]
        return sorted(name for name in found if name not in self.names)

    def secrets(self) -> list[str]:
        """Return the names of Secrets with CHAP credentials."""
        found = [each["metadata"]["name"] for each in self.api.list("Secret", fields=f"type={_CHAP_SECRET}")]
        return sorted(name for name in found if name not in self.names)


def initiators(cluster: Cluster, handle: VolumeHandle) -> list[str]:
    """Return who is logged in to a volume, as the array says."""
    sessions = cluster.array.call("ListISCSISessions")["sessions"]
    return [session["initiatorName"] for session in sessions if session["volumeID"] == handle.volume_id]


def traces(cluster: Cluster, node: str) -> list[str]:
    """Return what there is of any volume on a node, in lines."""
    return [line for line in on_nodes(cluster) if line.startswith(f"{node}: ")]


def traces_of(cluster: Cluster, node: str, volume: Object) -> list[str]:
    """Return what there is of a PersistentVolume on a node: its name is part of its target's."""
    handle = volume["spec"]["csi"]["volumeHandle"]
    marks = (volume["metadata"]["name"], hashlib.sha256(handle.encode()).hexdigest())
    return [line for line in traces(cluster, node) if any(mark in line for mark in marks)]


@contextmanager
def slowed(cluster: Cluster, method: str, seconds: float, *, nth: int, most: int | None = None) -> Iterator[None]:
    """Let the array take its time for a method, from the n-th call on; and refuse it after so many calls at most."""
    always = {"method": method, "times": None}
    _lab(cluster, "POST", "faults", {"kind": "delay", "seconds": seconds, "nth": nth, **always})
    if most is not None:
        _lab(cluster, "POST", "faults", {"kind": "refuse", "nth": most + 1, **always})
    try:
        yield
    finally:
        _lab(cluster, "DELETE", "faults", {})


def _lab(cluster: Cluster, verb: str, topic: str, body: dict[str, Any]) -> None:
    site = cluster.array
    directory = site.clusters / "lab"
    with requests.Session() as session:
        session.trust_env = False
        session.auth = (ADMIN, (directory / "password").read_text())
        session.verify = str(directory / "caCert")
        session.request(verb, f"{site.endpoint}/lab/{topic}", json=body, timeout=60).raise_for_status()
