"""The calls that clients made over HTTP, for tests and people to look at."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, overload

# A program that runs for days must not grow without end.
KEPT = 100_000
_SECRET = ("secret", "password")


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        method: The Element method.
        params: What the client sent, secrets starred.
        outcome: `ok`, the error's name, or what a fault did instead of answering: `lost`, `refused`, `garbage`.
        seconds: From the call read to the answer ready: the array's own time, set latency and delays included.
        version: The endpoint's version.
        username: The cluster admin.
        carried_out: Whether the method ran and succeeded, whatever the client was told.
    """

    method: str
    params: dict[str, Any]
    outcome: str
    seconds: float
    version: str = ""
    username: str = ""
    carried_out: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it for `/lab/calls`."""
        return asdict(self)


class Calls(Sequence[Call]):
    """The calls so far, oldest first; at most the last 100,000. Safe to read while the array answers."""

    def __init__(self) -> None:
        """Start empty."""
        self._calls: deque[Call] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def append(self, call: Call) -> None:
        """Add a call."""
        with self._lock:
            self._calls.append(call)

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._calls.clear()

    def methods(self) -> list[str]:
        """Return the names of the methods called, in order."""
        return [call.method for call in self]

    def _copy(self) -> list[Call]:
        with self._lock:
            return list(self._calls)

    def __len__(self) -> int:
        """Count the calls."""
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        """Go through the calls made so far."""
        return iter(self._copy())

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> list[Call]: ...
    def __getitem__(self, index: int | slice) -> Call | list[Call]:
        """Return a call or some."""
        return self._copy()[index]

    def __repr__(self) -> str:
        """Show the methods, which is what a failed assertion is about."""
        return f"Calls({self.methods()})"


def starred(value: Any, name: str = "") -> Any:
    """Return a copy of decoded JSON with every secret replaced by stars."""
    if isinstance(value, dict):
        return {key: starred(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [starred(item, name) for item in value]
    return "***" if value and any(word in name.lower() for word in _SECRET) else value
