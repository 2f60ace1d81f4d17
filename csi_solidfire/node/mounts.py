"""What is mounted where, from the kernel's own list, and mount and umount on top of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from csi_solidfire import errors
from csi_solidfire.handles import VolumeHandle
from csi_solidfire.node import devices
from csi_solidfire.node.devices import Disk
from csi_solidfire.node.host import CommandFailed, Host

MOUNTINFO = Path("/proc/self/mountinfo")
_SWAPS = Path("/proc/swaps")
_ESCAPE = re.compile(r"\\([0-7]{3})")
_ANONYMOUS = "0:"  # the major number of filesystems that are not one device: btrfs, devtmpfs, tmpfs
# The device file of a disk that has gone. It still has the disk's number, which may be another disk's by now.
_DELETED = "//deleted"
_STACK_MAX = 16  # more mounts on one path than this are a loop somewhere, not a stack


@dataclass(frozen=True)
class Mount:
    """A line of /proc/self/mountinfo (proc(5)).

    Attributes:
        number: `<major>:<minor>` of the filesystem; no disk's for btrfs and virtual ones.
        root: Which part of the filesystem is visible, `/` for all of it.
        point: Where.
        options: Of this mount, e.g. `ro`.
        super_options: Of the filesystem.
    """

    id: int
    parent: int
    number: str
    root: str
    point: Path
    options: frozenset[str]
    fstype: str
    source: str
    super_options: frozenset[str]

    @property
    def read_only(self) -> bool:
        return "ro" in self.options or "ro" in self.super_options


def parse(text: str) -> list[Mount]:
    """Read the kernel's list. The optional fields before the lone `-` vary in number."""
    found = []
    # Only a newline ends a line: names may hold other characters that Python would split at.
    for line in filter(None, text.split("\n")):
        fields = line.split(" ")
        dash = fields.index("-", 6)
        fstype, source, super_options = (_unescape(field) for field in fields[dash + 1 : dash + 4])
        found.append(
            Mount(
                id=int(fields[0]),
                parent=int(fields[1]),
                number=fields[2],
                root=_unescape(fields[3]),
                point=Path(_unescape(fields[4])),
                options=frozenset(fields[5].split(",")),
                fstype=fstype,
                source=source,
                super_options=frozenset(super_options.split(",")),
            )
        )
    return found


def _unescape(field: str) -> str:
    """Undo the kernel's octal escapes of space, tab, newline, backslash and hash, which are all ASCII."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)


def everything(host: Host) -> list[Mount]:
    return parse(host.read_text(MOUNTINFO))


def at(host: Host, path: Path) -> Mount | None:
    """Return what is mounted exactly at a path: the topmost, if several are stacked."""
    here = [mount for mount in everything(host) if mount.point == path]
    below = {mount.parent for mount in here}
    return next((mount for mount in here if mount.id not in below), None)


def device_number(host: Host, mount: Mount) -> str:
    """Return `<major>:<minor>` of the disk behind a mount; that of the mount itself if there is none.

    The disk of a bind-mounted device file is the one the file stands for; that of btrfs is named by its source,
    because btrfs invents a number of its own.
    """
    if mount.fstype == "devtmpfs" and mount.root != "/" and not mount.root.endswith(_DELETED):
        return host.device_number(mount.point)
    if mount.number.startswith(_ANONYMOUS) and mount.source.startswith("/dev/"):
        disk = devices.disk_named(host, host.resolve(Path(mount.source)).name)
        return disk.number if disk else mount.number
    return mount.number


def volume_of(host: Host, mount: Mount) -> VolumeHandle | None:
    """Return the volume that a mount shows; None for anything else, and for a disk that has gone."""
    return devices.volume_of_number(host, device_number(host, mount))


def disk_behind(host: Host, mount: Mount) -> Disk | None:
    """Return the disk that a mount shows; None if it has gone or there never was one."""
    return devices.disk_named(host, host.resolve(devices.NUMBERS / device_number(host, mount)).name)


def is_orphan(host: Host, mount: Mount) -> bool:
    """Tell whether a mount's disk has gone, so that nothing says any more which one it was."""
    number = device_number(host, mount)
    if number.startswith(_ANONYMOUS):
        return mount.fstype == "btrfs" or mount.root.endswith(_DELETED)
    return not devices.exists(host, number)


def check_ours(host: Host, mount: Mount, handle: VolumeHandle) -> None:
    """Refuse to touch a mount that is not this volume's. A mount whose disk has gone may be taken away.

    Raises:
        errors.Refused: It is something else's.
    """
    volume = volume_of(host, mount)
    if volume != handle and not (volume is None and is_orphan(host, mount)):
        holds = f"volume {volume}" if volume else f"{mount.source} ({mount.fstype})"
        raise errors.Refused(f"{mount.point} has {holds} mounted, not volume {handle}; it is left alone")


def users(host: Host, disk: Disk) -> list[str]:
    """Return what uses a disk, in words: mounts of it, bind mounts of its device file, swap, devices built on it."""
    found = []
    for mount in everything(host):
        shows_node = mount.fstype == "devtmpfs" and mount.root == f"/{disk.name}"
        if shows_node or (mount.fstype != "devtmpfs" and device_number(host, mount) == disk.number):
            found.append(f"mounted at {mount.point}")
    swaps = [line.split()[0] for line in host.read_text(_SWAPS).splitlines()[1:]]
    found += ["used as swap"] * (str(disk.path) in swaps)
    mapped = devices.multipath_map(host, disk)
    found += [f"below {name}" for name in devices.holders(host, disk) if mapped is None or name != mapped.name]
    return found


def mount(host: Host, source: Path, path: Path, fstype: str, options: Sequence[str]) -> None:
    """Mount a filesystem.

    Raises:
        CommandFailed: The kernel did not want to.
    """
    how = ["-o", ",".join(options)] if options else []
    host.run(["mount", "-t", fstype, *how, str(source), str(path)])


def bind(host: Host, source: Path, path: Path, *, read_only: bool) -> None:
    """Show at `path` what is at `source`; nothing is left there if that fails.

    The kernel ignores `ro` when it binds, a second step has to set it. mount(8) does both in one go and so leaves
    the least room for being cut off between them.

    Raises:
        errors.Unavailable: It did not work.
    """
    try:
        host.run(["mount", "-o", "bind,ro" if read_only else "bind", str(source), str(path)])
    except errors.Unavailable:
        unmount_all(host, path)
        raise
    now = at(host, path)
    if now is None or (read_only and "ro" not in now.options):
        unmount_all(host, path)
        raise errors.Unavailable(f"{source} could not be bound to {path} as asked")


def unmount_all(host: Host, path: Path, handle: VolumeHandle | None = None) -> None:
    """Unmount everything that is stacked at a path.

    Never lazily: a filesystem that is out of sight and still being written to would be taken for detached.

    Args:
        handle: Touch nothing that is not this volume's.

    Raises:
        errors.Refused: Something else is mounted there.
        errors.Unavailable: It is busy, or its disk does not answer.
    """
    for _ in range(_STACK_MAX):
        mount = at(host, path)
        if mount is None:
            return
        if handle is not None:
            check_ours(host, mount, handle)
        _unmount(host, mount)
    raise errors.Unavailable(f"{path} is still mounted after {_STACK_MAX} times umount")


def _unmount(host: Host, mount: Mount) -> None:
    # -c: not to ask a disk that may be dead what its root directory is.
    try:
        host.run(["umount", "-c", str(mount.point)])
    except CommandFailed as failure:
        inside = [str(other.point) for other in everything(host) if mount.point in other.point.parents]
        holds = f"mounts inside of it: {', '.join(inside)}" if inside else "perhaps a process with an open file in it"
        raise errors.Unavailable(f"{mount.point} cannot be unmounted ({holds}): {failure}") from failure
