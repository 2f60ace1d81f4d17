"""Two controllers that give one volume to two nodes, many times: one node gets it, and that is who can log in.

Leader election keeps two from being at work; where it fails, each round begins with both having looked.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from csi_solidfire.handles import Chap
from lab.array import Array
from tests.support import ask
from tests.support.ask import KEY, NODE_1, NODE_2, accounts, create, publish, unpublish
from tests.support.driver import Driver

_ROUNDS = 60
_PATIENCE = 30.0
_NODES = {"node-1": NODE_1, "node-2": NODE_2}
_MAY_FAIL = {grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION}

Told = dict[str, dict[str, str] | grpc.StatusCode]


@pytest.fixture
def array() -> Iterator[Array]:
    with Array.start(unique_id="lab1") as array:
        yield array


def _opens(array: Array, handle: str) -> tuple[str, str]:
    """Return the credentials that open a volume now: those of the account it is in."""
    found = accounts(array)[ask.owner(array, handle)]
    return found["username"], found["initiatorSecret"]


def _check(array: Array, handle: str, told: Told) -> str:
    """Return who got it, after making sure that the array, what was told and what opens the volume agree."""
    volume = ask.volume(array, handle)
    (node_id,) = volume["attributes"][KEY]["nodes"]
    having = str(node_id).partition("/")[0]
    assert volume["access"] == "readWrite"
    assert ask.owner(array, handle).startswith(f"{having}-shop")
    able = {
        node
        for node, answer in told.items()
        if isinstance(answer, dict) and (answer[Chap.USERNAME], answer[Chap.PASSWORD]) == _opens(array, handle)
    }
    assert able == {having}
    assert {answer for answer in told.values() if not isinstance(answer, dict)} <= _MAY_FAIL
    return having


def _both_publish(drivers: dict[str, Driver], handle: str) -> Told:
    """Let each controller publish to the node of its name, beginning together."""
    gate = threading.Barrier(len(drivers))

    def run(node: str) -> dict[str, str] | grpc.StatusCode:
        gate.wait(_PATIENCE)
        try:
            return publish(drivers[node], handle, _NODES[node])
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code

    with ThreadPoolExecutor(len(drivers)) as pool:
        return dict(zip(drivers, pool.map(run, drivers), strict=True))


@pytest.mark.parametrize("together", [True, False], ids=["both have looked", "as it comes"])
def test_one_of_two_nodes_gets_the_volume_and_only_it_can_log_in(array: Array, together: bool) -> None:
    """A volume that goes to and fro, so that accounts are made and removed and made again meanwhile."""
    order = random.Random(1)
    with Driver(array) as one, Driver(array) as two:
        handle = create(one)
        winners = []
        for _ in range(_ROUNDS):
            if together:
                gate = threading.Barrier(2)
                array.faults.hook("ModifyVolume", before=lambda moment, gate=gate: gate.wait(_PATIENCE), times=2)  # type: ignore[misc]
            else:
                array.latency = order.choice([0.0, 0.001, 0.003])
            told = _both_publish({"node-1": one, "node-2": two}, handle)
            array.faults.clear()
            winners.append(_check(array, handle, told))
            unpublish(order.choice([one, two]), handle, "")
            assert ask.volume(array, handle)["access"] == "locked"
    assert set(winners) == {"node-1", "node-2"}
