"""Messages in the log: everything useful, nothing secret."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from csi_solidfire.handles import Chap
from csi_solidfire.pb import csi_pb2
from csi_solidfire.rpc import redaction

SECRET = "hunter2hunter2"
SENSITIVE_MAPS = {"publish_context", "volume_context"}


def every_message() -> Iterator[Descriptor]:
    for descriptor in csi_pb2.DESCRIPTOR.message_types_by_name.values():
        yield descriptor
        yield from (nested for nested in descriptor.nested_types if not nested.GetOptions().map_entry)


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def is_secret(field: FieldDescriptor) -> bool:
    return bool(field.GetOptions().Extensions[csi_pb2.csi_secret])


def secret_fields() -> list[tuple[str, str]]:
    return [(d.full_name, field.name) for d in every_message() for field in d.fields if is_secret(field)]


def build(full_name: str) -> Message:
    return GetMessageClass(csi_pb2.DESCRIPTOR.pool.FindMessageTypeByName(full_name))()


@pytest.mark.parametrize(("message", "field"), secret_fields())
def test_every_field_that_the_contract_marks_is_starred(message: str, field: str) -> None:
    filled = build(message)
    getattr(filled, field)["user"] = SECRET
    assert json.loads(redaction.text(filled)) == {field: {"user": redaction.STARS}}


def test_the_contract_marks_secrets_in_many_calls() -> None:
    assert ("csi.v1.CreateVolumeRequest", "secrets") in secret_fields()
    assert ("csi.v1.NodeStageVolumeRequest", "secrets") in secret_fields()


@pytest.mark.parametrize(
    ("message", "field"),
    [(d.full_name, f.name) for d in every_message() for f in d.fields if is_map(f) and f.name in SENSITIVE_MAPS],
)
@pytest.mark.parametrize("key", sorted(Chap.SECRET_KEYS))
def test_chap_passwords_in_contexts_are_starred_and_the_rest_is_shown(message: str, field: str, key: str) -> None:
    filled = build(message)
    getattr(filled, field)[key] = SECRET
    getattr(filled, field)["portal"] = "10.0.0.1:3260"
    assert json.loads(redaction.text(filled)) == {field: {key: redaction.STARS, "portal": "10.0.0.1:3260"}}


def test_a_password_among_the_parameters_is_starred() -> None:
    request = csi_pb2.CreateVolumeRequest(parameters={"adminPassword": SECRET, "qosPolicy": "gold"})
    assert json.loads(redaction.text(request))["parameters"] == {"adminPassword": "***", "qosPolicy": "gold"}


def test_secrets_are_found_below_lists_and_messages() -> None:
    volume = csi_pb2.Volume(volume_id="jyay.1", volume_context={Chap.PASSWORD: SECRET})
    response = csi_pb2.ListVolumesResponse(entries=[csi_pb2.ListVolumesResponse.Entry(volume=volume)])
    text = redaction.text(response)
    assert SECRET not in text
    assert "jyay.1" in text


def test_long_values_and_lists_are_cut() -> None:
    response = csi_pb2.ListVolumesResponse(next_token="x" * 100_000)
    response.entries.extend(csi_pb2.ListVolumesResponse.Entry() for _ in range(4000))
    text = redaction.text(response)
    assert len(text) < 1000
    assert "(100000 characters)" in text
    assert "and 3980 more" in text


def test_enumerations_are_named_and_unknown_ones_numbered() -> None:
    mode = csi_pb2.VolumeCapability.AccessMode(mode=csi_pb2.VolumeCapability.AccessMode.SINGLE_NODE_WRITER)
    assert json.loads(redaction.text(mode)) == {"mode": "SINGLE_NODE_WRITER"}
    mode.ParseFromString(b"\x08\x63")
    assert json.loads(redaction.text(mode)) == {"mode": 99}
