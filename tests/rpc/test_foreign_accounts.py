"""A volume never stays in an account that is not the driver's, and no secret of such an account goes anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from csi_solidfire.handles import Chap
from lab.array import Array
from lab.csi import block
from tests.support import ask
from tests.support.ask import KEY, NODE_1, NODE_2, Mode, accounts, create, publish, refused
from tests.support.driver import Driver, quiet
from tests.support.secrets_api import SecretsApi

SHARED = block(mode=Mode.MULTI_NODE_MULTI_WRITER)


@pytest.fixture
def driver(array: Array, secrets: SecretsApi) -> Iterator[Driver]:
    with quiet(array, chap_secrets=secrets.kept) as driver:
        yield driver


@pytest.fixture
def other() -> Iterator[Array]:
    """An array on which somebody else's account has the number that the driver's has on the first."""
    with Array.start(unique_id="lab2") as other:
        other.call("AddAccount", {"username": "vmware-prod"})
        yield other


def _swap(array: Array, other: Array) -> None:
    """Give the address of one array to the other, as a changed name does."""
    array.cluster, other.cluster = other.cluster, array.cluster


def _is_right(array: Array, secrets: SecretsApi, name: str, handle: str, owner: str) -> None:
    account = accounts(array)[owner]
    assert ask.owner(array, handle) == owner
    assert secrets.volume(name) == handle
    assert secrets.content(name) == Chap(owner, account["initiatorSecret"], account["targetSecret"]).to_map()


def test_an_array_behind_a_known_address_is_not_taken_for_the_one_before(
    array: Array, other: Array, driver: Driver, secrets: SecretsApi
) -> None:
    """What is remembered is the first array's: the volume is born into somebody else's account before that is seen."""
    create(driver)
    theirs = accounts(other)["vmware-prod"]
    _swap(array, other)
    with refused(grpc.StatusCode.UNAVAILABLE, "belongs to cluster lab2"):
        create(driver, "pvc-2")
    assert "pvc-2" not in secrets.secrets
    handle = create(driver, "pvc-2")
    assert handle == "lab2.1"
    _is_right(array, secrets, "pvc-2", handle, "node-1-shop")
    assert len(ask.volumes(array)) == 1
    assert accounts(array)["vmware-prod"] == theirs
    assert create(driver, "pvc-3") == "lab2.2"
    _is_right(array, secrets, "pvc-3", "lab2.2", "node-1-shop")


def test_another_array_that_is_noticed_in_time_gets_no_volume_for_other_people(
    array: Array, other: Array, driver: Driver, secrets: SecretsApi
) -> None:
    """What rarely changes is asked anew at its own time, and the ids of accounts at theirs."""
    create(driver)
    _swap(array, other)
    driver.storage._clusters.configured()["c1"].forget()
    handle = create(driver, "pvc-2")
    _is_right(array, secrets, "pvc-2", handle, "node-1-shop")
    assert "ModifyVolume" not in array.calls.methods()


def test_the_secrets_of_an_account_that_lost_its_mark_go_nowhere(
    array: Array, driver: Driver, secrets: SecretsApi
) -> None:
    create(driver)
    array.call("ModifyAccount", {"accountID": 1, "attributes": {}})
    with refused(grpc.StatusCode.UNAVAILABLE, "account node-1-shop is not this driver's"):
        create(driver, "pvc-2")
    assert "pvc-2" not in secrets.secrets
    handle = create(driver, "pvc-2")
    assert ask.owner(array, handle).startswith("node-1-shop-")
    _is_right(array, secrets, "pvc-2", handle, ask.owner(array, handle))


def test_a_volume_found_in_somebody_elses_account_is_moved_before_it_is_handed_out(
    array: Array, driver: Driver, secrets: SecretsApi
) -> None:
    handle = create(driver)
    theirs = array.call("AddAccount", {"username": "backup"})["accountID"]
    array.call("ModifyVolume", {"volumeID": 1, "accountID": theirs})
    with Driver(array) as fresh:
        assert create(fresh, "pvc-1") == handle
    assert ask.owner(array, handle) == "node-1-shop"


@pytest.mark.parametrize("error", ["xInvalidParameter", "xExceededLimit", "xPermissionDenied"])
@pytest.mark.parametrize("method", ["GetAccountByID", "GetAccountByName", "ModifyVolume"])
def test_no_word_is_final_while_it_cannot_be_moved(array: Array, method: str, error: str) -> None:
    with Driver(array) as driver:
        handle = create(driver)
    theirs = array.call("AddAccount", {"username": "backup"})["accountID"]
    array.call("ModifyVolume", {"volumeID": 1, "accountID": theirs})
    with Driver(array) as fresh:
        array.faults.fail(method, error, onwards=True)
        with refused(grpc.StatusCode.UNAVAILABLE, "volume 1 is there", method):
            create(fresh)
        array.faults.clear()
        assert create(fresh) == handle
    assert ask.owner(array, handle) == "node-1-shop"


def test_a_volume_that_a_node_has_is_not_moved_by_making_it_again(array: Array, driver: Driver) -> None:
    handle = create(driver)
    publish(driver, handle)
    theirs = array.call("AddAccount", {"username": "backup"})["accountID"]
    array.call("ModifyVolume", {"volumeID": 1, "accountID": theirs})
    before = ask.volume(array, handle)
    with refused(grpc.StatusCode.UNAVAILABLE, "published"):
        create(driver)
    assert ask.volume(array, handle) == before


@pytest.mark.parametrize("capability", [None, SHARED], ids=["alone", "shared"])
def test_publishing_takes_a_volume_back_from_somebody_elses_account(
    array: Array, driver: Driver, secrets: SecretsApi, capability: Any
) -> None:
    """Moved there by hand while nodes have it: they lost it then, and theirs is what opens it again."""
    handle = create(driver, capability=capability)
    publish(driver, handle, NODE_1, capability=capability)
    owner = ask.owner(array, handle)
    theirs = array.call("AddAccount", {"username": "backup"})["accountID"]
    array.call("ModifyVolume", {"volumeID": 1, "accountID": theirs})
    node = NODE_2 if capability else NODE_1
    context = publish(driver, handle, node, capability=capability)
    assert context[Chap.USERNAME] == ask.owner(array, handle)
    assert context[Chap.USERNAME].startswith(owner)
    _is_right(array, secrets, "pvc-1", handle, context[Chap.USERNAME])
    assert NODE_1 in ask.volume(array, handle)["attributes"][KEY]["nodes"]
