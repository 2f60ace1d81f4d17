"""Showing a staged volume to a pod, and hiding it again."""

from __future__ import annotations

from pathlib import Path

from csi_solidfire import errors, logs
from csi_solidfire.handles import VolumeHandle
from csi_solidfire.node import devices, mounts, paths, staging
from csi_solidfire.node.devices import Disk
from csi_solidfire.node.host import CommandFailed, Host, Kind
from csi_solidfire.node.mounts import Mount
from csi_solidfire.node.specs import Block, Filesystem, PublishSpec

log = logs.get(__name__)

FIELD = "target_path"


class Publishing:
    """NodePublishVolume and NodeUnpublishVolume. The caller sees to it that a volume has one call at a time."""

    def __init__(self, host: Host, kubelet_dir: Path) -> None:
        self._host = host
        self._kubelet_dir = kubelet_dir

    def publish(self, spec: PublishSpec) -> None:
        """Bind the staged filesystem or device to the target path, which is made if needed.

        Raises:
            errors.AlreadyExists: The target has something else, or the same in another way.
            errors.Refused: The volume is not staged so, or is for one pod only and has one.
        """
        staged_at = paths.checked(self._host, self._kubelet_dir, staging.FIELD, spec.staging_path)
        path = paths.checked(self._host, self._kubelet_dir, FIELD, spec.path)
        source = self._staged(spec, staged_at)
        read_only = spec.read_only or source.read_only
        if self._is_published(spec, source, path, read_only=read_only):
            return
        paths.refuse_link(self._host, FIELD, path)
        self._check_others(spec, source, read_only=read_only)
        wanted = Kind.EMPTY_FILE if isinstance(spec.access, Block) else Kind.DIRECTORY
        self._check_target(path, wanted)
        if isinstance(spec.access, Block):
            self._protect(source, spec.handle, read_only=read_only)
        if wanted is Kind.DIRECTORY:
            self._host.make_dir(path)
        else:
            self._host.make_file(path)
        mounts.bind(self._host, source.point, path, read_only=read_only)
        if not self._shows(path, spec.handle):
            mounts.unmount_all(self._host, path)
            raise errors.Unavailable(f"{path} did not get volume {spec.handle}; it was unmounted again")

    def unpublish(self, handle: VolumeHandle, text: str) -> None:
        """Unmount the target and remove the empty directory or file that it was mounted on.

        Raises:
            errors.Refused: Something else is mounted there, or something else than an empty directory or file remains.
            errors.Unavailable: It is in use, or what was written cannot be sent to the array; to be tried again.
        """
        path = paths.checked(self._host, self._kubelet_dir, FIELD, text)
        mount = mounts.at(self._host, path)
        if mount is None:
            paths.refuse_link(self._host, FIELD, path)
        elif mounts.volume_of(self._host, mount) == handle:
            self._flush(handle, path)
        mounts.unmount_all(self._host, path, handle)
        kind = self._host.kind(path)
        if kind is Kind.DIRECTORY:
            if self._host.list_dir(path):
                raise errors.Refused(f"{FIELD} {path} is not mounted and holds files, which are nobody's to delete")
            self._host.remove_dir(path)
        elif kind is Kind.EMPTY_FILE:
            self._host.remove_file(path)
        elif kind is not None:
            raise errors.Refused(f"{FIELD} {path} is {kind.value}, which no publishing makes; it is left alone")

    def _flush(self, handle: VolumeHandle, path: Path) -> None:
        """Send what a pod wrote to the array.

        A kubelet that dies between unpublishing and unstaging knows nothing of the volume when it starts again
        (1.37: it looks for volumes in the directories of pods), and the volume is detached with its filesystem mounted.
        """
        try:
            self._host.run(["sync", "--file-system", str(path)])
        except CommandFailed as failure:
            log.warning(
                "what was written last may be lost: the volume takes no writes", volume=str(handle), why=str(failure)
            )

    def _staged(self, spec: PublishSpec, staged_at: Path) -> Mount:
        """Return the mount to bind from."""
        block = isinstance(spec.access, Block)
        mount = mounts.at(self._host, staging.device_file(staged_at) if block else staged_at)
        if mount is None or mounts.volume_of(self._host, mount) != spec.handle:
            how = "as a block device" if block else "with a filesystem"
            raise errors.Refused(f"volume {spec.handle} is not staged {how} at {staging.FIELD} {staged_at}")
        if isinstance(spec.access, Filesystem) and spec.access.type not in ("", mount.fstype):
            raise errors.Refused(f"volume {spec.handle} is staged as {mount.fstype}, not {spec.access.type}")
        return mount

    def _is_published(self, spec: PublishSpec, source: Mount, path: Path, *, read_only: bool) -> bool:
        mount = mounts.at(self._host, path)
        if mount is None:
            return False
        same = mounts.volume_of(self._host, mount) == spec.handle and mount.root == source.root
        if not same or mount.fstype != source.fstype:
            raise errors.AlreadyExists(f"{FIELD} {path} has something else mounted than volume {spec.handle} as asked")
        if mount.read_only != read_only:
            raise errors.AlreadyExists(
                f"volume {spec.handle} is published at {path} {'read-only' if mount.read_only else 'writable'} already"
            )
        return True

    def _check_others(self, spec: PublishSpec, source: Mount, *, read_only: bool) -> None:
        """Hold a new target against the other ones that the volume has."""
        others = self._targets(spec.handle, source)
        if others and spec.sole:
            raise errors.Refused(f"volume {spec.handle} is for a single pod and is published at {others[0].point}")
        # Write protection of a raw device is the device's. A writable mount of its file tells nothing: kubelet has one
        # more for each target, which it remounts so whatever was asked (mount-utils' bind followed by remount).
        if isinstance(spec.access, Block) and others and self._is_protected(source, spec, others) != read_only:
            other = others[0].point
            raise errors.Refused(
                f"volume {spec.handle} cannot be writable for one pod and read-only for another ({other})"
            )

    def _is_protected(self, source: Mount, spec: PublishSpec, others: list[Mount]) -> bool:
        """Tell whether a device is only read, or is meant to be: somebody may have taken the protection away."""
        return self._disk(source, spec.handle).read_only or any(other.read_only for other in others)

    def _targets(self, handle: VolumeHandle, source: Mount) -> list[Mount]:
        """Return the other mounts of what is staged.

        Only those in kubelet's directory are pods': a container that sees the host's root somewhere else, too, has
        every mount of the host a second time there.
        """
        kubelet_dir = self._host.resolve(self._kubelet_dir)
        return [
            mount
            for mount in mounts.everything(self._host)
            if (mount.fstype, mount.root, mount.number) == (source.fstype, source.root, source.number)
            and mount.point != source.point
            and mount.point.is_relative_to(kubelet_dir)
            and mounts.volume_of(self._host, mount) == handle
        ]

    def _protect(self, source: Mount, handle: VolumeHandle, *, read_only: bool) -> None:
        """Have the kernel refuse writes to a raw device, or stop doing so: a read-only mount of its file would not."""
        disk = self._disk(source, handle)
        if disk.read_only != read_only:
            devices.check_identity(self._host, disk, handle)
            self._host.run(["blockdev", "--setro" if read_only else "--setrw", str(disk.path)])

    def _disk(self, source: Mount, handle: VolumeHandle) -> Disk:
        disk = mounts.disk_behind(self._host, source)
        if disk is None:
            raise errors.Unavailable(f"the disk of volume {handle} has gone")
        return disk

    def _check_target(self, path: Path, wanted: Kind) -> None:
        kind = self._host.kind(path)
        if kind is not None and kind is not wanted:
            raise errors.AlreadyExists(f"{FIELD} {path} is {kind.value}, not {wanted.value}")
        if kind is None and self._host.kind(path.parent) is not Kind.DIRECTORY:
            raise errors.InvalidRequest(f"{FIELD} {path}: the directory it is to be made in does not exist")

    def _shows(self, path: Path, handle: VolumeHandle) -> bool:
        mount = mounts.at(self._host, path)
        return mount is not None and mounts.volume_of(self._host, mount) == handle
