"""Checks of filesystems, which go on when the call that began them has to answer.

A full check of a large ext4 takes longer than kubelet waits, and one that is killed has to start over. So it runs in
a thread of its own: the call answers UNAVAILABLE in time, and the next one waits for the same check. Nothing else is
remembered, and no other volume waits. If the driver ends, its container's end kills the check, and the next one starts
over; should it live on, the lock and the exclusive claim that it has on the disk keep the next driver from it.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait

from csi_solidfire import deadline, errors, logs
from csi_solidfire.handles import VolumeHandle
from csi_solidfire.node import devices
from csi_solidfire.node.devices import Disk
from csi_solidfire.node.host import Host, Result

log = logs.get(__name__)

_UNCORRECTED = 4
_PATIENCE = 30.0  # seconds that a call waits; longer ones would keep the server's threads from other volumes
_LONGEST = 86400.0  # seconds; a check that hangs longer than a day will not end
_SAID = 1000  # characters of its output in the log, the last ones


class Checks:
    """The checks of this node. The caller sees to it that a volume has one call at a time."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._begun: dict[VolumeHandle, Future[Result]] = {}

    def run(self, disk: Disk, handle: VolumeHandle, fstype: str) -> None:
        """Repair what can be repaired without anybody's decision. xfs and btrfs do that when they are mounted.

        Raises:
            errors.Refused: A person has to repair it.
            errors.Unavailable: It is not done yet and goes on, or it could not be done.
        """
        if fstype != "ext4":
            return
        devices.check_identity(self._host, disk, handle)
        check: Future[Result] = Future()
        with self._lock:
            self._begun[handle] = check
        # A daemon, or Python would wait for it when the driver is to end.
        threading.Thread(target=self._work, args=(disk, handle, check), name=f"check {handle}", daemon=True).start()
        self.wait(disk, handle)

    def wait(self, disk: Disk, handle: VolumeHandle) -> None:
        """Wait for the check that an earlier call began, if there is one, and answer as `run` does."""
        with self._lock:
            check = self._begun.get(handle)
        if check is None:
            return
        wait([check], deadline.remaining(_PATIENCE))
        if not check.done():
            raise errors.Unavailable(f"e2fsck is at work on volume {handle}; it goes on, and kubelet asks again")
        self.forget(handle)
        # Bits: 1 corrected, 2 corrected and a reboot wanted (of a root filesystem), 4 not corrected; from 8 no result.
        if check.result().status & _UNCORRECTED:
            raise errors.Refused(
                f"the ext4 of volume {handle} has errors that need a person: run e2fsck on {disk.path}"
            )

    def is_running(self, handle: VolumeHandle) -> bool:
        with self._lock:
            check = self._begun.get(handle)
        return check is not None and not check.done()

    def forget(self, handle: VolumeHandle) -> None:
        """Drop what a check has found: the volume may be another one by the next time."""
        with self._lock:
            self._begun.pop(handle, None)

    def _work(self, disk: Disk, handle: VolumeHandle, check: Future[Result]) -> None:
        # In this thread there is no caller's deadline.
        try:
            result = self._host.run(["e2fsck", "-p", str(disk.path)], ok=range(8), timeout=_LONGEST, lock=disk.path)
        except BaseException as error:  # noqa: BLE001 - whoever waits is to get it
            log.warning("could not check a filesystem", volume=str(handle), error=str(error))
            check.set_exception(error)
            return
        if result.status:
            log.warning("e2fsck found errors", volume=str(handle), status=result.status, said=_shorten(result.text))
        check.set_result(result)


def _shorten(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())[-_SAID:]
