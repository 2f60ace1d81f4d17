"""Cluster admins: who may use the API, and which part of it."""

from __future__ import annotations

from dataclasses import replace

from lab.array import choices, lookup
from lab.array.cluster import Cluster
from lab.array.errors import ElementError
from lab.array.params import BOOL, ID, OBJECT, STR, Args, enum, listed, optional, required
from lab.array.registry import method
from lab.array.rows import Admin, Json

ACCESS_TYPES = (
    "accounts",
    "administrator",
    "clusterAdmin",
    "clusterAdmins",
    "drives",
    "nodes",
    "read",
    "reporting",
    "repositories",
    "supportAdmin",
    "volumes",
    "write",
)
_ACCESS = listed(enum(*ACCESS_TYPES))


def _view(row: Admin) -> Json:
    return {
        "access": list(row.access),
        "attributes": row.attributes,
        "authMethod": "Cluster",
        "clusterAdminID": row.id,
        "username": row.username,
    }


def _found(cluster: Cluster, admin_id: int) -> Admin:
    row = cluster.admins.get(admin_id)
    if row is None:
        raise ElementError(choices.UNKNOWN_ADMIN, f"ClusterAdminID {admin_id} does not exist.")
    return row


@method(
    "AddClusterAdmin",
    "1.0",
    "clusterAdmin",
    required(STR, "username"),
    required(STR, "password"),
    required(_ACCESS, "access"),
    optional(BOOL, "acceptEula"),
    optional(OBJECT, "attributes"),
)
def add_cluster_admin(cluster: Cluster, args: Args) -> Json:
    """Let somebody in."""
    if cluster.admins.find("username", args["username"]):
        raise ElementError(choices.DUPLICATE_ADMIN, f"Username {args['username']} is in use")
    attributes = lookup.attributes(cluster, args.get("attributes"))
    row = Admin(cluster.admins.next_id(), args["username"], args["password"], tuple(args["access"]), attributes)
    return {"clusterAdminID": cluster.admins.put(row).id}


@method("ListClusterAdmins", "1.0", "clusterAdmin", optional(BOOL, "showHidden"))
def list_cluster_admins(cluster: Cluster, args: Args) -> Json:
    """Return all admins, without passwords."""
    return {"clusterAdmins": [_view(row) for row in cluster.admins]}


@method(
    "ModifyClusterAdmin",
    "1.0",
    "clusterAdmin",
    required(ID, "clusterAdminID"),
    optional(STR, "password"),
    optional(_ACCESS, "access"),
    optional(OBJECT, "attributes"),
)
def modify_cluster_admin(cluster: Cluster, args: Args) -> Json:
    """Change an admin's password, rights or attributes."""
    row = _found(cluster, args["clusterAdminID"])
    row = replace(row, password=args.get("password", row.password), access=tuple(args.get("access", row.access)))
    if "attributes" in args:
        row = replace(row, attributes=lookup.attributes(cluster, args["attributes"]))
    cluster.admins.put(row)
    return {}


@method("RemoveClusterAdmin", "1.0", "clusterAdmin", required(ID, "clusterAdminID"))
def remove_cluster_admin(cluster: Cluster, args: Args) -> Json:
    """Lock somebody out."""
    cluster.admins.remove(_found(cluster, args["clusterAdminID"]).id)
    return {}


@method("GetCurrentClusterAdmin", "6.0", " ".join(ACCESS_TYPES))
def get_current_cluster_admin(cluster: Cluster, args: Args) -> Json:
    """Return who asks."""
    username, rights = cluster.caller
    # The admin that the array was started with has no record.
    known = cluster.admins.find("username", username)
    return {"clusterAdmin": _view(known[0] if known else Admin(1, username, "", rights))}
