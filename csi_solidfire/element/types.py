"""What the array tells, typed. Unknown members are ignored, a missing required one is `Malformed`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from csi_solidfire import errors
from csi_solidfire.handles import CLUSTER_ID

Json = Mapping[str, Any]
T = TypeVar("T")


class Malformed(errors.Unavailable):
    """An answer that is not what the API promises: nothing may be concluded from it."""


# No number of Element's is negative. CSI's end at 2**63, and sizes are rounded up.
_NUMBERS = range(1 << 62)


def member(where: str, answer: object, name: str, kind: type[T]) -> T:
    """Return a member of an answer if it is there and of that JSON type.

    Raises:
        Malformed: It is not, or the answer is no object. The message names the member, never its value.
    """
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, kind) or (kind is int and not _is_number(value)):
        raise Malformed(f"{where}: the array's answer has no usable member {name!r}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in _NUMBERS


def optional(where: str, answer: object, name: str, kind: type[T]) -> T | None:
    """Return a member of an answer, None if it is missing or null.

    Raises:
        Malformed: It is there and of another JSON type, or the answer is no object.
    """
    if isinstance(answer, dict) and answer.get(name) is None:
        return None
    return member(where, answer, name, kind)


def _numbers(where: str, answer: object, name: str) -> tuple[int, ...]:
    """Return a member that is a list of numbers.

    Raises:
        Malformed: It is missing or something else.
    """
    values = member(where, answer, name, list)
    if not all(map(_is_number, values)):
        raise Malformed(f"{where}: the array's answer has no usable member {name!r}")
    return tuple(values)


@dataclass(frozen=True)
class Qos:
    """Guaranteed, sustained and short-time 4 KiB I/O operations a second; None leaves one to the array."""

    min_iops: int | None = None
    max_iops: int | None = None
    burst_iops: int | None = None

    @classmethod
    def from_json(cls, answer: object) -> Qos:
        return cls(*(member("qos", answer, name, int) for name in ("minIOPS", "maxIOPS", "burstIOPS")))

    def to_json(self) -> dict[str, int]:
        named = {"minIOPS": self.min_iops, "maxIOPS": self.max_iops, "burstIOPS": self.burst_iops}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True)
class Volume:
    """A volume. `total_size` is in bytes, `naa` 32 lower-case hex digits, `status` init, active or deleted."""

    volume_id: int
    account_id: int
    name: str
    iqn: str
    naa: str
    access: str
    status: str
    total_size: int
    enable_512e: bool
    attributes: Json
    qos: Qos
    qos_policy_id: int | None

    @classmethod
    def from_json(cls, answer: object) -> Volume:
        def get(name: str, kind: type[T]) -> T:
            return member("volume", answer, name, kind)

        return cls(
            volume_id=get("volumeID", int),
            account_id=get("accountID", int),
            name=get("name", str),
            iqn=get("iqn", str),
            naa=get("scsiNAADeviceID", str).lower(),
            access=get("access", str),
            status=get("status", str),
            total_size=get("totalSize", int),
            enable_512e=get("enable512e", bool),
            attributes=optional("volume", answer, "attributes", dict) or {},
            qos=Qos.from_json(get("qos", dict)),
            # 0 is what some clients of the API write for "none".
            qos_policy_id=optional("volume", answer, "qosPolicyID", int) or None,
        )


@dataclass(frozen=True)
class Account:
    """An account. Its secrets are in every answer the array gives about it, in clear text."""

    account_id: int
    username: str
    status: str
    volumes: tuple[int, ...]
    attributes: Json
    initiator_secret: str = field(repr=False)
    target_secret: str = field(repr=False)

    @classmethod
    def from_json(cls, answer: object) -> Account:
        def get(name: str, kind: type[T]) -> T:
            return member("account", answer, name, kind)

        return cls(
            account_id=get("accountID", int),
            username=get("username", str),
            status=get("status", str),
            volumes=_numbers("account", answer, "volumes"),
            attributes=optional("account", answer, "attributes", dict) or {},
            initiator_secret=optional("account", answer, "initiatorSecret", str) or "",
            target_secret=optional("account", answer, "targetSecret", str) or "",
        )


@dataclass(frozen=True)
class ClusterInfo:
    """Who the cluster is: its four character id, and the storage address that initiators log in to."""

    unique_id: str
    name: str
    svip: str

    @classmethod
    def from_json(cls, answer: object) -> ClusterInfo:
        info = cls(*(member("clusterInfo", answer, name, str) for name in ("uniqueID", "name", "svip")))
        if not CLUSTER_ID.fullmatch(info.unique_id):
            raise Malformed("clusterInfo: the array's answer has no usable member 'uniqueID'")
        return info


@dataclass(frozen=True)
class Limits:
    """The limits of the running software that the driver asks about. Sizes in bytes."""

    volume_size_min: int
    volume_size_max: int
    volumes_per_account: int

    @classmethod
    def from_json(cls, answer: object) -> Limits:
        names = ("volumeSizeMin", "volumeSizeMax", "volumesPerAccountCountMax")
        return cls(*(member("limits", answer, name, int) for name in names))


@dataclass(frozen=True)
class Capacity:
    """Bytes promised to volumes so far, and the sum beyond which the array refuses new ones."""

    provisioned_space: int
    max_over_provisionable_space: int

    @classmethod
    def from_json(cls, answer: object) -> Capacity:
        names = ("provisionedSpace", "maxOverProvisionableSpace")
        return cls(*(member("clusterCapacity", answer, name, int) for name in names))


@dataclass(frozen=True)
class QosPolicy:
    """A named set of QoS values that volumes follow. Names are not unique."""

    qos_policy_id: int
    name: str

    @classmethod
    def from_json(cls, answer: object) -> QosPolicy:
        return cls(member("qosPolicy", answer, "qosPolicyID", int), member("qosPolicy", answer, "name", str))
