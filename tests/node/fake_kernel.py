"""The state of the fake host, and how the kernel shows it: sessions, disks and mounts, sysfs and mountinfo."""

from __future__ import annotations

import errno
import itertools
import threading
from dataclasses import dataclass, field
from pathlib import Path

from csi_solidfire import errors
from csi_solidfire.node.host import CommandFailed
from tests.node.fake_array import Array, Filesystem, Lun

NODES = Path("/etc/iscsi/nodes")


@dataclass
class Disk:
    name: str
    number: str
    lun: Lun
    sid: int
    read_only: bool
    map_name: str = ""  # of the multipath map over it, dm-<sid>


@dataclass
class Session:
    sid: int
    iqn: str
    address: str
    port: str
    live: bool = True


@dataclass(eq=False)
class Mounted:
    id: int
    parent: int
    number: str
    root: str
    point: Path
    options: set[str]
    fstype: str
    source: str
    super_options: set[str]
    disk: Disk | None = None


@dataclass
class Busy:
    """What refuses to go: a mount point with open files, a disk that a program outside our sight has claimed."""

    points: set[Path] = field(default_factory=set)
    claims: set[str] = field(default_factory=set)


class Kernel:
    """Attributes are the state, for tests to look at and to spoil."""

    def __init__(self, array: Array, version: str = "2.1.8") -> None:
        self.array = array
        self.version = version
        self.sessions: dict[int, Session] = {}
        self.disks: dict[str, Disk] = {}
        self.dirs: set[Path] = {Path(p) for p in ("/", "/etc", "/etc/iscsi", "/kubelet", "/kubelet/pods")}
        self.files: dict[Path, str] = {
            Path("/etc/iscsi/initiatorname.iscsi"): "## x\nInitiatorName=iqn.1993-08.org.debian:01:ab\n"
        }
        self.links: dict[Path, Path] = {}
        self.mounts: list[Mounted] = [Mounted(1, 0, "254:0", "/", Path("/"), {"rw"}, "ext4", "/dev/vda", {"rw"})]
        self.mounts.append(Mounted(2, 1, "0:5", "/", Path("/dev"), {"rw"}, "devtmpfs", "udev", {"rw"}))
        self.busy = Busy()
        self.listening = True
        self.gates: dict[str, threading.Event] = {}  # programs, and logins to a portal, that do not end before
        self.failing: dict[str, CommandFailed | errors.Unavailable] = {}
        self.with_multipath = False
        self.reconnecting = 0  # how many times iscsid refuses to end a session
        self.patience = 10  # how many waits the caller's deadline has room for
        self.argvs: list[list[str]] = []
        self._ids = itertools.count(10)

    def mounts_at(self, path: Path) -> list[Mounted]:
        return [mount for mount in self.mounts if mount.point == path]

    def break_sessions(self) -> None:
        """Cut the network: iscsid tries to get its sessions back."""
        for session in self.sessions.values():
            session.live = False

    def _top(self, path: Path) -> Mounted | None:
        here = self.mounts_at(path)
        return here[-1] if here else None

    def _parent(self, point: Path) -> int:
        return next(
            mount.id for path in (point, *point.parents) for mount in reversed(self.mounts) if mount.point == path
        )

    def _mounts_of(self, disk: Disk, *, filesystems_only: bool = False) -> list[Mounted]:
        return [m for m in self.mounts if m.disk is disk and not (filesystems_only and m.fstype == "devtmpfs")]

    def _filesystems(self) -> list[Filesystem]:
        return [
            m.disk.lun.filesystem for m in self.mounts if m.disk and m.disk.lun.filesystem and m.fstype != "devtmpfs"
        ]

    def _disk(self, device: Path) -> Disk:
        for name, disk, _ in self._devices():
            if device == Path("/dev") / name:
                return disk
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(device))

    def _live(self, device: Path) -> Disk:
        disk = self._disk(device)
        if not self.sessions[disk.sid].live:
            raise errors.Unavailable(f"{device} did not answer")
        return disk

    def _devices(self) -> list[tuple[str, Disk, str]]:
        """Return name, disk and number of disks and of the multipath maps over them."""
        found = [(disk.name, disk, disk.number) for disk in self.disks.values()]
        return found + [(f"dm-{d.sid}", d, f"253:{d.sid}") for d in self.disks.values() if d.map_name]

    def _sysfs(self) -> dict[str, str]:
        tree: dict[str, str] = {}
        for sid, session in self.sessions.items():
            tree[f"class/iscsi_session/session{sid}/targetname"] = session.iqn
            tree[f"class/iscsi_session/session{sid}/state"] = "LOGGED_IN" if session.live else "FAILED"
            tree[f"class/iscsi_session/session{sid}/device/power/control"] = "auto"
            tree[f"class/iscsi_connection/connection{sid}:0/persistent_address"] = session.address
            tree[f"class/iscsi_connection/connection{sid}:0/persistent_port"] = session.port
        for name, disk, number in self._devices():
            if name == disk.name:
                place = (
                    f"class/iscsi_session/session{disk.sid}/device/target{disk.sid}:0:0/{disk.sid}:0:0:0/block/{name}"
                )
                tree[f"{place}/dev"] = number
            for place in (f"class/block/{name}", f"dev/block/{number}"):
                tree |= {f"{place}/dev": number, f"{place}/size": str(disk.lun.size // 512)}
                tree[f"{place}/ro"] = "1" if disk.read_only else "0"
                if name == disk.name:
                    tree[f"{place}/device/wwid"] = f"naa.{disk.lun.naa}\n"
                    tree |= {f"{place}/holders/dm-{disk.sid}/x": ""} if disk.map_name else {}
                else:
                    tree |= {f"{place}/dm/uuid": f"mpath-3{disk.lun.naa}", f"{place}/dm/name": disk.map_name}
        return {f"/sys/{name}": text for name, text in tree.items()}


def mountinfo_line(mount: Mounted) -> str:
    def escape(text: object) -> str:
        return "".join(f"\\{ord(c):03o}" if c in " \t\n\\#" else c for c in str(text))

    names = [escape(text) for text in (mount.root, mount.point)]
    options, super_options = (",".join(sorted(words)) for words in (mount.options, mount.super_options))
    head = f"{mount.id} {mount.parent} {mount.number} {names[0]} {names[1]} {options} shared:1 master:2"
    return f"{head} - {mount.fstype} {escape(mount.source)} {super_options}\n"
