"""What goes wrong on the array's side of the wire: done to LIO directly, past the array's own program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from csi_solidfire.handles import VolumeHandle
from lab.site import SIP, Site
from tests.realnode.volumes import Volume

_ROOT = "/sys/kernel/config/target"
_FOREIGN = "iqn.2003-01.org.example:foreign"

# LIO takes another serial number only while the disk is nobody's LUN.
_DISGUISE = """
lun=$1/lun/lun_0/disk; backstore=$2
rm "$lun"
echo "0x${3%?????????????????????????}" | sed 's/^0x./0x/' > "$backstore/wwn/company_id"
echo "${3#???????}" > "$backstore/wwn/vpd_unit_serial"
ln -s "$backstore" "$lun"
"""
_OFFER = f"""
backstore={_ROOT}/core/rd_mcp_9/foreign; tpg={_ROOT}/iscsi/{_FOREIGN}/tpgt_1
mkdir -p "$backstore"; echo rd_pages=16384 > "$backstore/control"; echo 1 > "$backstore/enable"
mkdir -p "$tpg/lun/lun_0"; ln -s "$backstore" "$tpg/lun/lun_0/disk"
for name in generate_node_acls cache_dynamic_acls; do echo 1 > "$tpg/attrib/$name"; done
for name in authentication demo_mode_write_protect; do echo 0 > "$tpg/attrib/$name"; done
mkdir "$tpg/np/{SIP}:3260"; echo 1 > "$tpg/enable"
"""


def _tpg(volume: Volume) -> str:
    return f"{_ROOT}/iscsi/{volume.iqn}/tpgt_1"


def _backstore(volume: Volume) -> str:
    return f"{_ROOT}/core/iblock_0/volume-{volume.number}"


@contextmanager
def disguised(volume: Volume, naa: str) -> Iterator[None]:
    """Let a volume's disk say that it is another one. Nobody may be logged in."""
    volume.site.array.run(["sh", "-ec", _DISGUISE, "disguise", _tpg(volume), _backstore(volume), naa])
    try:
        yield
    finally:
        mine = VolumeHandle.parse(volume.handle).naa
        volume.site.array.run(["sh", "-ec", _DISGUISE, "disguise", _tpg(volume), _backstore(volume), mine])


@contextmanager
def swapped(volume: Volume, other: Volume) -> Iterator[None]:
    """Serve the bytes of another volume at a volume's target. Nobody may be logged in."""
    relink = 'rm "$1"; ln -s "$2" "$1"'
    lun = f"{_tpg(volume)}/lun/lun_0/disk"
    volume.site.array.run(["sh", "-ec", relink, "relink", lun, _backstore(other)])
    try:
        yield
    finally:
        volume.site.array.run(["sh", "-ec", relink, "relink", lun, _backstore(volume)])


def offer_foreign(site: Site) -> tuple[str, str]:
    """Serve a disk that has nothing to do with SolidFire; return its target's name and portal."""
    site.array.run(["sh", "-ec", _OFFER])
    return _FOREIGN, f"{SIP}:3260"


def restart_target(volume: Volume) -> None:
    """Break all sessions to a volume; they may come back at once."""
    volume.site.array.run(f"echo 0 > {_tpg(volume)}/enable; echo 1 > {_tpg(volume)}/enable")
