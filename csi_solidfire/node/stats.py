"""How full a volume is, as seen at one of its paths."""

from __future__ import annotations

from pathlib import Path

from csi_solidfire import errors
from csi_solidfire.handles import VolumeHandle, shorten
from csi_solidfire.node import mounts, paths, staging
from csi_solidfire.node.host import Host, Usage
from csi_solidfire.node.mounts import Mount

FIELD = "volume_path"


def of(host: Host, kubelet_dir: Path, handle: VolumeHandle, text: str) -> Usage | int:
    """Return what a volume's filesystem holds, or the bytes of its raw device.

    Args:
        text: A path that it was staged or published at, as it came.

    Raises:
        errors.NotFound: The volume is not there. CSI wants that for any path, however malformed.
    """
    mount = _mount(host, kubelet_dir, handle, text)
    if mount.fstype != "devtmpfs":
        return host.usage(mount.point)
    disk = mounts.disk_behind(host, mount)
    if disk is None:
        raise errors.NotFound(f"the disk of volume {handle} at {FIELD} {shorten(text)} has gone")
    return disk.size


def _mount(host: Host, kubelet_dir: Path, handle: VolumeHandle, text: str) -> Mount:
    try:
        path = paths.checked(host, kubelet_dir, FIELD, text)
    except errors.InvalidRequest as wrong:
        raise errors.NotFound(f"volume {handle} is not there: {wrong}") from wrong
    mount = mounts.at(host, path) or mounts.at(host, staging.device_file(path))
    if mount is None or mounts.volume_of(host, mount) != handle:
        raise errors.NotFound(f"volume {handle} is not mounted at {FIELD} {shorten(text)}")
    return mount
