"""A StorageClass's parameters, as they show on the array."""

from __future__ import annotations

import grpc
import pytest

from lab.array import Array
from tests.support import ask
from tests.support.ask import accounts, create, refused
from tests.support.driver import Driver


def _policy(array: Array, name: str, least: int = 100) -> int:
    made = array.call("CreateQoSPolicy", {"name": name, "qos": {"minIOPS": least, "maxIOPS": 4000, "burstIOPS": 5000}})
    number: int = made["qosPolicy"]["qosPolicyID"]
    return number


def test_iops_of_its_own(array: Array, driver: Driver) -> None:
    handle = create(driver, parameters={"minIOPS": "200", "maxIOPS": "1000", "burstIOPS": "2000"})
    made = ask.volume(array, handle)
    assert [made["qos"][key] for key in ("minIOPS", "maxIOPS", "burstIOPS")] == [200, 1000, 2000]
    assert made["qosPolicyID"] is None


def test_iops_left_out_are_the_arrays_default(array: Array, driver: Driver) -> None:
    made = ask.volume(array, create(driver, parameters={"minIOPS": "60"}))
    assert [made["qos"][key] for key in ("minIOPS", "maxIOPS", "burstIOPS")] == [60, 15000, 15000]


def test_iops_found_again_are_compared_as_asked(driver: Driver) -> None:
    first = create(driver, parameters={"minIOPS": "60"})
    assert create(driver, parameters={"minIOPS": "60"}) == first
    assert create(driver, parameters={"minIOPS": "60", "maxIOPS": "15000"}) == first


@pytest.mark.parametrize("iops", ["40", "16000"])
def test_iops_that_only_the_array_refuses_make_nothing(array: Array, driver: Driver, iops: str) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "CreateVolume", "xInvalidAPIParameter", "minIOPS"):
        create(driver, parameters={"minIOPS": iops, "maxIOPS": "100000", "burstIOPS": "100000"})
    assert not ask.volumes(array)


def test_a_policy_by_name(array: Array, driver: Driver) -> None:
    _policy(array, "silver", 50)
    gold = _policy(array, "gold")
    handle = create(driver, parameters={"qosPolicy": "gold"})
    made = ask.volume(array, handle)
    assert made["qosPolicyID"] == gold
    assert made["qos"]["minIOPS"] == 100
    assert create(driver, parameters={"qosPolicy": "gold"}) == handle


def test_a_policy_by_number_unless_that_is_a_name(array: Array, driver: Driver) -> None:
    first = _policy(array, "silver")
    assert ask.volume(array, create(driver, "a", parameters={"qosPolicy": str(first)}))["qosPolicyID"] == first
    named = _policy(array, str(first))
    with Driver(array) as fresh:
        handle = create(fresh, "b", parameters={"qosPolicy": str(first)})
    assert ask.volume(array, handle)["qosPolicyID"] == named


def test_a_policy_made_a_moment_ago_is_found(array: Array, driver: Driver) -> None:
    _policy(array, "silver")
    create(driver, "a", parameters={"qosPolicy": "silver"})
    gold = _policy(array, "gold")
    assert ask.volume(array, create(driver, "b", parameters={"qosPolicy": "gold"}))["qosPolicyID"] == gold


def test_a_policy_removed_and_made_anew_is_found_on_the_second_try(array: Array, driver: Driver) -> None:
    old = _policy(array, "gold")
    create(driver, "a", parameters={"qosPolicy": "gold"})
    array.call("DeleteQoSPolicy", {"qosPolicyID": old})
    new = _policy(array, "gold")
    with refused(grpc.StatusCode.UNAVAILABLE, "xQoSPolicyDoesNotExist"):
        create(driver, "b", parameters={"qosPolicy": "gold"})
    assert ask.volume(array, create(driver, "b", parameters={"qosPolicy": "gold"}))["qosPolicyID"] == new


def test_a_policy_that_is_not_there_or_not_the_only_one_of_its_name(array: Array, driver: Driver) -> None:
    first, second = _policy(array, "gold"), _policy(array, "gold")
    _policy(array, "silver")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "qosPolicy", "bronze", "gold, silver"):
        create(driver, parameters={"qosPolicy": "bronze"})
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "qosPolicy", f"{first}, {second}"):
        create(driver, parameters={"qosPolicy": "gold"})
    assert not ask.volumes(array)
    assert not accounts(array)


def test_a_lost_answer_and_then_a_lost_policy_do_not_lose_the_volume(array: Array, driver: Driver) -> None:
    """A final answer now would have the volume forgotten that the first call made."""
    gold = _policy(array, "gold")
    array.faults.lose_answer("CreateVolume")
    with refused(grpc.StatusCode.UNAVAILABLE):
        create(driver, parameters={"qosPolicy": "gold"})
    array.call("DeleteQoSPolicy", {"qosPolicyID": gold})
    with Driver(array) as fresh, refused(grpc.StatusCode.UNAVAILABLE, "gold"):
        create(fresh, parameters={"qosPolicy": "gold"})
    assert len(ask.volumes(array)) == 1


def test_sectors_are_emulated_as_512_bytes_unless_the_class_says_no(array: Array, driver: Driver) -> None:
    assert ask.volume(array, create(driver, "a"))["enable512e"] is True
    assert ask.volume(array, create(driver, "b", parameters={"enable512e": "true"}))["enable512e"] is True
    assert ask.volume(array, create(driver, "c", parameters={"enable512e": "false"}))["enable512e"] is False


def test_the_claims_namespace_wins_over_the_classs(array: Array, driver: Driver) -> None:
    owner = ask.owner(array, create(driver, "a", namespace="shop", parameters={"accountNamespace": "other"}))
    assert owner == "node-1-shop"
    assert (
        ask.owner(array, create(driver, "b", namespace="", parameters={"accountNamespace": "other"})) == "node-1-other"
    )
    assert ask.owner(array, create(driver, "c", namespace="")) == "node-1-default"


@pytest.mark.parametrize("fs_type", ["ext4", "xfs", "btrfs"])
def test_a_filesystem_among_the_parameters_is_taken(driver: Driver, fs_type: str) -> None:
    assert create(driver, parameters={"csi.storage.k8s.io/fstype": fs_type}) == "lab1.1"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("csi.storage.k8s.io/fstype", "vfat", ["ext4, xfs, btrfs"]),
        ("minIOPS", "many", ["minIOPS", "whole number"]),
        ("minIOPS", "0", ["minIOPS"]),
        ("maxIOPS", "-5", ["maxIOPS"]),
        ("burstIOPS", "200001", ["burstIOPS", "200000"]),
        ("burstIOPS", "", ["burstIOPS"]),
        ("enable512e", "yes", ["enable512e", '"true" or "false"']),
        ("fencing", "", ["fencing"]),
        ("deletePolicy", "retain", ["deletePolicy", "purge, recycle"]),
        ("deletePolicy", "", ["deletePolicy"]),
        ("accountNamespace", "Shop", ["accountNamespace"]),
        ("accountNamespace", "", ["accountNamespace"]),
        ("csi.storage.k8s.io/pvc/namespace", "-", ["pvc/namespace"]),
        ("qosPolicy", "", ["qosPolicy must not be empty"]),
        ("cluster", "c9", ["cluster", "'c9'", "c1"]),
        ("cluster", "", ["cluster must not be empty"]),
    ],
)
def test_values_it_refuses(array: Array, driver: Driver, key: str, value: str, words: list[str]) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "parameters", *words):
        create(driver, namespace="", parameters={key: value})
    assert not ask.volumes(array)
    assert not accounts(array)


def test_an_unknown_parameter_is_told_with_the_known_ones(array: Array, driver: Driver) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT) as refusal:
        create(driver, parameters={"minIops": "100", "XXX_FakeKey": "1", "maxIOPS": "x"})
    known = "accountNamespace, burstIOPS, chap, cluster, deletePolicy, enable512e, fencing, maxIOPS, minIOPS, qosPolicy"
    for words in ("'minIops' is not known", "'XXX_FakeKey' is not known", known, "maxIOPS is 'x'"):
        assert words in refusal.message
    assert not ask.volumes(array)


def test_combinations_it_refuses(array: Array, driver: Driver) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "minIOPS must not exceed maxIOPS"):
        create(driver, parameters={"minIOPS": "500", "burstIOPS": "400"})
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "qosPolicy cannot be combined"):
        create(driver, parameters={"minIOPS": "500", "qosPolicy": "gold"})
    assert not ask.volumes(array)
