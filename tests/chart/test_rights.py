"""Who may do what, read from the rendered objects: each part what it needs, and nothing beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import yaml

from tests.chart import rendering
from tests.chart.rendering import NAMESPACE, Object, objects, of_kind, one

pytestmark = pytest.mark.timeout(1200)

_EVERYWHERE = ""
_READ = frozenset({"get", "list", "watch"})


class Right(NamedTuple):
    """A verb on a resource, in a namespace or everywhere, of all names or one."""

    namespace: str
    resource: str
    verb: str
    name: str = ""


def _spelled_out(rules: list[Object], namespace: str) -> Iterator[Right]:
    for rule in rules:
        assert set(rule) <= {"apiGroups", "resources", "verbs", "resourceNames"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", [""]):
                        yield Right(namespace, f"{group}/{resource}".lstrip("/"), verb, name)


def rights(found: list[Object], account: str) -> set[Right]:
    """Return what a ServiceAccount of the release's namespace may do."""
    subject = {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
    roles = {
        (role["kind"], role["metadata"].get("namespace", _EVERYWHERE), role["metadata"]["name"]): role["rules"]
        for kind in ("Role", "ClusterRole")
        for role in of_kind(kind, found)
    }
    allowed: set[Right] = set()
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        for binding in of_kind(kind, found):
            if subject in binding["subjects"]:
                where = binding["metadata"].get("namespace", _EVERYWHERE)
                reference = binding["roleRef"]
                allowed |= set(_spelled_out(roles[reference["kind"], where, reference["name"]], where))
    return allowed


def _account(found: list[Object], kind: str) -> str:
    name: str = one(kind, found)["spec"]["template"]["spec"]["serviceAccountName"]
    return name


def _all(resource: str, *verbs: str, namespace: str = _EVERYWHERE, name: str = "") -> set[Right]:
    return {Right(namespace, resource, verb, name) for verb in verbs}


@pytest.mark.parametrize("values", rendering.VALUES)
def test_nodes_may_do_nothing(values: str) -> None:
    found = objects(rendering.text(values))
    pod = one("DaemonSet", found)["spec"]["template"]["spec"]
    assert rights(found, pod["serviceAccountName"]) == set()
    assert pod["automountServiceAccountToken"] is False
    assert not [volume for volume in pod["volumes"] if "projected" in volume or "secret" in volume]


@pytest.mark.parametrize("values", rendering.VALUES)
def test_every_binding_is_for_the_controller(values: str) -> None:
    found = objects(rendering.text(values))
    subject = {"kind": "ServiceAccount", "name": _account(found, "Deployment"), "namespace": NAMESPACE}
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        assert all(binding["subjects"] == [subject] for binding in of_kind(kind, found))


def test_the_controller_may_do_what_its_parts_need_and_nothing_else() -> None:
    """The whole list, so that a change of it is a change of this test."""
    found = objects(rendering.text("minimal"))
    leases = "coordination.k8s.io/leases"
    driver = _all("secrets", "get", "list", "create", "update", "delete", namespace=NAMESPACE)
    election = (
        _all(leases, "create", namespace=NAMESPACE)
        | _all(leases, "get", "update", namespace=NAMESPACE, name="csi-solidfire-io")
        | _all(leases, "get", "update", namespace=NAMESPACE, name="external-attacher-leader-csi-solidfire-io")
        | _all("events", "create", "patch", namespace=NAMESPACE)
    )
    provisioner = (
        _all("persistentvolumes", *_READ, "create", "patch", "delete")
        | _all("persistentvolumeclaims", *_READ, "update")
        | _all("events", "create", "patch")
        | _all("nodes", *_READ)
        | _all("storage.k8s.io/csinodes", *_READ)
        | _all("storage.k8s.io/storageclasses", *_READ)
        | _all("storage.k8s.io/volumeattachments", *_READ)
        | _all("storage.k8s.io/volumeattributesclasses", "get")
    )
    attacher = (
        _all("persistentvolumes", *_READ, "patch")
        | _all("storage.k8s.io/csinodes", *_READ)
        | _all("storage.k8s.io/volumeattachments", *_READ, "patch")
        | _all("storage.k8s.io/volumeattachments/status", "patch")
    )
    assert rights(found, _account(found, "Deployment")) == driver | election | provisioner | attacher


@pytest.mark.parametrize("values", sorted(rendering.VALUES.keys() - {"particular"}))
def test_secrets_are_read_where_they_are_named_only(values: str) -> None:
    """The driver's in its own namespace, beside them those a class names, one by one."""
    found = objects(rendering.text(values))
    classes = [
        (item["parameters"].get(f"{prefix}-namespace"), item["parameters"].get(f"{prefix}-name"))
        for item in of_kind("StorageClass", found)
        for prefix in ("csi.storage.k8s.io/provisioner-secret", "csi.storage.k8s.io/controller-publish-secret")
    ]
    named = {Right(namespace, "secrets", "get", name) for namespace, name in classes if namespace}
    allowed = {right for right in rights(found, _account(found, "Deployment")) if right.resource == "secrets"}
    assert {right for right in allowed if right.namespace != NAMESPACE} == named
    assert all(right.namespace != _EVERYWHERE for right in allowed)


@pytest.mark.parametrize("values", rendering.VALUES)
def test_no_rule_has_a_wildcard_or_leads_to_more_rights(values: str) -> None:
    allowed = rights(objects(rendering.text(values)), _account(objects(rendering.text(values)), "Deployment"))
    assert allowed
    for right in allowed:
        assert "*" not in "".join(right)
        assert not right.resource.startswith(("rbac.authorization.k8s.io", "pods", "serviceaccounts"))
        assert right.verb not in {"escalate", "bind", "impersonate", "deletecollection"}


def test_the_drivers_role_is_the_file_that_the_tests_run_it_under() -> None:
    rules = yaml.safe_load((rendering.CHART / "files/controller-role.yaml").read_text())
    found = objects(rendering.text("minimal"))
    (role,) = [role for role in of_kind("Role", found) if role["metadata"]["name"].endswith("-chap-secrets")]
    assert role["rules"] == rules


@pytest.mark.parametrize("values", rendering.VALUES)
def test_the_sidecars_may_use_the_leases_that_they_lead_by(values: str) -> None:
    found = objects(rendering.text(values))
    name = re.sub(r"[^a-zA-Z0-9-]", "-", one("CSIDriver", found)["metadata"]["name"])
    leases = {right for right in rights(found, _account(found, "Deployment")) if "leases" in right.resource}
    assert {right.name for right in leases if right.verb == "update"} == {name, f"external-attacher-leader-{name}"}
    assert "create" in {right.verb for right in leases}


def test_further_rules_are_added_to_the_sidecar_they_are_for() -> None:
    found = objects(rendering.text("particular"))
    added = Right(_EVERYWHERE, "secrets", "get")
    assert added in rights(found, "made-elsewhere")
    assert added not in rights(objects(rendering.text("minimal")), "csi-solidfire-controller")


def test_rights_may_come_from_elsewhere() -> None:
    found = objects(rendering.template(rendering.VALUES["several-clusters"], "--set=rbac.create=false"))
    assert not {item["kind"] for item in found} & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
    assert len(of_kind("ServiceAccount", found)) == 2


def test_cluster_wide_names_say_whose_they_are() -> None:
    """Two releases, or another driver, would overwrite each other's otherwise."""
    found = objects(rendering.text("minimal"))
    for kind in ("ClusterRole", "ClusterRoleBinding"):
        assert all(item["metadata"]["name"].startswith("csi-solidfire-") for item in of_kind(kind, found))
