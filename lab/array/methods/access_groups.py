"""Volume access groups: initiators that reach volumes without CHAP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.array import choices, lookup, views
from lab.array.cluster import Cluster
from lab.array.errors import ElementError
from lab.array.methods import initiators
from lab.array.methods.volumes import without_volume
from lab.array.params import BOOL, ID, ID_OR_NAME, INT, OBJECT, STR, Args, listed, optional, record, required
from lab.array.registry import method
from lab.array.rows import AccessGroup, Json

_RIGHTS = "write clusterAdmin"
_GROUP = required(ID, "volumeAccessGroupID")
_INITIATORS = listed(ID_OR_NAME)
_ORPHANS = optional(BOOL, "deleteOrphanInitiators", "9.0")


@method(
    "CreateVolumeAccessGroup",
    "5.0",
    _RIGHTS,
    required(STR, "name"),
    optional(_INITIATORS, "initiators"),
    optional(listed(ID), "volumes"),
    optional(OBJECT, "attributes"),
    optional(listed(ID), "virtualNetworkID", "8.0"),
    optional(listed(ID), "virtualNetworkTags", "8.0"),
)
def create_volume_access_group(cluster: Cluster, args: Args) -> Json:
    """Make a group; initiators named for the first time become known."""
    lookup.check_length(cluster, "volumeAccessGroupName", args["name"])
    cluster.limit("volumeAccessGroupCountMax", len(cluster.access_groups) + 1, "volumeAccessGroups")
    row = AccessGroup(cluster.access_groups.next_id(), args["name"])
    row = _filled(cluster, row, args)
    return _answer(cluster, row) | {"volumeAccessGroupID": row.id}


def _filled(cluster: Cluster, row: AccessGroup, args: Args) -> AccessGroup:
    """Set what is given; each list replaces the old one."""
    if "attributes" in args:
        row = replace(row, attributes=lookup.attributes(cluster, args["attributes"]))
    if "initiators" in args:
        row = replace(row, initiator_ids=_initiator_ids(cluster, row, args["initiators"]))
    if "volumes" in args:
        row = replace(row, volume_ids=_volume_ids(cluster, args["volumes"]))
    return initiators.store_group(cluster, row)


def _answer(cluster: Cluster, row: AccessGroup) -> Json:
    return {"volumeAccessGroup": views.access_group(cluster, row)}


def _volume_ids(cluster: Cluster, ids: Sequence[int]) -> tuple[int, ...]:
    return tuple(lookup.volume(cluster, volume_id).id for volume_id in sorted(set(ids)))


def _initiator_ids(cluster: Cluster, group: AccessGroup, given: Sequence[int | str]) -> tuple[int, ...]:
    ids = tuple(dict.fromkeys(_initiator_id(cluster, entry) for entry in given))
    for initiator_id in ids:
        if any(other.id != group.id for other in cluster.access_groups.find("initiator", initiator_id)):
            name = lookup.initiator(cluster, initiator_id).name
            text = f"Exceeded maximum number of VolumeAccessGroups per Initiator. initiator={name} limit=1"
            raise ElementError(choices.LIMIT_REACHED, text)
    return ids


def _initiator_id(cluster: Cluster, entry: int | str) -> int:
    if isinstance(entry, int):
        return lookup.initiator(cluster, entry).id
    known = cluster.initiators.find("name", entry.lower())
    return known[0].id if known else initiators.make(cluster, entry).id


@method(
    "ListVolumeAccessGroups",
    "5.0",
    "read clusterAdmin",
    optional(ID, "startVolumeAccessGroupID"),
    optional(ID, "limit"),
    optional(listed(ID), "volumeAccessGroups"),
)
def list_volume_access_groups(cluster: Cluster, args: Args) -> Json:
    """Return a page of the groups, or those named and which of them there are not."""
    if not args.get("volumeAccessGroups"):
        found = [row for row in cluster.access_groups if row.id >= args.get("startVolumeAccessGroupID", 0)]
        return {"volumeAccessGroups": [views.access_group(cluster, row) for row in found[: args.get("limit")]]}
    if "startVolumeAccessGroupID" in args:
        raise ElementError("xInvalidParameter", "volumeAccessGroups and startVolumeAccessGroupID exclude each other")
    wanted = sorted(set(args["volumeAccessGroups"]))
    rows = [row for group_id in wanted if (row := cluster.access_groups.get(group_id))]
    missing = sorted(set(wanted) - {row.id for row in rows})
    answer: Json = {"volumeAccessGroups": [views.access_group(cluster, row) for row in rows]}
    return answer | ({"volumeAccessGroupsNotFound": missing} if missing else {})


@method(
    "ModifyVolumeAccessGroup",
    "5.0",
    _RIGHTS,
    _GROUP,
    optional(STR, "name"),
    optional(OBJECT, "attributes"),
    optional(_INITIATORS, "initiators"),
    optional(listed(ID), "volumes"),
    _ORPHANS,
    optional(listed(ID), "virtualNetworkID", "8.0"),
    optional(listed(ID), "virtualNetworkTags", "8.0"),
)
def modify_volume_access_group(cluster: Cluster, args: Args) -> Json:
    """Change a group; given lists replace the old ones."""
    old = lookup.access_group(cluster, args["volumeAccessGroupID"])
    lookup.check_length(cluster, "volumeAccessGroupName", args.get("name", old.name))
    row = _filled(cluster, replace(old, name=args.get("name", old.name)), args)
    _drop_orphans(cluster, args, old.initiator_ids)
    return _answer(cluster, row)


@method("DeleteVolumeAccessGroup", "5.0", _RIGHTS, _GROUP, _ORPHANS, optional(BOOL, "force"))
def delete_volume_access_group(cluster: Cluster, args: Args) -> Json:
    """Remove a group; its volumes and initiators stay."""
    row = lookup.access_group(cluster, args["volumeAccessGroupID"])
    cluster.access_groups.remove(row.id)
    initiators.publish_for(cluster, [row])
    _drop_orphans(cluster, args, row.initiator_ids)
    return {}


def _drop_orphans(cluster: Cluster, args: Args, ids: Sequence[int]) -> None:
    """Forget initiators that are in no group any more, if the call asks for it."""
    for initiator_id in ids if args.get("deleteOrphanInitiators") else ():
        if not cluster.access_groups.count("initiator", initiator_id):
            cluster.initiators.remove(initiator_id)


@method("AddInitiatorsToVolumeAccessGroup", "5.0", _RIGHTS, _GROUP, required(_INITIATORS, "initiators"))
def add_initiators(cluster: Cluster, args: Args) -> Json:
    """Add initiators to a group."""
    row = lookup.access_group(cluster, args["volumeAccessGroupID"])
    ids = _initiator_ids(cluster, row, args["initiators"])
    _refuse_members(row, [initiator_id for initiator_id in ids if initiator_id in row.initiator_ids], "Initiator")
    return _answer(cluster, initiators.store_group(cluster, replace(row, initiator_ids=row.initiator_ids + ids)))


def _refuse_members(row: AccessGroup, members: Sequence[int], what: str) -> None:
    if members:
        raise ElementError(
            "xAlreadyInVolumeAccessGroup", f"{what} {members[0]} is in volumeAccessGroup {row.id} already"
        )


@method("RemoveInitiatorsFromVolumeAccessGroup", "5.0", _RIGHTS, _GROUP, required(_INITIATORS, "initiators"), _ORPHANS)
def remove_initiators(cluster: Cluster, args: Args) -> Json:
    """Take initiators out of a group."""
    row = lookup.access_group(cluster, args["volumeAccessGroupID"])
    ids = [_initiator_id(cluster, entry) for entry in args["initiators"]]
    for initiator_id in ids:
        _require_member(row, initiator_id, row.initiator_ids, "Initiator")
        row = initiators.leave(cluster, row, initiator_id)
    _drop_orphans(cluster, args, ids)
    return _answer(cluster, row)


def _require_member(row: AccessGroup, member: int, members: Sequence[int], what: str) -> None:
    if member not in members:
        raise ElementError("xNotInVolumeAccessGroup", f"{what} {member} is not in volumeAccessGroup {row.id}")


@method("AddVolumesToVolumeAccessGroup", "5.0", _RIGHTS, _GROUP, optional(listed(ID), "volumes"))
def add_volumes(cluster: Cluster, args: Args) -> Json:
    """Add volumes to a group; Trident sends null when it has none to add."""
    row = lookup.access_group(cluster, args["volumeAccessGroupID"])
    ids = _volume_ids(cluster, args.get("volumes", ()))
    _refuse_members(row, [volume_id for volume_id in ids if volume_id in row.volume_ids], "Volume")
    return _answer(cluster, initiators.store_group(cluster, replace(row, volume_ids=row.volume_ids + ids)))


@method("RemoveVolumesFromVolumeAccessGroup", "5.0", _RIGHTS, _GROUP, required(listed(ID), "volumes"))
def remove_volumes(cluster: Cluster, args: Args) -> Json:
    """Take volumes out of a group."""
    row = lookup.access_group(cluster, args["volumeAccessGroupID"])
    for volume_id in args["volumes"]:
        lookup.any_volume(cluster, volume_id)
        _require_member(row, volume_id, row.volume_ids, "Volume")
        row = without_volume(row, volume_id)
    return _answer(cluster, initiators.store_group(cluster, row))


@method("GetVolumeAccessGroupLunAssignments", "7.0", "read clusterAdmin", _GROUP)
def get_lun_assignments(cluster: Cluster, args: Args) -> Json:
    """Return the LUNs, which matter for Fibre Channel only."""
    return _assignments(cluster, lookup.access_group(cluster, args["volumeAccessGroupID"]))


def _assignments(cluster: Cluster, row: AccessGroup) -> Json:
    chosen = dict(row.luns)
    free = iter([lun for lun in range(len(row.volume_ids) + len(chosen)) if lun not in chosen.values()])
    luns = [{"lun": chosen[each] if each in chosen else next(free), "volumeID": each} for each in row.volume_ids]
    found = {"volumeAccessGroupID": row.id, "lunAssignments": luns, "deletedLunAssignments": []}
    return {"volumeAccessGroupLunAssignments": found}


@method(
    "ModifyVolumeAccessGroupLunAssignments",
    "7.0",
    _RIGHTS,
    _GROUP,
    required(listed(record(required(INT, "volumeID"), required(INT, "lun"))), "lunAssignments"),
)
def modify_lun_assignments(cluster: Cluster, args: Args) -> Json:
    """Set LUNs of a group's volumes, all or none."""
    row = lookup.access_group(cluster, args["volumeAccessGroupID"])
    chosen = dict(row.luns) | {entry["volumeID"]: entry["lun"] for entry in args["lunAssignments"]}
    for volume_id, lun in chosen.items():
        _require_member(row, volume_id, row.volume_ids, "Volume")
        if lun > cluster.limits["volumeAccessGroupLunMax"]:
            raise ElementError(choices.BAD_VALUE, f"{lun} is not a valid LUN")
    if len(set(chosen.values())) < len(chosen):
        raise ElementError(choices.DUPLICATE_LUN, "A LUN is given twice")
    return _assignments(cluster, cluster.access_groups.put(replace(row, luns=tuple(chosen.items()))))
