"""Making, deleting, purging and restoring volumes."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from lab.array import choices, lookup, rows, targets, views
from lab.array.cluster import Cluster, timer
from lab.array.errors import ElementError
from lab.array.methods.snapshots import forget_snapshot
from lab.array.params import BOOL, ID, INT, OBJECT, QOS, STR, Args, enum, listed, optional, required
from lab.array.registry import method
from lab.array.rows import Json, Qos, Volume

# Deleted volumes are purged exactly eight hours later (seen in a log of Element 12.0).
RECYCLED_SECONDS = 8 * 3600.0
BULK = ("volumeIDs", "accountIDs", "volumeAccessGroupIDs")
_NO_LIST = "No volume ID, account ID, or volume access group ID list specified"

_BULK_PARAMS = tuple(optional(listed(ID), name) for name in BULK)
_CREATE_PARAMS = (
    required(ID, "accountID"),
    required(INT, "totalSize"),
    optional(BOOL, "enable512e"),
    optional(QOS, "qos"),
    optional(OBJECT, "attributes"),
    optional(ID, "qosPolicyID", "10.0"),
    optional(BOOL, "associateWithQoSPolicy", "10.0"),
    optional(enum("snapMirrorTarget"), "access", "10.0"),
    optional(BOOL, "enableSnapMirrorReplication", "10.0"),
    optional(enum("singleHelix", "doubleHelix", "tripleHelix"), "protectionScheme", "10.0"),
    optional(INT, "fifoSize", "12.3"),
    optional(INT, "minFifoSize", "12.3"),
    optional(BOOL, "dontMoveForIopsRebalance", "12.8"),
    optional(INT, "sliceCount"),
)


def check_room(cluster: Cluster, account_id: int, size: int) -> None:
    """Refuse one more volume of `size` bytes if the cluster is full or the account has all it may have."""
    lookup.refuse_when_full(cluster)
    if sum(row.size for row in cluster.volumes) + size > cluster.settings.capacity * 5:
        raise ElementError(choices.CLUSTER_FULL, "The cluster has no room for the volume")
    cluster.limit("volumeCountMax", len(cluster.volumes) + 1, "volumes")
    cluster.limit("volumesPerAccountCountMax", cluster.volumes.count("account", account_id) + 1, "volumes per account")


def chosen_qos(cluster: Cluster, args: Args, base: Qos, *, associates: bool) -> tuple[Qos, int | None]:
    """Return the IOPS and the policy that a call asks for.

    Args:
        args: The call's parameters.
        base: What counts where the call says nothing.
        associates: Whether a policy is associated if the call does not say.
    """
    if "qos" in args and "qosPolicyID" in args:
        raise ElementError(choices.QOS_TWICE, "qos and qosPolicyID exclude each other")
    if "qosPolicyID" not in args:
        return lookup.merged_qos(cluster, args.get("qos", {}), base), None
    policy = lookup.policy(cluster, args["qosPolicyID"])
    return policy.qos, policy.id if args.get("associateWithQoSPolicy", associates) else None


@method("CreateVolume", "1.0", "volumes write", required(STR, "name"), *_CREATE_PARAMS)
def create_volume(cluster: Cluster, args: Args) -> Json:
    """Make a blank volume; its target is there at once. Names need not be unique."""
    row = _create(cluster, args["name"], args)
    return {"volume": views.volume(cluster, row), "volumeID": row.id, "curve": dict(views.CURVE)}


@method("CreateMultipleVolumes", "1.0", "volumes write", required(listed(STR), "names"), *_CREATE_PARAMS)
def create_multiple_volumes(cluster: Cluster, args: Args) -> Json:
    """Make several volumes alike, or none; undocumented, known from a client of the vendor's testers."""
    made = [_create(cluster, name, args) for name in args["names"]]
    return {"volumeIDs": [row.id for row in made], "volumes": [views.volume(cluster, row) for row in made]}


def _create(cluster: Cluster, name: str, args: Args) -> Volume:
    lookup.check_volume_name(cluster, name)
    account = lookup.account(cluster, args["accountID"])
    size = lookup.rounded_size(cluster, args["totalSize"])
    qos, policy_id = chosen_qos(cluster, args, lookup.default_qos(cluster), associates=True)
    check_room(cluster, account.id, size)
    row = cluster.volumes.put(
        Volume(
            id=cluster.volumes.next_id(),
            name=name,
            account_id=account.id,
            size=size,
            qos=qos,
            created=cluster.clock.now(),
            uuid=str(uuid.uuid4()),
            consistency_uuid=str(uuid.uuid4()),
            enable512e=args.get("enable512e", False),
            access=args.get("access", "readWrite"),
            attributes=lookup.attributes(cluster, args.get("attributes")),
            status="init" if cluster.settings.create_seconds else "active",
            qos_policy_id=policy_id,
            fifo_size=args.get("fifoSize", 24),
            min_fifo_size=args.get("minFifoSize", 0),
            snapmirror=args.get("enableSnapMirrorReplication", False),
            dont_move=args.get("dontMoveForIopsRebalance", False),
        )
    )
    check_fifo(cluster, row)
    cluster.undoable(lambda: cluster.data.delete(row.id))
    cluster.data.create(row.id, size)
    if row.status == "init":
        cluster.at_time(row.created + cluster.settings.create_seconds, "created", row.id)
    else:
        targets.publish(cluster, row)
    return row


@timer("created")
def finish_creating(cluster: Cluster, volume_id: int) -> None:
    """Make a new volume active and reachable; a clone has a timer of its own."""
    row = cluster.volumes.get(volume_id)
    if row is not None and row.status == "init" and not cluster.jobs.count("running", row.id):
        targets.publish(cluster, cluster.volumes.put(replace(row, status="active")))


def check_fifo(cluster: Cluster, row: Volume) -> None:
    """Refuse a FIFO pool that cannot be, or that holds more than its new size."""
    most = cluster.limits["snapshotsPerVolumeMax"]
    used = sum(found.expires == "fifo" for found in cluster.snapshots.find("volume", row.id))
    if not row.min_fifo_size <= row.fifo_size <= most or row.fifo_size < used:
        raise ElementError(
            choices.BAD_VALUE, f"fifoSize must be between minFifoSize and {most}, and hold the {used} in use"
        )


def _missing(volume_id: int) -> ElementError:
    # solidfire-go compares this text, character by character, to make deletion idempotent.
    return ElementError("xVolumeIDDoesNotExist", f"Volume {volume_id} does not exist.")


@method("DeleteVolume", "1.0", "volumes write", required(ID, "volumeID"))
def delete_volume(cluster: Cluster, args: Args) -> Json:
    """Put a volume into the recycle bin; its snapshots stay until the purge."""
    return {"volume": views.volume(cluster, _delete(cluster, args["volumeID"]))}


@method("DeleteVolumes", "9.0", "volumes write", *_BULK_PARAMS)
def delete_volumes(cluster: Cluster, args: Args) -> Json:
    """Put several volumes into the recycle bin, or none."""
    found = [_delete(cluster, volume_id) for volume_id in _bulk(cluster, args, deleted=False)]
    return {"volumes": [views.volume(cluster, row) for row in found], "curve": dict(views.CURVE)}


def _delete(cluster: Cluster, volume_id: int) -> Volume:
    row = lookup.volume(cluster, volume_id, "Volume")
    now = cluster.clock.now()
    gone = cluster.volumes.put(replace(row, status="deleted", deleted=now, purge_at=now + RECYCLED_SECONDS))
    targets.withdraw(cluster, row.id)
    cluster.at_time(now + RECYCLED_SECONDS, "purge", row.id)
    return gone


def _bulk(cluster: Cluster, args: Args, *, deleted: bool) -> list[int]:
    kind = lookup.exactly_one(args, BULK, _NO_LIST)
    ids: list[int] = sorted(set(args[kind]))
    if kind == "accountIDs":
        ids = [
            row.id
            for account_id in ids
            for row in cluster.volumes.find("account", lookup.account(cluster, account_id).id)
        ]
    elif kind == "volumeAccessGroupIDs":
        ids = sorted({row for group_id in ids for row in lookup.access_group(cluster, group_id).volume_ids})
    if kind != "volumeIDs":
        ids = [row_id for row_id in ids if (lookup.any_volume(cluster, row_id).status == "deleted") == deleted]
    cluster.limit("volumesPerBulkCallMax", len(ids), "volumes per call")
    return ids


@method("PurgeDeletedVolume", "1.0", "volumes write", required(ID, "volumeID"))
def purge_deleted_volume(cluster: Cluster, args: Args) -> Json:
    """Destroy a volume of the recycle bin and its snapshots."""
    _purge(cluster, _recycled(cluster, args["volumeID"]))
    return {}


@method("PurgeDeletedVolumes", "9.0", "volumes write", *_BULK_PARAMS)
def purge_deleted_volumes(cluster: Cluster, args: Args) -> Json:
    """Destroy several volumes of the recycle bin, or none."""
    for row in [_recycled(cluster, volume_id) for volume_id in _bulk(cluster, args, deleted=True)]:
        _purge(cluster, row)
    return {}


@method("RestoreDeletedVolume", "1.0", "volumes write", required(ID, "volumeID"))
def restore_deleted_volume(cluster: Cluster, args: Args) -> Json:
    """Take a volume out of the recycle bin; it can be connected to at once."""
    row = _recycled(cluster, args["volumeID"])
    targets.publish(cluster, cluster.volumes.put(replace(row, status="active", deleted=None, purge_at=None)))
    return {}


def _recycled(cluster: Cluster, volume_id: int) -> Volume:
    row = cluster.volumes.get(volume_id)
    if row is None:
        raise _missing(volume_id)
    if row.status != "deleted":
        raise ElementError(choices.NOT_DELETED, f"Volume {volume_id} is not deleted")
    return row


def _purge(cluster: Cluster, row: Volume) -> None:
    for snapshot in cluster.snapshots.find("volume", row.id):
        forget_snapshot(cluster, snapshot)
    for group in cluster.access_groups.find("volume", row.id):
        cluster.access_groups.put(without_volume(group, row.id))
    cluster.volumes.remove(row.id)
    cluster.afterwards(lambda: cluster.data.delete(row.id))


def without_volume(group: rows.AccessGroup, volume_id: int) -> rows.AccessGroup:
    """Return the access group without that volume."""
    keep: tuple[Any, ...] = tuple(pair for pair in group.luns if pair[0] != volume_id)
    return replace(group, volume_ids=tuple(other for other in group.volume_ids if other != volume_id), luns=keep)


@timer("purge")
def purge_when_due(cluster: Cluster, volume_id: int) -> None:
    """Purge a volume that is still in the recycle bin at its time."""
    row = cluster.volumes.get(volume_id)
    if row is not None and row.purge_at is not None and row.purge_at <= cluster.clock.now():
        _purge(cluster, row)
