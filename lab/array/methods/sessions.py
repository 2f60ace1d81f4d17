"""iSCSI sessions and networks."""

from __future__ import annotations

from lab.array import targets
from lab.array.clock import fine_stamp
from lab.array.cluster import Cluster
from lab.array.data import Session
from lab.array.params import ID, Args, listed, optional
from lab.array.registry import method
from lab.array.rows import Json

_SERVICE = 4


@method("ListISCSISessions", "1.0", "read reporting volumes")
def list_iscsi_sessions(cluster: Cluster, args: Args) -> Json:
    """Return the live sessions as the data sees them."""
    found = [_session(cluster, number, session) for number, session in enumerate(cluster.data.sessions(), 1)]
    return {"sessions": [session for session in found if session]}


def _session(cluster: Cluster, number: int, session: Session) -> Json | None:
    volume = cluster.volumes.get(session.volume_id)
    if volume is None:
        return None
    account = next(iter(cluster.accounts.find("username", session.username)), None)
    iqn = targets.iqn(cluster.identity.unique_id, volume.name, volume.id)
    return {
        "accountID": account.id if account else 0,
        "accountName": session.username,
        "authentication": _authentication(session),
        "createTime": fine_stamp(session.created),
        "driveID": 1,
        "driveIDs": [1],
        "initiator": _initiator(cluster, session.initiator),
        "initiatorIP": session.initiator_address,
        "initiatorName": session.initiator,
        "initiatorPortName": f"{session.initiator},i,0x{session.isid:x}",
        "initiatorSessionID": session.isid,
        "msSinceLastIscsiPDU": 0,
        "msSinceLastScsiCommand": 0,
        "nodeID": 1,
        "serviceID": _SERVICE,
        "sessionID": (_SERVICE << 32) + number,
        "targetIP": session.target_address,
        "targetName": iqn,
        "targetPortName": f"{iqn},t,0x1",
        "virtualNetworkID": 0,
        "volumeID": volume.id,
        "volumeInstance": volume.id,
    }


def _authentication(session: Session) -> Json:
    if not session.username:
        return {"authMethod": "None", "chapAlgorithm": None, "chapUsername": None, "direction": None}
    direction = "two-way" if session.mutual else "one-way"
    return {"authMethod": "CHAP", "chapAlgorithm": "MD5", "chapUsername": session.username, "direction": direction}


def _initiator(cluster: Cluster, name: str) -> Json | None:
    """Return the known initiator of that name.

    The real array leaves out the two secrets, which breaks the vendor's own SDK; null secrets break nobody.
    """
    for row in cluster.initiators.find("name", name.lower()):
        return {
            "alias": row.alias,
            "attributes": row.attributes,
            "chapCredentialsID": 0,
            "initiatorID": row.id,
            "initiatorName": row.name,
            "initiatorSecret": None,
            "requireChap": row.require_chap,
            "targetSecret": None,
            "virtualNetworkIDs": list(row.virtual_network_ids),
            "volumeAccessGroups": [found.id for found in cluster.access_groups.find("initiator", row.id)],
        }
    return None


@method(
    "ListVirtualNetworks",
    "7.0",
    "read reporting",
    optional(ID, "virtualNetworkID"),
    optional(ID, "virtualNetworkTag"),
    optional(listed(ID), "virtualNetworkIDs"),
    optional(listed(ID), "virtualNetworkTags"),
)
def list_virtual_networks(cluster: Cluster, args: Args) -> Json:
    """Return none: the array has one untagged storage network."""
    return {"virtualNetworks": []}


@method("ListClusterPairs", "6.0", "read reporting volumes")
def list_cluster_pairs(cluster: Cluster, args: Args) -> Json:
    """Return none: the array has no replication."""
    return {"clusterPairs": []}
