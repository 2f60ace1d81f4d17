"""What the cluster says about itself."""

from __future__ import annotations

import functools

from lab.array import registry
from lab.array.cluster import Cluster
from lab.array.limits import HIDDEN
from lab.array.params import BOOL, ID, Args, enum, listed, optional, version
from lab.array.registry import METHODS, method
from lab.array.rows import Json

_RIGHTS = "read reporting write volumes accounts nodes drives clusterAdmin repositories supportAdmin"
_SCHEMES = ["singleHelix", "doubleHelix"]


@method("GetAPI", "1.0", _RIGHTS)
def get_api(cluster: Cluster, args: Args) -> Json:
    """Return the versions, and the methods of the newest."""
    current = cluster.identity.api_version
    at = version(current)
    names = sorted(name for name, known in METHODS.items() if known.since <= at)
    return {current: names, "currentVersion": current, "supportedVersions": supported(current)}


@functools.cache
def supported(current: str) -> tuple[str, ...]:
    """Return all versions of the API up to the current one."""
    return tuple(each for each in registry.VERSIONS if version(each) <= version(current))


# This one and GetClusterFullThreshold: for whom NetApp's page "Access control" lists them, and for nobody else.
@method("GetClusterInfo", "1.0", "reporting")
def get_cluster_info(cluster: Cluster, args: Args) -> Json:
    """Return names, addresses and ids."""
    identity = cluster.identity
    found = {
        "attributes": {},
        "defaultProtectionScheme": "doubleHelix",
        "enabledProtectionSchemes": _SCHEMES,
        "encryptionAtRestState": "disabled",
        "ensemble": [identity.sip],
        "mvip": identity.mvip,
        "mvipInterface": "Bond1G",
        "mvipNodeID": 1,
        "mvipVlanTag": "0",
        "name": identity.name,
        "repCount": 2,
        "softwareEncryptionAtRestState": "disabled",
        "supportedProtectionSchemes": _SCHEMES,
        "svip": identity.svip,
        "svipInterface": "Bond10G",
        "svipNodeID": 1,
        "svipVlanTag": "0",
        "uniqueID": identity.unique_id,
        "uuid": identity.uuid,
    }
    return {"clusterInfo": found}


@method("GetClusterVersionInfo", "1.0", _RIGHTS)
def get_cluster_version_info(cluster: Cluster, args: Args) -> Json:
    """Return the software's version, four-part, and the API's, two-part."""
    full = cluster.identity.version
    return {
        "clusterAPIVersion": cluster.identity.api_version,
        "clusterVersion": full,
        "clusterVersionInfo": [{"nodeID": 1, "nodeInternalRevision": "BuildType=Release", "nodeVersion": full}],
        "softwareVersionInfo": {
            "currentVersion": full,
            "nodeID": 0,
            "packageName": "",
            "pendingVersion": full,
            "startTime": "",
        },
    }


@method("GetClusterFullThreshold", "1.0", "clusterAdmin")
def get_cluster_full_threshold(cluster: Cluster, args: Args) -> Json:
    """Return how full the cluster claims to be; it is a setting, nothing measured."""
    total, stage = cluster.settings.capacity, cluster.settings.fullness
    metadata = total // 128
    return {
        "blockFullness": stage,
        "fullness": stage,
        "maxMetadataOverProvisionFactor": 5,
        "metadataFullness": "stage1Happy",
        "sliceReserveUsedThresholdPct": 5,
        "stage2AwareThreshold": 3,
        "stage2BlockThresholdBytes": total * 90 // 100,
        "stage2MetadataThresholdBytes": metadata * 90 // 100,
        "stage3BlockThresholdBytes": total * 95 // 100,
        "stage3BlockThresholdPercent": 5,
        "stage3LowThreshold": 2,
        "stage3MetadataThresholdBytes": metadata * 95 // 100,
        "stage3MetadataThresholdPercent": 5,
        "stage4BlockThresholdBytes": total * 98 // 100,
        "stage4CriticalThreshold": 1,
        "stage4MetadataThresholdBytes": metadata * 98 // 100,
        "stage5BlockThresholdBytes": total,
        "stage5MetadataThresholdBytes": metadata,
        "sumTotalClusterBytes": total,
        "sumTotalMetadataClusterBytes": metadata,
        "sumUsedClusterBytes": 0,
        "sumUsedMetadataClusterBytes": 0,
    }


@method("GetClusterState", "5.0", _RIGHTS, optional(BOOL, "force"))
def get_cluster_state(cluster: Cluster, args: Args) -> Json:
    """Return that the cluster works."""
    return {"cluster": cluster.identity.name, "state": "Active"}


@method("GetClusterMasterNodeID", "1.0", _RIGHTS)
def get_cluster_master_node_id(cluster: Cluster, args: Args) -> Json:
    """Return the only node."""
    return {"nodeID": 1}


@method("GetLimits", "1.0", _RIGHTS)
def get_limits(cluster: Cluster, args: Args) -> Json:
    """Return the limits of the running software, whatever the endpoint's version."""
    return {name: value for name, value in cluster.limits.items() if name not in HIDDEN}


def _node(cluster: Cluster) -> Json:
    identity = cluster.identity
    return {
        "associatedFServiceID": 0,
        "associatedMasterServiceID": 1,
        "attributes": {},
        "chassisName": "lab",
        "cip": identity.sip,
        "cipi": "Bond10G",
        "customProtectionDomainName": "__default__",
        "fibreChannelTargetPortGroup": None,
        "maintenanceMode": "Disabled",
        "mip": identity.mvip,
        "mipi": "Bond1G",
        "name": f"{identity.name}-node-1",
        "nodeID": 1,
        "nodeSlot": "",
        "platformInfo": {
            "chassisType": "VIRTUAL",
            "cpuModel": "virtual",
            "nodeMemoryGB": 1,
            "nodeType": "SFVIRT",
            "platformConfigVersion": "0.0.0.0",  # noqa: S104 - a version
        },
        "role": "Storage",
        "sip": identity.sip,
        "sipi": "Bond10G",
        "softwareVersion": identity.version,
        "uuid": identity.uuid.upper(),
        "virtualNetworks": [],
    }


@method("ListActiveNodes", "1.0", _RIGHTS)
def list_active_nodes(cluster: Cluster, args: Args) -> Json:
    """Return the only node."""
    return {"nodes": [_node(cluster)]}


@method("ListAllNodes", "1.0", _RIGHTS)
def list_all_nodes(cluster: Cluster, args: Args) -> Json:
    """Return the only node and that none is pending."""
    return {"nodes": [_node(cluster)], "pendingNodes": [], "pendingActiveNodes": []}


@method(
    "ListClusterFaults",
    "1.0",
    _RIGHTS,
    optional(enum("current", "resolved", "all"), "faultTypes"),
    optional(BOOL, "bestPractices"),
)
def list_cluster_faults(cluster: Cluster, args: Args) -> Json:
    """Return no fault."""
    return {"faults": []}


@method("GetClusterHardwareInfo", "1.0", _RIGHTS, optional(enum("drives", "nodes", "all"), "type"))
def get_cluster_hardware_info(cluster: Cluster, args: Args) -> Json:
    """Return the only node's serial number, which Trident reads."""
    found: Json = {"drives": {}, "nodes": {"1": {"serial": cluster.identity.unique_id.upper()}}}
    only = args.get("type", "all")
    return {"clusterHardwareInfo": {name: part for name, part in found.items() if only in ("all", name)}}


@method("ListDrives", "1.0", _RIGHTS)
def list_drives(cluster: Cluster, args: Args) -> Json:
    """Return no drive: the array's data knows its own."""
    return {"drives": []}


@method("ListBulkVolumeJobs", "6.0", _RIGHTS)
def list_bulk_volume_jobs(cluster: Cluster, args: Args) -> Json:
    """Return none: the array has no bulk reads and writes."""
    return {"bulkVolumeJobs": []}


@method("ListNodeStats", "6.0", _RIGHTS)
def list_node_stats(cluster: Cluster, args: Args) -> Json:
    """Return none: nothing is measured."""
    return {"nodeStats": {"nodes": []}}


@method("ListVolumeQoSHistograms", "10.0", _RIGHTS, optional(listed(ID), "volumeIDs"))
def list_volume_qos_histograms(cluster: Cluster, args: Args) -> Json:
    """Return none: nothing is measured."""
    return {"qosHistograms": []}
