"""How a VM becomes a node of a cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.kube.control_plane import GUESTS_HOST, SERVICE_ADDRESS, ControlPlane, free_port
from lab.vm import Machine

_ETC: Final = "/etc/kubernetes"
_PODS: Final = "10.244.0.0/16"
_START_SECONDS: Final = 240.0  # a second or two, where nothing else runs


@dataclass(frozen=True)
class Node:
    """A node's place in its cluster.

    Attributes:
        number: From 1; its name, its addresses and those of its pods follow from it.
    """

    number: int

    @property
    def name(self) -> str:
        return f"node-{self.number}"

    @property
    def address(self) -> str:
        """On the storage network; kubelet's `--node-ip`, since the other network gives all VMs the same."""
        return f"192.0.2.{100 + self.number}"

    @property
    def pods(self) -> str:
        """The subnet of its pods."""
        return f"10.244.{self.number}.0/24"


def join(machine: Machine, node: Node, others: list[Node], plane: ControlPlane, files: Path) -> None:
    """Give a VM its credentials and settings and start kubelet; the node is not ready yet on return.

    Args:
        machine: The VM, with the node's address on its storage card.
        node: Who it becomes.
        others: The cluster's other nodes.
        plane: The cluster's control plane.
        files: A new directory of this machine for what the VM is given.
    """
    etc, pod_network = files / "etc", files / "pods.conflist"
    etc.mkdir(mode=0o700, parents=True)
    # The API server connects to the port that kubelet tells it, so both sides of the way into the VM have the same.
    port = free_port()
    machine.forward(port, port)
    _write_credentials(etc, node, plane)
    (etc / "kubelet.json").write_text(json.dumps(_kubelet(port), indent=2))
    (etc / "kubelet.env").write_text(f"NODE={node.name}\nADDRESS={node.address}\n")
    (etc / "network.sh").write_text(_network(node, others, plane.port))
    pod_network.write_text(json.dumps(_pod_network(node), indent=2))
    # Its directory must stay the one that containerd watches.
    machine.send_tree({_ETC: etc, "/etc/cni/net.d/10-lab.conflist": pod_network})
    machine.run(
        "systemctl enable --quiet cluster-network kubelet && systemctl start --no-block cluster-network kubelet",
        timeout=_START_SECONDS,
    )


def _write_credentials(etc: Path, node: Node, plane: ControlPlane) -> None:
    serving = plane.authority.issue(f"kubelet-{node.name}", f"/CN={node.name}", [node.name])
    config = plane.kubeconfig(f"system:node:{node.name}", ["system:nodes"], host=GUESTS_HOST)
    for name, source in (
        ("ca.crt", plane.authority.certificate.cert),
        ("kubelet.crt", serving.cert),
        ("kubelet.key", serving.key),
        ("kubeconfig", config),
    ):
        (etc / name).touch(mode=0o600)
        (etc / name).write_bytes(source.read_bytes())


def _kubelet(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": f"{_ETC}/ca.crt"},
            "webhook": {"enabled": True},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "systemd",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "port": port,
        "tlsCertFile": f"{_ETC}/kubelet.crt",
        "tlsPrivateKeyFile": f"{_ETC}/kubelet.key",
        # A new volume is mounted, and one that is done with detached, when kubelet has told the API that it is in use
        # or not. Its own ten seconds are most of what a pod would wait for its volume: 20 s, where it is 10 with this.
        "nodeStatusUpdateFrequency": "1s",
        # Renewed four times in that time: a lost node is given up soon after, see the controller manager's arguments.
        "nodeLeaseDurationSeconds": 12,
        # There is no DNS but the outer one; without any, every pod would have an event that complains.
        "clusterDNS": ["10.0.2.3"],
        "failSwapOn": False,
        # To make a container takes seconds, and minutes where everything else does too: kubelet's own two were too few.
        "runtimeRequestTimeout": "10m",
        # Tests kill containers; nobody has to be spared one that ends again and again.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "2s"},
        # Images can't be pulled here, so none may be thrown away.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "50Mi"},
    }


def _network(node: Node, others: list[Node], api_port: int) -> str:
    """A script for each boot; stands in for kube-proxy for the one service that every pod needs."""
    from_pods = f"-s {node.pods} ! -d {_PODS} -j MASQUERADE"
    to_api = f"-d {SERVICE_ADDRESS} -p tcp --dport 443 -j DNAT --to {GUESTS_HOST}:{api_port}"
    routes = "".join(f"ip route replace {other.pods} via {other.address}\n" for other in others)
    return (
        "set -eu\n"
        "until ip -4 -oneline address show eth1 | grep -q inet; do sleep 0.1; done\n"
        f"iptables -w -t nat -A POSTROUTING {from_pods}\n"
        f"for chain in PREROUTING OUTPUT; do iptables -w -t nat -A $chain {to_api}; done\n"
        f"{routes}"
    )


def _pod_network(node: Node) -> dict[str, Any]:
    ranges = [[{"subnet": node.pods}]]
    ipam = {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}
    # Not `ipMasq`: that would run iptables several times for each pod.
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": ipam}
    return {"cniVersion": "1.0.0", "name": "lab", "plugins": [bridge]}
