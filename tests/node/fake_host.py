"""A strict, tiny Linux in memory below all of the node code: what it does not know, it refuses with an AssertionError.

It also asserts what must never happen whatever the caller believes: formatting over data, mounting a filesystem
whose mkfs did not end, taking a disk away that is in use, a secret in an argument.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Sequence
from pathlib import Path

from csi_solidfire import deadline, errors
from csi_solidfire.node.host import CommandFailed, Kind, Result, Usage
from tests.node.fake_array import MIB, Filesystem, Lun, Target
from tests.node.fake_kernel import NODES, Disk, Kernel, Mounted, Session, mountinfo_line


class FakeHost(Kernel):
    """See the module."""

    # Files

    def read_text(self, path: Path) -> str:
        if path == Path("/proc/self/mountinfo"):
            return "".join(mountinfo_line(mount) for mount in self.mounts)
        if path == Path("/proc/swaps"):
            return "Filename Type Size Used Priority\n"
        found = self._sysfs().get(str(path)) if path.parts[1] == "sys" else self.files.get(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return found

    def list_dir(self, path: Path) -> list[str]:
        known = self._sysfs() if path.parts[1] == "sys" else map(str, (*self.dirs, *self.files, *self.links))
        prefix = f"{path}/"
        return sorted({name[len(prefix) :].split("/")[0] for name in known if name.startswith(prefix)})

    def kind(self, path: Path) -> Kind | None:
        if path in self.links:
            return Kind.SYMLINK
        if path in self.files:
            return Kind.FILE if self.files[path] else Kind.EMPTY_FILE
        return Kind.DIRECTORY if path in self.dirs else None

    def resolve(self, path: Path) -> Path:
        number = path.name if path.parent == Path("/sys/dev/block") else None
        if number is not None:
            named = [name for name, _, known in self._devices() if known == number]
            return Path("/sys/devices/block") / named[0] if named else path
        if path.is_relative_to("/sys/class/iscsi_session"):
            sid = int(path.parts[4].removeprefix("session"))
            return Path(f"/sys/devices/platform/host{sid}/session{sid}") if sid in self.sessions else path
        for parent in (path, *path.parents):
            if parent in self.links:
                return self.resolve(self.links[parent] / path.relative_to(parent))
        return path

    def device_number(self, path: Path) -> str:
        if path.parent == Path("/dev"):
            for name, _, number in self._devices():
                if name == path.name:
                    return number
        mount = self._top(path)
        if mount is not None and mount.disk is not None and mount.fstype == "devtmpfs":
            return mount.disk.number
        raise FileNotFoundError(errno.ENOENT, "No such device", str(path))

    def write_private(self, path: Path, text: str) -> None:
        assert path.parents[2] == NODES, f"no place for a record: {path}"
        assert NODES.parent in self.dirs
        self.dirs |= {NODES, path.parent.parent, path.parent}
        self.files[path] = text

    def write_sysfs(self, path: Path, text: str) -> None:
        if path.is_relative_to("/sys/class/scsi_host") and path.name == "scan":
            assert text == "0 0 0\n", "only LUN 0 is scanned for"
            self._scan(int(path.parts[4].removeprefix("host")))
        elif path.is_relative_to("/sys/class/block") and path.parts[5:] == ("device", "delete"):
            self._drop(self.disks[path.parts[4]])
        else:
            raise AssertionError(f"unknown file of the kernel: {path}")

    def make_dir(self, path: Path) -> None:
        assert self.kind(path.parent) is Kind.DIRECTORY
        assert path not in self.files
        self.dirs.add(path)

    def make_file(self, path: Path) -> None:
        assert self.kind(path.parent) is Kind.DIRECTORY
        assert path not in self.dirs
        self.files.setdefault(path, "")

    def remove_file(self, path: Path) -> None:
        if self._top(path):
            raise OSError(errno.EBUSY, "Device or resource busy", str(path))
        assert path not in self.dirs
        self.files.pop(path, None)

    def remove_dir(self, path: Path) -> None:
        if self._top(path):
            raise OSError(errno.EBUSY, "Device or resource busy", str(path))
        if self.list_dir(path):
            raise OSError(errno.ENOTEMPTY, "Directory not empty", str(path))
        self.dirs.discard(path)

    # Disks

    def read_blocks(self, device: Path, offset: int, length: int) -> bytes:
        return self._live(device).lun.read(offset, length)

    def write_blocks(self, device: Path, offset: int, data: bytes) -> None:
        disk = self._live(device)
        assert not disk.lun.read_only
        assert not disk.lun.filesystem or not disk.lun.filesystem.files, "written into somebody's filesystem"
        disk.lun.write(offset, data)

    def is_claimed(self, device: Path) -> bool:
        disk = self._disk(device)
        over = bool(disk.map_name) and device.name == disk.name
        return over or device.name in self.busy.claims or bool(self._mounts_of(disk, filesystems_only=True))

    def usage(self, path: Path) -> Usage:
        mount = self._top(path)
        assert mount is not None
        assert mount.disk is not None
        assert mount.disk.lun.filesystem is not None
        total = mount.disk.lun.filesystem.size
        return Usage(total, MIB, total - MIB, 100, 3, 97)

    def iscsid_listens(self) -> bool:
        return self.listening

    def wait_for_change(self) -> None:
        deadline.remaining()
        self.patience -= 1
        if self.patience < 0:
            raise errors.Unavailable("what was waited for did not happen until the deadline")

    # Commands

    def run(
        self,
        argv: Sequence[str],
        *,
        ok: Collection[int] = (0,),
        timeout: float = deadline.DEFAULT,
        data: bytes = b"",
        lock: Path | None = None,
    ) -> Result:
        secrets = {t.chap.password for t in self.array.targets.values()} | {"targetsecret1"}
        assert not secrets & set(argv), "a secret on a command line"
        assert timeout > 0
        assert not data, "no command here reads input"
        self.argvs.append(list(argv))
        if argv[0] in self.failing:
            raise self.failing[argv[0]]
        result = self._dispatch(list(argv), lock)
        if result.status not in ok:
            raise CommandFailed(argv[0], result.status, result.stderr)
        return result

    def _dispatch(self, argv: list[str], lock: Path | None) -> Result:
        match argv:
            case ["iscsiadm", "--version"]:
                return Result(0, f"iscsiadm version {self.version}\n".encode())
            case ["iscsiadm", "-m", "node", "-T", iqn, "-p", portal, "--login"]:
                return Result(self._log_in(iqn, portal))
            case ["iscsiadm", "-m", "session", "-r", sid, "-u"]:
                return Result(self._log_out(int(sid)))
            case ["mount", "-o", "bind" | "bind,ro" as options, source, point]:
                return self._bind(Path(source), Path(point), read_only=options == "bind,ro")
            case ["mount", "-t", fstype, *options, source, point]:
                return self._mount(fstype, set(options[1].split(",")) if options else set(), Path(source), Path(point))
            case ["sync", "--file-system", point]:
                return self._sync(Path(point))
            case ["umount", "-c", point]:
                return self._umount(Path(point))
            case ["blkid", "-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", device]:
                return self._blkid(self._live(Path(device)).lun)
            case ["blkid", "-p", "-s", "UUID", "-o", "value", device]:
                filesystem = self._live(Path(device)).lun.filesystem
                return Result(0, filesystem.uuid.encode()) if filesystem else Result(2)
            case ["mkfs.ext4" | "mkfs.xfs" | "mkfs.btrfs" as program, *options, device]:
                return self._mkfs(program.removeprefix("mkfs."), options, Path(device), lock)
            case ["e2fsck", "-p", device]:
                return self._e2fsck(Path(device), lock)
            case ["blockdev", "--flushbufs" | "--setro" | "--setrw" as action, device]:
                disk = self._disk(Path(device))
                assert action != "--flushbufs" or self.sessions[disk.sid].live, "flushing a dead disk hangs"
                disk.read_only = {"--setro": True, "--setrw": disk.lun.read_only}.get(action, disk.read_only)
                return Result(0)
            case ["resize2fs", device]:
                return self._grow(self._disk(Path(device)))
            case ["xfs_growfs", point] | ["btrfs", "filesystem", "resize", "max", point]:
                mount = self._top(Path(point))
                assert mount is not None
                assert mount.disk is not None
                return self._grow(mount.disk)
            case ["multipath", "-f", name]:
                return self._flush_map(name)
        raise AssertionError(f"unknown command: {argv}")

    def _log_in(self, iqn: str, portal: str) -> int:
        address, port = portal.rsplit(":", 1)
        record = self.files.get(NODES / iqn / f"{address.strip('[]')},{port},1" / "default")
        target = self.array.targets.get(iqn)
        if record is None:
            return 21
        if portal in self.gates:
            self.gates[portal].wait()
            return 8
        if any(session.iqn == iqn for session in self.sessions.values()):
            return 15
        if target is None or target.login_status:
            return target.login_status if target else 19
        settings = dict(line.split(" = ", 1) for line in record.splitlines() if " = " in line)
        if (status := _chap(target, settings)) == 0:
            sid = next(self._ids)
            self.sessions[sid] = Session(sid, iqn, address.strip("[]"), port)
            if settings["node.session.scan"] == "auto":
                self._scan(sid)
        return status

    def _log_out(self, sid: int) -> int:
        if sid not in self.sessions:
            return 21
        if self.reconnecting:
            self.reconnecting -= 1
            return 32
        for disk in [disk for disk in self.disks.values() if disk.sid == sid]:
            self._drop(disk)
        del self.sessions[sid]
        return 0

    def _scan(self, sid: int) -> None:
        session = self.sessions[sid]
        if session.live and not any(disk.sid == sid for disk in self.disks.values()):
            name = next(f"sd{letter}" for letter in "abcdefgh" if f"sd{letter}" not in self.disks)
            lun = self.array.targets[session.iqn].lun
            number = f"8:{16 * (ord(name[-1]) - ord('a'))}"
            self.disks[name] = Disk(name, number, lun, sid, lun.read_only, f"mpath{sid}" if self.with_multipath else "")

    def _drop(self, disk: Disk) -> None:
        assert not self._mounts_of(disk), "the disk is mounted"
        assert not disk.map_name, "a multipath map is over the disk"
        assert disk.name not in self.busy.claims, "the disk is in use"
        del self.disks[disk.name]

    def _flush_map(self, name: str) -> Result:
        disk = next(disk for disk in self.disks.values() if disk.map_name == name)
        if self._mounts_of(disk):
            return Result(1, stderr=f"{name}: map in use")
        disk.map_name = ""
        return Result(0)

    def _mount(self, fstype: str, options: set[str], source: Path, point: Path) -> Result:
        disk = self._disk(source)
        filesystem = disk.lun.filesystem
        assert point in self.dirs, "no such mount point"
        assert not disk.map_name or source.name != disk.name, "mounted below its multipath map"
        if filesystem is None or filesystem.type != fstype:
            return Result(32, stderr="wrong fs type, bad option, bad superblock")
        assert filesystem.complete, "mounted a filesystem whose mkfs did not end"
        assert not any(b"mkfs has not finished" in block for block in disk.lun.blocks.values()), "the marker is there"
        twins = [other for other in self._filesystems() if other.uuid == filesystem.uuid]
        if fstype == "xfs" and twins and "nouuid" not in options:
            return Result(32, stderr="wrong fs type, bad option, bad superblock")
        if disk.read_only and "ro" not in options:
            return Result(32, stderr="cannot mount read-only")
        ident = next(self._ids)
        access = {"ro"} if "ro" in options else {"rw"}
        number = f"0:{ident + 40}" if fstype == "btrfs" else self.device_number(source)
        mount = Mounted(ident, self._parent(point), number, "/", point, access, fstype, str(source), {*access}, disk)
        self.mounts.append(mount)
        filesystem.files |= {"written by a pod"} if "rw" in access else set()
        return Result(0)

    def _bind(self, source: Path, point: Path, *, read_only: bool) -> Result:
        access = {"ro"} if read_only else set()
        ident, parent = next(self._ids), self._parent(point)
        shown = self._top(source)
        if source.parent == Path("/dev"):
            assert self.kind(point) is Kind.EMPTY_FILE
            disk, devtmpfs = self._disk(source), self.mounts[1]
            mount = Mounted(
                ident, parent, "0:5", f"/{source.name}", point, access or {"rw"}, "devtmpfs", "udev", {"rw"}, disk
            )
            assert devtmpfs.fstype == "devtmpfs"
        else:
            assert shown is not None, "nothing is mounted there"
            assert self.kind(point) is self.kind(source)
            options = access or set(shown.options)
            mount = Mounted(
                ident,
                parent,
                shown.number,
                shown.root,
                point,
                options,
                shown.fstype,
                shown.source,
                shown.super_options,
                shown.disk,
            )
        self.mounts.append(mount)
        return Result(0)

    def _sync(self, point: Path) -> Result:
        mount = self._top(point)
        assert mount is not None, "sync of what is not mounted"
        return Result(0)

    def _umount(self, point: Path) -> Result:
        mount = self._top(point)
        if mount is None:
            return Result(32, stderr=f"umount: {point}: not mounted.")
        if point in self.busy.points or any(point in other.point.parents for other in self.mounts):
            return Result(32, stderr=f"umount: {point}: target is busy.")
        self.mounts.remove(mount)
        return Result(0)

    def _blkid(self, lun: Lun) -> Result:
        if lun.partition_table:
            return Result(0, f"DEVNAME=x\nPTTYPE={lun.partition_table}\n".encode())
        return Result(0, f"DEVNAME=x\nTYPE={lun.filesystem.type}\n".encode()) if lun.filesystem else Result(2)

    def _mkfs(self, fstype: str, options: list[str], device: Path, lock: Path | None) -> Result:
        disk = self._live(device)
        lun = disk.lun
        assert lock == device, "mkfs without the disk's lock"
        assert not lun.read_only
        assert not lun.partition_table
        assert not self._mounts_of(disk), "mkfs on a mounted disk"
        forced = bool({"-F", "-f"} & set(options))
        if lun.filesystem is not None:
            assert not lun.filesystem.complete or not lun.filesystem.files, "formatted over data"
            assert forced, "mkfs would have refused or asked"
        interrupted = self.failing.get("inside mkfs")
        lun.filesystem = Filesystem(fstype, lun.size, f"uuid-{next(self._ids)}", complete=interrupted is None)
        lun.formatted += 1
        if interrupted is not None:
            raise interrupted
        return Result(0)

    def _e2fsck(self, device: Path, lock: Path | None) -> Result:
        disk = self._live(device)
        assert lock == device
        assert not self._mounts_of(disk), "fsck on a mounted disk"
        assert disk.lun.filesystem is not None
        assert device.name not in self.busy.claims, "two at work on one disk"
        self.busy.claims.add(device.name)
        if "e2fsck" in self.gates:
            self.gates["e2fsck"].wait()
        self.busy.claims.remove(device.name)
        return Result(4, b"UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\n") if disk.lun.filesystem.errors else Result(0)

    def _grow(self, disk: Disk) -> Result:
        assert disk.lun.filesystem is not None
        assert self._mounts_of(disk)
        disk.lun.filesystem.size = disk.lun.size
        return Result(0)


def _chap(target: Target, settings: dict[str, str]) -> int:
    chap = target.chap
    assert settings["node.session.auth.authmethod"] == "CHAP"
    given = (settings.get(chap.USERNAME), settings.get(chap.PASSWORD))
    if target.locked or given != (chap.username, chap.password):
        return 24
    return 0 if settings.get(chap.PASSWORD_IN) in (None, chap.password_in) else 19
