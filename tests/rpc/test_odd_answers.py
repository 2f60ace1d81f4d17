"""An array, or something before it, whose answers have odd things in them: nothing is done on their word."""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from csi_solidfire.pb import csi_pb2
from lab.array import Array
from lab.array.faults import Moment
from tests.support import ask
from tests.support.ask import NODE_1, NODE_2, create, delete, get, listed, publish, refused, unpublish
from tests.support.driver import Driver, wait_until, write_cluster
from tests.support.strange import TRICKLES, Strange, trickling

ODD: list[Any] = [None, True, False, 0, -1, 1 << 63, 10**400, 1.5, float("inf"), "", "1", "\ud800", "x" * 5000]
ODD += [[], [None], [[]], {}, {"a": 1}]
# Each is given the handle of a volume that nobody has.
CALLS: dict[str, Callable[[Driver, str], object]] = {
    "create": lambda driver, handle: create(driver, "new"),
    "create again": lambda driver, handle: create(driver),
    "publish": publish,
    "unpublish": lambda driver, handle: unpublish(driver, handle, NODE_2),
    "delete": delete,
    "get": get,
    "list": lambda driver, handle: listed(driver),
    "capacity": lambda driver, handle: driver.controller.GetCapacity(csi_pb2.GetCapacityRequest()),
}


def _put(choice: random.Random, answer: dict[str, Any]) -> None:
    """Put something odd anywhere into an answer's result."""
    place: Any = answer
    key: Any = "result"
    while isinstance(place[key], dict | list) and place[key] and choice.random() < 0.8:
        place = place[key]
        key = choice.choice(sorted(place) if isinstance(place, dict) else range(len(place)))
    place[key] = copy.deepcopy(choice.choice(ODD))


@pytest.mark.parametrize("call", CALLS)
def test_nothing_odd_in_an_answer_is_unforeseen(call: str) -> None:
    for seed in range(30):
        choice = random.Random(seed)

        def spoil(moment: Moment, choice: random.Random = choice) -> None:
            assert moment.answer
            answer = copy.deepcopy(moment.answer)
            _put(choice, answer)
            moment.answer.update(answer)

        with Array.start(unique_id="lab1") as array:
            with Driver(array) as driver:
                handle = create(driver)
            with Driver(array) as driver:
                array.faults.hook(None, after=spoil, nth=choice.randint(1, 6))
                said = _refusal(driver, handle, call)
                array.faults.clear()
            assert "unforeseen" not in said, seed


def _refusal(driver: Driver, handle: str, call: str) -> str:
    """Make a call and return what it fails with; empty if it does not."""
    try:
        CALLS[call](driver, handle)
    except grpc.RpcError as error:
        return str(error.details())
    return ""


def _changing(method: str, **members: object) -> tuple[str, Callable[[Moment], None]]:
    """Return a hook that changes members of each object that a method answers with."""

    def change(moment: Moment) -> None:
        assert moment.answer
        result = moment.answer["result"]
        for told in [
            *result.get("volumes", []),
            result.get("volume"),
            result.get("clusterInfo"),
            result.get("account"),
        ]:
            if told:
                told.update(members)

    return method, change


@pytest.mark.parametrize(
    ("method", "hook"),
    [
        _changing("ModifyVolume", iqn="iqn.2010-01.com.solidfire:lab1.pvc-1.7"),
        _changing("ModifyVolume", iqn="no target's name"),
        _changing("ModifyVolume", totalSize=0),
        _changing("ModifyVolume", scsiNAADeviceID="6f47acc1000000006c61623100000007"),
        _changing("ListVolumes", iqn="iqn.2010-01.com.solidfire:lab1.pvc-1.7"),
        _changing("GetClusterInfo", svip=""),
        _changing("GetClusterInfo", svip="not an address"),
        _changing("GetClusterInfo", uniqueID=""),
        _changing("GetClusterInfo", uniqueID="LAB 1"),
        _changing("GetAccountByID", accountID=77),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nothing_is_published_as_something_else(array: Array, method: str, hook: Callable[[Moment], None]) -> None:
    with Driver(array) as driver:
        handle = create(driver)
        publish(driver, handle, NODE_1)
        unpublish(driver, handle, NODE_1)
    with Driver(array) as driver:
        array.faults.hook(method, after=hook, onwards=True)
        with refused(grpc.StatusCode.UNAVAILABLE):
            publish(driver, handle, NODE_1)
        array.faults.clear()
        assert publish(driver, handle, NODE_1)["iqn"] == ask.volume(array, handle)["iqn"]


@pytest.mark.parametrize(
    "versions", [[], [None], ["9" * 5000 + ".0"], [{}], ["twelve"]], ids=lambda value: str(value)[:9]
)
def test_versions_that_are_none_say_nothing_final(array: Array, versions: list[Any]) -> None:
    def answer(moment: Moment) -> None:
        assert moment.answer
        moment.answer["result"]["supportedVersions"] = versions

    array.faults.hook("GetAPI", after=answer, onwards=True)
    with Driver(array) as driver, refused(grpc.StatusCode.UNAVAILABLE, "no version of its API"):
        create(driver)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", ["headers", "body"])
def test_readiness_waits_for_no_answer_that_trickles_in(array: Array, driver: Driver, what: str) -> None:
    """Asked every ten seconds, it would have more threads each time."""
    _, beginning, rest = TRICKLES[what]
    with Strange(trickling(beginning, rest)) as slow:
        endpoint = f"https://127.0.0.1:{slow.port}"
        write_cluster(driver.clusters / "c1", array, endpoint=endpoint, caCert=slow.ca)
        assert "it took too long" in driver.storage.trouble()
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("ready")])


@pytest.mark.timeout(60)
def test_a_driver_whose_calls_all_wait_for_an_array_is_alive(array: Array, driver: Driver) -> None:
    _, beginning, rest = TRICKLES["body"]
    with Strange(trickling(beginning, rest)) as slow:
        endpoint = f"https://127.0.0.1:{slow.port}"
        write_cluster(driver.clusters / "c1", array, endpoint=endpoint, caCert=slow.ca)
        waiting = [
            driver.controller.CreateVolume.future(ask.create_request(f"pvc-{number}"), timeout=12)
            for number in range(50)
        ]
        wait_until(lambda: slow.connections >= 32)  # as many as the server has threads
        assert driver.identity.Probe(csi_pb2.ProbeRequest(), timeout=8).ready.value
        assert not any(call.done() for call in waiting)
        for call in waiting:
            with pytest.raises(grpc.RpcError):
                call.result(30)
    write_cluster(driver.clusters / "c1", array)
    create(driver)
