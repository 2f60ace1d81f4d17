"""Statistics. The array measures nothing: they have the right shape, and say that nothing was written or read."""

from __future__ import annotations

from lab.array import lookup
from lab.array.clock import fine_stamp, stamp
from lab.array.cluster import Cluster
from lab.array.params import BOOL, ID, Args, listed, optional, required
from lab.array.registry import method
from lab.array.rows import Json, Volume

_RIGHTS = "read reporting volumes"
_VIRTUAL = optional(BOOL, "includeVirtualVolumes")
_NOTHING = {
    f"{way}{what}": 0
    for way in ("read", "write")
    for what in ("Bytes", "BytesLastSample", "LatencyUSec", "LatencyUSecTotal", "Ops", "OpsLastSample")
}


def _stats(cluster: Cluster, row: Volume) -> Json:
    return _NOTHING | {
        "accountID": row.account_id,
        "actualIOPS": 0,
        "asyncDelay": None,
        "averageIOPSize": 0,
        "burstIOPSCredit": (row.qos.burst_iops - row.qos.max_iops) * 60,
        "clientQueueDepth": 0,
        "desiredMetadataHosts": None,
        "latencyUSec": 0,
        "metadataHosts": {"deadSecondaries": [], "liveSecondaries": [], "primary": 1},
        "nonZeroBlocks": 0,
        "normalizedIOPS": 0,
        "samplePeriodMSec": 500,
        "throttle": 0.0,
        "timestamp": fine_stamp(cluster.clock.now()),
        "unalignedReads": 0,
        "unalignedWrites": 0,
        "volumeAccessGroups": [group.id for group in cluster.access_groups.find("volume", row.id)],
        "volumeID": row.id,
        "volumeSize": row.size,
        "volumeUtilization": 0.0,
        "zeroBlocks": row.size // 4096,
    }


@method("GetVolumeStats", "1.0", _RIGHTS, required(ID, "volumeID"))
def get_volume_stats(cluster: Cluster, args: Args) -> Json:
    """Return one volume's statistics, as an object."""
    return {"volumeStats": _stats(cluster, lookup.volume(cluster, args["volumeID"]))}


@method("ListVolumeStats", "7.0", _RIGHTS, optional(listed(ID), "volumeIDs"))
def list_volume_stats(cluster: Cluster, args: Args) -> Json:
    """Return statistics of the volumes, or of all active ones."""
    wanted = set(args.get("volumeIDs") or ())
    return {"volumeStats": [_stats(cluster, row) for row in _active(cluster) if not wanted or row.id in wanted]}


def _active(cluster: Cluster) -> list[Volume]:
    return [row for row in cluster.volumes if row.status == "active"]


@method("ListVolumeStatsByVolume", "1.0", _RIGHTS, _VIRTUAL)
def list_volume_stats_by_volume(cluster: Cluster, args: Args) -> Json:
    """Return statistics of all active volumes."""
    return {"volumeStats": [_stats(cluster, row) for row in _active(cluster)]}


@method("ListVolumeStatsByAccount", "1.0", _RIGHTS, optional(listed(ID), "accounts"), _VIRTUAL)
def list_volume_stats_by_account(cluster: Cluster, args: Args) -> Json:
    """Return the sums of accounts."""
    wanted = set(args.get("accounts") or ()) or {row.id for row in cluster.accounts}
    owned = [(row.id, cluster.volumes.find("account", row.id)) for row in cluster.accounts if row.id in wanted]
    return {"volumeStats": [_sum(cluster, rows) | {"accountID": account_id} for account_id, rows in owned]}


@method("ListVolumeStatsByVolumeAccessGroup", "5.0", _RIGHTS, optional(listed(ID), "volumeAccessGroups"), _VIRTUAL)
def list_volume_stats_by_access_group(cluster: Cluster, args: Args) -> Json:
    """Return the sums of access groups."""
    wanted = set(args.get("volumeAccessGroups") or ()) or {row.id for row in cluster.access_groups}
    found = []
    for group in cluster.access_groups:
        if group.id in wanted:
            rows = [row for volume_id in group.volume_ids if (row := cluster.volumes.get(volume_id))]
            found.append(_sum(cluster, rows) | {"accountID": 0, "volumeAccessGroups": [group.id]})
    return {"volumeStats": found}


def _sum(cluster: Cluster, rows: list[Volume]) -> Json:
    size = sum(row.size for row in rows)
    return _NOTHING | {
        "clientQueueDepth": 0,
        "nonZeroBlocks": 0,
        "timestamp": fine_stamp(cluster.clock.now()),
        "unalignedReads": 0,
        "unalignedWrites": 0,
        "volumeAccessGroups": [],
        "volumeID": 0,
        "volumeSize": size,
        "zeroBlocks": size // 4096,
    }


@method("GetVolumeEfficiency", "6.0", _RIGHTS, required(ID, "volumeID"), optional(BOOL, "force"))
def get_volume_efficiency(cluster: Cluster, args: Args) -> Json:
    """Return the efficiency of a volume without data."""
    lookup.volume(cluster, args["volumeID"])
    return no_savings()


@method("GetVolumeAccessGroupEfficiency", "6.0", _RIGHTS, required(ID, "volumeAccessGroupID"))
def get_access_group_efficiency(cluster: Cluster, args: Args) -> Json:
    """Return the efficiency of volumes without data."""
    lookup.access_group(cluster, args["volumeAccessGroupID"])
    return no_savings()


def no_savings() -> Json:
    """Return the efficiency of what holds no data, as a real array does."""
    epoch = stamp(0)
    return {"compression": 1.0, "deduplication": 1.0, "missingVolumes": [], "thinProvisioning": 1.0, "timestamp": epoch}


@method("GetClusterStats", "1.0", _RIGHTS)
def get_cluster_stats(cluster: Cluster, args: Args) -> Json:
    """Return the cluster's statistics."""
    found = _NOTHING | {
        "actualIOPS": 0,
        "averageIOPSize": 0,
        "clientQueueDepth": 0,
        "clusterUtilization": 0.0,
        "latencyUSec": 0,
        "normalizedIOPS": 0,
        "samplePeriodMsec": 500,
        "servicesCount": 3,
        "servicesTotal": 3,
        "timestamp": fine_stamp(cluster.clock.now()),
        "unalignedReads": 0,
        "unalignedWrites": 0,
    }
    return {"clusterStats": found}


@method("GetClusterCapacity", "1.0", "read reporting")
def get_cluster_capacity(cluster: Cluster, args: Args) -> Json:
    """Return how much room there is and how much of it is promised."""
    capacity = cluster.settings.capacity
    sessions = len(cluster.data.sessions())
    provisioned = sum(row.size for row in cluster.volumes)
    found = {
        "activeBlockSpace": 0,
        "activeSessions": sessions,
        "averageIOPS": 0,
        "clusterRecentIOSize": 0,
        "currentIOPS": 0,
        "maxIOPS": 200000,
        "maxOverProvisionableSpace": capacity * 5,
        "maxProvisionedSpace": capacity,
        "maxUsedMetadataSpace": capacity // 128,
        "maxUsedSpace": capacity,
        "nonZeroBlocks": 0,
        "peakActiveSessions": sessions,
        "peakIOPS": 0,
        "provisionedSpace": provisioned,
        "snapshotNonZeroBlocks": 0,
        "timestamp": stamp(cluster.clock.now()),
        "totalOps": 0,
        "uniqueBlocks": 0,
        "uniqueBlocksUsedSpace": 0,
        "usedMetadataSpace": 0,
        "usedMetadataSpaceInSnapshots": 0,
        "usedSpace": 0,
        "zeroBlocks": provisioned // 4096,
    }
    return {"clusterCapacity": found}
