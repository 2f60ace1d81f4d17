"""How records look to clients: the objects of Element's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.array import targets
from lab.array.clock import stamp
from lab.array.rows import AccessGroup, Account, Group, Initiator, Json, Qos, QosPolicy, Snapshot, Volume

if TYPE_CHECKING:
    from lab.array.cluster import Cluster

ZERO_UUID = "00000000-0000-0000-0000-000000000000"
# What an I/O of a size costs in percent of one of 4 KiB; the same in every capture since Element 11.
CURVE = {
    "4096": 100,
    "8192": 160,
    "16384": 270,
    "32768": 500,
    "65536": 1000,
    "131072": 1950,
    "262144": 3900,
    "524288": 7600,
    "1048576": 15000,
}


def qos(values: Qos) -> Json:
    """Return a qos object."""
    return {
        "burstIOPS": values.burst_iops,
        "burstTime": 60,
        "curve": dict(CURVE),
        "maxIOPS": values.max_iops,
        "minIOPS": values.min_iops,
    }


def volume(cluster: Cluster, row: Volume) -> Json:
    """Return a volume object with the fields of Element 12.8."""
    unique_id = cluster.identity.unique_id
    return {
        "access": row.access,
        "accountID": row.account_id,
        "attributes": row.attributes,
        "blockSize": 4096,
        "createTime": stamp(row.created),
        "currentProtectionScheme": "doubleHelix",
        "deleteTime": "" if row.deleted is None else stamp(row.deleted),
        "dontMoveForIopsRebalance": row.dont_move,
        "enable512e": row.enable512e,
        "enableSnapMirrorReplication": row.snapmirror,
        "fifoSize": row.fifo_size,
        "iqn": targets.iqn(unique_id, row.name, row.id),
        "lastAccessTime": None,
        "lastAccessTimeIO": None,
        "minFifoSize": row.min_fifo_size,
        "name": row.name,
        "previousProtectionScheme": None,
        "purgeTime": "" if row.purge_at is None else stamp(row.purge_at),
        "qos": qos(row.qos),
        "qosPolicyID": row.qos_policy_id,
        "scsiEUIDeviceID": targets.eui(unique_id, row.id),
        "scsiNAADeviceID": targets.naa(unique_id, row.id),
        "sliceCount": 0 if row.status == "init" else 1,
        "status": row.status,
        "totalSize": row.size,
        "virtualVolumeID": None,
        "volumeAccessGroups": [group.id for group in cluster.access_groups.find("volume", row.id)],
        "volumeConsistencyGroupUUID": row.consistency_uuid,
        "volumeID": row.id,
        "volumePairs": [],
        "volumeUUID": row.uuid,
    }


def account(cluster: Cluster, row: Account) -> Json:
    """Return an account object, secrets in clear text as the real array does."""
    return {
        "accountID": row.id,
        "attributes": row.attributes,
        "enableChap": row.enable_chap,
        "initiatorSecret": row.initiator_secret,
        "status": row.status,
        "storageContainerID": ZERO_UUID,
        "targetSecret": row.target_secret,
        "username": row.username,
        "volumes": [found.id for found in cluster.volumes.find("account", row.id)],
    }


def snapshot(row: Snapshot) -> Json:
    """Return a snapshot object."""
    return {
        "attributes": row.attributes,
        "checksum": "0x0",
        "createTime": stamp(row.created),
        "enableRemoteReplication": row.remote,
        # Captures say "None" even with an expirationTime set.
        "expirationReason": "None",
        "expirationTime": stamp(row.expires) if isinstance(row.expires, float) else row.expires,
        "groupID": row.group_id,
        "groupSnapshotUUID": row.group_uuid,
        "instanceCreateTime": stamp(row.created),
        "instanceSnapshotUUID": row.uuid,
        "name": row.name,
        "snapMirrorLabel": row.snapmirror_label,
        "snapshotID": row.id,
        "snapshotUUID": row.uuid,
        "status": "done",
        "totalSize": row.size,
        "virtualVolumeID": None,
        "volumeID": row.volume_id,
        "volumeName": row.volume_name,
    }


def member(row: Snapshot) -> Json:
    """Return an entry of the `members` that CreateGroupSnapshot and RollbackToGroupSnapshot answer beside the group."""
    return {"checksum": "0x0", "snapshotID": row.id, "snapshotUUID": row.uuid, "volumeID": row.volume_id}


def group(cluster: Cluster, row: Group) -> Json:
    """Return a groupSnapshot object."""
    return {
        "attributes": row.attributes,
        "createTime": stamp(row.created),
        "enableRemoteReplication": row.remote,
        "groupSnapshotID": row.id,
        "groupSnapshotUUID": row.uuid,
        "members": [snapshot(found) for found in cluster.snapshots.find("group", row.id)],
        "name": row.name,
        "status": "done",
    }


def policy(cluster: Cluster, row: QosPolicy) -> Json:
    """Return a qosPolicy object."""
    ids = [found.id for found in cluster.volumes.find("policy", row.id)]
    return {"name": row.name, "qos": qos(row.qos), "qosPolicyID": row.id, "volumeIDs": ids}


def access_group(cluster: Cluster, row: AccessGroup) -> Json:
    """Return a volumeAccessGroup object; a recycled volume moves to `deletedVolumes`."""
    deleted = [volume_id for volume_id in row.volume_ids if _is_deleted(cluster, volume_id)]
    known = [found for initiator_id in row.initiator_ids if (found := cluster.initiators.get(initiator_id))]
    return {
        "attributes": row.attributes,
        "deletedVolumes": deleted,
        "initiatorIDs": [found.id for found in known],
        "initiators": [found.name for found in known],
        "name": row.name,
        "volumeAccessGroupID": row.id,
        "volumes": [volume_id for volume_id in row.volume_ids if volume_id not in deleted],
    }


def initiator(cluster: Cluster, row: Initiator) -> Json:
    """Return an initiator object."""
    return {
        "alias": row.alias,
        "attributes": row.attributes,
        "chapUsername": row.chap_username,
        "initiatorID": row.id,
        "initiatorName": row.name,
        "initiatorSecret": row.initiator_secret,
        "requireChap": row.require_chap,
        "targetSecret": row.target_secret,
        "virtualNetworkIDs": list(row.virtual_network_ids),
        "volumeAccessGroups": [found.id for found in cluster.access_groups.find("initiator", row.id)],
    }


def _is_deleted(cluster: Cluster, volume_id: int) -> bool:
    row = cluster.volumes.get(volume_id)
    return row is not None and row.status == "deleted"
