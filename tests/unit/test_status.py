"""Which code tells of which failure."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import grpc
import pytest

from csi_solidfire import errors
from csi_solidfire.pb import csi_pb2
from csi_solidfire.rpc import status

REFERENCE = Path(__file__).parents[2] / "docs/reference/errors.md"
CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.DriverError)]
NAMED = [kind for kind in CLASSES if kind is not errors.DriverError]
METHODS = [method.name for service in csi_pb2.DESCRIPTOR.services_by_name.values() for method in service.methods]
OPEN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED}


@pytest.mark.parametrize("kind", NAMED)
def test_every_error_has_a_code(kind: type[errors.DriverError]) -> None:
    assert status.named(kind("why")) is not None


def test_a_child_has_its_nearest_ancestors_code() -> None:
    class Gone(errors.NotFound):
        pass

    assert status.code(Gone("why"), "ControllerGetVolume") is grpc.StatusCode.NOT_FOUND
    assert status.code(errors.BadToken("why"), "ListVolumes") is grpc.StatusCode.ABORTED


@pytest.mark.parametrize("kind", [errors.Unauthenticated, errors.PermissionDenied])
@pytest.mark.parametrize("method", METHODS)
def test_who_was_turned_away_says_nothing_final_of_a_thing_to_be_made(
    kind: type[errors.DriverError], method: str
) -> None:
    making = method.startswith("Create")
    assert (status.code(kind("why"), method) in OPEN) == making


@pytest.mark.parametrize("method", METHODS)
def test_the_unforeseen_is_not_final_where_something_may_have_changed(method: str) -> None:
    changing = re.match(
        r"Create|Delete|Controller(Un)?[Pp]ublish|ControllerExpand|ControllerModify|Node(Un)?([Ss]tage|[Pp]ublish)|NodeExpand",
        method,
    )
    expected = grpc.StatusCode.UNAVAILABLE if changing else grpc.StatusCode.INTERNAL
    assert status.code(KeyError("x"), method) is expected
    assert status.code(errors.DriverError("x"), method) is expected


def test_an_unforeseen_failure_tells_only_where_to_look() -> None:
    message = status.message(KeyError("hunter2"), "4f2a")
    assert "hunter2" not in message
    assert "4f2a" in message


@pytest.mark.parametrize("text", ["two\nlines\r\n", "x" * 5000, "ü" * 5000, "nul \0 and \x1b[31m", "\ud800 alone"])
def test_a_message_is_one_short_line_of_valid_text(text: str) -> None:
    message = status.message(errors.Refused(text), "4f2a")
    assert message.isprintable()
    assert 0 < len(message.encode()) <= 1024


def test_the_reference_lists_every_error_with_its_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([A-Z_]+) \| (yes|no) \|", REFERENCE.read_text(), re.MULTILINE)
    codes = {kind.__name__: status.named(kind("why")) for kind in (*NAMED, NotImplementedError)}
    expected = {(name, code.name, "no" if code in OPEN else "yes") for name, code in codes.items() if code}
    assert set(rows) == expected
