"""The namespace of the driver and its ServiceAccount, with exactly what the chart lets it do."""

from __future__ import annotations

from pathlib import Path

import yaml

from lab.kube import Api

NAMESPACE = "solidfire"
ACCOUNT = "csi-solidfire-controller"
_RULES = Path(__file__).parents[2] / "deploy/helm/csi-solidfire/files/controller-role.yaml"
_RBAC = "rbac.authorization.k8s.io/v1"


def install(admin: Api) -> None:
    """Make namespace, ServiceAccount and Role, and bind them."""
    place = {"name": ACCOUNT, "namespace": NAMESPACE}
    admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": place})
    admin.apply({"apiVersion": _RBAC, "kind": "Role", "metadata": place, "rules": yaml.safe_load(_RULES.read_text())})
    bind(admin)


def bind(admin: Api) -> None:
    admin.apply(
        {
            "apiVersion": _RBAC,
            "kind": "RoleBinding",
            "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        }
    )


def unbind(admin: Api) -> None:
    admin.delete("RoleBinding", ACCOUNT, NAMESPACE)
