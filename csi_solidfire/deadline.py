"""The caller's deadline, known to everything done on its behalf.

The gRPC edge enters `until` with the time its caller has left; every array call and host command asks
`remaining` how long it may take. A thread that nobody gave a deadline has `DEFAULT` from each asking.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from csi_solidfire import errors

DEFAULT = 60.0  # seconds

_expires: ContextVar[float | None] = ContextVar("csi_solidfire_deadline", default=None)


@contextmanager
def until(seconds: float) -> Iterator[None]:
    """Bound everything inside by `seconds` from now, or by a deadline already set if that is sooner."""
    outer = _expires.get()
    expires = time.monotonic() + seconds
    token = _expires.set(expires if outer is None else min(outer, expires))
    try:
        yield
    finally:
        _expires.reset(token)


def remaining(at_most: float = DEFAULT) -> float:
    """Return the seconds left, `at_most` at the most.

    Raises:
        errors.Unavailable: Nothing is left.
    """
    expires = _expires.get()
    left = at_most if expires is None else min(at_most, expires - time.monotonic())
    if left <= 0:
        raise errors.Unavailable("the caller's deadline has passed before the work was done; it will be taken up again")
    return left
