"""Figures, one to a line."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured value beside the one aimed at; `detail` says what it is made of."""

    name: str
    value: str
    aim: str
    detail: str

    def line(self) -> str:
        return f"{self.name:<58} {self.value:>9} {self.aim:>9}   {self.detail}"


HEAD = Figure("", "measured", "aim", "").line()


def ratio(name: str, driver: Sequence[float], bare: Sequence[float], aim: str) -> Figure:
    """Compare medians of two series of seconds that were taken in turn."""
    ours, theirs = statistics.median(driver), statistics.median(bare)
    detail = f"{_seconds(ours)} against {_seconds(theirs)}, medians of {len(driver)}"
    return Figure(name, f"{ours / theirs:.2f} x", aim, detail)


def _seconds(value: float) -> str:
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def in_turn(
    runs: int, driver: Callable[[int], float], bare: Callable[[int], float], *, warm_up: int = 2
) -> tuple[list[float], list[float]]:
    """Measure two things alternately, so that a machine whose speed drifts is fair to both.

    Args:
        driver: Does the thing with the driver and returns the seconds it took; gets the number of the run.
        bare: Does it without.
    """
    ours, theirs = [], []
    for number in range(-warm_up, runs):
        pair = driver(number), bare(number)
        if number >= 0:
            ours.append(pair[0])
            theirs.append(pair[1])
    return ours, theirs
