"""The node's plugin dies in the middle of mounting; kubelet asks its successor, and every pod has its own volume."""

from __future__ import annotations

from lab.kube import Api
from lab.kube.api import Object
from lab.kube.cluster import Cluster
from tests.e2e import objects
from tests.e2e.breaking import driver_pods, kill_containers, traces, wait_until_whole
from tests.e2e.space import Space

_NODE = "node-2"
_PODS = [f"pod-{number}" for number in range(5)]
_TIMES = 3


def test_killed_while_several_pods_start(cluster: Cluster, api: Api, space: Space) -> None:
    """Killed again whenever it has got on with it."""
    written = {}
    before = len(traces(cluster, _NODE))
    for name in _PODS:
        space.apply(objects.claim(name), objects.pod(name, [name], node=_NODE))
    for _ in range(_TIMES):
        if not _gets_on(cluster, space, before):
            break
        kill_containers(cluster, api, _plugin(api), "driver")
        before = len(traces(cluster, _NODE))
    for name in _PODS:
        space.running(name)
        written[name] = space.write(name, mib=2)
    assert len(set(written.values())) == len(_PODS)

    _kill_in_the_middle_of_unmounting(cluster, api, space)
    for name in _PODS:
        space.apply(objects.pod(name, [name], node=_NODE))
    assert {name: _read(space, name) for name in _PODS} == written
    wait_until_whole(cluster, api)


def _gets_on(cluster: Cluster, space: Space, before: int) -> bool:
    """Wait until there is more on the node than before; return False if there is no more to come, as all pods run."""

    def got_on() -> str:
        if len(traces(cluster, _NODE)) > before:
            return "more"
        return "all" if all(space.is_running(name) for name in _PODS) else ""

    return bool(space.until(got_on, "have more on its node") == "more")


def _kill_in_the_middle_of_unmounting(cluster: Cluster, api: Api, space: Space) -> None:
    before = len(traces(cluster, _NODE))
    for name in _PODS:
        api.delete("Pod", name, space.name)
    space.until(lambda: len(traces(cluster, _NODE)) < before, "have less on its node")
    kill_containers(cluster, api, _plugin(api), "driver")
    space.until(lambda: not any(space.find("Pod", name) for name in _PODS), "get rid of its pods")


def _plugin(api: Api) -> Object:
    return next(pod for pod in driver_pods(api, "node") if pod["spec"].get("nodeName") == _NODE)


def _read(space: Space, pod: str) -> str:
    space.running(pod)
    return space.read(pod, mib=2)
