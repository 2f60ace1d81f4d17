"""iSCSI sessions and disks as the kernel shows them in sysfs. No process is started and nothing is remembered.

A name like `sda` belongs to another disk after the next login. So a disk is known by what it says of itself, its
NAA id, and `check_identity` is called immediately before anything that could hurt the wrong one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from csi_solidfire import errors
from csi_solidfire.handles import VolumeHandle
from csi_solidfire.node.host import Host

SESSIONS = Path("/sys/class/iscsi_session")
CONNECTIONS = Path("/sys/class/iscsi_connection")
SCSI_HOSTS = Path("/sys/class/scsi_host")
BLOCK = Path("/sys/class/block")
NUMBERS = Path("/sys/dev/block")
_SECTOR = 512  # sysfs counts in these whatever the disk's own block size is
_LUN_0 = re.compile(r"\d+:\d+:\d+:0")
_SCSI_HOST = re.compile(r"/host(\d+)/session\d+")
# device mapper names a multipath map's UUID after the path's WWID: a 3 for "NAA" and the id.
_MULTIPATH = re.compile(r"mpath-3([0-9a-f]{32})")


@dataclass(frozen=True)
class Session:
    """An iSCSI session of this host.

    Attributes:
        sid: iscsiadm's and the kernel's number of it.
        live: It is logged in; if not, iscsid is trying to get it back.
        portal: `<address>:<port>` it was made with, the array's SVIP; not where it was redirected to.
    """

    sid: int
    iqn: str
    live: bool
    portal: str


@dataclass(frozen=True)
class Disk:
    """A SCSI disk, or the multipath map over it.

    Attributes:
        name: The kernel's name for now, `sda` or `dm-3`.
        number: `<major>:<minor>`.
        volume: Which volume it says it is; None if not one of Element's.
        size: Bytes.
        read_only: The array or somebody here protects it from writing.
    """

    name: str
    number: str
    volume: VolumeHandle | None
    size: int
    read_only: bool

    @property
    def path(self) -> Path:
        return Path("/dev") / self.name


def sessions_of(host: Host, handle: VolumeHandle) -> list[Session]:
    """Return the sessions to a volume's target. Its name spells the volume, so no other cluster's can be among them."""
    found = []
    for name in host.list_dir(SESSIONS):
        session = _session(host, name)
        if session is not None and VolumeHandle.of_iqn(session.iqn) == handle:
            found.append(session)
    return found


def _session(host: Host, name: str) -> Session | None:
    sid = name.removeprefix("session")
    iqn = _attribute(host, SESSIONS / name / "targetname")
    if not sid.isdigit() or not iqn:
        return None
    connection = CONNECTIONS / f"connection{sid}:0"
    address = _attribute(host, connection / "persistent_address")
    port = _attribute(host, connection / "persistent_port")
    portal = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return Session(int(sid), iqn, _attribute(host, SESSIONS / name / "state") == "LOGGED_IN", portal)


def disk_of(host: Host, session: Session) -> Disk | None:
    """Return the LUN 0 disk of a session, None if the kernel has none (yet)."""
    device = SESSIONS / f"session{session.sid}" / "device"
    for target in host.list_dir(device):
        if not target.startswith("target"):
            continue
        for address in filter(_LUN_0.fullmatch, host.list_dir(device / target)):
            for name in host.list_dir(device / target / address / "block"):
                return disk_named(host, name)
    return None


def disk_named(host: Host, name: str) -> Disk | None:
    """Return what the kernel says of a disk; None if it is gone."""
    number = _attribute(host, BLOCK / name / "dev")
    sectors = _attribute(host, BLOCK / name / "size")
    if not number or not sectors.isdigit():
        return None
    read_only = _attribute(host, BLOCK / name / "ro") == "1"
    return Disk(name, number, _volume(host, BLOCK / name), int(sectors) * _SECTOR, read_only)


def volume_of_number(host: Host, number: str) -> VolumeHandle | None:
    """Return the volume of a disk or multipath map by its `<major>:<minor>`; None if it is not one or is gone."""
    return _volume(host, NUMBERS / number)


def exists(host: Host, number: str) -> bool:
    """Tell whether there is a block device of that number now."""
    return bool(_attribute(host, NUMBERS / number / "dev"))


def _volume(host: Host, device: Path) -> VolumeHandle | None:
    wwid = _attribute(host, device / "device" / "wwid")
    if wwid.startswith("naa."):
        return VolumeHandle.of_naa(wwid.removeprefix("naa."))
    multipath = _MULTIPATH.fullmatch(_attribute(host, device / "dm" / "uuid"))
    return VolumeHandle.of_naa(multipath[1]) if multipath else None


def holders(host: Host, disk: Disk) -> list[str]:
    """Return the block devices built on a disk: multipath, LVM, crypt."""
    return host.list_dir(BLOCK / disk.name / "holders")


def multipath_map(host: Host, disk: Disk) -> Disk | None:
    """Return the multipath map over a disk, if multipathd made one. Other holders are not ours to use."""
    for name in holders(host, disk):
        over = disk_named(host, name)
        if over is not None and over.volume is not None and over.volume == disk.volume and is_map(host, over):
            return over
    return None


def is_map(host: Host, disk: Disk) -> bool:
    return bool(_MULTIPATH.fullmatch(_attribute(host, BLOCK / disk.name / "dm" / "uuid")))


def map_name(host: Host, disk: Disk) -> str:
    """Return what multipath calls a map."""
    return _attribute(host, BLOCK / disk.name / "dm" / "name")


def check_identity(host: Host, disk: Disk, handle: VolumeHandle, at_least: int = 0) -> None:
    """Make sure, now, that a disk is the volume.

    Args:
        at_least: Bytes the array said it has. It may have grown since and never shrinks.

    Raises:
        errors.Refused: It is another volume, or smaller than it can be.
        errors.Unavailable: It has gone.
    """
    now = disk_named(host, disk.name)
    if now is None or now.number != disk.number:
        raise errors.Unavailable(f"{disk.path} has gone while volume {handle} was being worked on")
    if now.volume != handle:
        says = f"volume {now.volume}" if now.volume else "no volume of a SolidFire cluster"
        raise errors.Refused(f"{disk.path} should be volume {handle} (NAA {handle.naa}) and says that it is {says}")
    if now.size < at_least:
        raise errors.Refused(f"{disk.path} has {now.size} bytes, volume {handle} has at least {at_least} on the array")


def scsi_host(host: Host, session: Session) -> str:
    """Return the number of the SCSI host that a session is.

    Raises:
        errors.Unavailable: The session has just ended.
    """
    match = _SCSI_HOST.search(str(host.resolve(SESSIONS / f"session{session.sid}" / "device")))
    if match is None:
        raise errors.Unavailable(f"session {session.sid} to {session.iqn} has ended")
    return match[1]


def _attribute(host: Host, path: Path) -> str:
    """Return a sysfs file's content; empty if it is not there or the device behind it is just going away."""
    try:
        return host.read_text(path).strip()
    except OSError:
        return ""
