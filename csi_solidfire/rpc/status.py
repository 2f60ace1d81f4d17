"""Which gRPC code tells of which failure. docs/reference/errors.md shows it to operators.

external-provisioner takes every code but ABORTED, CANCELLED, DEADLINE_EXCEEDED and UNAVAILABLE as final: the
call left nothing behind and nothing is going on (pkg/controller/controller.go, `checkError`). It then forgets
the volume if the claim goes away. The resizer and kubelet do alike. So when in doubt: UNAVAILABLE.
"""

from __future__ import annotations

import grpc

from csi_solidfire import errors

CODES: dict[type[Exception], grpc.StatusCode] = {
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.Busy: grpc.StatusCode.ABORTED,
    errors.Refused: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    NotImplementedError: grpc.StatusCode.UNIMPLEMENTED,
}

# Who was turned away could not look whether an earlier try had left something: no word is final in these calls.
MAKING = frozenset({"CreateVolume", "CreateSnapshot", "CreateVolumeGroupSnapshot"})
_TURNED_AWAY = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})

CHANGING = MAKING | {
    "DeleteVolume",
    "DeleteSnapshot",
    "DeleteVolumeGroupSnapshot",
    "ControllerPublishVolume",
    "ControllerUnpublishVolume",
    "ControllerExpandVolume",
    "ControllerModifyVolume",
    "NodeStageVolume",
    "NodeUnstageVolume",
    "NodePublishVolume",
    "NodeUnpublishVolume",
    "NodeExpandVolume",
}

_MESSAGE_BYTES = 1024


def named(error: Exception) -> grpc.StatusCode | None:
    """Return the code of the nearest ancestor of the error that has one; None for what nobody foresaw."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), None)


def code(error: Exception, method: str) -> grpc.StatusCode:
    """Return the code that tells a caller of an error.

    Args:
        error: What the handler raised.
        method: Bare name of the call, `CreateVolume`.
    """
    found = named(error)
    if found is None:
        return grpc.StatusCode.UNAVAILABLE if method in CHANGING else grpc.StatusCode.INTERNAL
    if found in _TURNED_AWAY and method in MAKING:
        return grpc.StatusCode.UNAVAILABLE
    return found


def message(error: Exception, call: str) -> str:
    """Return what a caller is told: one line of at most 1 KiB, which may end up in an event of a namespace.

    Args:
        error: What the handler raised.
        call: Id under which the log has more.
    """
    if isinstance(error, NotImplementedError):
        return str(error) or "this driver does not offer this call"
    if named(error) is None:
        return f"unforeseen failure; the driver's log has it under call {call}"
    text = " ".join(str(error).split())
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean.encode("utf-8", "replace")[:_MESSAGE_BYTES].decode("utf-8", "ignore")
