"""One operation at a time for each key."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from csi_solidfire import errors
from csi_solidfire.inflight import InFlight


def test_a_key_is_held_by_one() -> None:
    in_flight = InFlight()
    with in_flight.hold("a"):
        with pytest.raises(errors.Busy, match="another call for a is still running"), in_flight.hold("a"):
            pytest.fail("held twice")
        with in_flight.hold("b"):
            pass
    with in_flight.hold("a"):
        pass


def test_a_failure_lets_go() -> None:
    in_flight = InFlight()
    with pytest.raises(ZeroDivisionError), in_flight.hold("a"):
        raise ZeroDivisionError
    with in_flight.hold("a"):
        pass


def test_who_is_refused_does_not_take_the_key_from_its_holder() -> None:
    in_flight = InFlight()
    with in_flight.hold("a"):
        for _ in range(2):
            with pytest.raises(errors.Busy), in_flight.hold("a"):
                pytest.fail("held twice")


def test_of_many_at_once_one_holds_it() -> None:
    in_flight, gate, done = InFlight(), threading.Barrier(16), threading.Barrier(16)

    def attempt(_: int) -> bool:
        gate.wait(30)
        try:
            with in_flight.hold("a"):
                done.wait(30)
                return True
        except errors.Busy:
            done.wait(30)
            return False

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(attempt, range(16))) == 1
