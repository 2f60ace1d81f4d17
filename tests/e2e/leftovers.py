"""What a volume can leave behind: in Kubernetes, on the array, on the nodes."""

from __future__ import annotations

from lab.kube import Api
from lab.kube.cluster import Cluster
from lab.site import DRIVER
from tests.e2e.space import until

_CHAP_SECRET = "kubernetes.io/iscsi-chap"
# Sessions, node records, disks of ours, and mounts of them or of the driver's volumes, a line each. A mount in
# kubelet's directory is one of them by where it is; the pods' service account tokens are mounted there too.
_ON_NODE = f"""
cd /sys/class/iscsi_session && grep -H . */targetname
find /etc/iscsi/nodes /var/lib/iscsi/nodes -mindepth 1 -maxdepth 1
grep -l SolidFir /sys/class/block/sd*/device/vendor
grep -e kubernetes.io~csi -e kubernetes.io/csi/{DRIVER} -e volumeDevices/publish /proc/self/mountinfo
find /var/lib/kubelet/plugins/kubernetes.io/csi/{DRIVER} -mindepth 1 -maxdepth 1
find /var/lib/kubelet/pods -maxdepth 4 -path '*/kubernetes.io~csi/*'
losetup --list --noheadings
true
"""


def wait_for_nothing_left(cluster: Cluster) -> None:
    """Wait until nothing of any volume is left anywhere.

    Raises:
        AssertionError: Something stays; the message has it.
    """
    with cluster.api() as api:
        until(lambda: not left(cluster, api), "something stays", lambda: "\n".join(left(cluster, api)))


def left(cluster: Cluster, api: Api) -> list[str]:
    """Return what is there now, in lines."""
    return [*in_kubernetes(api), *on_array(cluster), *on_nodes(cluster)]


def in_kubernetes(api: Api) -> list[str]:
    """Return volumes, attachments and CHAP Secrets."""
    found = [
        f"{kind} {each['metadata']['name']}"
        for kind in ("PersistentVolume", "VolumeAttachment")
        for each in api.list(kind)
    ]
    secrets = [f"Secret {each['metadata']['name']}" for each in api.list("Secret", fields=f"type={_CHAP_SECRET}")]
    return found + secrets


def on_array(cluster: Cluster) -> list[str]:
    """Return volumes, those in the recycle bin, and accounts."""
    volumes = [
        *cluster.array.call("ListActiveVolumes")["volumes"],
        *cluster.array.call("ListDeletedVolumes")["volumes"],
    ]
    accounts = cluster.array.call("ListAccounts")["accounts"]
    return [
        *(f"volume {each['volumeID']} {each['name']} ({each['status']})" for each in volumes),
        *(f"account {each['username']} with volumes {each['volumes']}" for each in accounts),
    ]


def on_nodes(cluster: Cluster) -> list[str]:
    """Return sessions, records, disks, mounts and directories."""
    return [
        f"{name}: {line}"
        for name, machine in cluster.nodes.items()
        for line in machine.run(_ON_NODE, check=False).stdout.splitlines()
    ]
