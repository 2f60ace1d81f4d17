"""What becomes of a volume's bytes on the lab's array, seen from a node with the real kernel and open-iscsi."""

from __future__ import annotations

from typing import Any

import pytest

from lab.site import Site
from tests.lio.initiator import GIB, Account, Initiator, Volume, wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("lio")]

_LAST = 1023  # The last MiB of the volume.

# Writes a number to the first MiB, then to the last, then the next number, each past the page cache.
_COUNT = """
import itertools, mmap, os, sys
disk = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
block = mmap.mmap(-1, 4096)
for number in itertools.count(1):
    block[:20] = b"%20d" % number
    for position in (0, 1023 << 20):
        assert os.pwrite(disk, block, position) == 4096
"""


@pytest.fixture
def disk(node: Initiator, volume: Volume, account: Account) -> str:
    """The volume's disk on the first node."""
    assert node.log_in(volume, account) == 0
    return node.disk(volume)


def test_a_new_volume_is_blank_and_thin(site: Site, node: Initiator, volume: Volume, disk: str) -> None:
    """It reads as zeros and takes no room on the array; what is discarded gives its room back."""
    assert node.size(disk) == GIB
    assert node.read(disk) == node.read(disk, at=1000) == ""
    assert _blocks(site, volume) == 0
    node.write(disk, "x")
    assert _blocks(site, volume) > 0
    node.machine.run(f"blkdiscard {disk}")
    assert _blocks(site, volume) == 0


@pytest.mark.parametrize(("enable512e", "sector"), [(True, "512"), (False, "4096")])
def test_sectors_are_as_asked(
    site: Site, node: Initiator, account: Account, name: str, enable512e: bool, sector: str
) -> None:
    """512-byte sectors are emulated or not, and a filesystem works on both."""
    volume = Volume.make(site, account, name, enable512e=enable512e)
    node.log_in(volume, account)
    disk = node.disk(volume)

    assert node.says(f"blockdev --getss {disk}") == sector
    node.machine.run(f"mkfs.xfs -q {disk} && mount {disk} /mnt && echo kept > /mnt/file && umount /mnt")
    assert node.says(f"mount {disk} /mnt && cat /mnt/file && umount /mnt") == "kept"


def test_growth_is_seen_online(site: Site, node: Initiator, volume: Volume, disk: str) -> None:
    """A mounted filesystem grows into it without a new login, and keeps what it had."""
    node.machine.run(f"mkfs.ext4 -q {disk} && mount {disk} /mnt && echo kept > /mnt/file")
    before = node.interruptions()

    site.call("ModifyVolume", {"volumeID": volume.volume_id, "totalSize": 2 * GIB})
    node.rescan(disk)

    assert node.size(disk) == 2 * GIB
    node.machine.run(f"resize2fs {disk}")
    assert int(node.says("df -B1 --output=size /mnt | tail -1")) > 1.8 * GIB
    assert node.says("cat /mnt/file; umount /mnt") == "kept"
    assert node.interruptions() == before


def test_a_clone_of_a_snapshot_has_the_bytes_of_that_moment(
    site: Site, node: Initiator, volume: Volume, account: Account, disk: str, name: str
) -> None:
    """Later writes to the source are not in it, writes to the clone are not in the source, and it may be larger."""
    node.write(disk, "before")
    snapshot_id = site.call("CreateSnapshot", {"volumeID": volume.volume_id})["snapshotID"]
    node.write(disk, "after")

    clone = _clone(site, volume, name, snapshotID=snapshot_id, newSize=2 * GIB)
    node.log_in(clone, account)
    cloned = node.disk(clone)

    assert node.size(cloned) == 2 * GIB
    assert node.read(cloned) == "before"
    assert node.attribute(clone, "wwid") == f"naa.{clone.naa}" != f"naa.{volume.naa}"
    node.write(cloned, "clone's own")
    assert node.read(disk) == "after"


def test_a_clone_of_a_volume_has_its_present_bytes(
    site: Site, node: Initiator, volume: Volume, account: Account, disk: str, name: str
) -> None:
    """All that the initiator was told is written, though the session is live."""
    node.write(disk, "now")

    clone = _clone(site, volume, name)
    node.log_in(clone, account)

    assert node.read(node.disk(clone)) == "now"


def test_a_snapshot_under_writes_is_of_one_moment(
    site: Site, node: Initiator, volume: Volume, account: Account, disk: str, name: str
) -> None:
    """Of two blocks written in turn, the first is at most one write ahead in every snapshot."""
    node.machine.write_file("/tmp/count.py", _COUNT.encode())
    node.machine.run(f"systemd-run --quiet --unit=count python3 /tmp/count.py {disk}")
    try:
        wait_until(lambda: node.read(disk, at=_LAST) != "")
        taken = [site.call("CreateSnapshot", {"volumeID": volume.volume_id})["snapshotID"] for _ in range(3)]
    finally:
        node.machine.run("systemctl stop count")

    for number, snapshot_id in enumerate(taken):
        clone = _clone(site, volume, f"{name[:60]}-{number}", snapshotID=snapshot_id)
        node.log_in(clone, account)
        cloned = node.disk(clone)
        assert int(node.read(cloned)) - int(node.read(cloned, at=_LAST)) in (0, 1)


def test_rolling_back_brings_the_bytes_and_the_size_back(
    site: Site, node: Initiator, volume: Volume, account: Account, disk: str
) -> None:
    """A volume that has grown since is as small as its snapshot again."""
    node.write(disk, "before")
    snapshot_id = site.call("CreateSnapshot", {"volumeID": volume.volume_id})["snapshotID"]
    site.call("ModifyVolume", {"volumeID": volume.volume_id, "totalSize": 2 * GIB})
    node.rescan(disk)
    node.write(disk, "after")
    node.write(disk, "in the new part", at=1500)

    asked = {"volumeID": volume.volume_id, "snapshotID": snapshot_id, "saveCurrentState": False}
    site.call("RollbackToSnapshot", asked)

    node.log_out(volume)
    node.log_in(volume, account)
    disk = node.disk(volume)
    assert node.read(disk) == "before"
    assert node.size(disk) == GIB


def test_the_arrays_program_may_restart_under_writes(site: Site, node: Initiator, volume: Volume, disk: str) -> None:
    """No write fails and no connection is lost; what the new program is asked takes effect."""
    node.machine.write_file("/tmp/count.py", _COUNT.encode())
    node.machine.run(f"systemd-run --quiet --unit=count python3 /tmp/count.py {disk}")
    wait_until(lambda: node.read(disk, at=_LAST) != "")
    before = node.interruptions()

    site.start_array()

    restarted = int(node.read(disk))
    wait_until(lambda: int(node.read(disk)) > restarted)
    assert node.machine.run("systemctl is-active count").stdout.strip() == "active"
    assert node.interruptions() == before
    site.call("ModifyVolume", {"volumeID": volume.volume_id, "access": "locked"})
    wait_until(lambda: node.machine.run("systemctl is-active count", check=False).stdout.strip() == "failed")


def test_everything_is_back_after_a_power_cut(
    site: Site, node: Initiator, volume: Volume, account: Account, disk: str
) -> None:
    """The array boots, its volumes are served again, and the session that was live finds its bytes by itself."""
    node.log_out(volume)
    node.machine.run("sed -i 's/replacement_timeout = 3/replacement_timeout = 300/' /etc/iscsi/nodes/*/*/default")
    node.machine.run(["iscsiadm", "-m", "node", "-T", volume.iqn, "--login"])
    disk = node.disk(volume)
    assert node.write(disk, "acknowledged")

    site.array.kill()
    site.array.power_on()
    site.start_array()

    wait_until(lambda: node.state(volume) == "LOGGED_IN", 240)  # Seconds mostly; more than 60 once.
    assert node.read(disk) == "acknowledged"


def _blocks(site: Site, volume: Volume) -> int:
    path = f"/srv/array/volumes/volume-{volume.volume_id}"
    return int(site.array.run(["stat", "--format=%b", path]).stdout)


def _clone(site: Site, volume: Volume, name: str, **how: Any) -> Volume:
    """Clone a volume and wait for the end of it."""
    answer = site.call("CloneVolume", {"volumeID": volume.volume_id, "name": name, **how})
    handle = {"asyncHandle": answer["asyncHandle"], "keepResult": True}
    wait_until(lambda: bool(site.call("GetAsyncResult", handle)["status"] == "complete"))
    assert "error" not in site.call("GetAsyncResult", handle)
    (cloned,) = site.call("ListVolumes", {"volumeIDs": [answer["volumeID"]]})["volumes"]
    return Volume.of(cloned)
