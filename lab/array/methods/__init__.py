"""The Element methods, one module a topic. Importing this package fills the registry."""

from lab.array.methods import (
    access_groups,
    accounts,
    admins,
    clones,
    cluster_info,
    groups,
    initiators,
    qos,
    sessions,
    snapshots,
    stats,
    volume_changes,
    volume_lists,
    volumes,
)

__all__ = [
    "access_groups",
    "accounts",
    "admins",
    "clones",
    "cluster_info",
    "groups",
    "initiators",
    "qos",
    "sessions",
    "snapshots",
    "stats",
    "volume_changes",
    "volume_lists",
    "volumes",
]
