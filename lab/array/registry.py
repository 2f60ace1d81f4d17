"""The table of methods: name, parameters, first version, rights, and the function that carries it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.array.errors import ElementError
from lab.array.params import Args, Param, Version, version
from lab.array.rows import Json

if TYPE_CHECKING:
    from lab.array.cluster import Cluster

Body = Callable[["Cluster", Args], Json]

# Which minor versions there are of each major one; releases after 12.0 are versions of the API too, as clients use
# them.
_MINORS = {
    1: (0,),
    2: (0,),
    3: (0,),
    4: (0,),
    5: (0, 1),
    6: (0,),
    7: (0, 1, 2, 3, 4),
    8: (0, 1, 2, 3, 4, 5, 6, 7),
    9: (0, 1, 2, 3, 4, 5, 6),
    10: (0, 1, 2, 3, 4, 5, 6, 7),
    11: (0, 1, 3, 5, 7, 8),
    12: (0, 2, 3, 5, 7, 8, 9),
}
VERSIONS = tuple(f"{major}.{minor}" for major, minors in _MINORS.items() for minor in minors)


@dataclass(frozen=True)
class Method:
    """One Element method.

    Attributes:
        since: The first API version that has it.
        rights: Access types of a cluster admin that allow it, besides `administrator`.
        params: Its parameters.
        body: Carries it out under the cluster's lock and returns the `result` member.
    """

    name: str
    since: Version
    rights: frozenset[str]
    params: tuple[Param, ...]
    body: Body


METHODS: dict[str, Method] = {}


def method(name: str, since: str, rights: str, *params: Param) -> Callable[[Body], Body]:
    """Register the decorated function as the body of an Element method."""

    def register(body: Body) -> Body:
        METHODS[name] = Method(name, version(since), frozenset(rights.split()), params, body)
        return body

    return register


def find(name: str, at: Version) -> Method:
    """Return the method as an endpoint of that version knows it.

    Raises:
        ElementError: It does not.
    """
    found = METHODS.get(name)
    if found is None or found.since > at:
        # Two spaces, as reported by users of the vendor's Ansible modules.
        raise ElementError("xUnknownAPIMethod", f"xUnknownAPIMethod  method={name}")
    return found
