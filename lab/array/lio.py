"""The array's data on a Linux machine: reflinked files, loop devices, LIO targets and the SVIP's redirect.

An initiator cannot tell these volumes from SolidFire's, except that `enable512e` volumes have physical sectors of 512
bytes too. Access groups are not served: everybody needs CHAP.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.array import lio_loops as loops
from lab.array import lio_targets as targets
from lab.array.data import Data, Export, Session
from lab.array.lio_files import Files
from lab.array.redirect import PORT, Redirector

_CONFIGFS = Path("/sys/kernel/config")
_MODULES = ("loop", "target_core_mod", "target_core_iblock", "iscsi_target_mod")
_COMMAND_SECONDS = 60.0


def open_data(data_dir: Path, svip: str, sip: str) -> Data:
    """Serve the volumes kept in `data_dir`; root only.

    Args:
        data_dir: A directory on XFS or btrfs, made if it is not there.
        svip: The address that initiators log in to, one of this machine's.
        sip: The storage node's address that they are redirected to, another one of this machine's.

    Raises:
        OSError: No reflinks in `data_dir`, an address is not this machine's, or the kernel has no LIO.
    """
    return LioData(data_dir, svip, sip)


class LioData:
    """Volumes as LIO targets (`lab.array.data.Data`).

    The SVIP answers from the first `restore` on: an initiator that asked before would be told that its target does not
    exist, and would give up a session that is only to be resumed.
    """

    def __init__(self, data_dir: Path, svip: str, sip: str) -> None:
        """See `open_data`."""
        data_dir.mkdir(parents=True, exist_ok=True)
        self._files = Files(data_dir)
        self._sip = str(ipaddress.ip_address(sip))
        self._moved: dict[int, str] = {}
        _prepare_kernel()
        self._svip = Redirector(svip)

    def create(self, volume_id: int, size: int) -> None:
        """Make a blank, thin volume."""
        self.unexport(volume_id)
        self._files.make(self._files.volume(volume_id), size)

    def resize(self, volume_id: int, size: int) -> None:
        """Set the volume's size."""
        self._files.resize(self._files.volume(volume_id), size)
        loops.resize(volume_id)

    def delete(self, volume_id: int) -> None:
        """Forget the volume and its bytes."""
        self.unexport(volume_id)
        self._files.volume(volume_id).unlink(missing_ok=True)

    def snapshot(self, volume_id: int, snapshot_id: int) -> None:
        """Keep the volume's present bytes. Direct I/O below LIO leaves nothing to be flushed first."""
        self._files.make_copy(self._files.volume(volume_id), self._files.snapshot(snapshot_id))

    def copy_snapshot(self, source_snapshot_id: int, snapshot_id: int) -> None:
        """Keep a snapshot's bytes once more."""
        self._files.make_copy(self._files.snapshot(source_snapshot_id), self._files.snapshot(snapshot_id))

    def delete_snapshot(self, snapshot_id: int) -> None:
        """Forget the snapshot."""
        self._files.snapshot(snapshot_id).unlink(missing_ok=True)

    def rollback(self, volume_id: int, snapshot_id: int, size: int) -> None:
        """Give the volume the snapshot's bytes and size under its live sessions."""
        self._files.overwrite(self._files.snapshot(snapshot_id), self._files.volume(volume_id), size)
        loops.resize(volume_id)

    def clone(self, source_volume_id: int, snapshot_id: int | None, volume_id: int, size: int) -> None:
        """Make a volume out of a snapshot or another volume."""
        self.unexport(volume_id)
        self._files.make_copy(self._source(source_volume_id, snapshot_id), self._files.volume(volume_id), size)

    def copy(self, source_volume_id: int, snapshot_id: int | None, volume_id: int) -> None:
        """Overwrite a volume with a snapshot or another volume."""
        target = self._files.volume(volume_id)
        self._files.overwrite(self._source(source_volume_id, snapshot_id), target, target.stat().st_size)

    def export(self, export: Export) -> None:
        """Make or change the volume's target.

        Should the kernel refuse a change half way, a target that was to be closed stays closed.
        """
        served = targets.find(export.volume_id)
        self._fill_up(export)
        if served is None:
            self._make(export)
        elif export.ends_sessions_of(_before(export, served)):
            targets.close(export.iqn)
        targets.configure(export)
        if export.is_open:
            self._open(export.volume_id, export.iqn)
        else:
            self._svip.refuse(export.iqn)
            targets.close(export.iqn)

    def unexport(self, volume_id: int) -> None:
        """Take the target away."""
        if served := targets.find(volume_id):
            self._svip.forget(served.iqn)
            targets.remove(served)
        loops.detach(volume_id)
        self._moved.pop(volume_id, None)

    def move(self, volume_id: int, sip: str) -> None:
        """Serve the volume from another of this machine's addresses: sessions end and come back by the SVIP.

        Raises:
            KeyError: The volume is not exported.
        """
        served = targets.find(volume_id)
        if served is None:
            raise KeyError(volume_id)
        self._moved[volume_id] = str(ipaddress.ip_address(sip))
        if served.is_open:
            targets.close(served.iqn)
            self._open(volume_id, served.iqn)

    def sessions(self) -> list[Session]:
        """List the live sessions.

        LIO tells an initiator's name only. The rest is what it said when the SVIP sent it on: the port is that of the
        connection to the SVIP, and sessions older than this program have the address 0.0.0.0:0.
        """
        return [self._session(served, initiator) for served, initiator in targets.initiators()]

    def restore(self, exports: Iterable[Export]) -> None:
        """Make what is served equal to `exports`.

        A volume whose file is longer than its record, after a resize cut short, is left so: bytes are not cut off here.
        """
        wanted = {export.volume_id: export for export in exports}
        targets.remove_incomplete()
        for served in targets.every():
            if served.is_open and self._sip not in served.portals:
                self._moved[served.volume_id] = served.portals[0]
        for volume_id in {served.volume_id for served in targets.every()}.union(loops.attached()) - set(wanted):
            self.unexport(volume_id)
        for export in wanted.values():
            self.export(export)
        self._svip.start()

    def close(self) -> None:
        """Stop redirecting; the kernel serves on."""
        self._svip.close()

    def _fill_up(self, export: Export) -> None:
        """Lengthen a file that is shorter than its record, after a rollback cut short."""
        if self._files.volume(export.volume_id).stat().st_size < export.size:
            self.resize(export.volume_id, export.size)

    def _make(self, export: Export) -> None:
        file = self._files.volume(export.volume_id)
        with self._detached_on_error(export.volume_id):
            disk = loops.attach(export.volume_id, file, 512 if export.enable512e else 4096)
            targets.make(export, disk)

    def _open(self, volume_id: int, iqn: str) -> None:
        sip = self._moved.get(volume_id, self._sip)
        targets.open_at(iqn, sip)
        self._svip.route(iqn, sip)

    def _source(self, volume_id: int, snapshot_id: int | None) -> Path:
        return self._files.volume(volume_id) if snapshot_id is None else self._files.snapshot(snapshot_id)

    def _session(self, served: targets.Served, initiator: str) -> Session:
        seen = self._svip.seen(served.iqn, initiator)
        return Session(
            volume_id=served.volume_id,
            initiator=initiator,
            initiator_address=seen.address if seen else "0.0.0.0:0",
            target_address=f"{served.portals[0] if served.portals else self._sip}:{PORT}",
            username=served.username,
            isid=seen.isid if seen else 0,
            created=seen.when if seen else 0.0,
        )

    @contextmanager
    def _detached_on_error(self, volume_id: int) -> Iterator[None]:
        try:
            yield
        except BaseException:
            loops.detach(volume_id)
            raise


def _before(export: Export, served: targets.Served) -> Export:
    """Say how the volume is exported now, as far as live sessions depend on it."""
    return dataclasses.replace(export, account_id=served.account_id, access=served.access, chap=served.is_open)


def _prepare_kernel() -> None:
    if os.geteuid() != 0:
        raise PermissionError("serving iSCSI needs root")
    # The kernel keeps persistent reservations below it and complains if it is not there when the module loads.
    Path("/etc/target").mkdir(exist_ok=True)
    subprocess.run(["modprobe", "-a", *_MODULES], check=True, timeout=_COMMAND_SECONDS)
    if not (_CONFIGFS / "target").exists():
        subprocess.run(["mount", "-t", "configfs", "configfs", str(_CONFIGFS)], check=True, timeout=_COMMAND_SECONDS)
    targets.prepare()
