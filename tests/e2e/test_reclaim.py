"""What becomes of a volume when its claim goes, and how one that was kept is used again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.kube import Api, release
from lab.kube.api import Object
from lab.site import DRIVER
from tests.e2e.conftest import MakeSpace
from tests.e2e.objects import claim, pod, storage_class
from tests.e2e.space import Space

_KEEPING = "e2e-keeping"


def _static(name: str, handle: str, secret: str, reclaim: str) -> Object:
    """A PersistentVolume as an administrator writes one for a volume that exists.

    Args:
        name: Its name.
        handle: Which volume it is.
        secret: The name that the volume was made under: the driver keeps its credentials in a Secret called so.
        reclaim: What is to become of the volume.
    """
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER}},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": reclaim,
            "storageClassName": "",
            "csi": {
                "driver": DRIVER,
                "volumeHandle": handle,
                "fsType": "ext4",
                "nodeStageSecretRef": {"name": secret, "namespace": release.NAMESPACE},
            },
        },
    }


@pytest.fixture(scope="module")
def archive(make_space: MakeSpace, api: Api) -> Iterator[Space]:
    """A namespace with pods that are just asked for."""
    api.apply(storage_class(_KEEPING, reclaim="Retain"))
    space = make_space("archive")
    space.apply(
        claim("kept", storage_class=_KEEPING), pod("keeper", ["kept"]), claim("dropped"), pod("dropper", ["dropped"])
    )
    yield space
    api.delete("StorageClass", _KEEPING)


def test_a_volume_to_delete_goes_with_its_claim(archive: Space, api: Api) -> None:
    archive.running("dropper")
    name = archive.bound("dropped")["metadata"]["name"]
    archive.remove("Pod", "dropper")
    archive.remove("PersistentVolumeClaim", "dropped")
    archive.until(lambda: api.find("PersistentVolume", name) is None, "get rid of the volume")
    assert api.find("Secret", name, release.NAMESPACE) is None
    kept = [*_names(archive, "ListActiveVolumes"), *_names(archive, "ListDeletedVolumes")]
    assert name not in kept


def test_a_volume_to_keep_outlives_its_claim_and_is_used_again(archive: Space, api: Api) -> None:
    archive.running("keeper")
    wrote = archive.write("keeper")
    name, handle = archive.bound("kept")["metadata"]["name"], str(archive.handle("kept"))
    archive.remove("Pod", "keeper")
    archive.remove("PersistentVolumeClaim", "kept")
    archive.until(lambda: api.get("PersistentVolume", name)["status"]["phase"] == "Released", "release the volume")
    api.delete("PersistentVolume", name)
    archive.until(lambda: api.find("PersistentVolume", name) is None, "let go of the volume")
    assert name in _names(archive, "ListActiveVolumes")

    archive.apply(_static("old-books", handle, name, "Delete"))
    archive.apply(claim("again", storage_class="", volume="old-books"), pod("finder", ["again"]))
    archive.running("finder")
    assert archive.read("finder") == wrote

    archive.remove("Pod", "finder")
    archive.remove("PersistentVolumeClaim", "again")
    archive.until(lambda: api.find("PersistentVolume", "old-books") is None, "get rid of the volume")
    assert name not in _names(archive, "ListActiveVolumes")


def test_a_volume_that_somebody_else_made_is_left_alone(archive: Space) -> None:
    array = archive.cluster.array
    account = array.call("AddAccount", {"username": "somebody"})["account"]["accountID"]
    asked = {"name": "theirs", "accountID": account, "totalSize": 1 << 30, "enable512e": True}
    number = array.call("CreateVolume", asked)["volumeID"]
    handle = f"{array.call('GetClusterInfo')['clusterInfo']['uniqueID']}.{number}"
    try:
        archive.apply(_static("theirs", handle, "theirs", "Retain"), claim("theirs", storage_class="", volume="theirs"))
        archive.apply(pod("thief", ["theirs"]))
        says = archive.event("Pod", "thief", "was not made by this driver")
        assert f"volume {handle} (theirs) was not made by this driver: it is left alone" in says
        archive.remove("Pod", "thief")
        archive.remove("PersistentVolumeClaim", "theirs")
        archive.api.delete("PersistentVolume", "theirs")
    finally:
        array.call("DeleteVolume", {"volumeID": number})
        array.call("PurgeDeletedVolume", {"volumeID": number})
        array.call("RemoveAccount", {"accountID": account})


def _names(space: Space, listing: str) -> list[str]:
    return [each["name"] for each in space.cluster.array.call(listing)["volumes"]]
