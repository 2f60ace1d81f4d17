"""Two clusters behind two StorageClasses, and what a user reads when one of them cannot give a volume.

The second array is a program of this machine that serves no iSCSI: volumes come and go on it, no pod mounts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lab.array import Array
from lab.kube import Api, release
from lab.kube.cluster import Cluster
from lab.kube.control_plane import GUESTS_HOST
from lab.site import MVIP
from tests.e2e.chart import upgraded
from tests.e2e.conftest import MakeSpace
from tests.e2e.objects import claim, storage_class
from tests.e2e.space import Space

_MISSPELT = "e2e-misspelt"
_KNOWN = "accountNamespace, burstIOPS, chap, cluster, deletePolicy, enable512e, fencing, maxIOPS, minIOPS, qosPolicy"
_FULL = "stage4Critical"


@pytest.fixture(scope="module")
def other() -> Iterator[Array]:
    """A second array, at an address that pods reach."""
    with Array.start("lab2", addresses=[GUESTS_HOST]) as array:
        yield array


@pytest.fixture(scope="module")
def clusters(cluster: Cluster, api: Api, other: Array) -> Iterator[None]:
    """The release with a second cluster, and with classes whose Secrets lead nowhere."""
    endpoint = f"https://{GUESTS_HOST}:{other.port}"
    right = cluster.array.secret()
    secrets = {
        "e2e-other": {
            "endpoint": endpoint,
            "username": other.username,
            "password": other.password,
            "caCert": other.ca,
        },
        "e2e-wrong": right | {"password": "not-the-password"},
        "e2e-silent": right | {"endpoint": f"https://{MVIP}:4443"},
    }
    for name, values in secrets.items():
        _write_secret(api, name, values)
    changes = {
        "clusters": [
            *release.chart_values()["clusters"],
            {"name": "other", "existingSecret": "e2e-other"},
        ],
        "storageClasses": [
            {"name": "e2e-main", "cluster": "lab", "volumeBindingMode": "Immediate"},
            {"name": "e2e-other", "cluster": "other", "volumeBindingMode": "Immediate"},
            *(
                {
                    "name": name,
                    "secret": {"name": name, "namespace": release.NAMESPACE},
                    "volumeBindingMode": "Immediate",
                }
                for name in ("e2e-wrong", "e2e-silent")
            ),
        ],
    }
    api.apply(storage_class(_MISSPELT, immediate=True, parameters={"cluster": "lab", "minIPOS": "100"}))
    with upgraded(cluster, changes):
        yield
    api.delete("StorageClass", _MISSPELT)
    for name in secrets:
        api.delete("Secret", name, release.NAMESPACE)


@pytest.fixture(scope="module")
def mixed(make_space: MakeSpace, clusters: None) -> Iterator[Space]:
    """A namespace with a claim of each class, just asked for."""
    space = make_space("mixed")
    names = ("main", "other", "wrong", "silent", "misspelt")
    space.apply(*(claim(name, storage_class=f"e2e-{name}") for name in names))
    yield space
    # Here and not with the session: the second cluster is about to go.
    space.delete()
    space.wait_gone()
    space.until(lambda: not space.persistent_volumes(), "get rid of its volumes")


def test_each_class_makes_its_volumes_on_its_cluster(mixed: Space, cluster: Cluster, other: Array) -> None:
    names = {name: mixed.bound(name)["metadata"]["name"] for name in ("main", "other")}
    assert names["main"] in _names(cluster.array.call("ListActiveVolumes"))
    assert _names(other.call("ListActiveVolumes")) == [names["other"]]
    assert names["other"] not in _names(cluster.array.call("ListActiveVolumes"))
    assert mixed.handle("other").cluster_id == "lab2"


def test_a_volume_is_deleted_on_the_cluster_it_is_on(mixed: Space, other: Array, api: Api) -> None:
    name = mixed.bound("other")["metadata"]["name"]
    mixed.remove("PersistentVolumeClaim", "other")
    mixed.until(lambda: api.find("PersistentVolume", name) is None, "get rid of the volume")
    assert _names(other.call("ListActiveVolumes")) == []
    assert mixed.bound("main")


def test_an_unknown_parameter_is_named_with_those_that_are_known(mixed: Space) -> None:
    says = mixed.event("PersistentVolumeClaim", "misspelt", "minIPOS")
    assert says.endswith(_refusal("InvalidArgument", f"parameters: 'minIPOS' is not known (known: {_KNOWN})"))


def test_refused_credentials_are_told_and_mended(mixed: Space, api: Api, cluster: Cluster) -> None:
    says = mixed.event("PersistentVolumeClaim", "wrong", "refuses")
    words = f"GetAPI: {MVIP} refuses username and password: check both (HTTP 401)"
    assert says.endswith(_refusal("Unavailable", words))
    assert "not-the-password" not in mixed.kubectl("describe", "pvc", "wrong")
    _write_secret(api, "e2e-wrong", cluster.array.secret())
    assert mixed.bound("wrong")["metadata"]["name"] in _names(cluster.array.call("ListActiveVolumes"))


def test_an_array_that_does_not_answer_is_named(mixed: Space) -> None:
    says = mixed.event("PersistentVolumeClaim", "silent", "no answer")
    words = f"GetAPI: no answer from {MVIP}:4443 (nothing listens there: the connection was refused)"
    assert says.endswith(_refusal("Unavailable", words))
    assert words in mixed.kubectl("describe", "pvc", "silent")


def test_a_full_array_is_told_and_the_claim_is_served_when_there_is_room(mixed: Space, other: Array) -> None:
    other.settings.fullness = _FULL
    mixed.apply(claim("late", storage_class="e2e-other"))
    says = mixed.event("PersistentVolumeClaim", "late", "full")
    advice = "delete volumes that nobody needs, purge the array's recycle bin, or give it more nodes"
    words = f"CreateVolume: xTotalCapacityExceeded: The cluster is full: {_FULL} ({advice})"
    assert says.endswith(_refusal("ResourceExhausted", words))
    other.settings.fullness = "stage1Happy"
    mixed.bound("late")
    assert len(_names(other.call("ListActiveVolumes"))) == 1


def _refusal(code: str, words: str) -> str:
    """How an event ends that the provisioner makes of a refusal; it begins with words of the provisioner's own."""
    return f"rpc error: code = {code} desc = {words}"


def _write_secret(api: Api, name: str, values: Mapping[str, str]) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": dict(values)}
    api.apply(secret, release.NAMESPACE)


def _names(listing: Mapping[str, Any]) -> list[str]:
    return [each["name"] for each in listing["volumes"]]
