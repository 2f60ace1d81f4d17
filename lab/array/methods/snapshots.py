"""Snapshots of single volumes."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from lab.array import choices, lookup, targets, views
from lab.array.clock import read_retention, read_stamp, stamp
from lab.array.cluster import Cluster, timer
from lab.array.errors import ElementError
from lab.array.params import BOOL, ID, OBJECT, STR, Args, optional, required
from lab.array.registry import method
from lab.array.rows import Group, Json, Snapshot, Volume

# What CreateSnapshot and CreateGroupSnapshot share.
TAKING = (
    optional(STR, "name"),
    optional(BOOL, "enableRemoteReplication", "8.0"),
    optional(STR, "expirationTime"),
    optional(STR, "retention", "8.0"),
    optional(OBJECT, "attributes"),
    optional(STR, "snapMirrorLabel", "10.0"),
    optional(BOOL, "ensureSerialCreation", "12.2"),
)
# What ModifySnapshot and ModifyGroupSnapshot share; a null expirationTime means never.
CHANGING = (
    optional(STR, "expirationTime", nullable=True),
    optional(BOOL, "enableRemoteReplication"),
    optional(STR, "name"),
    optional(STR, "snapMirrorLabel", "10.0"),
)


@method("CreateSnapshot", "6.0", "volumes clusterAdmin", required(ID, "volumeID"), optional(ID, "snapshotID"), *TAKING)
def create_snapshot(cluster: Cluster, args: Args) -> Json:
    """Keep a volume's present state, or another snapshot's once more."""
    volume = lookup.volume(cluster, args["volumeID"])
    source = lookup.snapshot(cluster, args["snapshotID"], volume.id) if "snapshotID" in args else None
    row = take(cluster, volume, args, source=source)
    return {"snapshot": views.snapshot(row), "snapshotID": row.id, "checksum": "0x0"}


def take(
    cluster: Cluster, volume: Volume, args: Args, *, source: Snapshot | None = None, group: Group | None = None
) -> Snapshot:
    """Keep the volume's state as a new snapshot, by the parameters of `TAKING`."""
    _check_room(cluster, volume)
    now = cluster.clock.now()
    name = args.get("name", group.name if group else stamp(now))
    lookup.check_length(cluster, "snapshotName", name)
    row = Snapshot(
        id=cluster.snapshots.next_id(),
        volume_id=volume.id,
        name=name,
        size=source.size if source else volume.size,
        volume_name=volume.name,
        created=now,
        uuid=str(uuid.uuid4()),
        attributes=lookup.attributes(cluster, args.get("attributes")),
        expires=_expiry(args, now),
        remote=args.get("enableRemoteReplication", False),
        snapmirror_label=_label(cluster, args),
    )
    row = replace(row, group_id=group.id, group_uuid=group.uuid) if group else row
    _make_fifo_room(cluster, volume, row)
    _keep(cluster, row, source)
    return row


def _keep(cluster: Cluster, row: Snapshot, source: Snapshot | None) -> None:
    cluster.snapshots.put(row)
    schedule_expiry(cluster, row)
    cluster.undoable(lambda: cluster.data.delete_snapshot(row.id))
    if source is None:
        cluster.data.snapshot(row.volume_id, row.id)
    else:
        cluster.data.copy_snapshot(source.id, row.id)


def _check_room(cluster: Cluster, volume: Volume) -> None:
    lookup.refuse_when_full(cluster)
    most = cluster.limits["snapshotsPerVolumeMax"]
    if cluster.snapshots.count("volume", volume.id) >= most:
        raise ElementError("xMaxSnapshotsPerVolumeExceeded", f"Maximum snapshots per volume is {most}")


def _make_fifo_room(cluster: Cluster, volume: Volume, new: Snapshot) -> None:
    """Rotate the oldest FIFO snapshot out when their pool is full."""
    pool = [row for row in cluster.snapshots.find("volume", volume.id) if row.expires == "fifo"]
    if new.expires == "fifo" and len(pool) >= volume.fifo_size:
        if not pool:
            raise ElementError("xMaxSnapshotsPerVolumeExceeded", "The volume has no FIFO slot")
        forget_snapshot(cluster, pool[0])


def _label(cluster: Cluster, args: Args) -> str | None:
    label: str | None = args.get("snapMirrorLabel")
    if label is not None:
        lookup.check_length(cluster, "snapMirrorLabel", label)
    return label


def _expiry(args: Args, now: float) -> float | str | None:
    if "retention" in args and "expirationTime" in args:
        raise ElementError(choices.BAD_RETENTION, "retention and expirationTime exclude each other")
    if "retention" in args:
        return now + read_retention(args["retention"])
    return read_expiry(args.get("expirationTime"))


def read_expiry(text: str | None) -> float | str | None:
    """Return when a snapshot expires: never, in turn (`fifo`), or at a time."""
    return text if text is None or text == "fifo" else read_stamp(text)


def schedule_expiry(cluster: Cluster, row: Snapshot) -> None:
    """Have the snapshot deleted at its time."""
    if isinstance(row.expires, float):
        cluster.at_time(row.expires, "expire", row.id)


@timer("expire")
def expire(cluster: Cluster, snapshot_id: int) -> None:
    """Delete a snapshot whose time has still come."""
    row = cluster.snapshots.get(snapshot_id)
    if row is not None and isinstance(row.expires, float) and row.expires <= cluster.clock.now():
        forget_snapshot(cluster, row)


@method("ListSnapshots", "6.0", "volumes read", optional(ID, "volumeID"), optional(ID, "snapshotID"))
def list_snapshots(cluster: Cluster, args: Args) -> Json:
    """Return one snapshot, a volume's, or all; those of recycled volumes too."""
    if "snapshotID" in args:
        found = [lookup.snapshot(cluster, args["snapshotID"], args.get("volumeID"))]
    elif "volumeID" in args:
        found = cluster.snapshots.find("volume", lookup.any_volume(cluster, args["volumeID"]).id)
    else:
        found = list(cluster.snapshots)
    return {"snapshots": [views.snapshot(row) for row in found]}


def changes(cluster: Cluster, args: Args) -> dict[str, Any]:
    """Return the snapshot's fields that the parameters of `CHANGING` change."""
    if "name" in args:
        lookup.check_length(cluster, "snapshotName", args["name"])
    fields = {"name": "name", "enableRemoteReplication": "remote"}
    found: dict[str, Any] = {field: args[name] for name, field in fields.items() if name in args}
    if "expirationTime" in args:
        found["expires"] = read_expiry(args["expirationTime"])
    if "snapMirrorLabel" in args:
        found["snapmirror_label"] = _label(cluster, args)
    return found


@method("ModifySnapshot", "8.0", "volumes clusterAdmin", required(ID, "snapshotID"), *CHANGING)
def modify_snapshot(cluster: Cluster, args: Args) -> Json:
    """Change a snapshot's name, expiry or replication."""
    row = replace(lookup.snapshot(cluster, args["snapshotID"]), **changes(cluster, args))
    cluster.snapshots.put(row)
    schedule_expiry(cluster, row)
    return {"snapshot": views.snapshot(row)}


@method(
    "DeleteSnapshot",
    "6.0",
    "volumes clusterAdmin",
    required(ID, "snapshotID"),
    optional(BOOL, "overrideSnapMirrorHold"),
)
def delete_snapshot(cluster: Cluster, args: Args) -> Json:
    """Destroy a snapshot, a group's member too; the group can then not be rolled back as a whole."""
    row = lookup.snapshot(cluster, args["snapshotID"])
    volume = cluster.volumes.get(row.volume_id)
    if choices.ACTIVE_SNAPSHOT_STAYS and volume is not None and volume.active_snapshot_id == row.id:
        raise ElementError(choices.BAD_COMBINATION, f"Snapshot {row.id} is the active branch of its volume")
    forget_snapshot(cluster, row)
    return {}


def forget_snapshot(cluster: Cluster, row: Snapshot) -> None:
    """Take a snapshot out of the records, its group with it if it was the last member, and destroy its data."""
    cluster.snapshots.remove(row.id)
    if row.group_id and not cluster.snapshots.count("group", row.group_id):
        cluster.groups.remove(row.group_id)
    cluster.afterwards(lambda: cluster.data.delete_snapshot(row.id))


@method(
    "RollbackToSnapshot",
    "6.0",
    "volumes clusterAdmin",
    required(ID, "volumeID"),
    required(ID, "snapshotID"),
    optional(BOOL, "saveCurrentState"),
    optional(STR, "name"),
    optional(OBJECT, "attributes"),
)
def rollback_to_snapshot(cluster: Cluster, args: Args) -> Json:
    """Give a volume a snapshot's bytes and size, after keeping its present ones if asked to."""
    volume = lookup.volume(cluster, args["volumeID"])
    row = lookup.snapshot(cluster, args["snapshotID"], volume.id)
    saved = None
    if args.get("saveCurrentState"):
        kept = {"name": args.get("name", f"{row.name}-copy"), "attributes": args.get("attributes", {})}
        saved = take(cluster, volume, kept)
    roll_back(cluster, volume, row)
    return {
        "checksum": "0x0",
        "snapshot": views.snapshot(saved) if saved else None,
        "snapshotID": saved.id if saved else None,
    }


def roll_back(cluster: Cluster, volume: Volume, row: Snapshot) -> None:
    """Give the volume the snapshot's bytes and size."""
    cluster.data.rollback(volume.id, row.id, row.size)
    targets.publish(cluster, cluster.volumes.put(replace(volume, size=row.size, active_snapshot_id=row.id)))
