"""Only the right disk is written to: another one behind the right name, or one with somebody's data, is left alone."""

from __future__ import annotations

import secrets
import struct
import zlib
from collections.abc import Callable

import grpc
import pytest

from csi_solidfire.handles import PublishContext, VolumeHandle
from lab import csi
from lab.site import Node
from tests.realnode.array_side import disguised, swapped
from tests.realnode.conftest import Make
from tests.realnode.volumes import MIB, Volume
from tests.support.ask import refused

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("realnode")]

_CAPABILITIES = {"files": csi.mount("ext4"), "device": csi.block()}


@pytest.mark.parametrize("kind", ["files", "device"])
def test_another_volume_behind_the_right_name_is_not_touched(make: Make, node: Node, kind: str) -> None:
    """A blank disk would be formatted at once; this one says that it is another volume."""
    volume, other = make(_CAPABILITIES[kind]), make()
    before = other.digest()

    with swapped(volume, other), refused(grpc.StatusCode.FAILED_PRECONDITION, volume.handle, other.handle):
        volume.stage(node)

    assert other.digest() == before
    assert volume.left_on(node) == []
    assert other.left_on(node) == []
    volume.stage(node)
    volume.unstage(node)


@pytest.mark.parametrize(
    ("naa", "says"),
    [
        (VolumeHandle("abcd", 1).naa, "abcd.1"),
        ("6001405000000000000000000000000a", "no volume of a SolidFire cluster"),
    ],
    ids=["another cluster's", "another vendor's"],
)
def test_a_disk_that_is_nobody_s_or_another_cluster_s_is_not_touched(
    volume: Volume, node: Node, naa: str, says: str
) -> None:
    before = volume.digest()

    with disguised(volume, naa), refused(grpc.StatusCode.FAILED_PRECONDITION, volume.handle, says):
        volume.stage(node)

    assert volume.digest() == before
    assert volume.left_on(node) == []


def test_a_disk_smaller_than_the_array_said_is_not_touched(volume: Volume, node: Node) -> None:
    """Volumes never shrink, so this is not the volume, whatever it says."""
    before = volume.digest()
    context = volume.context | {PublishContext.TOTAL_SIZE: str(csi.GIB + MIB)}

    with refused(grpc.StatusCode.FAILED_PRECONDITION, str(csi.GIB), str(csi.GIB + MIB)):
        volume.stage(node, context=context)

    assert volume.digest() == before
    assert volume.left_on(node) == []


def _mbr() -> bytes:
    entry = struct.pack("<BBBBBBBBII", 0, 0, 2, 0, 0x83, 0, 2, 0, 2048, 100_000)
    return (bytes(446) + entry + bytes(48) + b"\x55\xaa").ljust(4096, b"\0")


def _gpt() -> bytes:
    sectors = csi.GIB // 512
    entries = secrets.token_bytes(16) * 2 + struct.pack("<QQQ", 2048, sectors - 2048, 0)
    entries = entries.ljust(128 * 128, b"\0")
    tail = struct.pack("<QQQQ16sQIII", 1, sectors - 1, 34, sectors - 34, b"g" * 16, 2, 128, 128, zlib.crc32(entries))
    header = struct.pack("<8sIIII", b"EFI PART", 0x10000, 92, 0, 0)
    header = struct.pack("<8sIIII", b"EFI PART", 0x10000, 92, zlib.crc32(header + tail), 0)
    protective = struct.pack("<BBBBBBBBII", 0, 0, 2, 0, 0xEE, 0, 2, 0, 1, sectors - 1)
    mbr = bytes(446) + protective + bytes(48) + b"\x55\xaa"
    return (mbr + (header + tail).ljust(512, b"\0") + entries).ljust(20480, b"\0")


def _luks() -> bytes:
    names = struct.pack(">6sH32s32s32s", b"LUKS\xba\xbe", 1, b"aes", b"xts-plain64", b"sha256")
    return (names + secrets.token_bytes(400)).ljust(4096, b"\0")


def _swap() -> bytes:
    header = bytes(1024) + struct.pack("<III", 1, 1000, 0) + secrets.token_bytes(16)
    return header.ljust(4086, b"\0") + b"SWAPSPACE2"


_FOREIGN: dict[str, tuple[int, Callable[[], bytes]]] = {
    "random bytes": (0, lambda: secrets.token_bytes(MIB)),
    "one block in the first MiB": (MIB - 4096, lambda: secrets.token_bytes(4096)),
    "one block in the last MiB": (csi.GIB - MIB, lambda: secrets.token_bytes(4096)),
    "the last bytes": (csi.GIB - 4096, lambda: bytes(4095) + b"x"),
    "where the marker goes": (56 * MIB, lambda: secrets.token_bytes(4096)),
    "an MBR": (0, _mbr),
    "a GPT": (0, _gpt),
    "LUKS": (0, _luks),
    "swap": (0, _swap),
}


@pytest.mark.parametrize("what", _FOREIGN)
def test_foreign_data_is_never_formatted(volume: Volume, node: Node, what: str) -> None:
    """Not a byte of it changes, and nothing is left on the node."""
    at, data = _FOREIGN[what]
    volume.write(data(), at=at)
    before = volume.digest()

    with refused(grpc.StatusCode.FAILED_PRECONDITION, volume.handle, "never formatted"):
        volume.stage(node)

    assert volume.digest() == before
    assert volume.left_on(node) == []


@pytest.mark.parametrize(("has", "asked"), [("ext3", "ext4"), ("xfs", "btrfs"), ("btrfs", "ext4"), ("ext4", "xfs")])
def test_another_filesystem_than_asked_is_left_as_it_is(make: Make, node: Node, has: str, asked: str) -> None:
    volume = make(csi.mount(asked))
    force = "-F" if has.startswith("ext") else "-f"
    volume.site.array.run(f"mkfs.{has} -q {force} {volume.file} && sync -f {volume.file}")
    before = volume.digest()

    with refused(grpc.StatusCode.FAILED_PRECONDITION, has, asked, "never formatted"):
        volume.stage(node)

    assert volume.digest() == before
    assert volume.left_on(node) == []


def test_a_damaged_filesystem_is_not_made_anew(volume: Volume, node: Node) -> None:
    """An ext4 whose superblock is gone still holds somebody's files."""
    staging = volume.stage(node)
    node.machine.run(f"echo precious > {staging}/file")
    volume.unstage(node)
    volume.write(bytes(4096))
    before = volume.digest()

    with refused(grpc.StatusCode.FAILED_PRECONDITION, "never formatted"):
        volume.stage(node)

    assert volume.digest() == before
    assert volume.left_on(node) == []
