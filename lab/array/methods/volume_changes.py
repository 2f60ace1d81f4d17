"""Changing volumes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lab.array import choices, lookup, targets, views
from lab.array.clock import read_stamp
from lab.array.cluster import Cluster
from lab.array.errors import ElementError
from lab.array.methods.volumes import check_fifo, chosen_qos
from lab.array.params import BOOL, ID, INT, OBJECT, QOS, STR, Args, enum, listed, optional, required
from lab.array.registry import method
from lab.array.rows import Json, Volume

ACCESS = enum("readOnly", "readWrite", "locked", "replicationTarget", "snapMirrorTarget")
_CHANGES = (
    optional(ID, "accountID"),
    optional(ACCESS, "access"),
    optional(QOS, "qos"),
    optional(ID, "totalSize"),
    optional(OBJECT, "attributes"),
    optional(ID, "qosPolicyID", "10.0"),
    optional(BOOL, "associateWithQoSPolicy", "10.0"),
    optional(BOOL, "enableSnapMirrorReplication", "10.1"),
    optional(BOOL, "setCreateTime"),
    optional(STR, "createTime"),
    optional(enum("asynch", "sync"), "mode"),
    optional(INT, "fifoSize", "12.3"),
    optional(INT, "minFifoSize", "12.3"),
    optional(BOOL, "dontMoveForIopsRebalance", "12.8"),
)


@method("ModifyVolume", "1.0", "volumes write", required(ID, "volumeID"), *_CHANGES)
def modify_volume(cluster: Cluster, args: Args) -> Json:
    """Change what is given. There is no parameter for the name: a volume keeps it for life."""
    row = _changed(cluster, lookup.volume(cluster, args["volumeID"]), args)
    _apply(cluster, row)
    return {"volume": views.volume(cluster, row)}


@method("ModifyVolumes", "9.0", "volumes write", required(listed(ID), "volumeIDs"), *_CHANGES)
def modify_volumes(cluster: Cluster, args: Args) -> Json:
    """Change several volumes alike, or none."""
    ids = sorted(set(args["volumeIDs"]))
    cluster.limit("volumesPerBulkCallMax", len(ids), "volumes per call")
    rows = [_changed(cluster, lookup.volume(cluster, volume_id), args) for volume_id in ids]
    for row in rows:
        _apply(cluster, row)
    return {"volumes": [views.volume(cluster, row) for row in rows]}


def _apply(cluster: Cluster, row: Volume) -> None:
    old = lookup.volume(cluster, row.id)
    if row.account_id != old.account_id:
        cluster.limit(
            "volumesPerAccountCountMax", cluster.volumes.count("account", row.account_id) + 1, "volumes per account"
        )
    if row.size != old.size:
        cluster.undoable(lambda: cluster.data.resize(row.id, old.size))
        cluster.data.resize(row.id, row.size)
    cluster.volumes.put(row)
    targets.publish(cluster, row)


def _changed(cluster: Cluster, old: Volume, args: Args) -> Volume:
    changes: dict[str, Any] = {
        "account_id": lookup.account(cluster, args.get("accountID", old.account_id)).id,
        "access": settled_access(args.get("access", old.access)),
        "size": _grown(cluster, old, args),
        "attributes": lookup.attributes(cluster, args["attributes"]) if "attributes" in args else old.attributes,
        "snapmirror": args.get("enableSnapMirrorReplication", old.snapmirror),
        "fifo_size": args.get("fifoSize", old.fifo_size),
        "min_fifo_size": args.get("minFifoSize", old.min_fifo_size),
        "dont_move": args.get("dontMoveForIopsRebalance", old.dont_move),
    }
    if args.get("setCreateTime") and "createTime" in args:
        changes["created"] = read_stamp(args["createTime"])
    new = replace(old, **changes)
    if {"fifoSize", "minFifoSize"} & set(args):
        check_fifo(cluster, new)
    return _with_qos(cluster, new, args)


def settled_access(access: str) -> str:
    """Return what an asked access becomes: no volume here is paired, so a replication target ends up locked."""
    return "locked" if access == "replicationTarget" else access


def _grown(cluster: Cluster, old: Volume, args: Args) -> int:
    if "totalSize" not in args:
        return old.size
    size = lookup.rounded_size(cluster, args["totalSize"])
    if size < old.size:
        raise ElementError("xVolumeShrinkProhibited", "Lowering a volume size is not allowed.")
    return size


def _with_qos(cluster: Cluster, row: Volume, args: Args) -> Volume:
    """Custom values and associateWithQoSPolicy=false end a policy's association; an empty qos says nothing."""
    if not {"qos", "qosPolicyID"} & set(args):
        return row if args.get("associateWithQoSPolicy", True) else replace(row, qos_policy_id=None)
    qos, policy_id = chosen_qos(cluster, args, row.qos, associates=choices.MODIFY_ASSOCIATES_BY_DEFAULT)
    return replace(row, qos=qos, qos_policy_id=policy_id)
