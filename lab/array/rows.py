"""The array's records, as they are kept. `views` says how clients see them.

Rows are frozen: a change is a new row put in the old one's place, so a failed call can be undone. Times are seconds
since 1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

Json = dict[str, Any]


class Qos(NamedTuple):
    """IOPS of 4 KiB: guaranteed, sustained, and for bursts."""

    min_iops: int
    max_iops: int
    burst_iops: int


@dataclass(frozen=True)
class Row:
    """What every record has: an id that is never used again."""

    id: int


@dataclass(frozen=True)
class Account(Row):
    """An owner of volumes, with the CHAP credentials that open them."""

    username: str
    initiator_secret: str = field(repr=False)
    target_secret: str = field(repr=False)
    status: str = "active"
    enable_chap: bool = True
    attributes: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Volume(Row):
    """A volume from creation to purge. Status is `init` (being made), `active` or `deleted`."""

    name: str
    account_id: int
    size: int
    qos: Qos
    created: float
    uuid: str
    consistency_uuid: str
    enable512e: bool = False
    access: str = "readWrite"
    attributes: Json = field(default_factory=dict)
    qos_policy_id: int | None = None
    status: str = "active"
    deleted: float | None = None
    purge_at: float | None = None
    fifo_size: int = 24
    min_fifo_size: int = 0
    snapmirror: bool = False
    dont_move: bool = False
    active_snapshot_id: int | None = None


@dataclass(frozen=True)
class Snapshot(Row):
    """One volume's bytes at one moment. `expires` is None, "fifo" or a time."""

    volume_id: int
    name: str
    size: int
    volume_name: str
    created: float
    uuid: str
    attributes: Json = field(default_factory=dict)
    expires: float | str | None = None
    group_id: int = 0
    group_uuid: str = "00000000-0000-0000-0000-000000000000"
    remote: bool = False
    snapmirror_label: str | None = None


@dataclass(frozen=True)
class Group(Row):
    """A group snapshot; its members are the snapshots that name it."""

    name: str
    created: float
    uuid: str
    attributes: Json = field(default_factory=dict)
    remote: bool = False


@dataclass(frozen=True)
class QosPolicy(Row):
    """Values that any number of volumes follow."""

    name: str
    qos: Qos


@dataclass(frozen=True)
class AccessGroup(Row):
    """A volume access group: its initiators reach its volumes without CHAP. `luns` are pairs of volume id and LUN."""

    name: str
    initiator_ids: tuple[int, ...] = ()
    volume_ids: tuple[int, ...] = ()
    luns: tuple[tuple[int, int], ...] = ()
    attributes: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Initiator(Row):
    """A known IQN or WWPN."""

    name: str
    alias: str = ""
    attributes: Json = field(default_factory=dict)
    require_chap: bool = False
    chap_username: str | None = None
    initiator_secret: str | None = field(default=None, repr=False)
    target_secret: str | None = field(default=None, repr=False)
    virtual_network_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Job(Row):
    """Something asynchronous; its id is the async handle.

    Attributes:
        kind: `clone`, `group` or `copy`.
        job_id: The cloneID or groupCloneID.
        pairs: Source and new (or overwritten) volume ids.
        error: Name and message, when it failed.
    """

    kind: str
    job_id: int
    created: float
    due: float
    pairs: tuple[tuple[int, int], ...]
    snapshot_id: int | None = None
    done: bool = False
    error: tuple[str, str] | None = None


@dataclass(frozen=True)
class Admin(Row):
    """A cluster admin: who may call which methods."""

    username: str
    password: str = field(repr=False)
    access: tuple[str, ...]
    attributes: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Defaults(Row):
    """What a volume gets that names no QoS; one row, id 1."""

    qos: Qos


def from_json(kind: type[Row], values: Json) -> Row:
    """Build the row that was kept as this JSON object; JSON's lists are tuples here."""
    return kind(**{key: _frozen(key, value) for key, value in values.items()})


def _frozen(key: str, value: Any) -> Any:
    if key == "qos":
        return Qos(*value)
    if isinstance(value, list):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    return value
