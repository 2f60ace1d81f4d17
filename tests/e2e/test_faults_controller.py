"""Controllers that die in the middle of their work; others go on with it, and nothing is made twice or left behind."""

from __future__ import annotations

from lab.kube import Api
from lab.kube.cluster import Cluster
from tests.e2e import objects
from tests.e2e.breaking import Since, kill_containers, leader, slowed, wait_until_whole
from tests.e2e.space import Space

_CLASS = "at-once"
_CLAIMS = [f"claim-{number}" for number in range(20)]
_USED = _CLAIMS[::7]
# Long enough to be killed in the middle of it, and short enough that what a dead controller asked for has been done
# when the next one looks what there is: leases end after 15 s.
_SLOW = 5.0


def test_twenty_claims(cluster: Cluster, api: Api, space: Space) -> None:
    """The leader's pod is killed while it makes twenty volumes, and the next one's processes while it deletes them."""
    since = Since.now(cluster, api)
    api.apply(objects.storage_class(_CLASS, immediate=True))
    try:
        _make(space, since)
        _check_exactly_these(space, since)
        _use(space)
        _delete(space, since)
    finally:
        api.delete("StorageClass", _CLASS)
    wait_until_whole(cluster, api)


def _make(space: Space, since: Since) -> None:
    pod = leader(space.api)
    with slowed(space.cluster, "CreateVolume", _SLOW, nth=6, most=15):
        space.apply(*(objects.claim(name, storage_class=_CLASS) for name in _CLAIMS))
        space.until(lambda: len(since.volumes()) >= 3, "have some volumes")
        # At once, and not once kubelet gets to it; and the pod, lest they start again under the same name.
        kill_containers(space.cluster, space.api, pod, "driver", "provisioner")
        space.api.delete("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"], grace_seconds=0)
        assert len(since.volumes()) < len(_CLAIMS)
    for name in _CLAIMS:
        space.bound(name)


def _check_exactly_these(space: Space, since: Since) -> None:
    """Check that each claim has one volume of its own and one Secret, and that there are no others."""
    names = sorted(space.bound(name)["metadata"]["name"] for name in _CLAIMS)

    assert since.volumes() == names
    assert since.secrets() == names
    assert [space.volume(name)["name"] for name in _CLAIMS] == [
        space.bound(name)["metadata"]["name"] for name in _CLAIMS
    ]


def _use(space: Space) -> None:
    """Write something else to each of some volumes, and find it there in another pod."""
    space.apply(objects.pod("first", _USED))
    space.running("first")
    written = [space.write("first", f"/{name}/file", mib=2) for name in _USED]
    space.remove("Pod", "first")
    space.apply(objects.pod("second", _USED))
    space.running("second")
    assert [space.read("second", f"/{name}/file", mib=2) for name in _USED] == written
    assert len(set(written)) == len(_USED)
    space.remove("Pod", "second")


def _delete(space: Space, since: Since) -> None:
    with slowed(space.cluster, "DeleteVolume", _SLOW, nth=6):
        pod = leader(space.api)
        for name in _CLAIMS:
            space.api.delete("PersistentVolumeClaim", name, space.name)
        space.until(lambda: len(since.volumes()) < len(_CLAIMS), "have a volume less")
        kill_containers(space.cluster, space.api, pod, "driver", "provisioner")
        assert since.volumes()
        space.until(lambda: not since.volumes(), "get rid of its volumes")
    space.until(lambda: not since.secrets(), "get rid of its Secrets")
    space.until(lambda: not space.persistent_volumes(), "get rid of its PersistentVolumes")
