"""Volumes copied on the array carry the original's mark; nothing of the original's becomes the copy's by that."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from csi_solidfire.handles import Chap
from lab.array import Array
from tests.support import ask
from tests.support.ask import KEY, NODE_1, NODE_2, accounts, create, delete, publish, refused, unpublish
from tests.support.driver import Driver, quiet
from tests.support.secrets_api import DRIVER, SecretsApi

LABEL = f"{DRIVER}/volume"


@pytest.fixture
def driver(array: Array, secrets: SecretsApi) -> Iterator[Driver]:
    with quiet(array, chap_secrets=secrets.kept) as driver:
        yield driver


def _copy(array: Array, handle: str) -> str:
    """A clone made by hand, as one does to look at data of yesterday; for a PersistentVolume made by hand, too."""
    array.settings.clone_seconds = 0.0
    made = array.call("CloneVolume", {"volumeID": int(handle.split(".")[1]), "name": "inspect"})
    return f"{handle.split('.')[0]}.{made['volumeID']}"


def _rename(array: Array, handle: str, name: str) -> None:
    attributes = ask.volume(array, handle)["attributes"]
    attributes[KEY]["name"] = name
    array.call("ModifyVolume", {"volumeID": int(handle.split(".")[1]), "attributes": attributes})


def _opens(array: Array, secrets: SecretsApi, name: str, handle: str) -> bool:
    account = accounts(array)[ask.owner(array, handle)]
    right = Chap(account["username"], account["initiatorSecret"], account["targetSecret"])
    return secrets.volume(name) == handle and secrets.content(name) == right.to_map()


def test_a_copy_neither_takes_nor_removes_its_originals_secret(
    array: Array, driver: Driver, secrets: SecretsApi
) -> None:
    handle = create(driver)
    copy = _copy(array, handle)
    publish(driver, handle, NODE_1)
    before = secrets.secrets["pvc-1"]
    for _ in range(2):
        with refused(grpc.StatusCode.UNAVAILABLE, f"pvc-1 is that of volume {handle}", copy, "another name"):
            publish(driver, copy, NODE_2)
    assert secrets.secrets == {"pvc-1": before}
    unpublish(driver, copy, NODE_2)
    delete(driver, copy)
    assert secrets.secrets == {"pvc-1": before}
    assert _opens(array, secrets, "pvc-1", handle)


def test_a_copy_with_a_name_of_its_own_has_a_secret_of_its_own(
    array: Array, driver: Driver, secrets: SecretsApi
) -> None:
    """What the message asks for."""
    handle = create(driver)
    copy = _copy(array, handle)
    publish(driver, handle, NODE_1)
    _rename(array, copy, "inspect")
    publish(driver, copy, NODE_2)
    assert _opens(array, secrets, "pvc-1", handle)
    assert _opens(array, secrets, "inspect", copy)
    unpublish(driver, copy, NODE_2)
    delete(driver, copy)
    assert set(secrets.secrets) == {"pvc-1"}


def test_an_original_gets_back_what_a_copy_once_took(array: Array, driver: Driver, secrets: SecretsApi) -> None:
    """Earlier releases let it."""
    handle = create(driver)
    copy = _copy(array, handle)
    secrets.secrets["pvc-1"]["metadata"]["labels"][LABEL] = copy
    with refused(grpc.StatusCode.UNAVAILABLE, f"pvc-1 is that of volume {copy}"):
        publish(driver, handle)
    _rename(array, copy, "inspect")
    publish(driver, handle)
    assert _opens(array, secrets, "pvc-1", handle)


@pytest.mark.parametrize("purged", [True, False], ids=["purged", "in the recycle bin"])
def test_the_secret_of_a_volume_that_is_gone_is_taken(
    array: Array, driver: Driver, secrets: SecretsApi, purged: bool
) -> None:
    """Somebody deletes the volume of a claim on the array before it is bound; the provisioner makes another."""
    create(driver)
    array.call("DeleteVolume", {"volumeID": 1})
    if purged:
        array.call("PurgeDeletedVolume", {"volumeID": 1})
    handle = create(driver)
    assert handle == "lab1.2"
    assert _opens(array, secrets, "pvc-1", handle)


@pytest.mark.parametrize("label", ["lab9", "nonsense", ""])
def test_a_label_that_names_no_volume_is_corrected(
    array: Array, driver: Driver, secrets: SecretsApi, label: str
) -> None:
    handle = create(driver)
    secrets.secrets["pvc-1"]["metadata"]["labels"][LABEL] = label
    publish(driver, handle)
    assert _opens(array, secrets, "pvc-1", handle)


def test_a_volume_of_a_cluster_that_nobody_knows_may_be_there(
    array: Array, driver: Driver, secrets: SecretsApi
) -> None:
    handle = create(driver)
    secrets.secrets["pvc-1"]["metadata"]["labels"][LABEL] = "lab9.1"
    before = dict(secrets.secrets["pvc-1"])
    for call in (lambda: create(driver), lambda: publish(driver, handle)):
        with refused(grpc.StatusCode.UNAVAILABLE, "volume lab9.1", "cannot be seen", "remove the Secret"):
            call()
    assert secrets.secrets["pvc-1"] == before
    del secrets.secrets["pvc-1"]
    publish(driver, handle)
    assert _opens(array, secrets, "pvc-1", handle)


def test_a_volume_of_another_cluster_is_asked_for_there(array: Array, secrets: SecretsApi) -> None:
    """And not by its number on this one, nor with the credentials that came with the request."""
    with Array.start(unique_id="lab2") as other, quiet(array, other, chap_secrets=secrets.kept) as driver:
        elsewhere = create(driver, parameters={"cluster": "c2"})
        with refused(grpc.StatusCode.UNAVAILABLE, f"pvc-1 is that of volume {elsewhere}"):
            create(driver, parameters={"cluster": "c1"})
        assert _opens(other, secrets, "pvc-1", elsewhere)
        other.faults.fail("ListVolumes", "xPermissionDenied")
        with refused(grpc.StatusCode.UNAVAILABLE, "cannot be seen"):
            create(driver, parameters={"cluster": "c1"})
        other.call("DeleteVolume", {"volumeID": 1})
        assert create(driver, parameters={"cluster": "c1"}) == "lab1.1"
        assert _opens(array, secrets, "pvc-1", "lab1.1")
