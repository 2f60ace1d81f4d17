"""The one door to Linux: every command, file and kernel fact the node code uses goes through a `Host`.

`LocalHost` is the machine itself. Tests have a strict one in memory (tests/node/fake_host.py), and one that
wraps any `Host` and dies at its n-th operation.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from csi_solidfire import deadline, errors, logs, metrics

log = logs.get(__name__)

POLL = 0.05  # seconds; the longest wait between two looks at the kernel when no event comes

_SUCCESS = frozenset({0})
_HOST_TOOLS = frozenset({"iscsiadm", "multipath"})
ISCSI_CONFIGURATION = (Path("/etc/iscsi"), Path("/var/lib/iscsi"))
# Programs see nothing of the driver's own environment; LC_ALL keeps their messages in one language.
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_KILL_GRACE = 1.0  # seconds that a killed command has to disappear before it is left to the kernel
_STDERR_LINES = 3
_LOCK_PATIENCE = 10  # seconds
_LOCKED_OUT = 113  # a status that no program run under a lock has of its own
UNFINISHED = ".unfinished"
_NETLINK_KOBJECT_UEVENT = 15  # linux/netlink.h; Python has no name for it
_UEVENT_GROUP = 1
_LISTENING = "00010000"  # __SO_ACCEPTCON in /proc/net/unix
_ISCSID_SOCKET = "@ISCSIADM_ABSTRACT_NAMESPACE"


class Kind(Enum):
    """What a path is, a symbolic link not followed."""

    FILE = "a file with content"
    EMPTY_FILE = "an empty file"
    DIRECTORY = "a directory"
    BLOCK = "a block device"
    SYMLINK = "a symbolic link"
    OTHER = "a special file"


@dataclass(frozen=True)
class Result:
    """What a command left: its exit status and what it printed."""

    status: int
    stdout: bytes = b""
    stderr: str = ""

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")


@dataclass(frozen=True)
class Usage:
    """What a filesystem holds: bytes, and inodes (all zero where the filesystem has no fixed number)."""

    total: int
    used: int
    available: int
    inodes: int
    inodes_used: int
    inodes_free: int


class CommandFailed(errors.Unavailable):
    """A command ended with a status that the caller did not expect.

    No secret can be in it: secrets are never arguments or input of a command, they reach iscsid through a file.
    """

    def __init__(self, program: str, status: int, stderr: str) -> None:
        lines = [line.strip() for line in stderr.splitlines() if line.strip()]
        if len(lines) > _STDERR_LINES:  # what is wrong comes first or last, in between is a page of usage
            lines = [*lines[: _STDERR_LINES - 1], lines[-1]]
        self.program = program
        self.status = status
        self.stderr = "; ".join(lines)
        super().__init__(f"{program} ended with status {status}" + (f": {self.stderr}" if self.stderr else ""))


class Host(Protocol):
    """A Linux host. File methods raise OSError as Python's own do, unless they say otherwise."""

    def run(
        self,
        argv: Sequence[str],
        *,
        ok: Collection[int] = _SUCCESS,
        timeout: float = deadline.DEFAULT,
        data: bytes = b"",
        lock: Path | None = None,
    ) -> Result:
        """Run a program to its end.

        Args:
            argv: Program and arguments. Never a secret: every process of the node can read them.
            ok: Exit statuses that are answers rather than failures.
            timeout: Seconds; the caller's deadline counts if it is sooner.
            data: What it reads. Never a secret.
            lock: A disk that it works on alone. The command itself holds the lock: an mkfs that outlives the driver
                is not joined by the next driver's, nor disturbed by udev, which locks disks likewise to look at them.

        Raises:
            CommandFailed: Another exit status.
            errors.Unavailable: It took too long and was killed with all its children.
        """

    def read_text(self, path: Path) -> str: ...

    def list_dir(self, path: Path) -> list[str]:
        """Return the names in a directory, sorted; none if there is no such directory."""

    def kind(self, path: Path) -> Kind | None:
        """Return what a path is; None if there is nothing."""

    def resolve(self, path: Path) -> Path:
        """Return a path with all symbolic links followed, as far as it exists."""

    def device_number(self, path: Path) -> str:
        """Return `<major>:<minor>` of the device that a special file stands for."""

    def write_private(self, path: Path, text: str) -> None:
        """Write `<nodes>/<target>/<portal>/<file>`, whole or not at all, readable for root only.

        Directories are made as needed (0700, the file 0600). Cut short, it leaves `UNFINISHED` beside the portal.
        """

    def write_sysfs(self, path: Path, text: str) -> None:
        """Write to a file of the kernel's.

        Raises:
            CommandFailed: The kernel refused.
        """

    def make_dir(self, path: Path) -> None: ...

    def make_file(self, path: Path) -> None:
        """Make an empty file; one that is there stays."""

    def remove_file(self, path: Path) -> None:
        """Remove a file; nothing there is fine."""

    def remove_dir(self, path: Path) -> None:
        """Remove an empty directory; nothing there is fine.

        Raises:
            OSError: It is not empty.
        """

    def read_blocks(self, device: Path, offset: int, length: int) -> bytes:
        """Read a disk past all caches. Offset and length are multiples of 4096.

        Raises:
            errors.Unavailable: The disk did not answer, or with less.
        """

    def write_blocks(self, device: Path, offset: int, data: bytes) -> None:
        """Write to a disk, past all caches, and have the disk confirm. Multiples of 4096.

        Raises:
            errors.Unavailable: It is unknown what was written.
        """

    def is_claimed(self, device: Path) -> bool:
        """Tell whether a disk is somebody's alone: a filesystem's (mounted in any mount namespace), device mapper's,
        RAID's, swap's or mkfs's.

        Raises:
            FileNotFoundError: The device file is not there, so it is not known.
        """

    def usage(self, path: Path) -> Usage: ...

    def iscsid_listens(self) -> bool:
        """Tell whether iscsid, or systemd in its place, takes requests."""

    def wait_for_change(self) -> None:
        """Return after an event about devices, at the latest after `POLL`."""


class LocalHost:
    """The machine this runs on.

    Args:
        way_in: Put before iscsiadm and multipath, which must be the host's own and talk to its daemons, e.g.
            `nsenter --target 1 --mount --net --`. Empty outside containers. Everything else runs where we are.
        root: Where the host's root directory is seen.
        host_files: What of that directory is used: open-iscsi's files. All other paths are the same on both sides.
    """

    def __init__(
        self, way_in: Sequence[str] = (), root: Path = Path("/"), host_files: Sequence[Path] = ISCSI_CONFIGURATION
    ) -> None:
        self._way_in = tuple(way_in)
        self._root = root
        self._host_files = tuple(host_files)

    def run(
        self,
        argv: Sequence[str],
        *,
        ok: Collection[int] = _SUCCESS,
        timeout: float = deadline.DEFAULT,
        data: bytes = b"",
        lock: Path | None = None,
    ) -> Result:
        program = argv[0]
        way = self._way_in if program in _HOST_TOOLS else ()
        command = [*way, *(_lock(lock) if lock else ()), *argv]
        limit = deadline.remaining(timeout)
        started = time.monotonic()
        outcome = "timeout"
        try:
            result = _execute(program, command, limit, data)
            locked_out = lock is not None and result.status == _LOCKED_OUT
            outcome = "ok" if result.status in ok and not locked_out else str(result.status)
        finally:
            seconds = time.monotonic() - started
            metrics.command(program, outcome, seconds)
            log.debug("command", argv=" ".join(argv), outcome=outcome, seconds=round(seconds, 3))
        if locked_out:
            raise errors.Unavailable(f"another program is at work on {lock}")
        if result.status not in ok:
            raise CommandFailed(program, result.status, result.stderr)
        return result

    def read_text(self, path: Path) -> str:
        # Mount points may hold bytes that are no UTF-8; they come back as they were when used as a path.
        return self._seen(path).read_text("utf-8", errors="surrogateescape")

    def list_dir(self, path: Path) -> list[str]:
        try:
            return sorted(os.listdir(self._seen(path)))  # noqa: PTH208 - names are wanted, and fast: sysfs is big
        except (FileNotFoundError, NotADirectoryError):
            return []

    def kind(self, path: Path) -> Kind | None:
        try:
            status = self._seen(path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        file = Kind.FILE if status.st_size else Kind.EMPTY_FILE
        known = {stat.S_IFREG: file, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFBLK: Kind.BLOCK, stat.S_IFLNK: Kind.SYMLINK}
        return known.get(stat.S_IFMT(status.st_mode), Kind.OTHER)

    def resolve(self, path: Path) -> Path:
        # Not Path.resolve, which has an exception of its own for links in a circle before Python 3.13.
        return Path(os.path.realpath(path))

    def device_number(self, path: Path) -> str:
        number = path.stat().st_rdev
        return f"{os.major(number)}:{os.minor(number)}"

    def write_private(self, path: Path, text: str) -> None:
        path = self._seen(path)
        target_dir = path.parent.parent
        for parent in (target_dir.parent, target_dir, path.parent):
            parent.mkdir(mode=0o700, exist_ok=True)
        # One fixed name, where iscsiadm does not look and the next write or the removal of the record finds it.
        unfinished = target_dir / UNFINISHED
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)

    def write_sysfs(self, path: Path, text: str) -> None:
        # A child process, for the kernel may take minutes over it (a scan asks the disk, a delete flushes it) and a
        # thread that waits inside the kernel can't be given a time-out.
        self.run(["dd", f"of={path}", "conv=notrunc", "status=none"], data=text.encode())

    def make_dir(self, path: Path) -> None:
        path.mkdir(mode=0o750, exist_ok=True)

    def make_file(self, path: Path) -> None:
        path.touch(mode=0o640, exist_ok=True)

    def remove_file(self, path: Path) -> None:
        self._seen(path).unlink(missing_ok=True)

    def remove_dir(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            self._seen(path).rmdir()

    def read_blocks(self, device: Path, offset: int, length: int) -> bytes:
        where = [f"if={device}", f"bs={length}", "count=1", f"skip={offset}"]
        read = self.run(["dd", *where, "iflag=direct,fullblock,skip_bytes", "status=none"]).stdout
        if len(read) != length:
            raise errors.Unavailable(f"{device} gave {len(read)} of {length} bytes at {offset}")
        return read

    def write_blocks(self, device: Path, offset: int, data: bytes) -> None:
        where = [f"of={device}", f"bs={len(data)}", "count=1", f"seek={offset}"]
        how = ["iflag=fullblock", "oflag=direct,seek_bytes", "conv=notrunc,nocreat,fsync", "status=none"]
        self.run(["dd", *where, *how], data=data)

    def is_claimed(self, device: Path) -> bool:
        # The kernel decides about O_EXCL before it asks the disk, so a dead disk gives an honest answer too.
        try:
            os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC))
        except FileNotFoundError:
            raise
        except OSError as error:
            return error.errno == errno.EBUSY
        return False

    def usage(self, path: Path) -> Usage:
        # Not os.statvfs: a hung filesystem would keep this thread for good, a child can be killed.
        printed = self.run(["stat", "--file-system", "--format=%S %b %f %a %c %d", str(path)]).text
        size, blocks, free, available, inodes, inodes_free = (int(word) for word in printed.split())
        return Usage(
            blocks * size, (blocks - free) * size, available * size, inodes, max(0, inodes - inodes_free), inodes_free
        )

    def iscsid_listens(self) -> bool:
        # Read from the kernel's list: a connection without a request would make iscsid complain at every probe.
        # Its socket is an abstract one, so it is in the list of the network namespace that the way in leads to.
        sockets = Path("/proc/1/net/unix" if self._way_in else "/proc/net/unix").read_text("utf-8", errors="replace")
        rows = (line.split() for line in sockets.splitlines()[1:])
        return any(len(row) >= 8 and row[3] == _LISTENING and row[7].startswith(_ISCSID_SOCKET) for row in rows)

    def wait_for_change(self) -> None:
        pause = deadline.remaining(POLL)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_KOBJECT_UEVENT) as events:
            with suppress(PermissionError):
                events.bind((0, _UEVENT_GROUP))
            select.select([events], [], [], pause)

    def _seen(self, path: Path) -> Path:
        """Return where a path of the host is for us."""
        if any(path.is_relative_to(directory) for directory in self._host_files):
            return self._root / path.relative_to("/")
        return path


def _lock(path: Path) -> list[str]:
    """Return flock(1) to be put before a command that it then becomes."""
    answer = ["--timeout", str(_LOCK_PATIENCE), "--conflict-exit-code", str(_LOCKED_OUT)]
    return ["flock", "--exclusive", *answer, "--no-fork", str(path)]


def _execute(program: str, command: Sequence[str], limit: float, data: bytes) -> Result:
    """Run a command in a process group of its own, which dies with it when the time is over."""
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, env=_ENVIRONMENT, cwd="/", start_new_session=True
        )
    except OSError as error:
        raise CommandFailed(command[0], 127, f"cannot be started: {error.strerror}") from None
    try:
        stdout, stderr = process.communicate(data or None, timeout=limit)
    except BaseException as error:
        _kill(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise errors.Unavailable(f"{program} did not end within {limit:.1f} seconds and was stopped") from None
        raise
    return Result(process.returncode, stdout, stderr.decode("utf-8", "replace"))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process group. One that waits inside the kernel for a dead disk outlives this and goes later."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.communicate(timeout=_KILL_GRACE)
    except subprocess.TimeoutExpired:
        log.warning("a killed command is still waiting inside the kernel", pid=process.pid)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
