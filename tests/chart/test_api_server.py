"""A real API server takes what the chart renders, down to the last field."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab import programs
from lab.kube import Api, ApiException, ControlPlane
from tests.chart import rendering
from tests.chart.rendering import Object
from tests.docs import markdown

pytestmark = pytest.mark.timeout(1800)  # the API server is built first, where the cache does not have it

# The Prometheus Operator's, which a bare API server does not know.
_UNKNOWN = {"ServiceMonitor", "PrometheusRule"}


@pytest.fixture(scope="module", autouse=True)
def _namespaces(admin: Api) -> None:
    for name in (rendering.NAMESPACE, "tenant-a"):
        admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        # Made by a controller that does not run here, and wanted of every pod.
        admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}})


def _rendered(values: str) -> list[Object]:
    return [item for item in rendering.objects(rendering.text(values)) if item["kind"] not in _UNKNOWN]


@pytest.mark.parametrize("values", rendering.VALUES)
def test_every_object_is_accepted(admin: Api, values: str) -> None:
    for item in _rendered(values):
        (accepted,) = admin.apply(item, dry_run=True)
        assert accepted["metadata"]["name"] == item["metadata"]["name"]


def test_the_plain_manifests_are_accepted(admin: Api) -> None:
    admin.apply((rendering.PLAIN / "namespace.yaml").read_text(), dry_run=True)
    admin.apply((rendering.PLAIN / "csi-solidfire.yaml").read_text(), dry_run=True)


def test_a_field_that_does_not_exist_is_not_accepted(admin: Api) -> None:
    """The tests above would notice."""
    deployment = rendering.one("Deployment", _rendered("minimal"))
    deployment["spec"]["template"]["spec"]["enableServiceLink"] = False
    with pytest.raises(ApiException, match="enableServiceLink"):
        admin.apply(deployment, dry_run=True)


def _helm(plane: ControlPlane, *words: str) -> str:
    place = (f"--kubeconfig={plane.admin}", f"--namespace={rendering.NAMESPACE}")
    done = rendering.helm(*words, *place)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _kubectl(plane: ControlPlane, *words: str) -> None:
    command = [str(programs.built(programs.KUBECTL)), f"--kubeconfig={plane.admin}", *words]
    done = subprocess.run(command, cwd=rendering.REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def _there(admin: Api, items: list[Object]) -> set[tuple[str, str]]:
    return {
        (item["kind"], item["metadata"]["name"])
        for item in items
        if admin.find(
            item["kind"],
            item["metadata"]["name"],
            item["metadata"].get("namespace"),
            api_version=item["apiVersion"],
        )
    }


def test_a_release_is_installed_upgraded_and_removed_without_a_trace(plane: ControlPlane, admin: Api) -> None:
    """Selectors and the CSIDriver's fixed fields stay the same when values change; what goes away is removed."""
    first, second = rendering.installed("minimal"), rendering.installed("several-clusters")
    chart = str(rendering.CHART)
    _helm(plane, "install", rendering.RELEASE, chart, f"--values={rendering.VALUES['minimal']}")
    assert len(_there(admin, first)) == len(first)

    _helm(plane, "upgrade", rendering.RELEASE, chart, f"--values={rendering.VALUES['several-clusters']}")
    assert len(_there(admin, second)) == len(second)
    assert ("StorageClass", "solidfire") not in _there(admin, first)

    _helm(plane, "uninstall", rendering.RELEASE)
    assert _there(admin, [*first, *second]) == set()
    assert not admin.list("Secret", rendering.NAMESPACE)


def test_an_upgrade_may_change_the_names_of_objects_but_not_what_their_selectors_have(
    plane: ControlPlane, admin: Api
) -> None:
    given = (rendering.RELEASE, str(rendering.CHART), f"--values={rendering.VALUES['minimal']}")
    _helm(plane, "install", *given)
    try:
        _helm(plane, "upgrade", *given, "--set=fullnameOverride=sf")
        assert admin.find("Deployment", "sf-controller", rendering.NAMESPACE, api_version="apps/v1")
        assert not _there(admin, rendering.of_kind("Deployment", rendering.installed("minimal")))
        with pytest.raises(AssertionError, match=r"spec\.selector: .*field is immutable"):
            _helm(plane, "upgrade", *given, "--set=fullnameOverride=sf,nameOverride=block")
    finally:
        _helm(plane, "uninstall", rendering.RELEASE)


def test_without_helm_all_is_installed_and_removed_as_the_page_says(plane: ControlPlane, admin: Api) -> None:
    """But for the namespace, whose end takes a controller that does not run here."""
    blocks = [body for kind, body in markdown.blocks((rendering.PLAIN / "README.md").read_text()) if kind == "console"]
    commands = [line.removeprefix("$ kubectl ").split() for block in blocks for line in block.splitlines()]
    apply, delete, leases = (
        next(command for command in commands if words <= {*command})
        for words in ({"apply", "-k"}, {"delete", "-f"}, {"delete", "leases"})
    )
    expected = rendering.objects((rendering.PLAIN / "csi-solidfire.yaml").read_text())
    _kubectl(plane, *apply)
    assert len(_there(admin, expected)) == len(expected)
    held = leases[leases.index("leases") + 1 :]
    for name in held:
        admin.apply(
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}}, rendering.NAMESPACE
        )
    _kubectl(plane, *delete)
    _kubectl(plane, *leases)
    assert _there(admin, expected) == set()
    assert not {item["metadata"]["name"] for item in admin.list("Lease", rendering.NAMESPACE)} & {*held}


def test_an_upgrade_may_change_everything_but_a_classes_parameters(plane: ControlPlane, tmp_path: Path) -> None:
    """As the page on installing says: the class is then to be deleted first."""
    good = rendering.VALUES["minimal"].read_text()
    changed = tmp_path / "values.yaml"
    changed.write_text(good + "storageClasses: [{name: solidfire, parameters: {maxIOPS: 1000}}]\n")
    chart = str(rendering.CHART)
    _helm(plane, "install", rendering.RELEASE, chart, f"--values={rendering.VALUES['minimal']}")
    try:
        with pytest.raises(AssertionError, match=r"parameters: .*field is immutable"):
            _helm(plane, "upgrade", rendering.RELEASE, chart, f"--values={changed}")
        with plane.api(plane.admin) as admin:
            admin.delete("StorageClass", "solidfire")
        _helm(plane, "upgrade", rendering.RELEASE, chart, f"--values={changed}")
    finally:
        _helm(plane, "uninstall", rendering.RELEASE)
