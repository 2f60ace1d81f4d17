"""Requests that nobody would write: made from the contract itself, with plausible values mixed in."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

# What gets a request past the first checks, more often than chance would.
_HOSTNAME = "topology.csi-solidfire.io/hostname"
_PLAUSIBLE: dict[str, list[str]] = {
    "volume_id": ["lab1.1", "lab1.2", "lab1.3", "lab1.999", "lab2.1", "lab1.0", "lab1.4294967296", "lab1.", "."],
    "node_id": ["node-1/iqn.1993-08.org.debian:01:f0", "node-2/iqn.1993-08.org.debian:01:f1", "node-1", "/"],
    "name": ["pvc-1", "pvc-2", "a" * 128, "é/ü"],
    "fs_type": ["", "ext4", "xfs", "btrfs", "ntfs"],
    "starting_token": ["", "lab1.1", "lab9.9", "x"],
}
_KEYS: dict[str, list[str]] = {
    "parameters": ["minIOPS", "maxIOPS", "burstIOPS", "qosPolicy", "enable512e", "deletePolicy", "fencing", "cluster",
                   "accountNamespace", "csi.storage.k8s.io/fstype", "csi.storage.k8s.io/pvc/namespace",
                   "csi.storage.k8s.io/pvc/name"],
    "secrets": ["endpoint", "username", "password", "caCert", "svip"],
    "segments": [_HOSTNAME],
}  # fmt: skip
_VALUES = [
    "",
    "true",
    "false",
    "100",
    "1000",
    "purge",
    "recycle",
    "c1",
    "ext4",
    "shop",
    "node-1",
    "https://127.0.0.1:1",
]
_SIZES = [0, 0, 1, 10**9, 2**30, 2**30 + 1, 2**44, 2**44 + 1, 2**63 - 1, -1, -(2**63)]
_TEXT = st.text(max_size=20) | st.text(max_size=300)


def requests(kind: type[Message], good: Message | None = None) -> st.SearchStrategy[Any]:
    """Return a strategy for messages of a kind.

    Args:
        good: A message that means something; half of the strategy's are this one with some fields changed, since one
            that is wrong in the first field says nothing about the others.
    """
    anything = _message(kind.DESCRIPTOR, 5)
    if good is None:
        return anything
    fields = st.sets(st.sampled_from([field.name for field in kind.DESCRIPTOR.fields]), max_size=2)
    return anything | st.builds(_changed, st.just(good), anything, fields)


def _changed(good: Message, other: Message, fields: set[str]) -> Message:
    """Return a copy of a message with some fields taken from another."""
    copy, taken = type(good)(), type(good)()
    copy.CopyFrom(good)
    taken.CopyFrom(other)
    for field in good.DESCRIPTOR.fields:
        (copy if field.name in fields else taken).ClearField(field.name)
    copy.MergeFrom(taken)
    return copy


def _message(descriptor: Any, depth: int) -> st.SearchStrategy[Any]:
    kind = GetMessageClass(descriptor)
    fields = {field.name: _field(field, depth) for field in descriptor.fields if depth or not field.message_type}
    oneofs = [[field.name for field in oneof.fields] for oneof in descriptor.oneofs]

    def build(values: dict[str, Any]) -> Message:
        for names in oneofs:
            for name in [name for name in names if name in values][1:]:
                del values[name]
        return kind(**values)

    return st.fixed_dictionaries({}, optional=fields).map(build)


def _field(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        keys = _KEYS.get(field.name.removeprefix("mutable_"), [])
        return st.dictionaries(_mixed(keys), _mixed(_VALUES), max_size=4)
    one = _single(field, depth)
    return st.lists(one, max_size=3) if field.is_repeated else one


def _single(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return _message(field.message_type, depth - 1)
    if field.enum_type is not None:
        known = sorted(field.enum_type.values_by_number)
        return st.sampled_from(known) | st.integers(-(2**31), 2**31 - 1)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_STRING:
        return _mixed(_PLAUSIBLE.get(field.name, _VALUES))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=50)
    bits = 31 if field.type in (FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_UINT32) else 63
    least = 0 if field.type in (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64) else -(2**bits)
    fitting = [size for size in _SIZES if least <= size < 2**bits]
    return st.sampled_from(fitting) | st.integers(least, 2**bits - 1)


def _mixed(plausible: list[str]) -> st.SearchStrategy[str]:
    """Mostly what could be meant, sometimes anything."""
    if not plausible:
        return _TEXT
    return st.integers(0, 3).flatmap(lambda turn: st.sampled_from(plausible) if turn else _TEXT)
