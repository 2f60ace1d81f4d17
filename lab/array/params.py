"""Parameters of Element methods: how a value is read, how lenient that is, and when a value counts as absent.

Clients send numbers and booleans as strings, and zero, null and empty strings for what they do not mean to send; real
clusters take all of it. This module is the only place that knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lab.array import choices
from lab.array.errors import ElementError

Args = dict[str, Any]
Version = tuple[int, int]
# More digits than any number here can have are no number; Python refuses to convert thousands of them.
_DIGITS = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True)
class Kind:
    """A type of value: its reader, and the values that mean none where the parameter is optional."""

    read: Callable[[str, Any], Any]
    absent: tuple[Any, ...] = (None,)


@dataclass(frozen=True)
class Param:
    """One named parameter.

    Attributes:
        since: The API version that brought it; endpoints of older versions take it too.
        nullable: Null is a value of its own, not absence.
    """

    name: str
    kind: Kind
    required: bool = False
    since: Version = (1, 0)
    nullable: bool = False

    def is_absent(self, value: Any) -> bool:
        """Tell whether the value stands for no value."""
        if value is None:
            return not self.nullable
        return not self.required and any(value == none and type(value) is type(none) for none in self.kind.absent)

    def read(self, value: Any) -> Any:
        """Return the value in Python's type."""
        return None if value is None else self.kind.read(self.name, value)


def version(text: str) -> Version:
    """Parse `12.5`."""
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)


def required(kind: Kind, name: str) -> Param:
    """Declare a parameter that must be given."""
    return Param(name, kind, required=True)


def optional(kind: Kind, name: str, since: str = "1.0", *, nullable: bool = False) -> Param:
    """Declare a parameter that may be left out."""
    return Param(name, kind, since=version(since), nullable=nullable)


def read_all(params: Iterable[Param], given: dict[str, Any]) -> tuple[Args, dict[str, Any]]:
    """Read a call's parameters.

    Returns:
        The values of those that are not absent, and what was given but is no parameter of the method.

    Raises:
        ElementError: One is missing or unreadable.
    """
    params = tuple(params)
    names = {param.name for param in params}
    unused = {name: value for name, value in given.items() if name not in names}
    args: Args = {}
    for param in params:
        if param.name in given and not param.is_absent(given[param.name]):
            args[param.name] = param.read(given[param.name])
        elif param.required:
            raise ElementError("xMissingParameter", f"Missing member=[{param.name}]")
    return args, unused


def wrong_type(name: str, wanted: str) -> ElementError:
    """Say that a parameter has the wrong JSON type, without showing its value, which may be a secret."""
    return ElementError(choices.WRONG_TYPE, f"Parameter {name} must be {wanted}")


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool):
        raise wrong_type(name, "an integer")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if not isinstance(value, int):
        raise wrong_type(name, "an integer")
    if not 0 <= value < 2**63:
        raise ElementError(choices.BAD_VALUE, f"{value} is not a valid value for {name}")
    return value


def _boolean(name: str, value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise wrong_type(name, "a boolean")
    return value


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type(name, "a string")
    return value


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(name, "an object")
    return value


def _identifier(name: str, value: Any) -> int | str:
    return value if isinstance(value, str) and not value.isdigit() else _integer(name, value)


INT = Kind(_integer)
ID = Kind(_integer, absent=(None, 0))
BOOL = Kind(_boolean, absent=(None, ""))
STR = Kind(_string, absent=(None, ""))
OBJECT = Kind(_object)
ID_OR_NAME = Kind(_identifier)


def enum(*words: str) -> Kind:
    """Make a kind for one of the words."""

    def read(name: str, value: Any) -> str:
        if _string(name, value) not in words:
            raise ElementError("xUnrecognizedEnumString", str(value))
        return str(value)

    return Kind(read, absent=(None, ""))


def listed(kind: Kind) -> Kind:
    """Make a kind for a list of values."""

    def read(name: str, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise wrong_type(name, "an array")
        return [kind.read(name, item) for item in value]

    return Kind(read)


def record(*params: Param) -> Kind:
    """Make a kind for an object with members of its own; what it does not know in it is ignored."""

    def read(name: str, value: Any) -> Args:
        return read_all(params, _object(name, value))[0]

    return Kind(read, absent=(None, {}))


# burstTime and curve are computed by the array; clients that copy them from its answers mean nothing by it.
QOS = record(optional(INT, "minIOPS"), optional(INT, "maxIOPS"), optional(INT, "burstIOPS"))
