"""How a volume may be used: CSI's access modes, filesystem or raw block, read-only or not."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from csi_solidfire import errors
from csi_solidfire.handles import shorten

FILESYSTEMS = ("ext4", "xfs", "btrfs")


class Mode(enum.Enum):
    """CSI's access modes; the values are what is written into a volume's attributes, so they never change."""

    SINGLE_NODE_WRITER = "snw"
    SINGLE_NODE_READER_ONLY = "snr"
    MULTI_NODE_READER_ONLY = "mnr"
    MULTI_NODE_SINGLE_WRITER = "mnsw"
    MULTI_NODE_MULTI_WRITER = "mnmw"
    SINGLE_NODE_SINGLE_WRITER = "snsw"
    SINGLE_NODE_MULTI_WRITER = "snmw"

    @property
    def is_single_node(self) -> bool:
        return self.value.startswith("sn")

    @property
    def is_reader(self) -> bool:
        return self.value.endswith("r")


@dataclass(frozen=True)
class Capability:
    """One of CSI's volume capabilities. `fs_type` is empty for raw block, or to leave the choice to the driver."""

    mode: Mode
    block: bool
    fs_type: str = ""
    volume_mount_group: str = ""

    def problem(self) -> str:
        """Say why the driver cannot serve this; empty if it can."""
        if self.mode is Mode.MULTI_NODE_SINGLE_WRITER:
            return f"access_mode {self.mode.name} is not supported: nothing would hold the other nodes to reading"
        if self.mode is Mode.MULTI_NODE_MULTI_WRITER and not self.block:
            return f"access_mode {self.mode.name} needs a raw block volume: {', '.join(FILESYSTEMS)} are for one node"
        if self.fs_type and self.fs_type not in FILESYSTEMS:
            return f"fs_type {shorten(self.fs_type)} is not supported: use {', '.join(FILESYSTEMS)}"
        if self.volume_mount_group:
            return "volume_mount_group is not supported: leave it empty, fsGroup is applied by Kubernetes"
        return ""


def check(capabilities: Iterable[Capability]) -> None:
    """Hold each capability, and all together, against what the driver does.

    Raises:
        errors.InvalidRequest: None is given, one is not supported, or they contradict each other.
    """
    given = list(capabilities)
    if not given:
        raise errors.InvalidRequest("volume_capabilities is missing")
    for capability in given:
        if problem := capability.problem():
            raise errors.InvalidRequest(f"volume_capabilities: {problem}")
    if len({capability.fs_type for capability in given if capability.fs_type}) > 1:
        raise errors.InvalidRequest("volume_capabilities: fs_type must be the same in all of them")


@dataclass(frozen=True)
class Attachment:
    """How a volume is published to a node."""

    mode: Mode
    block: bool
    readonly: bool

    @property
    def reads_only(self) -> bool:
        return self.readonly or self.mode.is_reader

    def __str__(self) -> str:
        return f"{self.mode.value},{'block' if self.block else 'mount'},{'ro' if self.readonly else 'rw'}"

    @classmethod
    def parse(cls, text: str) -> Attachment:
        """Read what `str` wrote; ValueError for anything else."""
        mode, kind, direction = text.split(",")
        if kind not in ("block", "mount") or direction not in ("ro", "rw"):
            raise ValueError(text)
        return cls(Mode(mode), kind == "block", direction == "ro")
