"""Cut short anywhere, answers lost anywhere, errors anywhere: the call repeated ends in exactly one of everything.

Each scene runs once for every array call it makes, and one time more in which the fault finds no call any more,
so a call added to the driver later is covered by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest

from lab.array import Array
from lab.array.faults import GARBAGE, Fault
from tests.support import ask
from tests.support.driver import Driver, quiet, wait_until
from tests.support.scenes import SCENES, Scene

FINAL = set(grpc.StatusCode) - {
    grpc.StatusCode.OK,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}
BRIEF = 0.3  # Seconds a call has that cannot succeed: the driver asks the array again until then.
PATIENT = 30.0
MOST_CALLS = 20

# One that passes, one nobody has documented, and one of each kind of definite ones. Not xVolumeIDDoesNotExist: what an
# array says about volumes is believed.
ERRORS = [
    "xDBConnectionLoss",
    "xNobodyHasEverSeenThis",
    "xUnknownAccount",
    "xDuplicateUsername",
    "xExceededLimit",
    "xPermissionDenied",
    "xInvalidParameter",
    "xUnknownAPIMethod",
]
Arm = Callable[[Array, int], Fault]
scenes = pytest.mark.parametrize("scene", SCENES, ids=str)


def _code(scene: Scene, driver: Driver, patience: float) -> grpc.StatusCode:
    try:
        scene.call(driver, patience)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return grpc.StatusCode.OK


def _try(scene: Scene, arm: Arm, number: int, *, same: bool, patience: float) -> bool | None:
    """Play a scene with a fault at its n-th array call, then once more without.

    Returns:
        Whether it makes so many calls; None if its time was up before that could be seen.
    """
    with Array.start(unique_id="lab1") as array:
        with quiet(array) as driver:
            scene.prepare(driver, array)
        with quiet(array) as driver:
            before = ask.snapshot(array)
            fault = arm(array, number)
            code = _code(scene, driver, patience)
            array.faults.clear()
            if code in FINAL:
                wait_until(lambda: ask.snapshot(array) == before, 5)
            if code is grpc.StatusCode.OK:
                assert scene.settled(array)
            if same:
                scene.call(driver, PATIENT)
        if not same:
            with Driver(array) as successor:
                scene.call(successor, PATIENT)
        wait_until(lambda: scene.settled(array), 5)
        return fault.seen >= number or (False if code is grpc.StatusCode.OK else None)


def _everywhere(scene: Scene, arm: Arm, *, same: bool, patience: float = BRIEF) -> None:
    """Try every array call of a scene."""
    for number in range(1, MOST_CALLS):
        time = patience
        while (hit := _try(scene, arm, number, same=same, patience=time)) is None:
            assert time < PATIENT, "it fails without the fault"
            time *= 4  # A busy machine.
        if not hit:
            assert number > 1, "the fault never hit"
            return
    raise AssertionError(f"more than {MOST_CALLS} calls")


@scenes
def test_cut_short_before_the_call_is_carried_out(scene: Scene) -> None:
    def cut(array: Array, number: int) -> Fault:
        return array.faults.refuse(None, number, onwards=True)

    _everywhere(scene, cut, same=False)


@scenes
def test_cut_short_after_the_call_was_carried_out(scene: Scene) -> None:
    def cut(array: Array, number: int) -> Fault:
        array.faults.refuse(None, number + 1, onwards=True)
        return array.faults.lose_answer(None, number)

    _everywhere(scene, cut, same=False)


@scenes
@pytest.mark.parametrize("same", [True, False], ids=["the same controller", "another controller"])
def test_a_lost_answer(scene: Scene, same: bool) -> None:
    def lose(array: Array, number: int) -> Fault:
        return array.faults.lose_answer(None, number)

    _everywhere(scene, lose, same=same, patience=PATIENT)


@scenes
@pytest.mark.parametrize("name", ERRORS)
def test_an_error(scene: Scene, name: str) -> None:
    def fail(array: Array, number: int) -> Fault:
        return array.faults.fail(None, name, nth=number)

    _everywhere(scene, fail, same=True, patience=PATIENT)


@scenes
def test_a_passing_error_about_something_that_was_done(scene: Scene) -> None:
    def fail(array: Array, number: int) -> Fault:
        return array.faults.fail(None, "xRecvTimeout", nth=number, carried_out=True)

    _everywhere(scene, fail, same=True, patience=PATIENT)


@scenes
def test_garbage(scene: Scene) -> None:
    kinds = sorted(GARBAGE)

    def garble(array: Array, number: int) -> Fault:
        return array.faults.garbage(None, kinds[number % len(kinds)], nth=number, carried_out=bool(number % 2))

    _everywhere(scene, garble, same=True, patience=PATIENT)


@scenes
def test_twice_is_once(scene: Scene) -> None:
    with Array.start(unique_id="lab1") as array, quiet(array) as driver:
        scene.prepare(driver, array)
        first = scene.call(driver, PATIENT)
        assert scene.settled(array)
        volumes = ask.volumes(array)
        assert scene.call(driver, PATIENT) == first
        with Driver(array) as another:
            assert scene.call(another, PATIENT) == first
        assert ask.volumes(array) == volumes
        assert scene.settled(array)
