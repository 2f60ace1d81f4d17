"""QoS policies and the default QoS."""

from __future__ import annotations

from dataclasses import replace

from lab.array import lookup, views
from lab.array.cluster import Cluster
from lab.array.params import ID, INT, QOS, STR, Args, optional, required
from lab.array.registry import method
from lab.array.rows import Defaults, Json, QosPolicy


@method("CreateQoSPolicy", "10.0", "volumes write", required(STR, "name"), required(QOS, "qos"))
def create_qos_policy(cluster: Cluster, args: Args) -> Json:
    """Make a policy; what it does not say is the default QoS. Names need not be unique."""
    lookup.check_length(cluster, "qosPolicyName", args["name"])
    cluster.limit("qosPolicyCountMax", len(cluster.policies) + 1, "QoS policies")
    qos = lookup.merged_qos(cluster, args["qos"], lookup.default_qos(cluster))
    row = cluster.policies.put(QosPolicy(cluster.policies.next_id(), args["name"], qos))
    return {"qosPolicy": views.policy(cluster, row)}


@method("GetQoSPolicy", "10.0", "volumes read", required(ID, "qosPolicyID"))
def get_qos_policy(cluster: Cluster, args: Args) -> Json:
    """Return one policy."""
    return {"qosPolicy": views.policy(cluster, lookup.policy(cluster, args["qosPolicyID"]))}


@method("ListQoSPolicies", "10.0", "volumes read")
def list_qos_policies(cluster: Cluster, args: Args) -> Json:
    """Return all policies."""
    return {"qosPolicies": [views.policy(cluster, row) for row in cluster.policies]}


@method(
    "ModifyQoSPolicy", "10.0", "volumes write", required(ID, "qosPolicyID"), optional(STR, "name"), optional(QOS, "qos")
)
def modify_qos_policy(cluster: Cluster, args: Args) -> Json:
    """Change a policy and every volume that follows it."""
    old = lookup.policy(cluster, args["qosPolicyID"])
    row = replace(old, name=args.get("name", old.name), qos=lookup.merged_qos(cluster, args.get("qos", {}), old.qos))
    lookup.check_length(cluster, "qosPolicyName", row.name)
    cluster.policies.put(row)
    for volume in cluster.volumes.find("policy", row.id):
        cluster.volumes.put(replace(volume, qos=row.qos))
    return {"qosPolicy": views.policy(cluster, row)}


@method("DeleteQoSPolicy", "10.0", "volumes write", required(ID, "qosPolicyID"))
def delete_qos_policy(cluster: Cluster, args: Args) -> Json:
    """Remove a policy; its volumes keep the values."""
    row = lookup.policy(cluster, args["qosPolicyID"])
    for volume in cluster.volumes.find("policy", row.id):
        cluster.volumes.put(replace(volume, qos_policy_id=None))
    cluster.policies.remove(row.id)
    return {}


@method("GetDefaultQoS", "1.0", "volumes read")
def get_default_qos(cluster: Cluster, args: Args) -> Json:
    """Return the default QoS, flat."""
    return views.qos(lookup.default_qos(cluster))


@method(
    "SetDefaultQoS",
    "9.0",
    "volumes write",
    optional(INT, "minIOPS"),
    optional(INT, "maxIOPS"),
    optional(INT, "burstIOPS"),
)
def set_default_qos(cluster: Cluster, args: Args) -> Json:
    """Change what later volumes get."""
    qos = lookup.merged_qos(cluster, args, lookup.default_qos(cluster))
    cluster.defaults.put(Defaults(1, qos))
    return {"burstIOPS": qos.burst_iops, "maxIOPS": qos.max_iops, "minIOPS": qos.min_iops}
