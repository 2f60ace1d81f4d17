"""An earlier CreateVolume may have made the volume: until it was looked for, no refusal is the last word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from lab.array import Array
from lab.array.faults import Moment
from tests.support import ask
from tests.support.ask import create, refused
from tests.support.driver import Driver

GOLD = {"qosPolicy": "gold"}
DEFINITE = ["xUnknownAPIMethod", "xInvalidParameter", "xExceededLimit", "xPermissionDenied"]


@pytest.fixture
def handle(array: Array) -> str:
    """A volume whose making nobody was told of: the controller ended."""
    array.call("CreateQoSPolicy", {"name": "gold", "qos": {"minIOPS": 100}})
    with Driver(array) as driver:
        return create(driver, parameters=GOLD)


def _versions(versions: list[Any]) -> Callable[[Moment], None]:
    def change(moment: Moment) -> None:
        assert moment.answer
        moment.answer["result"]["supportedVersions"] = versions

    return change


@pytest.mark.parametrize("error", DEFINITE)
@pytest.mark.parametrize("method", ["GetAPI", "ListVolumes", "GetClusterInfo", "ListQoSPolicies"])
def test_who_may_not_look_asks_again(array: Array, handle: str, method: str, error: str) -> None:
    array.faults.fail(method, error, onwards=True)
    with Driver(array) as driver:
        with refused(grpc.StatusCode.UNAVAILABLE, method, error):
            create(driver, parameters=GOLD)
        array.faults.clear()
        assert create(driver, parameters=GOLD) == handle
    assert len(ask.volumes(array)) == 1


@pytest.mark.parametrize(
    ("versions", "said"),
    [([], "names no version"), (["", None, "x.5"], "names no version"), (["9.6"], "9.x")],
    ids=["none", "nonsense", "old ones"],
)
def test_an_array_that_does_not_say_what_it_speaks(array: Array, handle: str, versions: list[Any], said: str) -> None:
    array.faults.hook("GetAPI", after=_versions(versions), onwards=True)
    with Driver(array) as driver:
        with refused(grpc.StatusCode.UNAVAILABLE, said):
            create(driver, parameters=GOLD)
        array.faults.clear()
        assert create(driver, parameters=GOLD) == handle


@pytest.mark.parametrize("error", DEFINITE)
def test_what_was_made_is_not_forgotten_for_what_comes_after(array: Array, driver: Driver, error: str) -> None:
    """Another call may make the driver ask anew who the array is."""
    create(driver, "warm")

    def forget(_: Moment) -> None:
        driver.storage._clusters.configured()["c1"].forget()
        array.faults.fail("GetClusterInfo", error, onwards=True)

    array.faults.hook("CreateVolume", after=forget)
    with refused(grpc.StatusCode.UNAVAILABLE, "volume 2 is made"):
        create(driver)
    array.faults.clear()
    assert create(driver) == "lab1.2"
