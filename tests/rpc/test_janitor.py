"""What is left over is removed, whatever else goes on."""

from __future__ import annotations

import grpc
import pytest

from lab.array import Array
from tests.support import ask
from tests.support.ask import NODE_2, accounts, create, delete, publish, refused
from tests.support.driver import Driver, wait_until


@pytest.mark.timeout(25)
def test_a_controller_ends_though_the_array_answers_no_question_about_accounts(array: Array) -> None:
    with Driver(array) as driver:
        handles = [create(driver, f"pvc-{number}") for number in range(3)]
        array.faults.refuse("GetAccountByID", onwards=True)
        for handle in handles:
            delete(driver, handle)


def test_an_account_made_for_a_volume_that_was_then_refused(array: Array, driver: Driver) -> None:
    array.faults.fail("CreateVolume", "xExceededLimit")
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "xExceededLimit"):
        create(driver)
    wait_until(lambda: not accounts(array))


def test_an_account_made_for_a_publication_that_was_then_refused(array: Array, driver: Driver) -> None:
    handle = create(driver)
    before = ask.snapshot(array)
    array.faults.fail("ModifyVolume", "xPermissionDenied")
    with refused(grpc.StatusCode.PERMISSION_DENIED, "xPermissionDenied"):
        publish(driver, handle, NODE_2)
    wait_until(lambda: ask.snapshot(array) == before)


def test_what_was_left_when_a_controller_was_killed_is_found_when_the_next_one_begins(array: Array) -> None:
    # As if it had been killed before it looked at any account, at its start or later.
    for method in ("CreateVolume", "ListAccounts", "GetAccountByID"):
        array.faults.refuse(method, onwards=True)
    with Driver(array) as driver, refused(grpc.StatusCode.UNAVAILABLE):
        create(driver)
    assert list(accounts(array)) == ["node-1-shop"]
    array.faults.clear()
    with Driver(array):
        wait_until(lambda: not accounts(array))


def test_an_account_removed_as_empty_just_before_a_volume_moves_into_it(array: Array, driver: Driver) -> None:
    handle = create(driver)

    def sweep(_: object) -> None:
        array.call("RemoveAccount", {"accountID": accounts(array)["node-2-shop"]["accountID"]})

    array.faults.hook("ModifyVolume", before=sweep)
    context = publish(driver, handle, NODE_2)
    assert ask.owner(array, handle) == "node-2-shop"
    assert context["node.session.auth.password"] == accounts(array)["node-2-shop"]["initiatorSecret"]
