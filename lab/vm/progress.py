"""Progress lines through long steps: what is being done, and for how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_INTERVAL = 10.0  # seconds between two signs of life


class Say:
    """Tells a person about the steps of something long."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._start = time.monotonic()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Announce a step, and every ten seconds that it is still going on."""
        started = time.monotonic()
        done = threading.Event()
        self._line(what)

        def remind() -> None:
            while not done.wait(_INTERVAL):
                self._line(f"… {time.monotonic() - started:.0f} s into it")

        reminder = threading.Thread(target=remind, daemon=True)
        reminder.start()
        try:
            yield
        finally:
            done.set()
            reminder.join()

    def _line(self, text: str) -> None:
        self._say(f"[{time.monotonic() - self._start:4.0f} s] {text}")
