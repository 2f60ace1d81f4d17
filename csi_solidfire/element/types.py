"""What the array tells, typed. Unknown members are ignored, a missing required one is `Malformed`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from csi_solidfire import errors

Json = Mapping[str, Any]
T = TypeVar("T")


class Malformed(errors.Unavailable):
    """An answer that is not what the API promises: nothing may be concluded from it."""


def member(where: str, answer: Json, name: str, kind: type[T]) -> T:
    """Return a member of an answer if it is there and of that JSON type.

    Raises:
        Malformed: It is not. The message names the member, never its value.
    """
    value = answer.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Malformed(f"{where}: the array's answer has no usable member {name!r}")
    return value


def optional(where: str, answer: Json, name: str, kind: type[T]) -> T | None:
    """Return a member of an answer, None if it is missing or null.

    Raises:
        Malformed: It is there and of another JSON type.
    """
    return None if answer.get(name) is None else member(where, answer, name, kind)


@dataclass(frozen=True)
class Qos:
    """Guaranteed, sustained and short-time 4 KiB I/O operations a second; None leaves one to the array."""

    min_iops: int | None = None
    max_iops: int | None = None
    burst_iops: int | None = None

    @classmethod
    def from_json(cls, answer: Json) -> Qos:
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
    def from_json(cls, answer: Json) -> Volume:
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
    def from_json(cls, answer: Json) -> Account:
        def get(name: str, kind: type[T]) -> T:
            return member("account", answer, name, kind)

        return cls(
            account_id=get("accountID", int),
            username=get("username", str),
            status=get("status", str),
            volumes=tuple(get("volumes", list)),
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
    def from_json(cls, answer: Json) -> ClusterInfo:
        return cls(*(member("clusterInfo", answer, name, str) for name in ("uniqueID", "name", "svip")))


@dataclass(frozen=True)
class Limits:
    """The limits of the running software that the driver asks about. Sizes in bytes."""

    volume_size_min: int
    volume_size_max: int
    volumes_per_account: int

    @classmethod
    def from_json(cls, answer: Json) -> Limits:
        names = ("volumeSizeMin", "volumeSizeMax", "volumesPerAccountCountMax")
        return cls(*(member("limits", answer, name, int) for name in names))


@dataclass(frozen=True)
class Capacity:
    """Bytes promised to volumes so far, and the sum beyond which the array refuses new ones."""

    provisioned_space: int
    max_over_provisionable_space: int

    @classmethod
    def from_json(cls, answer: Json) -> Capacity:
        names = ("provisionedSpace", "maxOverProvisionableSpace")
        return cls(*(member("clusterCapacity", answer, name, int) for name in names))


@dataclass(frozen=True)
class QosPolicy:
    """A named set of QoS values that volumes follow. Names are not unique."""

    qos_policy_id: int
    name: str

    @classmethod
    def from_json(cls, answer: Json) -> QosPolicy:
        return cls(member("qosPolicy", answer, "qosPolicyID", int), member("qosPolicy", answer, "name", str))
