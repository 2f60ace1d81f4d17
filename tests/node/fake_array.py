"""What is on the other end of the fake host's wire: volumes as iSCSI targets with a disk behind each."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from csi_solidfire.handles import Chap, PublishContext, VolumeHandle

BLOCK = 4096
MIB = 1 << 20
PORTAL = "10.0.0.10:3260"


@dataclass
class Filesystem:
    """What an mkfs left on a disk.

    Attributes:
        size: Bytes it takes up.
        complete: mkfs came to its end.
        files: Somebody's data, by name.
    """

    type: str
    size: int
    uuid: str
    complete: bool = True
    files: set[str] = field(default_factory=set)
    errors: bool = False


@dataclass
class Lun:
    """A volume's disk as the array has it."""

    handle: VolumeHandle
    size: int
    naa: str
    read_only: bool = False
    blocks: dict[int, bytes] = field(default_factory=dict)
    filesystem: Filesystem | None = None
    partition_table: str = ""
    formatted: int = 0

    def read(self, offset: int, length: int) -> bytes:
        assert offset % BLOCK == 0
        assert length % BLOCK == 0
        assert 0 <= offset <= self.size - length, "read beyond the end of the disk"
        image = bytearray(b"".join(self.blocks.get(at, bytes(BLOCK)) for at in range(offset, offset + length, BLOCK)))
        if self.filesystem and offset == 0:
            _superblock(self.filesystem, image)
        return bytes(image)

    def write(self, offset: int, data: bytes) -> None:
        assert offset % BLOCK == 0
        assert len(data) % BLOCK == 0
        for at in range(0, len(data), BLOCK):
            self.blocks[offset + at] = data[at : at + BLOCK]


def _superblock(filesystem: Filesystem, image: bytearray) -> None:
    """Write the fields that tell a filesystem's size where the real ones have them."""
    blocks = filesystem.size // BLOCK
    if filesystem.type == "ext4":
        for at, value in ((0x4, blocks & 0xFFFFFFFF), (0x18, 2), (0x150, blocks >> 32)):
            struct.pack_into("<I", image, 1024 + at, value)
    elif filesystem.type == "xfs":
        struct.pack_into(">4sIQ", image, 0, b"XFSB", BLOCK, blocks)
    elif filesystem.type == "btrfs" and len(image) > 65536:
        struct.pack_into("<Q", image, 65536 + 0x70, filesystem.size)


@dataclass
class Target:
    """A volume's target.

    Attributes:
        login_status: What iscsiadm's login ends with if not 0, for failures that have nothing to do with CHAP.
    """

    lun: Lun
    chap: Chap
    locked: bool = False
    login_status: int = 0


class Array:
    """Targets by name."""

    def __init__(self) -> None:
        self.targets: dict[str, Target] = {}

    def add(self, handle: VolumeHandle, size: int = 2000 * MIB, chap: Chap | None = None) -> PublishContext:
        """Make a volume and return what a node needs to know of it."""
        secrets = chap or Chap("node-1-shop", "initiatorpw1", "targetsecret1")
        iqn = f"iqn.2010-01.com.solidfire:{handle.cluster_id}.pvc-1.{handle.volume_id}"
        target = PublishContext(secrets.username, PORTAL, iqn, size)
        self.targets[target.iqn] = Target(Lun(handle, size, handle.naa), secrets)
        return target

    def lun(self, handle: VolumeHandle) -> Lun:
        return next(target.lun for target in self.targets.values() if target.lun.handle == handle)

    def target(self, handle: VolumeHandle) -> Target:
        return next(target for target in self.targets.values() if target.lun.handle == handle)
