"""Names of every kind: of volumes, of accounts, and what happens when they collide."""

from __future__ import annotations

import grpc
import pytest

from lab.array import Array
from tests.support import ask
from tests.support.ask import KEY, NODE_1, accounts, create, delete, publish, refused
from tests.support.driver import Driver

LONG_HOST = "a" * 63 + "." + "b" * 63


@pytest.mark.parametrize(
    "name",
    [
        "pvc-6d1e",
        "a" * 64,
        "a" * 65,
        "a" * 128,
        "snake_case.and dots/and slashes",
        "-",
        "---",
        "é" * 64,
        "\U0001f40b" * 32,
        "tab\tand\nnewline",
        "'; DROP TABLE volumes",
        '{"csi-solidfire": {"name": "x"}}',
    ],
    ids=lambda name: repr(name[:20]),
)
def test_any_name_is_kept_in_full_and_found_again(array: Array, driver: Driver, name: str) -> None:
    handle = create(driver, name)
    made = ask.volume(array, handle)
    assert made["attributes"][KEY]["name"] == name
    assert 1 <= len(made["name"]) <= 64
    with Driver(array) as fresh:
        assert create(fresh, name) == handle
        publish(fresh, handle)
    assert len(ask.volumes(array)) == 1


def test_names_that_differ_late_or_only_in_unfit_characters_are_different_volumes(array: Array, driver: Driver) -> None:
    names = ["a" * 127 + "x", "a" * 127 + "y", "a/b", "a b", "a_b", "a-b", "A-b", "é", "è", " a-b", "a-b "]
    handles = [create(driver, name) for name in names]
    assert len(set(handles)) == len(names)
    assert [create(driver, name) for name in names] == handles
    assert len({volume["name"] for volume in ask.volumes(array)}) == len(names)


def test_a_name_that_spells_anothers_hashed_one(array: Array, driver: Driver) -> None:
    first = create(driver, "a/b")
    spelt = ask.volume(array, first)["name"]
    second = create(driver, spelt)
    assert first != second
    assert (create(driver, "a/b"), create(driver, spelt)) == (first, second)


@pytest.mark.parametrize("name", ["", "a" * 129, "é" * 65, "nul\0", "bell\x07", "del\x7f", "c1\x85"], ids=repr)
def test_names_the_specification_excludes(array: Array, driver: Driver, name: str) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "name"):
        create(driver, name)
    assert not ask.volumes(array)


def test_a_volume_of_somebody_else_under_the_same_name_is_not_adopted(array: Array, driver: Driver) -> None:
    account = array.call("AddAccount", {"username": "cinder"})["accountID"]
    array.call("CreateVolume", {"name": "pvc-1", "accountID": account, "totalSize": 2**30})
    foreign = ask.volumes(array)[0]
    handle = create(driver, "pvc-1")
    assert handle == "lab1.2"
    assert create(driver, "pvc-1") == handle
    delete(driver, handle)
    assert ask.volumes(array) == [foreign]


def test_a_volume_in_the_recycle_bin_does_not_come_back(array: Array, driver: Driver) -> None:
    first = create(driver, "pvc-1", parameters={"deletePolicy": "recycle"})
    delete(driver, first)
    second = create(driver, "pvc-1", parameters={"deletePolicy": "recycle"})
    assert second != first
    assert ask.volume(array, first)["status"] == "deleted"


def test_two_volumes_that_claim_one_name_are_for_a_person_to_sort_out(array: Array, driver: Driver) -> None:
    handle = create(driver, "pvc-1")
    twin = {"name": "pvc-1", "accountID": 1, "totalSize": 2**30}
    array.call("CreateVolume", twin | {"attributes": ask.volume(array, handle)["attributes"]})
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.UNAVAILABLE, "1 and 2", "pvc-1"):
        create(driver, "pvc-1")
    assert ask.snapshot(array) == before


@pytest.mark.parametrize(("host", "namespace"), [("a-b", "c"), ("a", "b-c")], ids=["a-b + c first", "a + b-c first"])
def test_pairs_that_spell_one_account_name_get_two_accounts(
    array: Array, driver: Driver, host: str, namespace: str
) -> None:
    other_host, other_namespace = ("a", "b-c") if host == "a-b" else ("a-b", "c")
    first = create(driver, "pvc-1", host=host, namespace=namespace)
    second = create(driver, "pvc-2", host=other_host, namespace=other_namespace)
    assert ask.owner(array, first) == "a-b-c"
    assert ask.owner(array, second).startswith("a-b-c-")
    with Driver(array) as fresh:
        third = create(fresh, "pvc-3", host=other_host, namespace=other_namespace)
        fourth = create(fresh, "pvc-4", host=host, namespace=namespace)
    assert ask.owner(array, third) == ask.owner(array, second)
    assert ask.owner(array, fourth) == ask.owner(array, first)
    assert len(accounts(array)) == 2


def test_long_account_names_are_cut_and_stay_apart(array: Array, driver: Driver) -> None:
    handles = [
        create(driver, f"pvc-{number}", host=host, namespace=namespace)
        for number, (host, namespace) in enumerate(
            [(LONG_HOST, "c" * 63), (LONG_HOST, "c" * 62), (LONG_HOST + "b", "c" * 63), ("n" * 32, "s" * 31)]
        )
    ]
    owners = [ask.owner(array, handle) for handle in handles]
    assert len(set(owners)) == 4
    assert all(len(owner) <= 64 for owner in owners)
    assert owners[3] == "n" * 32 + "-" + "s" * 31
    with Driver(array) as fresh:
        again = create(fresh, "pvc-9", host=LONG_HOST, namespace="c" * 63)
    assert ask.owner(array, again) == owners[0]


def test_an_account_of_somebody_else_is_never_adopted(array: Array, driver: Driver) -> None:
    array.call("AddAccount", {"username": "node-1-shop", "attributes": {"owner": "trident"}})
    theirs = accounts(array)["node-1-shop"]
    handle = create(driver)
    assert ask.owner(array, handle).startswith("node-1-shop-")
    context = publish(driver, handle, NODE_1)
    assert theirs["initiatorSecret"] not in context.values()
    assert accounts(array)["node-1-shop"] == theirs


def test_when_both_names_belong_to_others_nothing_is_made(array: Array, driver: Driver) -> None:
    handle = create(driver)
    array.call("ModifyAccount", {"accountID": 1, "attributes": {}})
    with Driver(array) as fresh:
        create(fresh, "pvc-2")
    second = next(name for name in accounts(array) if name != "node-1-shop")
    array.call("ModifyAccount", {"accountID": accounts(array)[second]["accountID"], "attributes": {KEY: {"node": "x"}}})
    with Driver(array) as fresh:
        before = ask.snapshot(array)
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "node-1-shop", second, "rename or remove"):
            create(fresh, "pvc-3")
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "node-1-shop"):
            publish(fresh, handle)
        assert ask.snapshot(array) == before


@pytest.mark.parametrize("host", ["Node-1", "node_1", "", "node 1", "-node", "a" * 254])
def test_hostnames_that_cannot_be_one(array: Array, driver: Driver, host: str) -> None:
    request = ask.create_request(host="")
    request.accessibility_requirements.preferred.add(segments={"topology.csi-solidfire.io/hostname": host})
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "hostname"):
        driver.controller.CreateVolume(request)
    assert not ask.volumes(array)
