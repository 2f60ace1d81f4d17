"""Initiators: known IQNs and WWPNs, in at most one access group each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from lab.array import choices, lookup, targets, views
from lab.array.cluster import Cluster
from lab.array.errors import ElementError
from lab.array.params import BOOL, ID, OBJECT, STR, Args, listed, optional, record, required
from lab.array.registry import method
from lab.array.rows import AccessGroup, Initiator, Json

_RIGHTS = "write clusterAdmin"
_CHANGES = (
    optional(STR, "alias"),
    optional(OBJECT, "attributes"),
    optional(ID, "volumeAccessGroupID", nullable=True),
    optional(BOOL, "requireChap"),
    optional(STR, "chapUsername"),
    optional(STR, "initiatorSecret"),
    optional(STR, "targetSecret"),
    optional(listed(ID), "virtualNetworkIDs"),
)
_FIELDS = {
    "alias": "alias",
    "requireChap": "require_chap",
    "chapUsername": "chap_username",
    "initiatorSecret": "initiator_secret",
    "targetSecret": "target_secret",
}


@method("CreateInitiators", "9.0", _RIGHTS, required(listed(record(required(STR, "name"), *_CHANGES)), "initiators"))
def create_initiators(cluster: Cluster, args: Args) -> Json:
    """Make initiators known, all or none."""
    return {"initiators": [_described(cluster, make(cluster, entry["name"]), entry) for entry in args["initiators"]]}


def make(cluster: Cluster, name: str) -> Initiator:
    """Make an initiator known by its name, lower-cased as the array keeps IQNs."""
    name = name.lower()
    lookup.check_length(cluster, "initiatorName", name)
    if cluster.initiators.find("name", name):
        raise ElementError(choices.DUPLICATE_INITIATOR, f"Initiator {name} exists")
    cluster.limit("initiatorCountMax", len(cluster.initiators) + 1, "initiators")
    return cluster.initiators.put(Initiator(cluster.initiators.next_id(), name))


def _described(cluster: Cluster, old: Initiator, entry: Args) -> Json:
    changes: dict[str, Any] = {field: entry[name] for name, field in _FIELDS.items() if name in entry}
    for name in ("initiatorSecret", "targetSecret"):
        if name in entry:
            lookup.check_secret(cluster, name, entry[name])
    if "attributes" in entry:
        changes["attributes"] = lookup.attributes(cluster, entry["attributes"])
    if "virtualNetworkIDs" in entry:
        changes["virtual_network_ids"] = tuple(entry["virtualNetworkIDs"])
    row = replace(old, **changes)
    lookup.check_length(cluster, "initiatorAlias", row.alias)
    cluster.initiators.put(row)
    if "volumeAccessGroupID" in entry:
        move(cluster, row, entry["volumeAccessGroupID"])
    publish_for(cluster, cluster.access_groups.find("initiator", row.id))
    return views.initiator(cluster, row)


def move(cluster: Cluster, row: Initiator, group_id: int | None) -> None:
    """Take an initiator out of its group and into another, or into none."""
    for group in cluster.access_groups.find("initiator", row.id):
        leave(cluster, group, row.id)
    if group_id:
        group = lookup.access_group(cluster, group_id)
        store_group(cluster, replace(group, initiator_ids=(*group.initiator_ids, row.id)))


def leave(cluster: Cluster, group: AccessGroup, initiator_id: int) -> AccessGroup:
    """Take an initiator out of a group."""
    ids = tuple(other for other in group.initiator_ids if other != initiator_id)
    return store_group(cluster, replace(group, initiator_ids=ids))


def store_group(cluster: Cluster, group: AccessGroup) -> AccessGroup:
    """Keep a changed access group if it is within the limits, and let its volumes' targets follow."""
    most = cluster.limits["initiatorsPerVolumeAccessGroupCountMax"]
    if len(group.initiator_ids) > most:
        text = f"Exceeded max number of initiators per volumeAccessGroup. volumeAccessGroupID={group.id} limit={most}"
        raise ElementError(choices.LIMIT_REACHED, text)
    cluster.limit("volumesPerVolumeAccessGroupCountMax", len(group.volume_ids), "volumes per volumeAccessGroup")
    before = cluster.access_groups.get(group.id)
    cluster.access_groups.put(group)
    for volume_id in group.volume_ids:
        count = cluster.access_groups.count("volume", volume_id)
        cluster.limit("volumeAccessGroupsPerVolumeCountMax", count, "volumeAccessGroups per volume")
    publish_for(cluster, [before, group] if before else [group])
    return group


def publish_for(cluster: Cluster, groups: Iterable[AccessGroup]) -> None:
    """Bring the targets of the groups' volumes in step."""
    for volume_id in {volume_id for group in groups for volume_id in group.volume_ids}:
        row = cluster.volumes.get(volume_id)
        if row is not None and row.status == "active":
            targets.publish(cluster, row)


@method(
    "ListInitiators",
    "9.0",
    "read clusterAdmin",
    optional(ID, "startInitiatorID"),
    optional(ID, "limit"),
    optional(listed(ID), "initiators"),
)
def list_initiators(cluster: Cluster, args: Args) -> Json:
    """Return a page of the initiators, or those named."""
    if args.get("initiators"):
        if "startInitiatorID" in args:
            raise ElementError("xInvalidParameter", "initiators and startInitiatorID exclude each other")
        found = [lookup.initiator(cluster, initiator_id) for initiator_id in args["initiators"]]
    else:
        found = [row for row in cluster.initiators if row.id >= args.get("startInitiatorID", 0)]
    return {"initiators": [views.initiator(cluster, row) for row in found[: args.get("limit")]]}


@method(
    "ModifyInitiators", "9.0", _RIGHTS, required(listed(record(required(ID, "initiatorID"), *_CHANGES)), "initiators")
)
def modify_initiators(cluster: Cluster, args: Args) -> Json:
    """Change initiators, all or none. A null volumeAccessGroupID takes one out of its group."""
    entries = [(lookup.initiator(cluster, entry["initiatorID"]), entry) for entry in args["initiators"]]
    return {"initiators": [_described(cluster, row, entry) for row, entry in entries]}


@method("DeleteInitiators", "9.0", _RIGHTS, required(listed(ID), "initiators"))
def delete_initiators(cluster: Cluster, args: Args) -> Json:
    """Forget initiators, all or none, and take them out of their groups."""
    for initiator_id in sorted(set(args["initiators"])):
        move(cluster, lookup.initiator(cluster, initiator_id), None)
        cluster.initiators.remove(initiator_id)
    return {}
