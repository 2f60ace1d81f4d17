"""CSI messages as text for the log, without their secrets.

What is secret the contract itself says: fields with the option `csi_secret`, in any message, at any depth.
Publish contexts can hold CHAP passwords under keys of ours, and people put passwords into the parameters of
a StorageClass, so values of maps under telling keys are starred as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from csi_solidfire.handles import Chap
from csi_solidfire.pb import csi_pb2

STARS = "***"

_TELLING = re.compile("password|secret|token|credential", re.IGNORECASE)
_LONGEST = 256  # characters of one value
_MOST = 20  # elements of one list


def text(message: Message) -> str:
    """Return a message as one line of JSON with secrets starred and long values shortened."""
    return json.dumps(_message(message), ensure_ascii=False)


def _message(message: Message) -> dict[str, object]:
    return {field.name: _field(field, value) for field, value in message.ListFields()}


def _field(field: FieldDescriptor, value: object) -> object:
    if _is_secret(field):
        return dict.fromkeys(map(str, value), STARS) if isinstance(value, Mapping) else STARS
    if isinstance(value, Mapping):
        return {_short(str(key)): _entry(str(key), value[key]) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _elements(field, value)
    return _single(field, value)


def _elements(field: FieldDescriptor, values: Sequence[object]) -> list[object]:
    shown = [_single(field, value) for value in values[:_MOST]]
    more = len(values) - len(shown)
    return [*shown, f"… and {more} more"] if more else shown


def _entry(key: str, value: object) -> object:
    if isinstance(value, Message):
        return _message(value)
    if key in Chap.SECRET_KEYS or _TELLING.search(key):
        return STARS
    return _short(str(value))


def _single(field: FieldDescriptor, value: object) -> object:
    if isinstance(value, Message):
        return _message(value)
    if field.enum_type is not None and isinstance(value, int):
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    return _short(value) if isinstance(value, str) else value


@cache
def _is_secret(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().Extensions[csi_pb2.csi_secret])


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}… ({len(value)} characters)"
