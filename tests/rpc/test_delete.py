"""DeleteVolume: what goes, what stays, and what is never touched."""

from __future__ import annotations

import grpc
import pytest

from lab.array import Array
from tests.support import ask
from tests.support.ask import KEY, NODE_1, accounts, create, delete, publish, refused, unpublish
from tests.support.driver import Driver, quiet, wait_until


def test_nothing_is_left_of_a_volume(array: Array, driver: Driver) -> None:
    delete(driver, create(driver))
    assert not ask.volumes(array)
    wait_until(lambda: not accounts(array))


def test_the_recycle_bin_keeps_it_where_the_class_says_so(array: Array, driver: Driver) -> None:
    handle = create(driver, parameters={"deletePolicy": "recycle"})
    delete(driver, handle)
    assert ask.volume(array, handle)["status"] == "deleted"
    assert list(accounts(array)) == ["node-1-shop"]
    delete(driver, handle)
    assert ask.volume(array, handle)["status"] == "deleted"


def test_a_volume_put_into_the_bin_by_hand_is_purged(array: Array, driver: Driver) -> None:
    handle = create(driver)
    array.call("DeleteVolume", {"volumeID": 1})
    delete(driver, handle)
    assert not ask.volumes(array)


def test_deleting_twice_and_deleting_nothing(array: Array, driver: Driver) -> None:
    handle = create(driver)
    delete(driver, handle)
    before = ask.snapshot(array)
    for gone in (handle, "lab1.999", "fake-vol-id", "lab1.01", "LAB1.1", "lab1.4294967296", "x" * 300, "lab1.1\n"):
        delete(driver, gone)
    assert ask.volumes(array) == list(before["volumes"].values())


def test_an_id_is_needed(driver: Driver) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "volume_id"):
        delete(driver, "")


@pytest.mark.parametrize("ours", [False, True], ids=["no attributes", "other attributes"])
def test_a_volume_somebody_else_made_is_left_alone(array: Array, driver: Driver, ours: bool) -> None:
    account = array.call("AddAccount", {"username": "trident"})["accountID"]
    foreign = {"name": "pvc-1", "accountID": account, "totalSize": 10**9}
    array.call("CreateVolume", foreign | ({"attributes": {"docker": {"name": "pvc-1"}}} if ours else {}))
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "lab1.1", "not made by this driver"):
        delete(driver, "lab1.1")
    array.call("DeleteVolume", {"volumeID": 1})
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "not made by this driver"):
        delete(driver, "lab1.1")
    array.call("RestoreDeletedVolume", {"volumeID": 1})
    assert ask.snapshot(array) == before


@pytest.mark.parametrize(
    "mark",
    [
        {},
        [],
        "x",
        7,
        {"name": "pvc-1"},
        {"name": 1, "namespace": "a"},
        {"name": "a", "namespace": "b", "nodes": {"x": "y"}},
    ],
    ids=str,
)
def test_a_mark_that_makes_no_sense_is_not_guessed_at(array: Array, driver: Driver, mark: object) -> None:
    handle = create(driver)
    array.call("ModifyVolume", {"volumeID": 1, "attributes": {KEY: mark}})
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.UNAVAILABLE, "cannot be understood"):
        delete(driver, handle)
    assert ask.snapshot(array) == before


def test_a_published_volume_stays(array: Array, driver: Driver) -> None:
    handle = create(driver)
    publish(driver, handle)
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, NODE_1, "unpublish"):
        delete(driver, handle)
    assert ask.snapshot(array) == before
    unpublish(driver, handle)
    delete(driver, handle)
    assert not ask.volumes(array)


def test_an_account_stays_until_its_last_volume_goes(array: Array, driver: Driver) -> None:
    first, second = create(driver, "pvc-1"), create(driver, "pvc-2")
    other = create(driver, "pvc-3", namespace="other")
    delete(driver, first)
    delete(driver, other)
    wait_until(lambda: list(accounts(array)) == ["node-1-shop"])
    assert ask.owner(array, second) == "node-1-shop"
    delete(driver, second)
    wait_until(lambda: not accounts(array))


def test_an_account_whose_volume_is_in_the_bin_goes_once_that_is_purged(array: Array) -> None:
    with quiet(array) as driver:
        delete(driver, create(driver, parameters={"deletePolicy": "recycle"}))
    with Driver(array, sweep_interval=0.02):
        sweeps = len([method for method in array.calls.methods() if method == "ListAccounts"])
        wait_until(lambda: array.calls.methods().count("ListAccounts") > sweeps + 2)
        assert list(accounts(array)) == ["node-1-shop"]
        array.clock.advance(8 * 3600 + 1)
        wait_until(lambda: not accounts(array))


def test_other_peoples_empty_accounts_are_never_removed(array: Array) -> None:
    array.call("AddAccount", {"username": "node-1-shop"})
    array.call("AddAccount", {"username": "tools", "attributes": {"owner": "me"}})
    array.call("AddAccount", {"username": "odd", "attributes": {KEY: "driver"}})
    with quiet(array) as driver:
        delete(driver, create(driver))
    with Driver(array, sweep_interval=0.02):
        wait_until(lambda: array.calls.methods().count("ListAccounts") > 3)
        wait_until(lambda: set(accounts(array)) == {"node-1-shop", "tools", "odd"})


def test_an_account_removed_under_a_controller_is_made_again(array: Array, driver: Driver) -> None:
    create(driver, "pvc-1")
    array.call("DeleteVolume", {"volumeID": 1})
    array.call("PurgeDeletedVolume", {"volumeID": 1})
    ask.sweep(array, "node-1-shop")
    assert ask.owner(array, create(driver, "pvc-2")) == "node-1-shop"
