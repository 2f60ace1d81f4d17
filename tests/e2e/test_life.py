"""The life of volumes as their users see it: claims, pods, and data that is still there.

Pods take a while where the CPU is emulated, so each step of all stories is taken at once, by a fixture.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping

import pytest

from csi_solidfire.handles import Chap
from lab.kube import Api, release
from lab.kube.api import Object
from lab.kube.cluster import Cluster
from lab.vm import LabError
from tests.e2e.conftest import MakeSpace
from tests.e2e.objects import claim, pod, pod_spec, storage_class
from tests.e2e.space import Space

_NODE_1, _NODE_2 = "node-1", "node-2"
_IMMEDIATE = "e2e-immediate"
_GROUP = 2000
_REPLICAS = 3
_VIEWERS = ("viewer", "beholder")
# What the kernel says of the sessions to a target, by its name.
_SESSION_USERS = "cd $(dirname $(grep -lx {iqn} /sys/class/iscsi_session/*/targetname)) && cat username username_in"


def _stateful_set() -> Object:
    template = claim("data")
    spec = pod_spec({"volumeMounts": [{"name": "data", "mountPath": "/data"}]}, [])
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db"},
        "spec": {
            "replicas": _REPLICAS,
            "serviceName": "db",
            "podManagementPolicy": "Parallel",
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"},
            "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": spec},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": template["spec"]}],
        },
    }


def _ephemeral() -> Object:
    volume = {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": claim("")["spec"]}}}
    spec = pod_spec({"volumeMounts": [{"name": "scratch", "mountPath": "/data"}]}, [volume])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "short"}, "spec": spec}


@pytest.fixture(scope="module")
def shop(make_space: MakeSpace, api: Api) -> Iterator[Space]:
    """A namespace with everything that the tests look at, just asked for."""
    api.apply(storage_class(_IMMEDIATE, immediate=True))
    space = make_space("shop")
    space.apply(
        claim("early", storage_class=_IMMEDIATE),
        *(claim(name) for name in ("ledger", "shared", "grouped")),
        *(claim(name, block=True) for name in ("raw", "picture")),
        claim("single", mode="ReadWriteOncePod"),
        pod("ledger", ["ledger"], node=_NODE_1),
        pod("raw", ["raw"], node=_NODE_1, block=True),
        pod("left", ["shared"], node=_NODE_2),
        pod("reader", ["shared"], node=_NODE_2, read_only=True),
        pod("below", ["shared"], node=_NODE_2, sub_path="deep/down"),
        *(pod(name, ["picture"], node=_NODE_2, block=True, read_only=True) for name in _VIEWERS),
        pod("grouped", ["grouped"], security={"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": _GROUP}),
        pod("single", ["single"]),
        _stateful_set(),
        _ephemeral(),
    )
    yield space
    api.delete("StorageClass", _IMMEDIATE)


@pytest.fixture(scope="module")
def early(shop: Space) -> Object:
    """The volume of a claim that was bound while no pod wanted it; now one does."""
    volume = shop.bound("early")
    shop.apply(pod("late", ["early"]))
    return volume


@pytest.fixture(scope="module")
def born(shop: Space) -> Mapping[str, str]:
    """The accounts of volumes whose pods run for the first time, on node-1."""
    for name in ("ledger", "raw"):
        shop.running(name)
    return {name: shop.account(name) for name in ("ledger", "raw")}


@pytest.fixture(scope="module")
def moved(shop: Space, born: Mapping[str, str]) -> Mapping[str, tuple[str, str]]:
    """Checksums of what pods wrote on node-1, and of what others read after them on node-2."""
    paths = {"ledger": "/data/file", "raw": "/dev/data"}
    wrote = {name: shop.write(name, path) for name, path in paths.items()}
    shop.remove("Pod", *paths)
    shop.apply(pod("ledger", ["ledger"], node=_NODE_2), pod("raw", ["raw"], node=_NODE_2, block=True))
    for name in paths:
        shop.running(name)
    return {name: (wrote[name], shop.read(name, path)) for name, path in paths.items()}


def test_an_immediate_claim_is_bound_before_any_pod_wants_it(shop: Space, early: Object) -> None:
    assert early["spec"]["capacity"]["storage"] == "1Gi"
    assert shop.volume("early")["name"] == early["metadata"]["name"]


def test_a_volume_is_born_into_the_account_of_its_pods_node_and_namespace(born: Mapping[str, str]) -> None:
    assert set(born.values()) == {"node-1-shop"}


def test_a_volume_belongs_to_the_topology_of_no_node(shop: Space, born: Mapping[str, str]) -> None:
    """The array is in reach of all nodes, so a volume that was born for one is not bound to it."""
    affinity = shop.bound("ledger")["spec"].get("nodeAffinity")
    assert affinity is None, affinity


def test_a_pods_credentials_are_in_a_secret_of_kubernetes_own_type(shop: Space, cluster: Cluster, born: object) -> None:
    volume = shop.bound("raw")
    secret = cluster_secret(shop, volume["metadata"]["name"])
    assert secret["type"] == "kubernetes.io/iscsi-chap"
    values = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert values.keys() == Chap.KEYS
    owner = shop.volume("raw")["accountID"]
    account = cluster.array.call("GetAccountByID", {"accountID": owner})["account"]
    wanted = Chap(account["username"], account["initiatorSecret"], account["targetSecret"])
    assert values == wanted.to_map()


def test_a_pod_comes_back_on_the_other_node_to_its_data(moved: Mapping[str, tuple[str, str]]) -> None:
    wrote, read = moved["ledger"]
    assert read == wrote


def test_a_raw_block_volume_comes_back_on_the_other_node(shop: Space, moved: Mapping[str, tuple[str, str]]) -> None:
    wrote, read = moved["raw"]
    assert read == wrote
    assert shop.run("raw", "blockdev --getsize64 /dev/data") == str(1 << 30)


def test_a_volume_that_moved_is_in_the_other_nodes_account(shop: Space, cluster: Cluster, moved: object) -> None:
    """And the node logs in with the account's name, which it has from the volume's Secret."""
    assert shop.account("ledger") == "node-2-shop"
    secret = cluster_secret(shop, shop.bound("ledger")["metadata"]["name"])
    assert base64.b64decode(secret["data"][Chap.USERNAME]) == b"node-2-shop"
    users = _SESSION_USERS.format(iqn=shop.volume("ledger")["iqn"])
    assert cluster.nodes[_NODE_2].run(users).stdout.split() == ["node-2-shop", "node-2-shop"]


def test_a_node_keeps_nothing_of_a_volume_that_moved_on(shop: Space, cluster: Cluster, moved: object) -> None:
    iqn = shop.volume("ledger")["iqn"]
    traces = "grep -lx {0} /sys/class/iscsi_session/*/targetname; ls -d /etc/iscsi/nodes/{0} /var/lib/iscsi/nodes/{0}"
    assert cluster.nodes[_NODE_1].run(f"{traces.format(iqn)}; echo looked", check=False).stdout == "looked\n"


def test_each_replica_of_a_stateful_set_has_a_volume_of_its_own(shop: Space) -> None:
    names = [f"db-{number}" for number in range(_REPLICAS)]
    for name in names:
        shop.running(name)
    wrote = {name: shop.write(name) for name in names}
    shop.replace(*names)
    assert {name: shop.read(name) for name in names} == wrote
    assert len(set(wrote.values())) == _REPLICAS
    assert len({shop.handle(f"data-{name}") for name in names}) == _REPLICAS
    for name in names:
        assert shop.account(f"data-{name}") == f"{shop.node_of(name)}-shop"


def test_pods_of_one_node_share_a_claim(shop: Space) -> None:
    """One of them sees a directory of it only, one may not write."""
    for name in ("left", "reader", "below"):
        shop.running(name)
    above, below = shop.write("left"), shop.write("below")
    assert (shop.read("reader"), shop.read("left", "/data/deep/down/file")) == (above, below)
    assert shop.run("below", "ls /data") == "file"
    with pytest.raises(LabError, match="Read-only file system"):
        shop.run("reader", "touch /data/mine")


def test_pods_of_one_node_share_a_raw_volume_that_none_may_write_to(shop: Space) -> None:
    for name in _VIEWERS:
        shop.running(name)
    assert len({shop.read(name, "/dev/data", mib=1) for name in _VIEWERS}) == 1
    for name in _VIEWERS:
        with pytest.raises(LabError, match=r"not permitted|denied|Read-only"):
            shop.run(name, "dd if=/dev/zero of=/dev/data bs=512 count=1 conv=notrunc")


def test_a_pod_writes_with_its_group(shop: Space) -> None:
    shop.running("grouped")
    shop.write("grouped")
    assert shop.run("grouped", "stat -c '%u %g' /data/file") == f"1000 {_GROUP}"
    assert shop.run("grouped", "stat -c %g /data") == str(_GROUP)


def test_a_claim_for_one_pod_admits_no_second(shop: Space) -> None:
    shop.running("single")
    shop.apply(pod("second", ["single"]))
    shop.event("Pod", "second", "ReadWriteOncePod access mode")
    assert "nodeName" not in shop.get("Pod", "second")["spec"]
    shop.remove("Pod", "single")
    shop.running("second")


def test_an_ephemeral_volume_goes_with_its_pod(shop: Space, api: Api) -> None:
    shop.running("short")
    wrote = shop.write("short")
    assert shop.read("short") == wrote
    volume = shop.bound("short-scratch")["metadata"]["name"]
    shop.remove("Pod", "short")
    shop.until(lambda: api.find("PersistentVolume", volume) is None, "get rid of the ephemeral volume")
    names = [each["name"] for each in shop.cluster.array.call("ListActiveVolumes")["volumes"]]
    assert volume not in names


def test_what_was_bound_early_is_used_late(shop: Space, early: Object) -> None:
    shop.running("late")
    assert shop.write("late") == shop.read("late")
    assert shop.account("early") == f"{shop.node_of('late')}-shop"


def test_a_claim_takes_volume_and_secret_with_it(shop: Space, api: Api, moved: object) -> None:
    volume = shop.bound("ledger")["metadata"]["name"]
    handle = shop.handle("ledger")
    shop.remove("Pod", "ledger")
    shop.remove("PersistentVolumeClaim", "ledger")
    shop.until(lambda: api.find("PersistentVolume", volume) is None, "get rid of the volume")
    assert api.find("Secret", volume, release.NAMESPACE) is None
    on_array = json.dumps(shop.cluster.array.call("ListActiveVolumes")["volumes"])
    assert volume not in on_array, f"volume {handle} is still there"


def cluster_secret(space: Space, name: str) -> Object:
    """Return the Secret of a volume."""
    found: Object = space.until(
        lambda: space.api.find("Secret", name, release.NAMESPACE), f"have a Secret {name} in {release.NAMESPACE}"
    )
    return found
