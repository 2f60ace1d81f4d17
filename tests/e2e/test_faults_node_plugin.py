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
    for name in _PODS:
        space.apply(objects.claim(name), objects.pod(name, [name], node=_NODE))
    for _ in range(_TIMES):
        _kill_when_it_has_got_on(cluster, api, space)
    for name in _PODS:
        space.running(name)
        written[name] = space.write(name, mib=2)
    assert len(set(written.values())) == len(_PODS)

    _kill_when_it_has_got_on_with_the_end(cluster, api, space)
    for name in _PODS:
        space.apply(objects.pod(name, [name], node=_NODE))
    assert {name: _read(space, name) for name in _PODS} == written
    wait_until_whole(cluster, api)


def _kill_when_it_has_got_on(cluster: Cluster, api: Api, space: Space) -> None:
    before = len(traces(cluster, _NODE))
    space.until(lambda: len(traces(cluster, _NODE)) > before, "have more on its node")
    kill_containers(cluster, api, _plugin(api), "driver")


def _kill_when_it_has_got_on_with_the_end(cluster: Cluster, api: Api, space: Space) -> None:
    """Kill it in the middle of unmounting."""
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
