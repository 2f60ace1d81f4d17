"""From the messages of `csi.v1.Node` to the node's own words. Whatever is wrong with a request itself is found here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from csi_solidfire import errors
from csi_solidfire.handles import Chap, PublishContext, VolumeHandle, shorten
from csi_solidfire.node.specs import FILESYSTEMS, Access, Block, Filesystem, PublishSpec, StageSpec
from csi_solidfire.pb import csi_pb2

_Mode = csi_pb2.VolumeCapability.AccessMode
_READERS = frozenset({_Mode.SINGLE_NODE_READER_ONLY, _Mode.MULTI_NODE_READER_ONLY})
_MULTI_WRITERS = frozenset({_Mode.MULTI_NODE_SINGLE_WRITER, _Mode.MULTI_NODE_MULTI_WRITER})
# Options that change what mount(8) does, and where, rather than how the filesystem behaves.
_FORBIDDEN_FLAGS = frozenset(
    {"bind", "rbind", "move", "remount", "loop", "offset", "sizelimit", "noauto", "user", "users", "owner", "group"}
)
_PROPAGATION = frozenset({"shared", "private", "slave", "unbindable"})


class _HasVolumeId(Protocol):
    @property
    def volume_id(self) -> str: ...


def stage_handle(request: csi_pb2.NodeStageVolumeRequest) -> VolumeHandle | None:
    """Return which volume NodeStageVolumeRequest is about, whatever is wrong with the rest; None for none of ours."""
    try:
        return handle_of(request)
    except errors.NotFound:
        return None


def stage_spec(request: csi_pb2.NodeStageVolumeRequest) -> StageSpec:
    """Read NodeStageVolumeRequest."""
    _require(request, "volume_id", "staging_target_path", "volume_capability")
    access, mode = _capability(request.volume_capability)
    handle = handle_of(request)
    target = PublishContext.from_map(request.publish_context, handle)
    return StageSpec(
        handle=handle,
        path=request.staging_target_path,
        access=access,
        read_only=mode in _READERS,
        target=target,
        chap=_chap(request, target),
    )


def unstage(request: csi_pb2.NodeUnstageVolumeRequest) -> tuple[VolumeHandle, str]:
    """Read NodeUnstageVolumeRequest: which volume, and its staging path."""
    _require(request, "volume_id", "staging_target_path")
    return handle_of(request), request.staging_target_path


def publish_spec(request: csi_pb2.NodePublishVolumeRequest) -> PublishSpec:
    """Read NodePublishVolumeRequest."""
    _require(request, "volume_id", "target_path", "volume_capability")
    access, mode = _capability(request.volume_capability)
    handle = handle_of(request)
    if not request.staging_target_path:
        raise errors.Refused("staging_target_path is missing: this driver stages every volume first")
    return PublishSpec(
        handle=handle,
        staging_path=request.staging_target_path,
        path=request.target_path,
        access=access,
        read_only=request.readonly or mode in _READERS,
        sole=mode == _Mode.SINGLE_NODE_SINGLE_WRITER,
    )


def unpublish(request: csi_pb2.NodeUnpublishVolumeRequest) -> tuple[VolumeHandle, str]:
    """Read NodeUnpublishVolumeRequest: which volume, and its target path."""
    _require(request, "volume_id", "target_path")
    return handle_of(request), request.target_path


def stats(request: csi_pb2.NodeGetVolumeStatsRequest) -> tuple[VolumeHandle, str]:
    """Read NodeGetVolumeStatsRequest: which volume, and one of its paths."""
    _require(request, "volume_id", "volume_path")
    return handle_of(request), request.volume_path


def handle_of(request: _HasVolumeId) -> VolumeHandle:
    return VolumeHandle.parse(request.volume_id)


def _require(request: object, *fields: str) -> None:
    """Refuse a request that lacks a field; before anything is made of those that are there."""
    for field in fields:
        value = getattr(request, field)
        missing = not value if isinstance(value, str) else not value.ByteSize()
        if missing:
            raise errors.InvalidRequest(f"{field} is missing")


def _capability(capability: csi_pb2.VolumeCapability) -> tuple[Access, int]:
    """Return how the volume is to be seen, and CSI's access mode."""
    mode = capability.access_mode.mode
    names = [value.name for value in _Mode.Mode.DESCRIPTOR.values if value.number != _Mode.UNKNOWN]
    if mode == _Mode.UNKNOWN or mode not in _Mode.Mode.values():
        raise errors.InvalidRequest(f"volume_capability.access_mode must be one of {', '.join(names)}")
    kind = capability.WhichOneof("access_type")
    if kind is None:
        raise errors.InvalidRequest("volume_capability must have an access type, mount or block")
    if kind == "block":
        return Block(), mode
    if mode in _MULTI_WRITERS:
        raise errors.Refused(
            f"access mode {_Mode.Mode.Name(mode)} is for block volumes only: "
            f"{', '.join(FILESYSTEMS)} cannot be mounted on one node while another one writes"
        )
    return _filesystem(capability.mount), mode


def _filesystem(mount: csi_pb2.VolumeCapability.MountVolume) -> Filesystem:
    if mount.fs_type not in ("", *FILESYSTEMS):
        allowed = ", ".join(FILESYSTEMS)
        raise errors.InvalidRequest(f"fs_type {shorten(mount.fs_type)} is not supported; it may be {allowed} or empty")
    return Filesystem(mount.fs_type, tuple(_flags(mount.mount_flags)))


def _flags(flags: Iterable[str]) -> Iterable[str]:
    """Yield mount options one by one, however many a flag has. Joined again they are what they were, quotes too."""
    # CSI calls mount flags sensitive, so a message names the position and not the flag.
    for index, flag in enumerate(flags):
        options = flag.split(",")
        names = {option.partition("=")[0].strip() for option in options}
        if not flag or not flag.isprintable() or any(map(_is_forbidden, names)):
            raise errors.InvalidRequest(
                f"mount_flags[{index}] is empty, unprintable, or changes more than how to mount"
            )
        yield from (option for option in options if option not in ("", "rw", "defaults"))


def _is_forbidden(name: str) -> bool:
    propagation = name.removeprefix("make-").removeprefix("r") in _PROPAGATION
    return propagation or name in _FORBIDDEN_FLAGS or name.startswith("x-")


def _chap(request: csi_pb2.NodeStageVolumeRequest, target: PublishContext) -> Chap:
    """Return the credentials, if they are those of the attachment that the publish context is of.

    kubelet reads the attachment first and the volume's Secret then. If it is held up between the two until another
    node has the volume, the Secret has that node's credentials: they would open the volume beside it.
    """
    chap = _given(request.secrets, request.publish_context)
    if chap.username != target.username:
        raise errors.Unavailable(
            f"secrets: not those of account {target.username}, under which volume {request.volume_id} was attached to "
            "this node: it has been attached anew since, perhaps elsewhere; both have to be read again"
        )
    return chap


def _given(secrets: Mapping[str, str], publish_context: Mapping[str, str]) -> Chap:
    chap = Chap.from_map(secrets, "secrets") or Chap.from_map(publish_context, "publish_context")
    if chap is None:
        raise errors.InvalidRequest(
            f"secrets: no CHAP credentials; {Chap.USERNAME} and {Chap.PASSWORD} are needed, and for mutual CHAP "
            f"{Chap.USERNAME_IN} and {Chap.PASSWORD_IN}. The StorageClass names their Secret with "
            "csi.storage.k8s.io/node-stage-secret-name"
        )
    return chap
