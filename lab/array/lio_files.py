"""The volumes' and snapshots' bytes: sparse files on a filesystem that can share blocks between files.

Copies are made with the kernel's FICLONE. It holds both files' locks while it works, so a copy of a volume that is
being written to is what the volume was at one moment, and it takes the same few milliseconds for any size. There is no
slower way behind it: a copy made byte by byte under live writes would be of no single moment.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_FICLONE = 0x40049409  # linux/fs.h


class Files:
    """Files of one directory, named by the ids of volumes and snapshots."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`, which must exist.

        Raises:
            OSError: The filesystem cannot share blocks (XFS and btrfs can).
        """
        self._directory = directory.resolve()
        self._probe_sharing()

    def volume(self, volume_id: int) -> Path:
        """Name the file of a volume."""
        return self._directory / f"volume-{volume_id}"

    def snapshot(self, snapshot_id: int) -> Path:
        """Name the file of a snapshot."""
        return self._directory / f"snapshot-{snapshot_id}"

    def make(self, path: Path, size: int) -> None:
        """Make a file of `size` bytes that reads as zeros, in place of one that is there."""
        self._make(path, None, size)

    def make_copy(self, source: Path, path: Path, size: int | None = None) -> None:
        """Make a file of the source's bytes, cut or filled up with zeros to `size`, in place of one that is there."""
        self._make(path, source, source.stat().st_size if size is None else size)

    def overwrite(self, source: Path, path: Path, size: int) -> None:
        """Give a file that is in use the source's bytes and `size` bytes of length."""
        with path.open("rb+") as file:
            _share(source, file.fileno())
            os.ftruncate(file.fileno(), size)
            os.fsync(file.fileno())

    def resize(self, path: Path, size: int) -> None:
        """Set the length of a file in bytes."""
        with path.open("rb+") as file:
            os.ftruncate(file.fileno(), size)
            os.fsync(file.fileno())

    def _make(self, path: Path, source: Path | None, size: int) -> None:
        # A fresh inode: whatever still reads an old file of that name keeps reading the old file.
        path.unlink(missing_ok=True)
        try:
            with path.open("xb") as file:
                if source is not None:
                    _share(source, file.fileno())
                os.ftruncate(file.fileno(), size)
                os.fsync(file.fileno())
            self._sync()
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _sync(self) -> None:
        """Make new names survive a power cut, as the array's records of them do."""
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _probe_sharing(self) -> None:
        source, target = self._directory / ".probe-source", self._directory / ".probe-target"
        try:
            source.write_bytes(bytes(4096))
            with target.open("wb") as file:
                _share(source, file.fileno())
        except OSError as error:
            raise OSError(error.errno, "the volumes need a filesystem with reflinks", str(self._directory)) from error
        finally:
            source.unlink(missing_ok=True)
            target.unlink(missing_ok=True)


def _share(source: Path, target: int) -> None:
    with source.open("rb") as file:
        fcntl.ioctl(target, _FICLONE, file.fileno())
