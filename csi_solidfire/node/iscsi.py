"""Logging in to a volume's target and out of it, by the host's own iscsiadm and iscsid.

iscsiadm takes secrets only on its command line, where every process of the node can read them. So the node record,
the file it would make of them, is written here, and is freed of the secrets as soon as the session is up: after that
iscsid has them from the kernel, which keeps a copy for root in sysfs (open-iscsi, usr/iscsid.c, sync_session).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from csi_solidfire import deadline, errors, logs
from csi_solidfire.handles import Chap, PublishContext, VolumeHandle
from csi_solidfire.node import devices, records
from csi_solidfire.node.devices import Disk, Session
from csi_solidfire.node.host import CommandFailed, Host

log = logs.get(__name__)
_T = TypeVar("_T")

# Exit statuses of iscsiadm, by the names of open-iscsi's include/iscsi_err.h.
_SESS_NOT_FOUND = 2
_SESS_EXISTS = 15
_FATAL_LOGIN = 19
_ISCSID_NOTCONN = 20
_NO_OBJS_FOUND = 21
_LOGIN_AUTH_FAILED = 24
_SESSION_NOT_CONNECTED = 32

_DISK_PATIENCE = 30.0  # seconds from login until the kernel must show the disk
_PATIENCE = 10.0  # seconds until the kernel must show what iscsid did
_LOGIN_TIMEOUT = 60.0  # more than the record lets iscsid try: records.LOGIN_TIMEOUT times its retries
# A login with node.session.scan=manual never returns in this one release (open-iscsi 48e683c, mended by 34ac5a2).
_HANGS_WITHOUT_SCAN = "2.1.11"
# Logins to one portal at the same time: the record database has one lock for all of the node, so more would only wait
# for each other in iscsiadm. One that does not answer keeps its logins for most of a minute, and no other's.
# Logouts wait for nobody: the failover of a volume waits for its logout.
_PARALLEL = 8
_TURN_PATIENCE = 30.0  # seconds; who waits for longer keeps the server's threads from other volumes


class Iscsi:
    """This host's initiator.

    Args:
        database: open-iscsi's directory that has `nodes` in it; None: the one that this host uses.
        replacement_timeout: Seconds that I/O waits for a lost session. SolidFire moves a volume to another storage
            node within seconds to a minute, so without multipath it should outlast that.
    """

    def __init__(self, host: Host, database: Path | None = None, replacement_timeout: int = 120) -> None:
        self._host = host
        self._database = database
        self._replacement_timeout = replacement_timeout
        self._lock = threading.Lock()
        self._slots: dict[str, threading.BoundedSemaphore] = {}

    def log_in(self, target: PublishContext, chap: Chap) -> Session:
        """Open a session to a target, or return the one that is up.

        Raises:
            errors.Unauthenticated: The array refused the CHAP secret, or we refused its. No record is left.
            errors.Unavailable: It did not work or is not known to have worked. Then iscsid may still be trying, and
                the record stays for it.
        """
        if (session := live_session(self._host, target)) is None:
            records.write(self._host, self._nodes, self._record(target, chap))
            self._login(target, mutual=chap.password_in is not None)
            session = self._wait(lambda: live_session(self._host, target), _PATIENCE, f"the session to {target.iqn}")
            log.info("logged in", iqn=target.iqn, portal=target.portal)
        # A call that was cut short after the login left the secrets in the record, and somebody may have removed it:
        # a restarted iscsid would then not know the session's time-outs.
        without_secrets = self._record(target, None)
        if not records.is_there(self._host, self._nodes, without_secrets):
            records.write(self._host, self._nodes, without_secrets)
        return session

    def _record(self, target: PublishContext, chap: Chap | None) -> records.Record:
        return records.Record(target, chap, self._replacement_timeout, self._scan)

    def _login(self, target: PublishContext, *, mutual: bool) -> None:
        command = ["iscsiadm", "-m", "node", "-T", target.iqn, "-p", target.portal, "--login"]
        try:
            with self._slot(target.portal):
                self._host.run(command, ok={0, _SESS_EXISTS}, timeout=_LOGIN_TIMEOUT)
        except CommandFailed as failure:
            records.remove(self._host, self._nodes, target.iqn)
            raise _explained(failure, target, mutual=mutual) from failure

    def disk(self, session: Session) -> Disk:
        """Return a session's LUN 0, looking for it on the array if the kernel does not have it.

        Nothing else is looked for: a SolidFire target has LUN 0 only.

        Raises:
            errors.Unavailable: It does not appear.
        """
        if (disk := self._usable_disk(session)) is not None:
            return disk
        scan = devices.SCSI_HOSTS / f"host{devices.scsi_host(self._host, session)}" / "scan"
        self._host.write_sysfs(scan, "0 0 0\n")
        return self._wait(lambda: self._usable_disk(session), _DISK_PATIENCE, f"the disk of {session.iqn}")

    def _usable_disk(self, session: Session) -> Disk | None:
        """Return the disk once it has a size and a device file that is its own."""
        disk = devices.disk_of(self._host, session)
        if disk is None or disk.size == 0:
            return None
        try:
            return disk if self._host.device_number(disk.path) == disk.number else None
        except OSError:
            return None

    def log_out(self, session: Session) -> None:
        """End a session; one that has ended already is fine. Its disk must not be in use: this does not look.

        Raises:
            errors.Unavailable: It is still there.
        """
        name = f"session{session.sid}"

        def ended() -> bool | None:
            return None if name in self._host.list_dir(devices.SESSIONS) else True

        self._wait(
            lambda: self._ask_to_end(session), _PATIENCE, f"iscsid to let go of {name}, which it tries to get back"
        )
        self._wait(ended, _PATIENCE, f"the end of {name}")
        log.info("logged out", iqn=session.iqn, sid=session.sid)

    def _ask_to_end(self, session: Session) -> bool | None:
        """Return None if iscsid is just now in the middle of getting the session back, and does not want to."""
        answers = {0, _SESS_NOT_FOUND, _NO_OBJS_FOUND, _SESSION_NOT_CONNECTED}
        done = self._host.run(["iscsiadm", "-m", "session", "-r", str(session.sid), "-u"], ok=answers)
        return None if done.status == _SESSION_NOT_CONNECTED else True

    def forget(self, handle: VolumeHandle) -> None:
        """Remove the node records of a volume, of which there is one at the most."""
        nodes = self._nodes
        for iqn in self._host.list_dir(nodes):
            if VolumeHandle.of_iqn(iqn) == handle:
                records.remove(self._host, nodes, iqn)

    @property
    def _nodes(self) -> Path:
        return records.nodes_dir(self._host, self._database)

    @cached_property
    def _scan(self) -> str:
        """Ask iscsid not to scan: a scan of ours for one LUN is cheaper and comes when we are ready for it."""
        version = self._host.run(["iscsiadm", "--version"]).text.split()[-1:]
        return "auto" if version == [_HANGS_WITHOUT_SCAN] else "manual"

    @contextmanager
    def _slot(self, portal: str) -> Iterator[None]:
        with self._lock:
            slots = self._slots.setdefault(portal, threading.BoundedSemaphore(_PARALLEL))
        if not slots.acquire(timeout=deadline.remaining(_TURN_PATIENCE)):
            raise errors.Unavailable(f"{_PARALLEL} other logins to {portal} have not ended")
        try:
            yield
        finally:
            slots.release()

    def _wait(self, look: Callable[[], _T | None], patience: float, what: str) -> _T:
        """Return what `look` finds, once it finds something."""
        with deadline.until(patience):
            while (found := look()) is None:
                try:
                    self._host.wait_for_change()
                except errors.Unavailable as late:
                    raise errors.Unavailable(
                        f"waited {patience:.0f} seconds, or all the caller had, for {what}"
                    ) from late
        return found


def live_session(host: Host, target: PublishContext) -> Session | None:
    """Return the session to exactly this target and portal, if it is up."""
    handle = VolumeHandle.of_iqn(target.iqn)
    sessions = devices.sessions_of(host, handle) if handle else []
    return next((session for session in sessions if is_live(session, target)), None)


def is_live(session: Session, target: PublishContext) -> bool:
    # A portal given as a host name can't be compared with the address that the kernel shows.
    named = not target.portal.startswith("[") and any(letter.isalpha() for letter in target.portal)
    return session.live and session.iqn == target.iqn and (named or session.portal == target.portal)


def _explained(failure: CommandFailed, target: PublishContext, *, mutual: bool) -> errors.DriverError:
    """Return what a failed login means."""
    if failure.status == _LOGIN_AUTH_FAILED:
        return errors.Unauthenticated(
            f"{target.iqn} refused the CHAP user name or secret, or this initiator altogether"
        )
    if failure.status == _FATAL_LOGIN and mutual:
        return errors.Unauthenticated(
            f"{target.iqn} does not know the secret it should prove itself with, or is not there"
        )
    if failure.status == _ISCSID_NOTCONN:
        return errors.Unavailable(f"iscsid does not run on this node: {failure}")
    if failure.status == _NO_OBJS_FOUND:
        return errors.Unavailable(
            f"iscsiadm does not see the node record; check where open-iscsi keeps its database: {failure}"
        )
    return failure
