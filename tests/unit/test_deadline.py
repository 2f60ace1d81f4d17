"""The caller's deadline bounds what is done for it, and nobody else's work."""

from __future__ import annotations

import threading

import pytest

from csi_solidfire import deadline, errors


def test_without_one_each_asking_has_the_default() -> None:
    assert deadline.remaining() == deadline.DEFAULT
    assert deadline.remaining(5) == 5


def test_inside_nobody_has_more_than_is_left() -> None:
    with deadline.until(10):
        assert 0 < deadline.remaining() <= 10
        assert deadline.remaining(3) == 3
        with deadline.until(1000):
            assert deadline.remaining() <= 10
        with deadline.until(2):
            assert deadline.remaining() <= 2
        assert deadline.remaining() > 2
    assert deadline.remaining() == deadline.DEFAULT


@pytest.mark.parametrize("seconds", [0, -1])
def test_when_it_has_passed_nothing_more_is_done(seconds: float) -> None:
    with deadline.until(seconds), pytest.raises(errors.Unavailable, match="deadline has passed"):
        deadline.remaining()
    with deadline.until(10), deadline.until(seconds), pytest.raises(errors.Unavailable):
        deadline.remaining()
    assert deadline.remaining() == deadline.DEFAULT


def test_an_exception_ends_it() -> None:
    with pytest.raises(ZeroDivisionError), deadline.until(1):
        raise ZeroDivisionError
    assert deadline.remaining() == deadline.DEFAULT


def test_other_threads_have_their_own() -> None:
    seen: list[float] = []
    with deadline.until(1):
        thread = threading.Thread(target=lambda: seen.append(deadline.remaining()))
        thread.start()
        thread.join(10)
    assert seen == [deadline.DEFAULT]
