"""What the array answers instead of a result, by the name it gives.

Element sends `{"code": 500, "name": "x…", "message": "…"}` with HTTP 200 for every failure, so the
name is all there is to go by. The names and who has seen them are in docs/reference/element.md; a name
that is not in `_KINDS` is taken for a passing state of the array, never for a definite no.
"""

from __future__ import annotations

from csi_solidfire import errors

# Passing states by Cinder's retry list (openstack/cinder, solidfire.py) and NetApp's method pages.
TRANSIENT = frozenset(
    {
        "xDBClosing",
        "xDBConnectionLoss",
        "xDBInvalidState",
        "xDBNoServerResponse",
        "xDBOperationTimeout",
        "xDBSessionExpired",
        "xDBSessionMoved",
        "xDBVersionMismatch",
        "xMaxClonesPerNodeExceeded",
        "xMaxClonesPerVolumeExceeded",
        "xMaxSnapshotsPerNodeExceeded",
        "xNoHandler",
        "xNotPrimary",
        "xNotReadyForIO",
        "xRecvTimeout",
        "xRpcTimeout",
        "xSliceNotRegistered",
        "xSnapshotFailed",
    }
)


class ElementError(errors.DriverError):
    """An answer with an error in it.

    Attributes:
        method: The Element method that was called.
        name: Element's name of the error, `xUnknownAccount` for one.
    """

    def __init__(self, method: str, name: str, message: str) -> None:
        said = f": {message}" if message and message != name else ""
        super().__init__(f"{method}: {name}{said}")
        self.method = method
        self.name = name


class Passing(ElementError, errors.Unavailable):
    """A state that ends by itself, or a name nobody has documented: the outcome is open."""


class UnknownAccount(ElementError, errors.Unavailable):
    """No account of that name or id. Accounts come and go under us, so a call that needs one starts over."""


class DuplicateUsername(ElementError, errors.Unavailable):
    """An account of that name has come into being meanwhile."""


class NoSuchVolume(ElementError, errors.NotFound):
    """No volume has that id: it never existed or is purged."""


class LimitExceeded(ElementError, errors.Exhausted):
    """A count or the capacity of the array is used up."""


class NotAllowed(ElementError, errors.PermissionDenied):
    """The cluster admin lacks an access type; docs/reference/element.md lists those needed."""


class BadParameter(ElementError, errors.InvalidRequest):
    """The array refuses a value that came from the caller, and did nothing."""


class UnknownMethod(ElementError, errors.Refused):
    """The array's software is too old for the method."""


_KINDS: dict[str, type[ElementError]] = {
    "xUnknownAccount": UnknownAccount,
    "xAccountIDDoesNotExist": UnknownAccount,
    "xDuplicateUsername": DuplicateUsername,
    "xVolumeIDDoesNotExist": NoSuchVolume,
    "xExceededLimit": LimitExceeded,
    "xTotalCapacityExceeded": LimitExceeded,
    "xMaxVolumeCountExceeded": LimitExceeded,
    "xPermissionDenied": NotAllowed,
    "xInvalidAPIParameter": BadParameter,
    "xInvalidParameter": BadParameter,
    "xInvalidParameterType": BadParameter,
    "xMissingParameter": BadParameter,
    "xUnrecognizedEnumString": BadParameter,
    "xUnknownAPIMethod": UnknownMethod,
}


def of_answer(method: str, name: str, message: str) -> ElementError:
    """Make the exception for an error answer."""
    return _KINDS.get(name, Passing)(method, name, message)
