"""The lab's own paths, for scripts and people who have the array over HTTP only.

Credentials: a cluster admin with all rights.

GET    /lab/faults                      what is armed
POST   /lab/faults   {"kind": "lose", "method": "CreateVolume", "nth": 2}
                                        arm one: the members are those of `lab.array.faults.Fault`; kinds are fail,
                                        lose, refuse, garbage and delay; "times": null lasts until it is cleared
DELETE /lab/faults                      disarm all; /lab/faults/3 disarms one
GET    /lab/latency                     seconds before each call is carried out
POST   /lab/latency  {"seconds": 0.02}
GET    /lab/calls                       what was called so far, oldest first; secrets are starred
DELETE /lab/calls                       forget them
GET    /lab/settings                    clone_seconds, create_seconds, capacity, fullness
POST   /lab/settings {"fullness": "stage4Critical"}
POST   /lab/clock    {"advance": 28800} move the clock forward, in seconds
POST   /lab/refuse   {"seconds": 3}     refuse all connections, this interface's too, for that long
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from lab.array.faults import Fault

if TYPE_CHECKING:
    from lab.array.array import Array

Answer = tuple[int, Any]
_ARMABLE = ("fail", "lose", "refuse", "garbage", "delay")
_MEMBERS = ("kind", "method", "nth", "times", "name", "message", "seconds", "carried_out")


def serve(array: Array, rights: Iterable[str], verb: str, path: str, body: bytes) -> Answer:
    """Answer one request with a status and something to write as JSON."""
    if "administrator" not in rights:
        return 403, {"error": "only for administrators"}
    _, _, topic, *rest = path.split("/")
    route = _ROUTES.get((verb, topic))
    if route is None:
        return 404, {"error": "no such thing", "see": sorted(f"{way} /lab/{name}" for way, name in _ROUTES)}
    try:
        given = json.loads(body or b"{}")
        if not isinstance(given, dict):
            raise TypeError("the body must be an object")
        return route(array, given, *rest)
    except (KeyError, TypeError, ValueError) as error:
        return 400, {"error": str(error)}


def _list_faults(array: Array, _: Any) -> Answer:
    return 200, [fault.to_json() for fault in array.faults.armed()]


def _arm(array: Array, given: dict[str, Any]) -> Answer:
    unknown = set(given) - set(_MEMBERS)
    if unknown or given.get("kind") not in _ARMABLE:
        raise ValueError(f"a fault has the members {', '.join(_MEMBERS)}; its kind is one of {', '.join(_ARMABLE)}")
    if given["kind"] == "garbage" and given.get("name") == "truncated":
        given["carried_out"] = True
    return 200, array.faults.arm(Fault(**given)).to_json()


def _disarm(array: Array, _: Any, fault_id: str = "") -> Answer:
    if fault_id:
        array.faults.remove(int(fault_id))
    else:
        array.faults.clear()
    return 200, {}


def _get_latency(array: Array, _: Any) -> Answer:
    return 200, {"seconds": array.latency}


def _set_latency(array: Array, given: dict[str, Any]) -> Answer:
    array.latency = max(0.0, float(given["seconds"]))
    return _get_latency(array, given)


def _list_calls(array: Array, _: Any) -> Answer:
    return 200, [call.to_json() for call in array.calls]


def _forget_calls(array: Array, _: Any) -> Answer:
    array.calls.clear()
    return 200, {}


def _get_settings(array: Array, _: Any) -> Answer:
    return 200, asdict(array.settings)


def _set_settings(array: Array, given: dict[str, Any]) -> Answer:
    kinds = {field.name: type(getattr(array.settings, field.name)) for field in fields(array.settings)}
    for name, value in given.items():
        if name not in kinds:
            raise ValueError(f"settings are {', '.join(kinds)}")
        setattr(array.settings, name, kinds[name](value))
    return _get_settings(array, given)


def _advance(array: Array, given: dict[str, Any]) -> Answer:
    array.clock.advance(float(given["advance"]))
    return 200, {"now": array.clock.now()}


def _refuse(array: Array, given: dict[str, Any]) -> Answer:
    seconds = float(given["seconds"])

    def shut() -> None:
        array.refuse_connections = True
        threading.Timer(seconds, open_again).start()

    def open_again() -> None:
        array.refuse_connections = False

    # A little later, for the answer to this request to get out.
    threading.Timer(0.05, shut).start()
    return 200, {"seconds": seconds}


_ROUTES: dict[tuple[str, str], Callable[..., Answer]] = {
    ("GET", "faults"): _list_faults,
    ("POST", "faults"): _arm,
    ("DELETE", "faults"): _disarm,
    ("GET", "latency"): _get_latency,
    ("POST", "latency"): _set_latency,
    ("GET", "calls"): _list_calls,
    ("DELETE", "calls"): _forget_calls,
    ("GET", "settings"): _get_settings,
    ("POST", "settings"): _set_settings,
    ("POST", "clock"): _advance,
    ("POST", "refuse"): _refuse,
}
