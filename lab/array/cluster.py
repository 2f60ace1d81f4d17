"""One cluster: its records, its data, its clock, and the way a method is carried out.

Everything that reads or changes the cluster happens under one lock, in one transaction of the store; what was done to
the data meanwhile is undone if the call fails.
"""

from __future__ import annotations

import heapq
import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.array import choices, limits, params, registry, rows
from lab.array.clock import Clock
from lab.array.data import Data, Export
from lab.array.errors import ElementError
from lab.array.store import Store, Table

log = logging.getLogger(__name__)

TIB = 1024**4
Timer = Callable[["Cluster", int], None]


@dataclass(frozen=True)
class Identity:
    """What a cluster is from outside.

    Attributes:
        unique_id: Four lower-case letters or digits; part of every IQN and NAA.
        version: Four-part version of the software.
        sip: Storage address of the one node, to which logins at the SVIP are redirected.
    """

    unique_id: str
    name: str = "lab"
    version: str = "12.5.0.897"
    mvip: str = "127.0.0.1"
    svip: str = "127.0.0.1"
    sip: str = "127.0.0.1"

    @property
    def api_version(self) -> str:
        """The version of the API that the software speaks, such as `12.5`."""
        return ".".join(self.version.split(".")[:2])

    @property
    def uuid(self) -> str:
        """The cluster's UUID, the same for the same unique id."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.unique_id}.solidfire.invalid"))


@dataclass
class Settings:
    """What can be changed while the array runs.

    Attributes:
        clone_seconds: How long a clone takes.
        create_seconds: How long a new volume is `init` before it is active.
        capacity: Bytes. What clients may provision is five times that.
        fullness: `stage1Happy` to `stage5CompletelyConsumed`.
    """

    clone_seconds: float = 0.02
    create_seconds: float = 0.0
    capacity: int = 64 * TIB
    fullness: str = "stage1Happy"


@dataclass(frozen=True)
class Answer:
    """A method's result, and the parameters that it did not know."""

    result: rows.Json
    unused: rows.Json


class Cluster:
    """The array's inside. `call` is the way in; bodies of methods use the rest."""

    def __init__(
        self, path: Path, identity: Identity, data: Data, limit_changes: dict[str, int], *, durable: bool
    ) -> None:
        """Open the state and bring the targets up.

        Args:
            path: The SQLite file.
            identity: Who the cluster is.
            data: Where the volumes' bytes are.
            limit_changes: Limits that differ from the usual, by the names of `GetLimits`.
            durable: Whether the file is kept sound through power cuts.
        """
        unknown = set(limit_changes) - set(limits.DEFAULTS) - set(limits.HIDDEN)
        if unknown:
            raise ValueError(f"no such limit: {', '.join(sorted(unknown))}")
        self.identity = identity
        self.data = data
        self.clock = Clock()
        self.settings = Settings()
        self.limits = limits.DEFAULTS | limits.HIDDEN | limit_changes
        self.caller: tuple[str, tuple[str, ...]] = ("", ())
        self.exported: dict[int, Export] = {}
        self._lock = threading.Lock()
        self._undo: list[Callable[[], None]] = []
        self._after: list[Callable[[], None]] = []
        self._timers: list[tuple[float, str, int]] = []
        self._open_store(Store(path, durable=durable))

    def _open_store(self, store: Store) -> None:
        self.store = store
        self.accounts = Table(store, rows.Account, username=lambda row: (row.username,))
        self.volumes = Table(
            store,
            rows.Volume,
            name=lambda row: (row.name,),
            account=lambda row: (row.account_id,),
            policy=lambda row: (row.qos_policy_id or 0,),
        )
        self.snapshots = Table(
            store, rows.Snapshot, volume=lambda row: (row.volume_id,), group=lambda row: (row.group_id,)
        )
        self.groups = Table(store, rows.Group)
        self.policies = Table(store, rows.QosPolicy)
        self.access_groups = Table(
            store, rows.AccessGroup, volume=lambda row: row.volume_ids, initiator=lambda row: row.initiator_ids
        )
        self.initiators = Table(store, rows.Initiator, name=lambda row: (row.name,))
        self.jobs = Table(store, rows.Job, job=lambda row: (row.job_id,), running=_sources)
        self.admins = Table(store, rows.Admin, username=lambda row: (row.username,))
        self.defaults = Table(store, rows.Defaults)
        store.load()
        self._resume()

    def _resume(self) -> None:
        """Set the timers for what an earlier run left to be done."""
        for volume in self.volumes:
            if volume.purge_at is not None:
                self.at_time(volume.purge_at, "purge", volume.id)
            if volume.status == "init":
                self.at_time(volume.created, "created", volume.id)
        for job in self.jobs:
            if not job.done:
                self.at_time(job.due, "job", job.id)
        for snapshot in self.snapshots:
            if isinstance(snapshot.expires, float):
                self.at_time(snapshot.expires, "expire", snapshot.id)

    def call(
        self,
        name: str,
        given: rows.Json,
        at: params.Version | None = None,
        rights: Iterable[str] = ("administrator",),
        username: str = "admin",
    ) -> Answer:
        """Carry out a method.

        Args:
            name: The method.
            given: Its parameters as the client sent them.
            at: The endpoint's version; the newest if None.
            rights: The caller's access types.
            username: The caller.

        Raises:
            ElementError: It was refused or failed; nothing was changed.
        """
        at = at or params.version(self.identity.api_version)
        method = registry.find(name, at)
        if not method.rights.union({"administrator"}).intersection(rights):
            raise ElementError("xPermissionDenied", f"xPermissionDenied method={name}")
        args, unused = params.read_all(method.params, given)
        with self._lock:
            self._settle()
            self.caller = (username, tuple(rights))
            with self._transaction():
                return Answer(method.body(self, args), unused)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the cluster still, for a look or a change from outside the API."""
        with self._lock, self._transaction():
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self.store.transaction():
                yield
            self._finish()
        except BaseException as error:
            self._roll_back()
            if isinstance(error, ElementError) or not isinstance(error, Exception):
                raise
            log.exception("a call failed below the API")
            raise ElementError(choices.INTERNAL, "The data service failed") from error
        finally:
            self._undo.clear()
            self._after.clear()

    def _finish(self) -> None:
        for step in self._after:
            try:
                step()
            except Exception:  # The records are changed already; what stays behind is only space.
                log.exception("cleaning up failed")

    def _roll_back(self) -> None:
        for step in reversed(self._undo):
            try:
                step()
            except Exception:  # The rest must be undone whatever one step raises.
                log.exception("undoing a step failed")

    def undoable(self, step: Callable[[], None]) -> None:
        """Say how to take back what was just done outside the store, should the call fail later."""
        self._undo.append(step)

    def afterwards(self, step: Callable[[], None]) -> None:
        """Have something done when the call can no longer fail: what cannot be taken back, such as destroying data."""
        self._after.append(step)

    def at_time(self, due: float, kind: str, row_id: int) -> None:
        """Have the timer of that kind run for the row at that time; it must look whether it is still wanted."""
        heapq.heappush(self._timers, (due, kind, row_id))

    def _settle(self) -> None:
        """Do what has fallen due since the last call: clones, expiries, purges."""
        while self._timers and self._timers[0][0] <= self.clock.now():
            _, kind, row_id = heapq.heappop(self._timers)
            try:
                with self._transaction():
                    TIMERS[kind](self, row_id)
            except ElementError:
                # The data could not follow; nothing is lost, so try again.
                self.at_time(self.clock.now() + 5.0, kind, row_id)

    def limit(self, name: str, count: int, what: str) -> None:
        """Refuse if `count` things would be more than the limit of that name allows.

        Raises:
            ElementError: They would.
        """
        if count > self.limits[name]:
            raise ElementError(choices.LIMIT_REACHED, f"Exceeded max number of {what}. limit={self.limits[name]}")

    def close(self) -> None:
        """Let go of state and data."""
        with self._lock:
            self.store.close()
            self.data.close()


TIMERS: dict[str, Timer] = {}


def timer(kind: str) -> Callable[[Timer], Timer]:
    """Register what `Cluster.at_time` runs."""

    def register(body: Timer) -> Timer:
        TIMERS[kind] = body
        return body

    return register


def _sources(job: rows.Job) -> tuple[Any, ...]:
    return () if job.done else tuple(volume_id for pair in job.pairs for volume_id in pair)
