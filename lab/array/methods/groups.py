"""Group snapshots: several volumes at one moment."""

from __future__ import annotations

import uuid
from dataclasses import replace

from lab.array import choices, lookup, views
from lab.array.clock import stamp
from lab.array.cluster import Cluster
from lab.array.errors import ElementError
from lab.array.methods.snapshots import CHANGING, TAKING, changes, forget_snapshot, roll_back, schedule_expiry, take
from lab.array.params import BOOL, ID, OBJECT, STR, Args, listed, optional, required
from lab.array.registry import method
from lab.array.rows import Group, Json, Snapshot, Volume

_RIGHTS = "volumes clusterAdmin"


@method("CreateGroupSnapshot", "7.0", _RIGHTS, required(listed(ID), "volumes"), *TAKING)
def create_group_snapshot(cluster: Cluster, args: Args) -> Json:
    """Keep the state of all the volumes, or of none. The cluster's lock makes it one moment for the records."""
    ids = sorted(set(args["volumes"]))
    if len(ids) < choices.MINIMUM_GROUP:
        raise ElementError(choices.BAD_COMBINATION, "volumes must not be empty")
    cluster.limit("volumesPerGroupSnapshotMax", len(ids), "volumes per group snapshot")
    group, members = _take_all(cluster, [lookup.volume(cluster, volume_id) for volume_id in ids], args)
    return _answer(cluster, group, members)


def _take_all(cluster: Cluster, volumes: list[Volume], args: Args) -> tuple[Group, list[Snapshot]]:
    now = cluster.clock.now()
    name = args.get("name", stamp(now))
    remote = args.get("enableRemoteReplication", False)
    attributes = lookup.attributes(cluster, args.get("attributes"))
    new = Group(cluster.groups.next_id(), name, now, str(uuid.uuid4()), attributes, remote)
    group = cluster.groups.put(new)
    return group, [take(cluster, volume, args, group=group) for volume in volumes]


def _answer(cluster: Cluster, group: Group, members: list[Snapshot]) -> Json:
    return {
        "groupSnapshot": views.group(cluster, group),
        "groupSnapshotID": group.id,
        "members": [views.member(row) for row in members],
    }


@method(
    "ListGroupSnapshots",
    "7.0",
    "volumes read clusterAdmin",
    optional(listed(ID), "volumes"),
    optional(ID, "groupSnapshotID", "9.0"),
)
def list_group_snapshots(cluster: Cluster, args: Args) -> Json:
    """Return one group, those that hold any of the volumes, or all."""
    found = [lookup.group(cluster, args["groupSnapshotID"])] if "groupSnapshotID" in args else list(cluster.groups)
    if wanted := set(args.get("volumes", ())):
        found = [
            row for row in found if wanted & {member.volume_id for member in cluster.snapshots.find("group", row.id)}
        ]
    return {"groupSnapshots": [views.group(cluster, row) for row in found]}


@method("ModifyGroupSnapshot", "8.0", _RIGHTS, required(ID, "groupSnapshotID"), *CHANGING)
def modify_group_snapshot(cluster: Cluster, args: Args) -> Json:
    """Change a group and all its members."""
    group = lookup.group(cluster, args["groupSnapshotID"])
    new = changes(cluster, args)
    for row in cluster.snapshots.find("group", group.id):
        schedule_expiry(cluster, cluster.snapshots.put(replace(row, **new)))
    group = replace(group, name=new.get("name", group.name), remote=new.get("remote", group.remote))
    return {"groupSnapshot": views.group(cluster, cluster.groups.put(group))}


@method("DeleteGroupSnapshot", "7.0", _RIGHTS, required(ID, "groupSnapshotID"), optional(BOOL, "saveMembers"))
def delete_group_snapshot(cluster: Cluster, args: Args) -> Json:
    """Destroy a group and its members, or keep the members as snapshots of their own."""
    group = lookup.group(cluster, args["groupSnapshotID"])
    for row in cluster.snapshots.find("group", group.id):
        if args.get("saveMembers"):
            cluster.snapshots.put(replace(row, group_id=0, group_uuid=views.ZERO_UUID))
        else:
            forget_snapshot(cluster, row)
    if cluster.groups.get(group.id):
        cluster.groups.remove(group.id)
    return {}


@method(
    "RollbackToGroupSnapshot",
    "7.0",
    _RIGHTS,
    required(ID, "groupSnapshotID"),
    optional(BOOL, "saveCurrentState"),
    optional(STR, "name"),
    optional(OBJECT, "attributes"),
)
def rollback_to_group_snapshot(cluster: Cluster, args: Args) -> Json:
    """Give all the group's volumes their snapshot's bytes and size, after keeping the present ones if asked to."""
    group = lookup.group(cluster, args["groupSnapshotID"])
    members = cluster.snapshots.find("group", group.id)
    volumes = [lookup.volume(cluster, row.volume_id) for row in members]
    answer: Json = {"groupSnapshot": None, "groupSnapshotID": None}
    if args.get("saveCurrentState"):
        kept: Args = {name: args[name] for name in ("name", "attributes") if name in args}
        answer = _answer(cluster, *_take_all(cluster, volumes, kept))
    for volume, row in zip(volumes, members, strict=True):
        roll_back(cluster, volume, row)
    return answer | {"members": [views.member(row) for row in members]}
