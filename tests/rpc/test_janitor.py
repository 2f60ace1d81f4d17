"""What is left over is removed, whatever else goes on."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from csi_solidfire import errors
from csi_solidfire.storage.cluster import Cluster
from csi_solidfire.storage.clusters import Clusters
from csi_solidfire.storage.janitor import Janitor
from lab.array import Array
from lab.array.faults import Moment
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


@pytest.mark.parametrize("what", [None, 7, "x", [], {"accountID": 1}], ids=str)
def test_an_account_that_is_none_does_not_end_it(array: Array, what: object) -> None:
    def spoil(moment: Moment) -> None:
        assert moment.answer
        moment.answer["result"]["accounts"].append(what)

    array.call("AddAccount", {"username": "left", "attributes": {ask.KEY: {"node": "n", "namespace": "shop"}}})
    array.faults.hook("ListAccounts", after=spoil)
    with Driver(array, sweep_interval=0.1):
        wait_until(lambda: not accounts(array))
    assert array.calls.methods().count("ListAccounts") > 1


def test_what_nobody_foresaw_does_not_end_it(array: Array, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rounds: list[int] = []

    class Broken(Clusters):
        def usable(self) -> tuple[dict[str, Cluster], errors.Unavailable | None]:
            rounds.append(1)
            raise KeyError("kept-to-oneself")

    janitor = Janitor(Broken(tmp_path, verify_tls=True, parallel=1), 0.01)
    janitor.start()
    wait_until(lambda: len(rounds) > 2)
    janitor.close()
    assert "broke off" in caplog.text
    assert "KeyError" in caplog.text
    assert "kept-to-oneself" not in caplog.text


def test_an_account_removed_as_empty_just_before_a_volume_moves_into_it(array: Array, driver: Driver) -> None:
    handle = create(driver)

    array.faults.hook("ModifyVolume", before=lambda _: ask.sweep(array, "node-2-shop"))
    context = publish(driver, handle, NODE_2)
    assert ask.owner(array, handle) == "node-2-shop"
    assert context["node.session.auth.password"] == accounts(array)["node-2-shop"]["initiatorSecret"]
