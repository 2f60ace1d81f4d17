"""Bringing a volume to this node and taking it away again.

Both look before each step whether it is done, so that a call cut short anywhere is finished by the next one. Nothing
is remembered between calls: sessions, disks and mounts are read from the kernel, and say themselves which volume
they are. A volume used as a block device is staged as a bind mount of its device file, so that this too can be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from csi_solidfire import errors, logs
from csi_solidfire.handles import VolumeHandle
from csi_solidfire.node import devices, filesystems, iscsi, mounts, paths
from csi_solidfire.node.checks import Checks
from csi_solidfire.node.devices import Disk, Session
from csi_solidfire.node.host import CommandFailed, Host, Kind
from csi_solidfire.node.iscsi import Iscsi
from csi_solidfire.node.specs import Block, Filesystem, StageSpec

log = logs.get(__name__)

FIELD = "staging_target_path"
_DEVICE = "device"  # the file in the staging directory that a block volume's device is bound to


def device_file(staging: Path) -> Path:
    """Return where the device of a volume staged for block access is."""
    return staging / _DEVICE


class Staging:
    """NodeStageVolume and NodeUnstageVolume. The caller sees to it that a volume has one call at a time."""

    def __init__(self, host: Host, initiator: Iscsi, kubelet_dir: Path) -> None:
        self._host = host
        self._iscsi = initiator
        self._checks = Checks(host)
        self._kubelet_dir = kubelet_dir

    def stage(self, spec: StageSpec) -> None:
        """Log in, find the disk, make sure it is the right one, put a filesystem on it if it is blank, mount it.

        Raises:
            errors.AlreadyExists: The path has something else mounted.
            errors.Refused: The disk or what is on it is not what it should be.
            errors.Unauthenticated: CHAP failed.
            errors.Unavailable: Something did not answer, or the volume is in use on this node in another way; to be
                tried again.
        """
        with self.nothing_left(spec.handle):
            path = paths.checked(self._host, self._kubelet_dir, FIELD, spec.path)
            if self._is_staged(spec, path):
                return
            paths.refuse_link(self._host, FIELD, path)
            if self._host.kind(path) is not Kind.DIRECTORY:
                raise errors.InvalidRequest(f"{FIELD} {path} is not a directory; it has to be there before the call")
            disk = self._attached(spec)
            if isinstance(spec.access, Block):
                self._stage_block(spec, disk, path)
            else:
                self._stage_filesystem(spec, spec.access, disk, path)

    def unstage(self, handle: VolumeHandle, text: str) -> None:
        """Unmount, and log out unless somebody else uses the disk.

        Raises:
            errors.Refused: The path has another volume, or something that is none.
            errors.Unavailable: Something is still in use or did not answer; to be tried again.
        """
        path = paths.checked(self._host, self._kubelet_dir, FIELD, text)
        if mounts.at(self._host, path) is None:
            paths.refuse_link(self._host, FIELD, path)
        self._check_unpublished(handle, path)
        mounts.unmount_all(self._host, path, handle)
        mounts.unmount_all(self._host, device_file(path), handle)
        if self._host.kind(device_file(path)) is Kind.EMPTY_FILE:
            self._host.remove_file(device_file(path))
        self._release(handle)

    def _is_staged(self, spec: StageSpec, path: Path) -> bool:
        """Tell whether all is done, so that a repeated call costs a look at the kernel's list."""
        as_block = mounts.at(self._host, device_file(path))
        as_files = mounts.at(self._host, path)
        mount = as_block if isinstance(spec.access, Block) else as_files
        other = as_files if isinstance(spec.access, Block) else as_block
        if mount is None and other is None:
            return False
        if any(found is not None and mounts.is_orphan(self._host, found) for found in (mount, other)):
            raise errors.Unavailable(f"{FIELD} {path} has a mount whose disk has gone, perhaps volume {spec.handle}")
        if mount is None or other is not None or mounts.volume_of(self._host, mount) != spec.handle:
            raise errors.AlreadyExists(f"{FIELD} {path} has something else mounted than volume {spec.handle} as asked")
        self._check_connected(spec.handle)
        if isinstance(spec.access, Filesystem):
            self._check_same(spec, spec.access, mount)
            self._grow(spec.handle, mount)
        return True

    def _check_connected(self, handle: VolumeHandle) -> None:
        """Refuse to call a mount ready whose session is down: it may be one from before another node had the volume.

        Such a mount would show a filesystem that has changed underneath. Its session can't come back, because the
        volume then came back under other credentials; one that is down for another reason will be up again.
        """
        if not any(session.live for session in devices.sessions_of(self._host, handle)):
            raise errors.Unavailable(
                f"volume {handle} is mounted, and its session is down; it comes back, or has to be unmounted first"
            )

    def _check_same(self, spec: StageSpec, access: Filesystem, mount: mounts.Mount) -> None:
        if access.type not in ("", mount.fstype):
            raise errors.AlreadyExists(f"volume {spec.handle} is staged as {mount.fstype}, not {access.type}")
        # A volume that the array protects is mounted read-only whatever is asked.
        disk = mounts.disk_behind(self._host, mount)
        want_read_only = spec.read_only or "ro" in access.flags or (disk is not None and disk.read_only)
        if mount.read_only != want_read_only:
            raise errors.AlreadyExists(
                f"volume {spec.handle} is staged {'read-only' if mount.read_only else 'writable'}"
            )

    def _grow(self, handle: VolumeHandle, mount: mounts.Mount) -> None:
        disk = mounts.disk_behind(self._host, mount)
        if disk is not None and not mount.read_only and not disk.read_only:
            filesystems.grow(self._host, disk, handle, mount.fstype, mount.point)

    def _attached(self, spec: StageSpec) -> Disk:
        """Return the volume's disk, proven to be it, or the multipath map over it."""
        session = self._session(spec)
        disk = self._iscsi.disk(session)
        devices.check_identity(self._host, disk, spec.handle, spec.target.total_size)
        return devices.multipath_map(self._host, disk) or disk

    def _session(self, spec: StageSpec) -> Session:
        """Return the session to the volume, logging in if there is none that is up.

        One that is down, or leads elsewhere, is not waited for if nobody uses its disk: it may have been made with
        credentials that are no longer good, and a new login costs less than its next try. If its disk is in use, it
        has to come back by itself: to end it would lose what has been written and not yet sent.
        """
        for session in devices.sessions_of(self._host, spec.handle):
            if not iscsi.is_live(session, spec.target):
                log.warning("ending a session that is down or goes elsewhere", iqn=session.iqn, portal=session.portal)
                self._end(session, spec.handle)
        return self._iscsi.log_in(spec.target, spec.chap)

    def _stage_block(self, spec: StageSpec, disk: Disk, path: Path) -> None:
        self._check_unused(disk, spec.handle)
        file = device_file(path)
        self._host.make_file(file)
        devices.check_identity(self._host, disk, spec.handle, spec.target.total_size)
        mounts.bind(self._host, disk.path, file, read_only=False)
        self._check_mounted(file, spec.handle)

    def _stage_filesystem(self, spec: StageSpec, access: Filesystem, disk: Disk, path: Path) -> None:
        host, handle = self._host, spec.handle
        self._check_unused(disk, handle)
        read_only = spec.read_only or disk.read_only or "ro" in access.flags
        content = filesystems.probe(host, disk, handle)
        fstype = filesystems.check_type(handle, content, access.type, read_only=read_only)
        if content.blank:
            filesystems.make(host, disk, handle, content, fstype, spec.target.total_size)
        elif not disk.read_only:
            self._checks.run(disk, handle, fstype)
        options = [*(["ro"] if read_only else []), *(flag for flag in access.flags if flag != "ro")]
        self._mount(spec, disk, path, fstype, options)
        mount = self._check_mounted(path, handle)
        if not content.blank:
            self._grow(handle, mount)

    def _mount(self, spec: StageSpec, disk: Disk, path: Path, fstype: str, options: list[str]) -> None:
        devices.check_identity(self._host, disk, spec.handle, spec.target.total_size)
        try:
            mounts.mount(self._host, disk.path, path, fstype, options)
        except CommandFailed:
            if fstype != "xfs" or not self._copy_is_mounted(disk, spec.handle):
                raise
            mounts.mount(self._host, disk.path, path, fstype, [*options, "nouuid"])

    def _copy_is_mounted(self, disk: Disk, handle: VolumeHandle) -> bool:
        """Tell whether xfs refuses this volume because its source or a copy of it is mounted on this node.

        Only then may xfs be told not to compare UUIDs: the comparison also protects from mounting one volume twice.
        """
        uuid = filesystems.uuid(self._host, disk.path)
        for mount in mounts.everything(self._host):
            if mount.fstype == "xfs" and mounts.volume_of(self._host, mount) not in (None, handle):
                source = mounts.disk_behind(self._host, mount)
                if uuid and source and filesystems.uuid(self._host, source.path) == uuid:
                    return True
        return False

    def _check_unused(self, disk: Disk, handle: VolumeHandle) -> None:
        users = mounts.users(self._host, disk)
        if users:
            raise errors.Refused(f"volume {handle} is in use on this node already: {', '.join(users)}")
        self._checks.wait(disk, handle)
        if self._host.is_claimed(disk.path):
            raise errors.Unavailable(f"another program has {disk.path} (volume {handle}) for itself")

    def _check_mounted(self, path: Path, handle: VolumeHandle) -> mounts.Mount:
        """Return the mount just made, after a last look at whose it is."""
        mount = mounts.at(self._host, path)
        if mount is None or mounts.volume_of(self._host, mount) != handle:
            mounts.unmount_all(self._host, path)
            raise errors.Unavailable(f"{path} did not get volume {handle}; it was unmounted again")
        return mount

    @contextmanager
    def nothing_left(self, handle: VolumeHandle) -> Iterator[None]:
        """Let a refusal of staging be final only if there is neither mount nor session nor record of the volume.

        kubelet takes a final code for "not mounted", whatever earlier calls did: it never unstages, and the volume is
        detached. So a session that an earlier call made and did not get to use is taken away, and as long as
        somebody uses the disk, the refusal is one to be tried again.

        Raises:
            errors.Unavailable: Instead of a final refusal.
        """
        try:
            yield
        except (errors.Unavailable, errors.Busy):
            raise
        except errors.DriverError as refusal:
            try:
                self._check_unused_anywhere(handle)
                self._release(handle)
            except errors.DriverError as failure:
                raise errors.Unavailable(f"{refusal} (and the volume cannot be released: {failure})") from failure
            raise

    def _check_unused_anywhere(self, handle: VolumeHandle) -> None:
        """Look at all of the kernel's disks: no session leads to a multipath map that has outlived its paths."""
        for name in self._host.list_dir(devices.BLOCK):
            disk = devices.disk_named(self._host, name)
            if disk is not None and disk.volume == handle:
                self._check_free(disk, handle, None)

    def _release(self, handle: VolumeHandle) -> None:
        """End all sessions to a volume and forget its records."""
        for session in devices.sessions_of(self._host, handle):
            self._end(session, handle)
        self._iscsi.forget(handle)

    def _end(self, session: Session, handle: VolumeHandle) -> None:
        """Take the disk away and log out.

        Raises:
            StillUsed: The disk is in use.
            errors.Unavailable: A step failed.
        """
        disk = devices.disk_of(self._host, session)
        if disk is not None:
            mapped = devices.multipath_map(self._host, disk)
            for device in filter(None, (mapped, disk)):
                self._check_free(device, handle, mapped)
            if mapped is not None:
                self._host.run(["multipath", "-f", devices.map_name(self._host, mapped)])
            self._check_claim(disk, handle)
            # A disk whose session is down can't be flushed, and needs no flushing: nobody has it open, and the last
            # one to close it has waited for its data. The same holds for one that is not this volume.
            if session.live and disk.volume == handle:
                self._delete(disk, handle)
        self._iscsi.log_out(session)
        self._checks.forget(handle)

    def _delete(self, disk: Disk, handle: VolumeHandle) -> None:
        self._host.run(["blockdev", "--flushbufs", str(disk.path)])
        devices.check_identity(self._host, disk, handle)
        self._host.write_sysfs(devices.BLOCK / disk.name / "device" / "delete", "1\n")

    def _check_unpublished(self, handle: VolumeHandle, path: Path) -> None:
        """Find out before anything is unmounted whether the rest could be done."""
        own = {f"mounted at {point}" for point in (path, device_file(path))}
        for session in devices.sessions_of(self._host, handle):
            disk = devices.disk_of(self._host, session)
            mapped = devices.multipath_map(self._host, disk) if disk else None
            for device in filter(None, (disk, mapped)):
                if others := set(mounts.users(self._host, device)) - own:
                    raise StillUsed(f"{device.path} (volume {handle}) is still in use: {', '.join(sorted(others))}")

    def _check_free(self, disk: Disk, handle: VolumeHandle, mapped: Disk | None) -> None:
        users = mounts.users(self._host, disk)
        if users:
            raise StillUsed(f"{disk.path} (volume {handle}) is still in use: {', '.join(users)}")
        if mapped is not None and disk == mapped:
            self._check_claim(mapped, handle)

    def _check_claim(self, disk: Disk, handle: VolumeHandle) -> None:
        # The kernel does not know of it at every moment: e2fsck opens the disk anew after replaying the journal.
        if self._checks.is_running(handle):
            raise StillUsed(f"{disk.path} (volume {handle}) is still in use: e2fsck is at work on it")
        if self._host.is_claimed(disk.path):
            raise StillUsed(
                f"{disk.path} (volume {handle}) is still in use, perhaps mounted in another mount namespace"
            )


class StillUsed(errors.Unavailable):
    """The disk is in use; it was left alone."""
