"""Listing volumes. Filters first, then the page, as Trident's one-volume look-up needs it."""

from __future__ import annotations

from collections.abc import Iterable

from lab.array import choices, lookup, views
from lab.array.cluster import Cluster
from lab.array.errors import ElementError
from lab.array.params import BOOL, ID, STR, Args, enum, listed, optional, required
from lab.array.registry import method
from lab.array.rows import Json, Volume

_PAGE = (optional(ID, "startVolumeID"), optional(ID, "limit"))
_VIRTUAL = optional(BOOL, "includeVirtualVolumes", "9.0")
_STATUS = enum("init", "creating", "snapshotting", "active", "deleted")


@method(
    "ListVolumes",
    "8.0",
    "volumes read",
    *_PAGE,
    optional(_STATUS, "volumeStatus"),
    optional(listed(ID), "accounts"),
    optional(BOOL, "isPaired"),
    optional(listed(ID), "volumeIDs"),
    optional(STR, "volumeName"),
    _VIRTUAL,
    optional(listed(STR), "protectionSchemes", "10.0"),
)
def list_volumes(cluster: Cluster, args: Args) -> Json:
    """Return volumes of every status, deleted ones too, unless a status is asked for."""
    if args.get("volumeIDs") and {"accounts", "startVolumeID", "limit"} & {name for name in args if args[name]}:
        raise ElementError(choices.BAD_COMBINATION, "volumeIDs excludes accounts, startVolumeID and limit")
    found = [row for row in _candidates(cluster, args) if _wanted(row, args) and not _is_running_clone(cluster, row)]
    return {"volumes": [views.volume(cluster, row) for row in _page(found, args)]}


def _candidates(cluster: Cluster, args: Args) -> Iterable[Volume]:
    """Return a superset of what is wanted, by the narrowest index, in the order of ids."""
    if args.get("volumeIDs"):
        ids = sorted(set(args["volumeIDs"]))
        return [row for volume_id in ids if (row := cluster.volumes.get(volume_id))]
    if "volumeName" in args:
        return cluster.volumes.find("name", args["volumeName"])
    if len(args.get("accounts", ())) == 1:
        return cluster.volumes.find("account", args["accounts"][0])
    return cluster.volumes


def _wanted(row: Volume, args: Args) -> bool:
    schemes = args.get("protectionSchemes")
    return (
        row.status == args.get("volumeStatus", row.status)
        and row.name == args.get("volumeName", row.name)
        and (not args.get("accounts") or row.account_id in args["accounts"])
        and not args.get("isPaired", False)
        and (not schemes or "doubleHelix" in schemes)
    )


def _page(found: list[Volume], args: Args) -> list[Volume]:
    start = args.get("startVolumeID", 0)
    return [row for row in found if row.id >= start][: args.get("limit", 10000)]


def _is_running_clone(cluster: Cluster, row: Volume) -> bool:
    return row.status == "init" and bool(cluster.jobs.count("running", row.id))


def _listed(cluster: Cluster, rows: Iterable[Volume], args: Args) -> Json:
    found = [row for row in rows if not _is_running_clone(cluster, row)]
    return {"volumes": [views.volume(cluster, row) for row in _page(found, args)]}


@method("ListActiveVolumes", "1.0", "volumes read", *_PAGE, _VIRTUAL)
def list_active_volumes(cluster: Cluster, args: Args) -> Json:
    """Return a page of the active volumes."""
    return _listed(cluster, [row for row in cluster.volumes if row.status == "active"], args)


@method("ListDeletedVolumes", "1.0", "volumes read", _VIRTUAL)
def list_deleted_volumes(cluster: Cluster, args: Args) -> Json:
    """Return the recycle bin."""
    return _listed(cluster, [row for row in cluster.volumes if row.status == "deleted"], args)


@method("ListVolumesForAccount", "1.0", "volumes read", required(ID, "accountID"), *_PAGE, _VIRTUAL)
def list_volumes_for_account(cluster: Cluster, args: Args) -> Json:
    """Return the account's volumes, active and deleted."""
    return _listed(cluster, cluster.volumes.find("account", lookup.account(cluster, args["accountID"]).id), args)


@method("GetVolumeCount", "9.0", "volumes read reporting")
def get_volume_count(cluster: Cluster, args: Args) -> Json:
    """Count the volumes, the recycle bin's too."""
    return {"count": len(cluster.volumes)}


@method("ListActivePairedVolumes", "6.0", "volumes read", *_PAGE)
def list_active_paired_volumes(cluster: Cluster, args: Args) -> Json:
    """Return no volume: the array has no replication."""
    return {"volumes": []}
