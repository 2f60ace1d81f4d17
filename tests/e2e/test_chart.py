"""The chart in use: upgraded under a running pod, removed with nothing left, installed again with volumes in place."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from lab.kube import Api, release
from lab.kube.api import Object
from lab.kube.cluster import Cluster
from lab.site import DRIVER, KUBELET
from tests.e2e.chart import upgraded
from tests.e2e.conftest import MakeSpace
from tests.e2e.objects import claim, pod
from tests.e2e.space import Space, until

_OF_CHART = f"app.kubernetes.io/instance={release.NAME}"
_NAMESPACE = f"--namespace={release.NAMESPACE}"
_PATIENT = "--timeout=10m"
_SERVERS_OWN = {"Event", "Lease", "ComponentStatus", "PodMetrics", "NodeMetrics"}
_SOCKETS = f"find {KUBELET}/plugins_registry {KUBELET}/plugins/{DRIVER} -type s 2> /dev/null; true"


@pytest.fixture(scope="module")
def library(make_space: MakeSpace) -> Space:
    """A namespace with a pod that has a volume, through all that happens here."""
    space = make_space("library")
    space.apply(claim("books"), pod("reader", ["books"], node="node-1"))
    space.running("reader")
    return space


@pytest.fixture(scope="module")
def wrote(library: Space) -> str:
    """The checksum of what is in the volume."""
    return library.write("reader")


def test_the_sidecars_and_the_driver_were_refused_nothing(cluster: Cluster, library: Space) -> None:
    """Each in its pod, with its own ServiceAccount's token, after a volume was made and attached."""
    select = ("logs", f"--selector={_OF_CHART}", "--all-containers", "--tail=-1", "--prefix")
    log = cluster.kubectl(_NAMESPACE, *select)
    assert "forbidden" not in log.lower(), [line for line in log.splitlines() if "forbidden" in line.lower()]
    assert all(f"/{container}]" in log for container in ("driver", "provisioner", "attacher"))


def test_helm_test_makes_and_removes_a_volume(cluster: Cluster, api: Api, library: Space) -> None:
    says = cluster.helm(
        "test", release.NAME, f"--namespace={release.NAMESPACE}", "--logs", "--timeout=10m", timeout=660
    )
    assert "8 MiB written to a new volume came back as they were" in says
    until(lambda: not api.list("PersistentVolumeClaim", release.NAMESPACE), "the claim of `helm test` stays")


def test_an_upgrade_changes_every_pod_and_disturbs_no_volume(
    cluster: Cluster, api: Api, library: Space, wrote: str
) -> None:
    before = library.get("Pod", "reader")
    with upgraded(cluster, {"logLevel": "debug"}):
        arguments = _driver_arguments(api)
        assert arguments
        assert all("--log-level=debug" in each for each in arguments.values()), arguments
        assert library.read("reader") == wrote
        assert library.write("reader", "/data/more") == library.read("reader", "/data/more")
    assert all("--log-level=info" in each for each in _driver_arguments(api).values())
    assert _lives_on(before, library.get("Pod", "reader"))
    assert library.read("reader") == wrote


def test_an_uninstalled_release_leaves_nothing_and_takes_volumes_up_again(
    cluster: Cluster, api: Api, library: Space, wrote: str
) -> None:
    before = library.get("Pod", "reader")
    cluster.helm("uninstall", release.NAME, _NAMESPACE, "--wait", _PATIENT, timeout=660)
    try:
        until(lambda: not _objects_left(api), "objects of the chart stay", lambda: "\n".join(_objects_left(api)))
        until(lambda: not _sockets(cluster), "sockets stay", lambda: str(_sockets(cluster)))
        # Nobody but a new release can unmount it; the pod itself does not notice.
        assert library.read("reader") == wrote
        assert library.write("reader", "/data/alone") == library.read("reader", "/data/alone")
    finally:
        release.install(cluster)
    alone = library.read("reader", "/data/alone")
    assert _lives_on(before, library.get("Pod", "reader"))
    library.remove("Pod", "reader")
    library.apply(pod("reader", ["books"], node="node-2"))
    library.running("reader")
    assert (library.read("reader"), library.read("reader", "/data/alone")) == (wrote, alone)


def _driver_arguments(api: Api) -> Mapping[str, list[str]]:
    """Return the arguments of the driver in each pod that is not on its way out."""
    return {
        each["metadata"]["name"]: container["args"]
        for each in api.list("Pod", release.NAMESPACE, labels=_OF_CHART)
        if "deletionTimestamp" not in each["metadata"]
        for container in each["spec"]["containers"]
        if container["name"] == "driver"
    }


def _lives_on(before: Object, after: Object) -> bool:
    """Whether a pod is the same, and none of its containers was started again."""
    restarts = [each["restartCount"] for each in after["status"]["containerStatuses"]]
    return before["metadata"]["uid"] == after["metadata"]["uid"] and not any(restarts)


def _objects_left(api: Api) -> list[str]:
    """Return what the API has of the chart, of all kinds that can be listed."""
    return [
        f"{kind} {each['metadata'].get('namespace', '')}/{each['metadata']['name']}"
        for api_version, kind in api.listed_kinds()
        if kind not in _SERVERS_OWN
        for each in api.list(kind, labels=_OF_CHART, api_version=api_version)
    ]


def _sockets(cluster: Cluster) -> list[str]:
    """Return the driver's sockets on the nodes; kubelet would go on to call one."""
    return [
        f"{name}: {line}"
        for name, machine in cluster.nodes.items()
        for line in machine.run(_SOCKETS).stdout.splitlines()
    ]
