"""LIO targets, one for each volume, by plain writes to configfs.

The kernel's own state is the only record of what is served: a new run of the array's program finds there what an
earlier one left. rtslib is not used because it reads every object for each one it makes, and because the few paths
below are the kernel's interface, which has not changed in a decade.

A target is *closed* when its TPG is disabled and has no portal. That ends all its sessions before the write returns,
and taking the portal away waits for logins that are half done, so nobody who proved an old secret gets in later.

What LIO has no place for, the owning account's id, is kept in the backstore's alias. The alias is written last when
a target is made: a backstore without one is the rest of an interrupted attempt.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.array.data import READ_ONLY, READ_WRITE, Export

_ROOT = Path("/sys/kernel/config/target")
_ISCSI = _ROOT / "iscsi"
_HBA = _ROOT / "core" / "iblock_0"
_PAGE = 4096  # An attribute is never longer.
_PREFIX = "volume-"
_PORT = 3260

_TPG_ATTRIBUTES = {"authentication": "1", "generate_node_acls": "1"}
_IDENTITY = {"vendor_id": "SolidFir", "product_id": "SSD SAN", "revision": "0010"}
_THIN = {"emulate_tpu": "1", "emulate_tpws": "1"}


@dataclass(frozen=True)
class Served:
    """A target as the kernel has it.

    Attributes:
        volume_id: Its volume.
        iqn: Its name.
        account_id: The account whose CHAP it asks for.
        username: That account's name.
        access: `readWrite` or `readOnly`.
        portals: Addresses that it can be reached at; none if it is closed.
    """

    volume_id: int
    iqn: str
    account_id: int
    username: str
    access: str
    portals: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether anybody can log in."""
        return bool(self.portals)


def prepare() -> None:
    """Make ready for `make`: creating these directories loads the kernel's modules."""
    _ISCSI.mkdir(exist_ok=True)
    _HBA.mkdir(exist_ok=True)


def find(volume_id: int) -> Served | None:
    """Read what is served of a volume; None if nothing is."""
    try:
        account_id, iqn = _read(_backstore(volume_id) / "alias").split(" ")
    except (FileNotFoundError, ValueError):
        return None
    tpg = _tpg(iqn)
    protected = _read(tpg / "attrib/demo_mode_write_protect") == "1"
    enabled = _read(tpg / "enable") == "1"
    portals = tuple(sorted(portal.name.rpartition(":")[0] for portal in (tpg / "np").iterdir())) if enabled else ()
    username = _read(tpg / "auth/userid")
    return Served(volume_id, iqn, int(account_id), username, READ_ONLY if protected else READ_WRITE, portals)


def every() -> list[Served]:
    """Read all that is served. What disappears meanwhile is left out."""
    return [served for volume_id in _volume_ids() if (served := _find_now(volume_id))]


def make(export: Export, disk: Path) -> None:
    """Make the target, closed, with the block device `disk` as its LUN 0.

    Raises:
        OSError: The kernel refused; nothing is left.
    """
    try:
        _make_backstore(_backstore(export.volume_id), export.naa, disk)
        _make_target(export.iqn)
        _claim(export)
    except BaseException:
        _remove_target(export.iqn)
        _remove_backstore(export.volume_id)
        raise


def configure(export: Export) -> None:
    """Set account, credentials and write protection, for logins from now on.

    LIO reads all of it during the login, so live sessions do not notice. Write protection must change on a closed
    target only.
    """
    tpg = _tpg(export.iqn)
    _link(tpg, _backstore(export.volume_id), "1" if export.access == READ_ONLY else "0")
    _write(tpg / "auth/userid", export.username)
    _write(tpg / "auth/password", export.initiator_secret)
    # An initiator that does not ask for it is let in without mutual CHAP (seen with Linux 6.1).
    _write(tpg / "auth/userid_mutual", export.username)
    _write(tpg / "auth/password_mutual", export.target_secret)
    _claim(export)


def open_at(iqn: str, address: str) -> None:
    """Let initiators log in at `address`, which must be one of this machine's."""
    tpg = _tpg(iqn)
    (tpg / "np" / f"{address}:{_PORT}").mkdir(exist_ok=True)
    if _read(tpg / "enable") != "1":
        _write(tpg / "enable", "1")


def close(iqn: str) -> None:
    """End every session and let nobody in. Doing it twice is fine."""
    tpg = _tpg(iqn)
    if _read(tpg / "enable") == "1":
        _write(tpg / "enable", "0")
    for portal in (tpg / "np").iterdir():
        portal.rmdir()


def remove(served: Served) -> None:
    """Take a target away, its sessions first; its block device is free afterwards."""
    _remove_target(served.iqn)
    _remove_backstore(served.volume_id)


def remove_incomplete() -> None:
    """Take away what an interrupted `make` or `remove` left."""
    complete = {served.volume_id: served.iqn for served in every()}
    names = set(complete.values())
    for target in _ISCSI.glob("iqn.*"):
        if target.name not in names:
            _remove_target(target.name)
    for volume_id in _volume_ids():
        if volume_id not in complete:
            _remove_backstore(volume_id)


def initiators() -> list[tuple[Served, str]]:
    """List the initiators with a live session, one entry for each session."""
    return [(served, name) for volume_id in _volume_ids() for served, name in _initiators(volume_id)]


def _backstore(volume_id: int) -> Path:
    return _HBA / f"{_PREFIX}{volume_id}"


def _tpg(iqn: str) -> Path:
    return _ISCSI / iqn / "tpgt_1"


def _volume_ids() -> list[int]:
    names = (path.name for path in _HBA.iterdir())
    return sorted(int(name[len(_PREFIX) :]) for name in names if name.startswith(_PREFIX))


def _initiators(volume_id: int) -> list[tuple[Served, str]]:
    """List one volume's; nearly all have none, so only those that have some are read in full."""
    try:
        _, _, iqn = _read(_backstore(volume_id) / "alias").partition(" ")
        listed = _read(_tpg(iqn) / "dynamic_sessions")
    except OSError:  # Taken away meanwhile.
        return []
    names = [name for name in listed.replace("\0", "\n").split("\n") if name]
    served = _find_now(volume_id) if names else None
    return [(served, name) for name in names] if served else []


def _find_now(volume_id: int) -> Served | None:
    try:
        return find(volume_id)
    except OSError:
        return None


def _make_backstore(backstore: Path, naa: str, disk: Path) -> None:
    """Make a block backstore that answers SCSI inquiries like a SolidFire volume.

    Of the 32 digits LIO makes the first (NAA type 6), takes six as the company and 25 from the unit's serial number.
    """
    backstore.mkdir()
    _write(backstore / "control", f"udev_path={disk}")
    _write(backstore / "enable", "1")
    _write(backstore / "wwn/company_id", f"0x{naa[1:7]}")
    _write(backstore / "wwn/vpd_unit_serial", naa[7:])
    for name, value in _IDENTITY.items():
        _write(backstore / "wwn" / name, value)
    for name, value in _THIN.items():
        _write(backstore / "attrib" / name, value)


def _make_target(iqn: str) -> None:
    tpg = _tpg(iqn)
    tpg.mkdir(parents=True)
    for name, value in _TPG_ATTRIBUTES.items():
        _write(tpg / "attrib" / name, value)
    (tpg / "lun/lun_0").mkdir()


def _link(tpg: Path, backstore: Path, protected: str) -> None:
    """Put the disk at LUN 0 with or without write protection (`1` or `0`).

    LIO remembers each initiator with the protection that the LUN had for it first, and looks again only when the LUN
    is linked anew.
    """
    link, attribute = tpg / "lun/lun_0/disk", tpg / "attrib/demo_mode_write_protect"
    if _read(attribute) != protected:
        link.unlink(missing_ok=True)
        _write(attribute, protected)
    if not link.is_symlink():
        link.symlink_to(backstore)


def _claim(export: Export) -> None:
    _write(_backstore(export.volume_id) / "alias", f"{export.account_id} {export.iqn}")


def _remove_target(iqn: str) -> None:
    tpg = _tpg(iqn)
    if tpg.exists():
        close(iqn)
        for link in _links(tpg):
            link.unlink()
        for lun in (tpg / "lun").glob("lun_*"):
            lun.rmdir()
        tpg.rmdir()
    if (_ISCSI / iqn).exists():
        (_ISCSI / iqn).rmdir()


def _links(tpg: Path) -> Iterator[Path]:
    return (entry for entry in (tpg / "lun").glob("lun_*/*") if entry.is_symlink())


def _remove_backstore(volume_id: int) -> None:
    if _backstore(volume_id).exists():
        _backstore(volume_id).rmdir()


def _read(path: Path) -> str:
    attribute = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(attribute, _PAGE).decode().rstrip("\n\0")
    finally:
        os.close(attribute)


def _write(path: Path, value: str) -> None:
    """Write a configfs attribute in one call, as it must be; an error names the path and never the value."""
    attribute = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(attribute, value.encode())
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from None
    finally:
        os.close(attribute)
