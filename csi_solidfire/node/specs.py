"""What the node service is asked for, read and checked: the node's own words for CSI's requests."""

from __future__ import annotations

from dataclasses import dataclass

from csi_solidfire.handles import Chap, PublishContext, VolumeHandle

FILESYSTEMS = ("ext4", "xfs", "btrfs")


@dataclass(frozen=True)
class Filesystem:
    """The volume is to be seen as files.

    Attributes:
        type: One of `FILESYSTEMS`. Empty: the one that is there, ext4 for a blank volume.
        flags: Mount options beyond `ro`.
    """

    type: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """The volume is to be seen as a block device."""


Access = Filesystem | Block


@dataclass(frozen=True)
class StageSpec:
    """NodeStageVolume.

    Attributes:
        path: The staging path as it came, not yet checked.
        read_only: Nobody will write: mount it so and never format it.
    """

    handle: VolumeHandle
    path: str
    access: Access
    read_only: bool
    target: PublishContext
    chap: Chap


@dataclass(frozen=True)
class PublishSpec:
    """NodePublishVolume.

    Attributes:
        staging_path: Where it was staged, not yet checked.
        path: The target path, not yet checked.
        sole: No second target path may have it (SINGLE_NODE_SINGLE_WRITER).
    """

    handle: VolumeHandle
    staging_path: str
    path: str
    access: Access
    read_only: bool
    sole: bool
