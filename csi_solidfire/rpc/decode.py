"""CSI's controller requests, checked once and turned into the driver's own values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from csi_solidfire import errors
from csi_solidfire.handles import NodeId, VolumeHandle, shorten
from csi_solidfire.pb import csi_pb2
from csi_solidfire.storage import access
from csi_solidfire.storage.access import Attachment, Capability, Mode
from csi_solidfire.storage.parameters import Parameters
from csi_solidfire.storage.volumes import VolumeSpec

_STRING_BYTES = 128  # The specification's limit for every string that says nothing else.
_MAP_BYTES = 4096
# What the specification excludes from names.
_UNNAMEABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def required(field: str, value: str) -> str:
    if not value:
        raise errors.InvalidRequest(f"{field} is missing")
    return value


def name(value: str) -> str:
    required("name", value)
    if len(value.encode()) > _STRING_BYTES:
        raise errors.InvalidRequest(f"name has {len(value.encode())} bytes; up to {_STRING_BYTES} are allowed")
    if _UNNAMEABLE.search(value):
        raise errors.InvalidRequest(f"name {shorten(value)} holds a control character")
    return value


def mapping(field: str, values: Mapping[str, str]) -> dict[str, str]:
    """Copy a map, refusing one beyond the specification's size. Its content may be secret."""
    size = sum(len(key.encode()) + len(value.encode()) for key, value in values.items())
    if size > _MAP_BYTES:
        raise errors.InvalidRequest(f"{field} has {size} bytes; up to {_MAP_BYTES} are allowed")
    return dict(values)


def secrets(values: Mapping[str, str]) -> dict[str, str]:
    """A Secret with a chain of CA certificates may be longer than other maps."""
    return dict(values)


def handle(value: str) -> VolumeHandle:
    return VolumeHandle.parse(required("volume_id", value))


def node_id(value: str) -> NodeId:
    return NodeId.parse(required("node_id", value))


def capability(field: str, message: csi_pb2.VolumeCapability) -> Capability:
    """Read a capability without judging whether the driver can serve it.

    Raises:
        errors.InvalidRequest: It lacks an access type or an access mode, or holds one from a newer CSI.
    """
    kind = message.WhichOneof("access_type")
    if kind is None:
        raise errors.InvalidRequest(f"{field}: access_type is missing: one of mount or block")
    number = message.access_mode.mode
    names = {value.number: value.name for value in csi_pb2.VolumeCapability.AccessMode.Mode.DESCRIPTOR.values}
    if names.get(number, "UNKNOWN") == "UNKNOWN":
        raise errors.InvalidRequest(f"{field}: access_mode {number} is missing or unknown: one of {_modes()}")
    return Capability(
        Mode[names[number]],
        block=kind == "block",
        fs_type=message.mount.fs_type,
        volume_mount_group=message.mount.volume_mount_group,
    )


def _modes() -> str:
    return ", ".join(mode.name for mode in Mode if mode is not Mode.MULTI_NODE_SINGLE_WRITER)


def capabilities(messages: Iterable[csi_pb2.VolumeCapability]) -> list[Capability]:
    found = [capability("volume_capabilities", message) for message in messages]
    if not found:
        raise errors.InvalidRequest("volume_capabilities is missing")
    return found


def attachment(request: csi_pb2.ControllerPublishVolumeRequest) -> Attachment:
    if not request.HasField("volume_capability"):
        raise errors.InvalidRequest("volume_capability is missing")
    asked = capability("volume_capability", request.volume_capability)
    if problem := asked.problem():
        raise errors.InvalidRequest(f"volume_capability: {problem}")
    return Attachment(asked.mode, asked.block, request.readonly)


def volume_spec(
    request: csi_pb2.CreateVolumeRequest, *, topology_key: str, hostname: str, namespace: str
) -> VolumeSpec:
    """Read what volume to make.

    Args:
        topology_key: Under which a topology segment names the node.
        hostname: The node for a request without topology.
        namespace: The namespace for a request that tells none.
    """
    volume_name = name(request.name)
    access.check(capabilities(request.volume_capabilities))
    if request.HasField("volume_content_source"):
        raise errors.InvalidRequest("volume_content_source is not supported: volumes are made empty")
    merged = mapping("parameters", request.parameters) | mapping("mutable_parameters", request.mutable_parameters)
    parameters = Parameters.parse(merged)
    required_bytes, limit_bytes = capacity(request.capacity_range)
    return VolumeSpec(
        name=volume_name,
        hostname=_chosen_node(request.accessibility_requirements, topology_key) or hostname,
        namespace=parameters.namespace or namespace,
        required_bytes=required_bytes,
        limit_bytes=limit_bytes,
        parameters=parameters,
    )


def capacity(message: csi_pb2.CapacityRange) -> tuple[int, int]:
    """Return required and limit in bytes; 0 leaves either open."""
    for field, value in (("required_bytes", message.required_bytes), ("limit_bytes", message.limit_bytes)):
        if value < 0:
            raise errors.InvalidRequest(f"capacity_range: {field} is {value} and must not be negative")
    if message.limit_bytes and message.required_bytes > message.limit_bytes:
        raise errors.InvalidRequest(
            f"capacity_range: required_bytes {message.required_bytes} exceeds limit_bytes {message.limit_bytes}"
        )
    return message.required_bytes, message.limit_bytes


def _chosen_node(requirement: csi_pb2.TopologyRequirement, key: str) -> str:
    """Return the node the scheduler chose: the first preferred segment that names one, else the first requisite.

    Raises:
        errors.Exhausted: There are requirements and none is a node's; CSI's code for a topology that cannot be met.
    """
    segments = [topology.segments for topology in (*requirement.preferred, *requirement.requisite)]
    for segment in segments:
        if key in segment:
            return NodeId.check_hostname(segment[key])
    if any(segments):
        raise errors.Exhausted(f"accessibility_requirements: no segment has the key {key}")
    return ""


def max_entries(value: int) -> int:
    if value < 0:
        raise errors.InvalidRequest(f"max_entries is {value} and must not be negative")
    return value
