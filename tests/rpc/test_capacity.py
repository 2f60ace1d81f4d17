"""GetCapacity, and what happens when there is none."""

from __future__ import annotations

import grpc
import pytest

from csi_solidfire.pb import csi_pb2
from lab.array import Array
from lab.csi import GIB, mount
from tests.support import ask
from tests.support.ask import MIB, accounts, create, refused
from tests.support.driver import Driver, wait_until


def _capacity(driver: Driver, **parameters: str) -> csi_pb2.GetCapacityResponse:
    return driver.controller.GetCapacity(csi_pb2.GetCapacityRequest(parameters=parameters))


def test_what_may_still_be_promised(array: Array, driver: Driver) -> None:
    array.settings.capacity = 10 * GIB
    assert _capacity(driver).available_capacity == 50 * GIB
    create(driver, size=20 * GIB)
    answer = _capacity(driver)
    assert answer.available_capacity == 30 * GIB
    assert answer.minimum_volume_size.value == 954 * MIB
    assert answer.maximum_volume_size.value == 16384 * GIB


def test_never_less_than_nothing(array: Array, driver: Driver) -> None:
    create(driver, size=20 * GIB)
    array.settings.capacity = GIB
    assert _capacity(driver).available_capacity == 0


@pytest.mark.parametrize("fullness", ["stage4Critical", "stage5CompletelyConsumed"])
def test_a_full_array_has_nothing_to_offer_and_makes_nothing(array: Array, driver: Driver, fullness: str) -> None:
    array.settings.fullness = fullness
    assert _capacity(driver).available_capacity == 0
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "CreateVolume", "xTotalCapacityExceeded", "recycle bin"):
        create(driver)
    assert not ask.volumes(array)
    wait_until(lambda: not accounts(array))


def test_a_nearly_full_array_still_works(array: Array, driver: Driver) -> None:
    array.settings.fullness = "stage3Low"
    assert _capacity(driver).available_capacity > 0
    create(driver)


def test_questions_it_refuses(driver: Driver) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "'colour' is not known"):
        _capacity(driver, colour="red")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "'c9'", "c1"):
        _capacity(driver, cluster="c9")
    request = csi_pb2.GetCapacityRequest(volume_capabilities=[mount("ntfs")])
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "ext4, xfs, btrfs"):
        driver.controller.GetCapacity(request)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("volumeCountMax", ["xExceededLimit", "volumes"]),
        ("volumesPerAccountCountMax", ["xExceededLimit", "an account holds 1 volumes at most", "node-1", "shop"]),
        ("accountCountMax", ["AddAccount", "xExceededLimit", "accounts"]),
    ],
)
def test_limits_of_the_array(array: Array, driver: Driver, limit: str, words: list[str]) -> None:
    handle = create(driver, "pvc-1")
    array.limits[limit] = 1
    with Driver(array) as fresh:
        before = ask.snapshot(array)
        namespace = "other" if limit == "accountCountMax" else "shop"
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, *words):
            create(fresh, "pvc-2", namespace=namespace)
        assert ask.snapshot(array) == before
        assert create(fresh, "pvc-1") == handle
