"""The array's clock, which tests can move forward."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from lab.array import choices
from lab.array.errors import ElementError

# The year 9000: what is later can't be written with an offset added.
_END = 221_845_392_000.0
# Hours without bound, says the documentation; seven digits are a thousand years.
_RETENTION = re.compile(r"([0-9]{1,7}):([0-9]{1,2}):([0-9]{1,2})")


class Clock:
    """Seconds since 1970, UTC, plus what was added."""

    def __init__(self) -> None:
        """Start at the machine's time."""
        self._ahead = 0.0

    def now(self) -> float:
        """Return the array's present time."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move forward; what falls due in between happens at the next call."""
        self._ahead += seconds


def stamp(when: float) -> str:
    """Write a time as objects carry it: whole seconds and a Z."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fine_stamp(when: float) -> str:
    """Write a time as sessions, statistics and faults carry it: microseconds and a Z."""
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_stamp(text: str) -> float:
    """Parse a time that a client wrote.

    Raises:
        ElementError: It is none.
    """
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ElementError(choices.BAD_VALUE, f"{text} is not a valid time") from None
    seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    if not 0 <= seconds < _END:
        raise ElementError(choices.BAD_VALUE, f"{text} is not a valid time")
    return seconds


def read_retention(text: str) -> float:
    """Parse `HH:mm:ss` with any number of hours into seconds.

    Raises:
        ElementError: It is something else.
    """
    match = _RETENTION.fullmatch(text)
    if match is None:
        raise ElementError(choices.BAD_RETENTION, f"{text} is not a valid retention")
    hours, minutes, seconds = map(int, match.groups())
    return hours * 3600.0 + minutes * 60 + seconds
