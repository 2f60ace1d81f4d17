"""Clones and copies, which take their time, and the handles to ask after them."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from lab.array import choices, lookup, targets, views
from lab.array.clock import stamp
from lab.array.cluster import Cluster, timer
from lab.array.errors import ElementError
from lab.array.methods.volume_changes import ACCESS, settled_access
from lab.array.methods.volumes import check_room
from lab.array.params import BOOL, ID, OBJECT, STR, Args, listed, optional, record, required
from lab.array.registry import method
from lab.array.rows import Job, Json, Snapshot, Volume

_TARGET = (
    optional(ID, "newAccountID"),
    optional(ACCESS, "access"),
    optional(ID, "newSize"),
    optional(OBJECT, "attributes", "6.0"),
)
_SNAPMIRROR = optional(BOOL, "enableSnapMirrorReplication", "10.0")
_GROUP_ENTRY = record(required(ID, "volumeID"), optional(STR, "name"), *_TARGET)


@method(
    "CloneVolume",
    "1.0",
    "volumes write",
    required(ID, "volumeID"),
    required(STR, "name"),
    optional(ID, "snapshotID"),
    optional(BOOL, "enable512e"),
    _SNAPMIRROR,
    *_TARGET,
)
def clone_volume(cluster: Cluster, args: Args) -> Json:
    """Begin a clone. Its bytes are those of this moment; it is in no list and can't be used before it is done."""
    source = lookup.volume(cluster, args["volumeID"])
    snapshot = lookup.snapshot(cluster, args["snapshotID"], source.id) if "snapshotID" in args else None
    row = _begin(cluster, source, snapshot, args)
    job = _start(cluster, "clone", ((source.id, row.id),), snapshot)
    return {
        "asyncHandle": job.id,
        "cloneID": job.job_id,
        "curve": dict(views.CURVE),
        "volume": views.volume(cluster, row),
        "volumeID": row.id,
    }


def _begin(cluster: Cluster, source: Volume, snapshot: Snapshot | None, args: Args) -> Volume:
    """Make the new volume, not yet reachable."""
    lookup.check_volume_name(cluster, args["name"])
    account = lookup.account(cluster, args.get("newAccountID", source.account_id))
    inherited = snapshot.size if snapshot else source.size
    size = lookup.rounded_size(cluster, args["newSize"]) if "newSize" in args else inherited
    check_room(cluster, account.id, size)
    _check_jobs(cluster, source)
    row = replace(
        source,
        id=cluster.volumes.next_id(),
        name=args["name"],
        account_id=account.id,
        size=size,
        created=cluster.clock.now(),
        uuid=str(uuid.uuid4()),
        consistency_uuid=str(uuid.uuid4()),
        enable512e=args.get("enable512e", source.enable512e),
        access=settled_access(args.get("access", source.access)),
        attributes=lookup.attributes(cluster, args.get("attributes", source.attributes)),
        qos_policy_id=source.qos_policy_id if choices.CLONE_INHERITS_POLICY else None,
        snapmirror=args.get("enableSnapMirrorReplication", False),
        status="init",
        active_snapshot_id=None,
    )
    cluster.undoable(lambda: cluster.data.delete(row.id))
    cluster.data.clone(source.id, snapshot.id if snapshot else None, row.id, size)
    return cluster.volumes.put(row)


def _check_jobs(cluster: Cluster, source: Volume) -> None:
    most = cluster.limits["cloneJobsPerVolumeMax"]
    if cluster.jobs.count("running", source.id) >= most:
        raise ElementError(choices.TOO_MANY_CLONES, f"Maximum clones per volume is {most}")


def _start(cluster: Cluster, kind: str, pairs: tuple[tuple[int, int], ...], snapshot: Snapshot | None = None) -> Job:
    now = cluster.clock.now()
    due = now + cluster.settings.clone_seconds
    job_id = cluster.store.next_id("groupCloneID" if kind == "group" else "cloneID")
    snapshot_id = snapshot.id if snapshot else None
    job = cluster.jobs.put(Job(cluster.jobs.next_id(), kind, job_id, now, due, pairs, snapshot_id))
    cluster.at_time(due, "job", job.id)
    return job


@timer("job")
def finish(cluster: Cluster, handle: int) -> None:
    """End a clone whose time has come: its volumes become active and reachable."""
    job = cluster.jobs.get(handle)
    if job is None or job.done or job.due > cluster.clock.now():
        return
    cluster.jobs.put(replace(job, done=True))
    for _, volume_id in job.pairs:
        row = cluster.volumes.get(volume_id)
        if row is not None and row.status == "init":
            targets.publish(cluster, cluster.volumes.put(replace(row, status="active")))


@method(
    "CloneMultipleVolumes",
    "7.0",
    "volumes write",
    required(listed(_GROUP_ENTRY), "volumes"),
    optional(ACCESS, "access"),
    optional(ID, "groupSnapshotID"),
    optional(ID, "newAccountID"),
    _SNAPMIRROR,
)
def clone_multiple_volumes(cluster: Cluster, args: Args) -> Json:
    """Begin clones of several volumes of one moment, or of a group snapshot's members."""
    if not args["volumes"]:
        raise ElementError(choices.BAD_COMBINATION, "volumes must not be empty")
    lookup.refuse_when_full(cluster)
    common = {name: args[name] for name in ("access", "newAccountID") if name in args}
    pairs = tuple(_begin_member(cluster, common | entry, args.get("groupSnapshotID")) for entry in args["volumes"])
    job = _start(cluster, "group", pairs)
    members = [{"srcVolumeID": source, "volumeID": new} for source, new in pairs]
    return {"asyncHandle": job.id, "groupCloneID": job.job_id, "members": members}


def _begin_member(cluster: Cluster, entry: Args, group_id: int | None) -> tuple[int, int]:
    source = lookup.volume(cluster, entry["volumeID"])
    row = _begin(cluster, source, _member_of(cluster, group_id, source), {"name": source.name} | entry)
    return source.id, row.id


def _member_of(cluster: Cluster, group_id: int | None, source: Volume) -> Snapshot | None:
    if group_id is None:
        return None
    for row in cluster.snapshots.find("group", lookup.group(cluster, group_id).id):
        if row.volume_id == source.id:
            return row
    raise ElementError(choices.FOREIGN_SNAPSHOT, f"Group snapshot {group_id} has no member of volume {source.id}")


@method(
    "CopyVolume",
    "9.0",
    "volumes write",
    required(ID, "volumeID"),
    required(ID, "dstVolumeID"),
    optional(ID, "snapshotID"),
)
def copy_volume(cluster: Cluster, args: Args) -> Json:
    """Overwrite a volume of the same size with another one's bytes."""
    source, target = lookup.volume(cluster, args["volumeID"]), lookup.volume(cluster, args["dstVolumeID"])
    snapshot = lookup.snapshot(cluster, args["snapshotID"], source.id) if "snapshotID" in args else None
    if target.size != (snapshot.size if snapshot else source.size):
        raise ElementError(choices.BAD_COMBINATION, "The volumes differ in size")
    _check_jobs(cluster, source)
    job = _start(cluster, "copy", ((source.id, target.id),), snapshot)
    cluster.data.copy(source.id, snapshot.id if snapshot else None, target.id)
    return {"asyncHandle": job.id, "cloneID": job.job_id}


@method("CancelClone", "9.0", "volumes write", required(ID, "cloneID"))
def cancel_clone(cluster: Cluster, args: Args) -> Json:
    """Give up a running clone: its volume and its handle are gone."""
    _cancel(cluster, args["cloneID"], {"clone", "copy"})
    return {}


@method("CancelGroupClone", "9.0", "volumes write", required(ID, "groupCloneID"))
def cancel_group_clone(cluster: Cluster, args: Args) -> Json:
    """Give up a running group clone."""
    _cancel(cluster, args["groupCloneID"], {"group"})
    return {}


def _cancel(cluster: Cluster, job_id: int, kinds: set[str]) -> None:
    running = [job for job in cluster.jobs.find("job", job_id) if job.kind in kinds and not job.done]
    if not running:
        raise ElementError(choices.UNKNOWN_CLONE, f"Clone {job_id} does not exist.")
    for _, volume_id in running[0].pairs if running[0].kind != "copy" else ():
        cluster.volumes.remove(volume_id)
        _delete_data(cluster, volume_id)
    cluster.jobs.remove(running[0].id)


def _delete_data(cluster: Cluster, volume_id: int) -> None:
    cluster.afterwards(lambda: cluster.data.delete(volume_id))


@method("GetAsyncResult", "1.0", "volumes read write", required(ID, "asyncHandle"), optional(BOOL, "keepResult"))
def get_async_result(cluster: Cluster, args: Args) -> Json:
    """Tell how something asynchronous stands; a result can be read once, unless it is to be kept."""
    job = cluster.jobs.get(args["asyncHandle"])
    if job is None:
        raise ElementError("xAsyncHandleDoesNotExist", f"Async handle {args['asyncHandle']} does not exist.")
    times = {"createTime": stamp(job.created), "lastUpdateTime": stamp(job.due if job.done else cluster.clock.now())}
    if not job.done:
        return {"status": "running", "resultType": "Clone", "details": {}, **times}
    if not args.get("keepResult"):
        cluster.jobs.remove(job.id)
    return {"status": "complete", "resultType": "Clone", "result": _result(job), **times}


def _result(job: Job) -> Json:
    named = job.pairs[0][0 if choices.ASYNC_RESULT_NAMES_SOURCE else 1]
    key = "groupCloneID" if job.kind == "group" else "cloneID"
    return {key: job.job_id, "message": "Clone complete.", "volumeID": named}


@method("ListAsyncResults", "9.0", "volumes read", optional(listed(STR), "asyncResultTypes"))
def list_async_results(cluster: Cluster, args: Args) -> Json:
    """List all handles and use none up."""
    wanted = args.get("asyncResultTypes")
    jobs = cluster.jobs if not wanted or "Clone" in wanted else ()
    return {"asyncHandles": [_handle(cluster, job) for job in jobs]}


def _handle(cluster: Cluster, job: Job) -> Json:
    data: dict[str, Any] = _result(job) if job.done else {"cloneID": job.job_id, "volumeID": job.pairs[0][1]}
    return {
        "asyncResultID": job.id,
        "completed": job.done,
        "createTime": stamp(job.created),
        "data": data,
        "lastUpdateTime": stamp(job.due if job.done else cluster.clock.now()),
        "resultType": "Clone",
        "success": job.done,
    }


@method("ListSyncJobs", "1.0", "read reporting volumes")
def list_sync_jobs(cluster: Cluster, args: Args) -> Json:
    """Tell how far the running clones are."""
    running = [(job, pair) for job in cluster.jobs if not job.done for pair in job.pairs]
    return {"syncJobs": [_progress(cluster, job, *pair) for job, pair in running]}


def _progress(cluster: Cluster, job: Job, source_id: int, new_id: int) -> Json:
    elapsed = cluster.clock.now() - job.created
    share = min(1.0, elapsed / max(job.due - job.created, 1e-9))
    total = lookup.any_volume(cluster, new_id).size
    return {
        "type": "clone",
        "blocksPerSecond": 0,
        "branchType": "snapshot" if job.snapshot_id else "volume",
        "bytesPerSecond": total / max(job.due - job.created, 1e-9),
        "cloneID": job.job_id,
        "currentBytes": int(total * share),
        "dstServiceID": 1,
        "dstVolumeID": new_id,
        "elapsedTime": elapsed,
        "groupCloneID": job.job_id if job.kind == "group" else 0,
        "nodeID": 1,
        "percentComplete": 100.0 * share,
        "remainingTime": max(0, int(job.due - cluster.clock.now())),
        "sliceID": new_id,
        "snapshotID": job.snapshot_id or 0,
        "srcServiceID": 1,
        "srcVolumeID": source_id,
        "stage": "data",
        "totalBytes": total,
    }
