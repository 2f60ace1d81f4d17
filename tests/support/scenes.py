"""Every call that changes something, with the state it begins in and the one it has to end in.

The tests that cut calls short, lose answers and repeat run all of them, so a scene added here is covered by each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lab.array import Array
from lab.csi import GIB, block
from tests.support import ask
from tests.support.ask import KEY, NODE_1, NODE_2, Caller, Mode, accounts, create, delete, publish, unpublish
from tests.support.driver import Driver, wait_until

Call = Callable[[Caller, float], object]
VOLUME = "lab1.1"
SHARED = block(mode=Mode.MULTI_NODE_MULTI_WRITER)


@dataclass(frozen=True)
class Scene:
    """One call.

    Attributes:
        call: Makes it, with so many seconds of patience; its answer is the same each time.
        settled: Says that the array is exactly as it should be afterwards.
        prepare: Brings the array to where it begins.
    """

    name: str
    call: Call
    settled: Callable[[Array], bool]
    prepare: Callable[[Driver, Array], object] = field(default=lambda driver, array: None)

    def __str__(self) -> str:
        return self.name


def _state(array: Array) -> list[tuple[Any, ...]]:
    """All volumes as (CSI name, status, account, access, nodes); foreign ones have no name and no nodes."""
    names = {account["accountID"]: name for name, account in accounts(array).items()}
    return [
        (
            mark.get("name"),
            volume["status"],
            names[volume["accountID"]],
            volume["access"],
            sorted(mark.get("nodes", {})),
        )
        for volume in ask.volumes(array)
        for mark in [volume["attributes"].get(KEY, {})]
    ]


def _is(*volumes: tuple[Any, ...], among: set[str]) -> Callable[[Array], bool]:
    """Exactly these volumes, and no accounts but these, which the janitor may be about to remove if they are empty."""

    def settled(array: Array) -> bool:
        owners = {volume[2] for volume in volumes}
        return _state(array) == list(volumes) and owners <= set(accounts(array)) <= owners | among

    return settled


def _in_another_account(driver: Driver, array: Array) -> None:
    create(driver)
    theirs = array.call("AddAccount", {"username": "backup"})["accountID"]
    array.call("ModifyVolume", {"volumeID": 1, "accountID": theirs})
    ask.sweep(array, "node-1-shop")


def _policy(driver: Driver, array: Array) -> None:
    array.call("CreateQoSPolicy", {"name": "gold", "qos": {"minIOPS": 100}})


def _create(**options: Any) -> Call:
    return lambda driver, timeout: create(driver, timeout=timeout, **options)


def _delete(driver: Caller, timeout: float) -> None:
    delete(driver, VOLUME, timeout=timeout)


def _publish(node: str, **options: Any) -> Call:
    return lambda driver, timeout: publish(driver, VOLUME, node, timeout=timeout, **options)


def _unpublish(node: str) -> Call:
    return lambda driver, timeout: unpublish(driver, VOLUME, node, timeout=timeout)


def _created(driver: Driver, array: Array) -> None:
    create(driver)


def _recyclable(driver: Driver, array: Array) -> None:
    create(driver, parameters={"deletePolicy": "recycle"})


def _in_the_bin(driver: Driver, array: Array) -> None:
    create(driver)
    array.call("DeleteVolume", {"volumeID": 1})


def _published(driver: Driver, array: Array) -> None:
    create(driver)
    publish(driver, VOLUME, NODE_1)


def _unpublished(driver: Driver, array: Array) -> None:
    _published(driver, array)
    unpublish(driver, VOLUME, NODE_1)


def _shared(driver: Driver, array: Array) -> None:
    create(driver, capability=SHARED)
    publish(driver, VOLUME, NODE_1, capability=SHARED)
    # It has left the account it was born into, which goes a moment later: no doing of the call that is tried.
    wait_until(lambda: "node-1-shop" not in accounts(array))


def _shared_by_two(driver: Driver, array: Array) -> None:
    _shared(driver, array)
    publish(driver, VOLUME, NODE_2, capability=SHARED)


SCENES = [
    Scene(
        "create",
        _create(size=GIB),
        _is(("pvc-1", "active", "node-1-shop", "readWrite", []), among=set()),
    ),
    Scene(
        "create with a policy",
        _create(parameters={"qosPolicy": "gold"}),
        _is(("pvc-1", "active", "node-1-shop", "readWrite", []), among=set()),
        _policy,
    ),
    Scene(
        "create what is in somebody else's account",
        _create(),
        _is(("pvc-1", "active", "node-1-shop", "readWrite", []), among={"backup"}),
        _in_another_account,
    ),
    Scene("delete", _delete, _is(among={"node-1-shop"}), _created),
    Scene(
        "delete into the bin",
        _delete,
        _is(("pvc-1", "deleted", "node-1-shop", "readWrite", []), among=set()),
        _recyclable,
    ),
    Scene("delete what is in the bin", _delete, _is(among={"node-1-shop"}), _in_the_bin),
    Scene(
        "publish where it was born",
        _publish(NODE_1),
        _is(("pvc-1", "active", "node-1-shop", "readWrite", [NODE_1]), among=set()),
        _created,
    ),
    Scene(
        "publish elsewhere",
        _publish(NODE_2, readonly=True),
        _is(("pvc-1", "active", "node-2-shop", "readOnly", [NODE_2]), among={"node-1-shop"}),
        _unpublished,
    ),
    Scene(
        "publish to the first of several",
        _publish(NODE_2, capability=SHARED),
        _is(("pvc-1", "active", "shared-shop", "readWrite", [NODE_2]), among={"node-1-shop"}),
        _created,
    ),
    Scene(
        "publish to a second node",
        _publish(NODE_2, capability=SHARED),
        _is(("pvc-1", "active", "shared-shop", "readWrite", [NODE_1, NODE_2]), among=set()),
        _shared,
    ),
    Scene(
        "unpublish",
        _unpublish(NODE_1),
        _is(("pvc-1", "active", "node-1-shop", "locked", []), among=set()),
        _published,
    ),
    Scene(
        "unpublish from one of two",
        _unpublish(NODE_1),
        _is(("pvc-1", "active", "shared-shop", "readWrite", [NODE_2]), among={"node-1-shop"}),
        _shared_by_two,
    ),
    Scene(
        "unpublish from all",
        _unpublish(""),
        _is(("pvc-1", "active", "shared-shop", "locked", []), among={"node-1-shop"}),
        _shared_by_two,
    ),
]
