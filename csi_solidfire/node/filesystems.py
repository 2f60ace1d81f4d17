"""Finding out what is on a disk, and making and growing filesystems.

**Only a blank disk is ever formatted**: blkid finds nothing, and the first and the last MiB and the place of the
marker read as zeros, past all caches. Everything else that is not a filesystem we know is somebody's data.

**An mkfs that was cut short** leaves neither a blank disk nor a filesystem, and often something that looks like one:
mkfs.xfs writes its superblock first of all, and what a power cut leaves of the page cache that mkfs.ext4 and
mkfs.btrfs write through has no order at all. So before mkfs starts, a marker with the volume's handle is written to a
place that no mkfs writes to, and it is taken away when mkfs has ended well; both are confirmed by the disk before the
next step. A disk with its own marker has never been mounted, because mounting comes after the removal: it may be
formatted again, whatever it looks like. A disk without one is judged by what is on it.

`_MARKER_AT` is a free data block in a new ext4 (behind the inode tables of the first 16 groups, before the journal),
xfs (in the first allocation group, behind its headers and the root directory) and btrfs (inside the first metadata
chunk, behind its first blocks): tried with the tools of Debian 12 at eight sizes from the smallest volume to 15 TiB.
mkfs must not discard, which would take the marker along. If some other mkfs overwrites it all the same, what is lost
is not data: it is not taken away (somebody's metadata is there), and if that mkfs is also cut short, the disk is
refused as holding unknown data.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from csi_solidfire import errors, logs
from csi_solidfire.handles import VolumeHandle
from csi_solidfire.node import devices
from csi_solidfire.node.devices import Disk
from csi_solidfire.node.host import Host
from csi_solidfire.node.specs import FILESYSTEMS

log = logs.get(__name__)

DEFAULT = "ext4"
_MIB = 1 << 20
_BLOCK = 4096
_MARKER_AT = 56 * _MIB
_MARKER = b"csi-solidfire: mkfs has not finished on volume "
_MKFS_TIMEOUT = 600.0  # seconds; 15 TiB of ext4 took 2 on a fast disk

# What kernel 4.18 can mount, whatever this mkfs would choose by itself: e2fsprogs 1.47 adds orphan_file (5.15) and
# metadata_csum_seed, xfsprogs 6.5 nrext64 (5.19) and rmapbt. "none" clears the defaults of mke2fs.conf.
_EXT4_FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,"
    "dir_nlink,extra_isize,metadata_csum"
)
_EXT4_WRITES = "lazy_itable_init=1,lazy_journal_init=0,nodiscard"
# No discard anywhere: the volume is new and holds nothing, and the marker has to stay. ext4: inode tables are zeroed
# by the kernel after mounting (they would take 16 GiB of writing for 1 TiB), but the journal now, since a stale one
# can be replayed; -m0 because nothing of the system lives here. No -F: mke2fs then refuses a disk in use.
_MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-m0", "-b4096", "-I256", "-O", _EXT4_FEATURES, "-E", _EXT4_WRITES],
    "xfs": ["mkfs.xfs", "-q", "-K", "-m", "rmapbt=0", "-i", "nrext64=0"],
    "btrfs": ["mkfs.btrfs", "-q", "-K"],
}
_FORCE = {"ext4": ["-F"], "xfs": ["-f"], "btrfs": ["-f"]}

_BLKID_NOTHING = 2
_BLKID_AMBIVALENT = 8


@dataclass(frozen=True)
class Content:
    """What is on a disk.

    Attributes:
        fstype: blkid's name of the filesystem; empty for none.
        unfinished: An mkfs of ours was cut short; whatever else there seems to be is nothing.
    """

    fstype: str
    unfinished: bool = False

    @property
    def blank(self) -> bool:
        return self.unfinished or not self.fstype


def probe(host: Host, disk: Disk, handle: VolumeHandle) -> Content:
    """Tell what is on a disk.

    Raises:
        errors.Refused: Something that is neither a filesystem nor nothing.
        errors.Unavailable: The disk could not be read.
    """
    marker = host.read_blocks(disk.path, _MARKER_AT, _BLOCK)
    if marker == _marker(handle):
        return Content("", unfinished=True)
    result = host.run(
        ["blkid", "-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", str(disk.path)],
        ok={0, _BLKID_NOTHING, _BLKID_AMBIVALENT},
    )
    found = dict(line.split("=", 1) for line in result.text.splitlines() if "=" in line)
    if result.status == _BLKID_AMBIVALENT or "PTTYPE" in found:
        what = (
            f"a partition table ({found['PTTYPE']})" if "PTTYPE" in found else "signatures of more than one filesystem"
        )
        raise errors.Refused(f"volume {handle} holds {what}; it is never formatted")
    if found.get("TYPE"):
        return Content(found["TYPE"])
    _check_zeros(host, disk, handle, marker)
    return Content("")


def _check_zeros(host: Host, disk: Disk, handle: VolumeHandle, marker: bytes) -> None:
    """Refuse to take a disk for blank that is not. blkid's "nothing" also means data it does not know, or no answer."""
    if marker.startswith(_MARKER):
        raise errors.Refused(f"volume {handle} is a copy of another one whose formatting was cut short; delete it")
    ends = {"first": 0, "last": disk.size // _BLOCK * _BLOCK - _MIB}
    parts = {f"{name} MiB": host.read_blocks(disk.path, offset, _MIB) for name, offset in ends.items()}
    for name, content in (parts | {"block at 56 MiB": marker}).items():
        if any(content):
            raise errors.Refused(
                f"volume {handle} holds unknown data (its {name} is not all zeros); it is never formatted"
            )


def check_type(handle: VolumeHandle, content: Content, wanted: str, *, read_only: bool) -> str:
    """Return the filesystem type that the volume has or shall get.

    Args:
        wanted: The type asked for; empty for any.

    Raises:
        errors.Refused: It has another one, or one we do not know, or none and may not be written to.
    """
    if content.blank:
        if read_only:
            raise errors.Refused(f"volume {handle} has no filesystem yet and is to be used read-only; it can't get one")
        return wanted or DEFAULT
    if content.fstype not in ({wanted} if wanted else FILESYSTEMS):
        want = wanted or " or ".join(FILESYSTEMS)
        raise errors.Refused(
            f"volume {handle} holds a {content.fstype} filesystem, not {want}; it is never formatted over"
        )
    return content.fstype


def make(host: Host, disk: Disk, handle: VolumeHandle, content: Content, fstype: str, size: int) -> None:
    """Put a filesystem on a disk that `probe` found blank.

    Args:
        size: Bytes the array said the volume has at least.
    """
    devices.check_identity(host, disk, handle, size)
    if not content.unfinished:
        host.write_blocks(disk.path, _MARKER_AT, _marker(handle))
    program, *options = _MKFS[fstype]
    force = _FORCE[fstype] if content.unfinished else []
    host.run([program, *options, *force, str(disk.path)], timeout=_MKFS_TIMEOUT, lock=disk.path)
    host.run(["blockdev", "--flushbufs", str(disk.path)])
    if host.read_blocks(disk.path, _MARKER_AT, _BLOCK) == _marker(handle):
        host.write_blocks(disk.path, _MARKER_AT, bytes(_BLOCK))
    log.info("made a filesystem", volume=str(handle), type=fstype)


def grow(host: Host, disk: Disk, handle: VolumeHandle, fstype: str, path: Path) -> None:
    """Let a mounted filesystem use all of its disk, which may have grown, or be larger than what it was copied from."""
    end = _size(fstype, host.read_blocks(disk.path, 0, 128 * 1024))
    if end + _MIB > disk.size:
        return
    devices.check_identity(host, disk, handle)
    commands = {
        "ext4": ["resize2fs", str(disk.path)],
        "xfs": ["xfs_growfs", str(path)],
        "btrfs": ["btrfs", "filesystem", "resize", "max", str(path)],
    }
    host.run(commands[fstype], timeout=_MKFS_TIMEOUT)
    log.info("grew a filesystem", volume=str(handle), type=fstype, was=end, disk=disk.size)


def _size(fstype: str, head: bytes) -> int:
    """Return the bytes a filesystem says it has, from the superblock in the first 128 KiB of its disk.

    What is on the disk may lag behind a mounted filesystem; growing once more does no harm.
    """
    if fstype == "ext4":
        (low,), (shift,), (high,) = (struct.unpack_from("<I", head, 1024 + at) for at in (0x4, 0x18, 0x150))
        return int((high << 32 | low) * (1024 << shift))
    if fstype == "xfs":
        block, count = struct.unpack_from(">IQ", head, 4)
        return int(block * count)
    return int(struct.unpack_from("<Q", head, 65536 + 0x70)[0])


def uuid(host: Host, device: Path) -> str:
    """Return a filesystem's UUID; empty if it can't be told."""
    result = host.run(
        ["blkid", "-p", "-s", "UUID", "-o", "value", str(device)], ok={0, _BLKID_NOTHING, _BLKID_AMBIVALENT}
    )
    return result.text.strip()


def _marker(handle: VolumeHandle) -> bytes:
    return (_MARKER + str(handle).encode("ascii") + b"\n").ljust(_BLOCK, b"\0")
