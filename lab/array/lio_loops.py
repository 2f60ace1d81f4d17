"""Loop devices by ioctl: a volume's file as the block device that LIO serves.

A volume's device is found by its number alone, `/dev/loop<100000 + volume id>`: nothing has to be searched or
remembered, and `losetup -f`, which takes the lowest free number, never meets one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# linux/loop.h
_LOOP_CLR_FD = 0x4C01
_LOOP_SET_CAPACITY = 0x4C07
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CTL_ADD = 0x4C80
_LOOP_CTL_REMOVE = 0x4C81
_LO_FLAGS_DIRECT_IO = 16
_LOOP_INFO64 = struct.Struct("=5Q4I64s64s32s2Q")
_LOOP_CONFIG = struct.Struct(f"=2I{_LOOP_INFO64.size}s64x")

_BASE = 100_000
_BUSY_SECONDS = 5.0


def device(volume_id: int) -> Path:
    """Name the volume's loop device, attached or not."""
    return Path(f"/dev/loop{_BASE + volume_id}")


def attached() -> list[int]:
    """List the ids of volumes whose loop device has a file."""
    found = Path("/sys/block").glob("loop*/loop/backing_file")
    numbers = (int(path.parts[-3].removeprefix("loop")) for path in found)
    return sorted(number - _BASE for number in numbers if number > _BASE)


def attach(volume_id: int, file: Path, sector_size: int) -> Path:
    """Attach the volume's device to its file, or keep it if it is.

    I/O is direct, so what an initiator was told is written is in the file and not in this machine's memory.

    Args:
        volume_id: The volume.
        file: Its bytes.
        sector_size: Bytes of a logical sector, 512 or 4096.

    Raises:
        OSError: The device is busy with another file, for one.
    """
    if _backing_file(volume_id) == str(file):
        return device(volume_id)
    _control(_LOOP_CTL_ADD, volume_id, {errno.EEXIST})
    info = _LOOP_INFO64.pack(0, 0, 0, 0, 0, 0, 0, 0, _LO_FLAGS_DIRECT_IO, b"", b"", b"", 0, 0)
    with file.open("rb+") as backing, _opened(volume_id) as loop:
        config = _LOOP_CONFIG.pack(backing.fileno(), sector_size, info)
        _while_busy(lambda: fcntl.ioctl(loop, _LOOP_CONFIGURE, config))
    return device(volume_id)


def resize(volume_id: int) -> None:
    """Tell an attached device that its file has another length now; do nothing for one that is not attached."""
    if _backing_file(volume_id) is not None:
        with _opened(volume_id) as loop:
            fcntl.ioctl(loop, _LOOP_SET_CAPACITY)


def detach(volume_id: int) -> None:
    """Detach the device from its file. Doing it twice is fine."""
    if _backing_file(volume_id) is not None:
        with _opened(volume_id) as loop:
            fcntl.ioctl(loop, _LOOP_CLR_FD)
    if device(volume_id).exists():
        # udev may still be looking at it; a device without a file is no harm and is taken again when needed.
        _control(_LOOP_CTL_REMOVE, volume_id, {errno.EBUSY, errno.ENODEV})


def _backing_file(volume_id: int) -> str | None:
    try:
        return Path(f"/sys/block/{device(volume_id).name}/loop/backing_file").read_text().rstrip("\n")
    except FileNotFoundError:
        return None


@contextmanager
def _opened(volume_id: int) -> Iterator[int]:
    opened = os.open(device(volume_id), os.O_RDWR | os.O_CLOEXEC)
    try:
        yield opened
    finally:
        os.close(opened)


def _control(request: int, volume_id: int, accepted: set[int]) -> None:
    with Path("/dev/loop-control").open("rb") as control:
        try:
            fcntl.ioctl(control, request, _BASE + volume_id)
        except OSError as error:
            if error.errno not in accepted:
                raise


def _while_busy(act: Callable[[], object]) -> None:
    """Repeat what the kernel refuses while a device just detached is still open elsewhere, in udev as a rule."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            act()
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)
