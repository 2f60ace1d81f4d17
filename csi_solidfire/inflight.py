"""Who is at work on what: one operation at a time for each volume name or handle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from csi_solidfire import errors


class InFlight:
    """A set of keys in use. CSI wants ABORTED for a second caller, not a queue."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: set[str] = set()

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Hold a key for the length of a `with`.

        Raises:
            errors.Busy: Somebody holds it.
        """
        with self._lock:
            if key in self._keys:
                raise errors.Busy(f"another call for {key} is still running")
            self._keys.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard(key)
