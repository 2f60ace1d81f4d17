"""Kubernetes in the lab: a real control plane on this machine, and nodes in VMs.

with ControlPlane.start(directory) as plane:
    admin = plane.api(plane.kubeconfig("admin", ["system:masters"]))
    admin.apply(manifests)
    node = plane.api(plane.kubeconfig("system:node:node-1", ["system:nodes"]))
"""

from __future__ import annotations

from lab.kube.api import Api, ApiException
from lab.kube.control_plane import ControlPlane

__all__ = ["Api", "ApiException", "ControlPlane"]
