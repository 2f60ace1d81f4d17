"""A program for nodes: writes to a volume and never gives up, noting which writes it knows to be there.

    python3 writer.py append FILE NOTES [PAUSE] numbered lines with a checksum, each synced; seconds between them
    python3 writer.py overwrite DEVICE NOTES    numbered blocks, each in its own place, past the page cache
    python3 writer.py lines FILE                tell how many lines are there, all of them whole and in order
    python3 writer.py blocks DEVICE             the same of blocks

NOTES gets a line for each write: `ok 17`, or `failed 18 EIO`.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_BLOCK = 4096
_PAUSE = 0.05  # seconds after a failure


def line(number: int) -> bytes:
    return f"{number:08d} {hashlib.sha256(str(number).encode()).hexdigest()[:16]}\n".encode()


def block(number: int) -> bytes:
    return line(number).ljust(_BLOCK, b".")


def append(path: str) -> Callable[[int], None]:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(number: int) -> None:
        os.write(file, line(number))
        os.fsync(file)

    return write


def overwrite(path: str) -> Callable[[int], None]:
    file = os.open(path, os.O_WRONLY | os.O_DIRECT)
    aligned = mmap.mmap(-1, _BLOCK)

    def write(number: int) -> None:
        aligned[:] = block(number)
        os.pwrite(file, aligned, (number - 1) * _BLOCK)

    return write


def keep_writing(write: Callable[[int], None], notes: str, pause: float) -> None:
    number = 1
    with Path(notes).open("w", buffering=1) as note:
        while True:
            try:
                write(number)
            except OSError as error:
                note.write(f"failed {number} {errno.errorcode[error.errno or 0]}\n")
                time.sleep(_PAUSE)
            else:
                note.write(f"ok {number}\n")
                number += 1
                time.sleep(pause)


def pieces(path: str, size: int) -> Iterator[bytes]:
    with Path(path).open("rb") as file:
        while piece := file.read(size):
            yield piece


def count(path: str, expected: Callable[[int], bytes]) -> int:
    """Count the pieces that are as they were written.

    Raises:
        SystemExit: Something else than nothing comes after them.
    """
    size = len(expected(1))
    number = 0
    for number, piece in enumerate(pieces(path, size), 1):
        if piece == bytes(size):
            return number - 1
        if piece != expected(number):
            sys.exit(f"the {number}th is {piece[:64]!r}")
    return number


def main(what: str, path: str, notes: str = "", pause: str = "0") -> None:
    if what == "append":
        keep_writing(append(path), notes, float(pause))
    elif what == "overwrite":
        keep_writing(overwrite(path), notes, float(pause))
    else:
        print(count(path, {"lines": line, "blocks": block}[what]))


if __name__ == "__main__":
    main(*sys.argv[1:])
