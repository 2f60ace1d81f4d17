"""Finding what a call names, or refusing in Element's words; and the checks that several methods share."""

from __future__ import annotations

import json
import re
import secrets
import string
from typing import TYPE_CHECKING, Any

from lab.array import choices
from lab.array.errors import ElementError
from lab.array.rows import AccessGroup, Account, Group, Initiator, Json, Qos, QosPolicy, Snapshot, Volume

if TYPE_CHECKING:
    from lab.array.cluster import Cluster

MIB = 1024**2
_FULL = ("stage4Critical", "stage5CompletelyConsumed")


def account(cluster: Cluster, account_id: int) -> Account:
    """Return the account, or raise the error of the calls that merely mention one."""
    found = cluster.accounts.get(account_id)
    if found is None:
        raise ElementError("xAccountIDDoesNotExist", f"Illegal AccountID {account_id}")
    return found


def any_volume(cluster: Cluster, volume_id: int, subject: str = "VolumeID") -> Volume:
    """Return the volume, deleted or not."""
    found = cluster.volumes.get(volume_id)
    if found is None:
        raise ElementError("xVolumeIDDoesNotExist", f"{subject} {volume_id} does not exist.")
    return found


def volume(cluster: Cluster, volume_id: int, subject: str = "VolumeID") -> Volume:
    """Return the volume if calls may work on it."""
    found = any_volume(cluster, volume_id, subject)
    if found.status == "deleted":
        raise ElementError(choices.DELETED_IS_UNKNOWN, f"{subject} {volume_id} does not exist.")
    if found.status == "init":
        raise ElementError(choices.CLONE_NOT_READY, f"Volume {volume_id} is not ready for IO")
    return found


def snapshot(cluster: Cluster, snapshot_id: int, of_volume: int | None = None) -> Snapshot:
    """Return the snapshot, which must be that volume's if one is named."""
    found = cluster.snapshots.get(snapshot_id)
    if found is None:
        raise ElementError(choices.UNKNOWN_SNAPSHOT, f"SnapshotID {snapshot_id} does not exist.")
    if of_volume is not None and found.volume_id != of_volume:
        raise ElementError(choices.FOREIGN_SNAPSHOT, f"Snapshot {snapshot_id} is not of volume {of_volume}")
    return found


def group(cluster: Cluster, group_id: int) -> Group:
    """Return the group snapshot."""
    found = cluster.groups.get(group_id)
    if found is None:
        raise ElementError(choices.UNKNOWN_GROUP, f"GroupSnapshotID {group_id} does not exist.")
    return found


def policy(cluster: Cluster, policy_id: int) -> QosPolicy:
    """Return the QoS policy."""
    found = cluster.policies.get(policy_id)
    if found is None:
        raise ElementError(choices.UNKNOWN_POLICY, f"QoSPolicyID {policy_id} does not exist.")
    return found


def access_group(cluster: Cluster, group_id: int) -> AccessGroup:
    """Return the volume access group."""
    found = cluster.access_groups.get(group_id)
    if found is None:
        raise ElementError("xVolumeAccessGroupIDDoesNotExist", f"VolumeAccessGroupID {group_id} does not exist.")
    return found


def initiator(cluster: Cluster, initiator_id: int) -> Initiator:
    """Return the initiator."""
    found = cluster.initiators.get(initiator_id)
    if found is None:
        raise ElementError(choices.UNKNOWN_INITIATOR, f"InitiatorID {initiator_id} does not exist.")
    return found


def refuse_when_full(cluster: Cluster) -> None:
    """Refuse volumes, clones and snapshots from stage 4 of fullness on."""
    if cluster.settings.fullness in _FULL:
        raise ElementError(choices.CLUSTER_FULL, f"The cluster is full: {cluster.settings.fullness}")


def check_volume_name(cluster: Cluster, name: str) -> None:
    """Refuse a name that no volume can have."""
    check_length(cluster, "volumeName", name)
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        rule = "The name must only contain digits, alphabetic characters or a -"
        raise ElementError(choices.BAD_VALUE, f"{name} is not a valid name. {rule}")


def check_length(cluster: Cluster, limit: str, text: str) -> None:
    """Refuse a text shorter or longer than the limits `<limit>LengthMin` and `<limit>LengthMax` allow."""
    shortest, longest = cluster.limits.get(f"{limit}LengthMin", 0), cluster.limits[f"{limit}LengthMax"]
    if not shortest <= len(text) <= longest:
        raise ElementError(choices.BAD_VALUE, f"{limit} must be {shortest} to {longest} characters long")


def attributes(cluster: Cluster, given: Json | None) -> Json:
    """Return the attributes to keep, `{}` for none."""
    longest = cluster.limits["attributesLengthMax"]
    if given and len(json.dumps(given, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")) > longest:
        raise ElementError(choices.ATTRIBUTES_TOO_LARGE, f"attributes must be at most {longest} bytes")
    return given or {}


def rounded_size(cluster: Cluster, size: int) -> int:
    """Return the size that a volume gets when a client asks for `size` bytes: the next MiB."""
    smallest, largest = cluster.limits["volumeSizeMin"], cluster.limits["volumeSizeMax"]
    if not smallest <= size <= largest:
        raise ElementError(choices.BAD_VALUE, f"{size} is not a valid volume size. It must be {smallest} to {largest}")
    return -(-size // MIB) * MIB


def default_qos(cluster: Cluster) -> Qos:
    """Return what a volume gets that names no QoS."""
    row = cluster.defaults.get(1)
    return row.qos if row else Qos(50, 15000, 15000)


def merged_qos(cluster: Cluster, given: Json, base: Qos) -> Qos:
    """Return `base` with the given members in place of its own, or refuse the outcome."""
    qos = Qos(
        given.get("minIOPS", base.min_iops),
        given.get("maxIOPS", base.max_iops),
        given.get("burstIOPS", base.burst_iops),
    )
    for name, value in zip(("Min", "Max", "Burst"), qos, strict=True):
        smallest, largest = cluster.limits[f"volume{name}IOPSMin"], cluster.limits[f"volume{name}IOPSMax"]
        if not smallest <= value <= largest:
            raise ElementError(choices.BAD_QOS, f"{name.lower()}IOPS must be {smallest} to {largest}")
    if not qos.min_iops <= qos.max_iops <= qos.burst_iops:
        raise ElementError(choices.BAD_QOS, "minIOPS must not exceed maxIOPS, nor maxIOPS burstIOPS")
    return qos


def check_secret(cluster: Cluster, name: str, secret: str) -> str:
    """Return the CHAP secret if it can be one; the message never shows it."""
    shortest, longest = cluster.limits["secretLengthMin"], cluster.limits["secretLengthMax"]
    if not shortest <= len(secret) <= longest or not set(secret) <= _PRINTABLE:
        raise ElementError(choices.BAD_VALUE, f"{name} must be {shortest} to {longest} printable characters")
    return secret


def new_secret() -> str:
    """Make up a CHAP secret."""
    return "".join(secrets.choice(choices.SECRET_ALPHABET) for _ in range(16))


def exactly_one(args: dict[str, Any], names: tuple[str, ...], message: str) -> str:
    """Return which one of the parameters was given; refuse none or several."""
    given = [name for name in names if name in args]
    if len(given) != 1:
        raise ElementError("xInvalidParameter", message)
    return given[0]


_PRINTABLE = frozenset(string.printable.strip() + " ")
