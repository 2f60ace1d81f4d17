"""What can be made to go wrong between a client and the array.

A fault is armed for one method or for any, and counts the calls from then on by itself: `nth=1` is the next call.
`times` says for how many calls in a row it lasts, `onwards=True` until it is cleared. Faults hit calls over HTTP only.

    array.faults.fail("CreateVolume", "xDBConnectionLoss")               # answers this error, does nothing
    array.faults.fail("ModifyVolume", "xRecvTimeout", carried_out=True)  # answers this error, does it
    array.faults.lose_answer("CreateVolume", nth=2)                      # does it, closes the connection
    array.faults.refuse(None, onwards=True)                              # closes the connection, does nothing
    array.faults.garbage("ListVolumes", "http503")                       # answers one of GARBAGE
    array.faults.delay("CloneVolume", 1.5)                               # waits seconds, then does it
    array.faults.hook("CreateVolume", before=f, after=f)                 # calls f(Moment) in the array's thread
    array.faults.clear()
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# In an error's message, stands for all that the client sent.
ECHO = "{params}"
HTML = "<html><body><h1>{0}</h1></body></html>"
# What each kind of garbage is: HTTP status and body; None stands for the true answer's first half.
GARBAGE: dict[str, tuple[int, str | None]] = {
    "text": (200, "this is not JSON"),
    "truncated": (200, None),
    "empty": (200, ""),
    "noresult": (200, '{"id": null}'),
    "array": (200, "[]"),
    "http500": (500, HTML.format("500 Internal Server Error")),
    "http503": (503, HTML.format("503 Service Unavailable")),
    "http404": (404, HTML.format("404 Not Found")),
}


@dataclass(frozen=True)
class Moment:
    """What a hook sees.

    Attributes:
        when: `before` or `after` the call is carried out.
        method: The Element method.
        params: What the client sent.
        answer: The JSON answer, after the call; None before.
    """

    when: str
    method: str
    params: dict[str, Any]
    answer: dict[str, Any] | None = None


Hook = Callable[[Moment], None]


@dataclass
class Fault:
    """One armed fault.

    Attributes:
        kind: `fail`, `lose`, `refuse`, `garbage`, `delay` or `hook`.
        method: None for any.
        nth: The first call it hits, counted from its arming, from 1.
        times: For how many calls; None for every one from the n-th on.
        name: The error's name (`fail`), or the kind of garbage.
        message: The error's message; `ECHO` in it becomes what the client sent.
        seconds: How long (`delay`).
        carried_out: Whether the call is done before the false answer (`fail`, `garbage`).
    """

    kind: str
    method: str | None = None
    nth: int = 1
    times: int | None = 1
    name: str = ""
    message: str = ""
    seconds: float = 0.0
    carried_out: bool = False
    before: Hook | None = None
    after: Hook | None = None
    id: int = 0
    seen: int = field(default=0, init=False)

    def hits(self, method: str) -> bool:
        """Count a call and tell whether the fault hits it."""
        if self.method not in (None, method):
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.times is None or self.seen < self.nth + self.times)

    @property
    def is_spent(self) -> bool:
        """Whether it can hit no more calls."""
        return self.times is not None and self.seen >= self.nth + self.times - 1

    def to_json(self) -> dict[str, Any]:
        """Return it for `/lab/faults`."""
        names = ("id", "kind", "method", "nth", "times", "name", "message", "seconds", "carried_out", "seen")
        return {name: getattr(self, name) for name in names}


class Faults:
    """The armed faults of one array."""

    def __init__(self) -> None:
        """Start with none."""
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._ids = itertools.count(1)

    def arm(self, fault: Fault) -> Fault:
        """Arm a fault and give it an id.

        Raises:
            ValueError: It makes no sense.
        """
        if fault.kind not in ("fail", "lose", "refuse", "garbage", "delay", "hook"):
            raise ValueError(f"no such kind of fault: {fault.kind}")
        if fault.nth < 1 or (fault.times is not None and fault.times < 1) or fault.seconds < 0:
            raise ValueError("nth and times count from 1, seconds from 0")
        if fault.kind == "garbage" and fault.name not in GARBAGE:
            raise ValueError(f"no such garbage: {fault.name}; there is {', '.join(GARBAGE)}")
        if fault.kind == "fail" and not fault.name:
            raise ValueError("an error needs a name")
        with self._lock:
            fault.id = next(self._ids)
            self._faults.append(fault)
        return fault

    def fail(
        self,
        method: str | None,
        name: str,
        message: str = "",
        *,
        nth: int = 1,
        times: int = 1,
        onwards: bool = False,
        carried_out: bool = False,
    ) -> Fault:
        """Answer an error; the call is not carried out unless said so."""
        lasting = None if onwards else times
        return self.arm(Fault("fail", method, nth, lasting, name=name, message=message, carried_out=carried_out))

    def lose_answer(self, method: str | None = None, nth: int = 1, *, times: int = 1, onwards: bool = False) -> Fault:
        """Carry the call out and close the connection without an answer."""
        return self.arm(Fault("lose", method, nth, None if onwards else times))

    def refuse(self, method: str | None = None, nth: int = 1, *, times: int = 1, onwards: bool = False) -> Fault:
        """Close the connection without carrying the call out."""
        return self.arm(Fault("refuse", method, nth, None if onwards else times))

    def garbage(
        self,
        method: str | None,
        what: str = "text",
        *,
        nth: int = 1,
        times: int = 1,
        onwards: bool = False,
        carried_out: bool = False,
    ) -> Fault:
        """Answer something that is no Element answer: one of `GARBAGE`. `truncated` always carries the call out."""
        done = carried_out or what == "truncated"
        return self.arm(Fault("garbage", method, nth, None if onwards else times, name=what, carried_out=done))

    def delay(
        self, method: str | None, seconds: float, *, nth: int = 1, times: int = 1, onwards: bool = False
    ) -> Fault:
        """Wait before the call is carried out."""
        return self.arm(Fault("delay", method, nth, None if onwards else times, seconds=seconds))

    def hook(
        self,
        method: str | None = None,
        before: Hook | None = None,
        after: Hook | None = None,
        *,
        nth: int = 1,
        times: int = 1,
        onwards: bool = False,
    ) -> Fault:
        """Call back before and after the call is carried out, in the thread that serves the client.

        A hook may use `Array.call`, may wait, and may arm further faults, which count from the next call.
        """
        return self.arm(Fault("hook", method, nth, None if onwards else times, before=before, after=after))

    def remove(self, fault_id: int) -> None:
        """Disarm one fault, if it is armed."""
        with self._lock:
            self._faults = [fault for fault in self._faults if fault.id != fault_id]

    def clear(self) -> None:
        """Disarm all."""
        with self._lock:
            self._faults.clear()

    def armed(self) -> list[Fault]:
        """Return those that can still hit a call."""
        with self._lock:
            return list(self._faults)

    def of_call(self, method: str) -> list[Fault]:
        """Count a call and return the faults that hit it, in the order of their arming."""
        with self._lock:
            found = [fault for fault in self._faults if fault.hits(method)]
            self._faults = [fault for fault in self._faults if not fault.is_spent]
            return found
