"""A real API server takes what the chart renders, down to the last field."""

from __future__ import annotations

import pytest

from lab.kube import Api, ApiException
from tests.chart import rendering
from tests.chart.rendering import Object

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


def test_an_upgrade_changes_what_may_be_changed(admin: Api) -> None:
    """Selectors and the CSIDriver's fixed fields stay the same when values change."""
    installed = rendering.installed("minimal")
    for item in installed:
        admin.apply(item)
    try:
        # The names are those of the same release; its StorageClasses, which nobody may change, have other names.
        for item in rendering.installed("several-clusters"):
            admin.apply(item, dry_run=True)
    finally:
        for item in reversed(installed):
            name, namespace = item["metadata"]["name"], item["metadata"].get("namespace")
            admin.delete(item["kind"], name, namespace, api_version=item["apiVersion"])
