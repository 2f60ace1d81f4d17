"""The chart's rights, proved by use: the sidecars and the driver work with its ServiceAccount against a real API.

The test plays kubelet, scheduler and controller manager, which only say what shall be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import kubernetes.client
import kubernetes.config
import pytest
import requests

from lab.array import Array
from lab.kube import Api, ControlPlane
from lab.kube.api import Object
from tests.array.waiting import wait_until
from tests.chart import rendering
from tests.chart.release import CLAIM, NODE, Release

pytestmark = pytest.mark.timeout(1800)  # everything is built first, where the cache does not have it

_PATIENCE = 60.0  # seconds


@pytest.fixture(scope="module")
def array() -> Iterator[Array]:
    with Array.start(unique_id="lab1") as array:
        yield array


@pytest.fixture(scope="module")
def release(
    plane: ControlPlane, admin: Api, array: Array, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    with Release(plane, admin, array, tmp_path_factory.mktemp("release")) as running:
        yield running


def _volumes(array: Array) -> list[Object]:
    found: list[Object] = array.call("ListVolumes", {"volumeStatus": "active"})["volumes"]
    return found


def _delete_claim(admin: Api, name: str) -> None:
    """Delete a claim that no pod uses; the controller manager would see that."""
    admin.delete("PersistentVolumeClaim", name, "default")
    admin.patch("PersistentVolumeClaim", name, {"metadata": {"finalizers": None}}, "default")


def _release_volume(plane: ControlPlane, admin: Api, name: str) -> None:
    """Say that a volume's claim is gone, and let the volume go, as the controller manager does."""
    finalizers = admin.get("PersistentVolume", name)["metadata"]["finalizers"]
    finalizers.remove("kubernetes.io/pv-protection")
    admin.patch("PersistentVolume", name, {"metadata": {"finalizers": finalizers}})
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(plane.admin), client_configuration=configuration)
    configuration.proxy = None
    with kubernetes.client.ApiClient(configuration) as client:
        core = kubernetes.client.CoreV1Api(client)
        core.patch_persistent_volume_status(name, {"status": {"phase": "Released"}}, _request_timeout=30)


def test_a_volumes_whole_life_under_the_charts_rights(
    plane: ControlPlane, admin: Api, array: Array, release: Release
) -> None:
    """Made, attached, detached, deleted; its Secret with it; and nobody was refused anything."""
    admin.apply(CLAIM)
    wait_until(lambda: admin.list("PersistentVolume") or not release.are_running(), _PATIENCE)
    assert release.are_running(), release.logs()
    (volume,) = admin.list("PersistentVolume")
    name = volume["metadata"]["name"]
    assert volume["spec"]["csi"]["nodeStageSecretRef"] == {"name": name, "namespace": rendering.NAMESPACE}
    secret = admin.get("Secret", name, rendering.NAMESPACE)
    assert secret["type"] == "kubernetes.io/iscsi-chap"
    (made,) = _volumes(array)
    accounts = array.call("GetAccountByID", {"accountID": made["accountID"]})
    assert accounts["account"]["username"] == f"{NODE}-default"

    attachment: Object = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttachment",
        "metadata": {"name": "attachment"},
        "spec": {"attacher": "csi-solidfire.io", "nodeName": NODE, "source": {"persistentVolumeName": name}},
    }
    admin.create(attachment)
    wait_until(lambda: admin.get("VolumeAttachment", "attachment").get("status", {}).get("attached"), _PATIENCE)
    (made,) = _volumes(array)
    assert made["access"] == "readWrite"

    admin.delete("VolumeAttachment", "attachment")
    wait_until(lambda: admin.find("VolumeAttachment", "attachment") is None, _PATIENCE)
    (made,) = _volumes(array)
    assert made["access"] == "locked"

    _delete_claim(admin, "data")
    _release_volume(plane, admin, name)
    wait_until(lambda: admin.find("PersistentVolume", name) is None, _PATIENCE)
    assert not _volumes(array)
    assert admin.find("Secret", name, rendering.NAMESPACE) is None
    _nobody_was_refused(release)


def test_what_cannot_be_is_told_where_users_look(admin: Api, release: Release) -> None:
    """The driver's own words are in the claim's event."""
    admin.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "wrong"},
            "provisioner": "csi-solidfire.io",
            "parameters": {"minIops": "100"},
        }
    )
    admin.apply(
        CLAIM.replace("name: data", "name: wrong").replace("storageClassName: solidfire", "storageClassName: wrong")
    )

    def told() -> list[str]:
        events = admin.list("Event", "default", fields="involvedObject.name=wrong", api_version="v1")
        return [event["message"] for event in events if "minIops" in event["message"]]

    wait_until(told, _PATIENCE)
    _delete_claim(admin, "wrong")
    admin.delete("StorageClass", "wrong")
    _nobody_was_refused(release)


def test_both_sidecars_lead_by_their_leases(admin: Api, release: Release) -> None:
    wanted = {"csi-solidfire-io", "external-attacher-leader-csi-solidfire-io"}

    def held() -> bool:
        leases = {item["metadata"]["name"]: item["spec"] for item in admin.list("Lease", rendering.NAMESPACE)}
        return all(leases.get(name, {}).get("holderIdentity") for name in wanted)

    wait_until(held, _PATIENCE)
    _nobody_was_refused(release)


@pytest.mark.parametrize("sidecar", ["provisioner", "attacher"])
def test_a_sidecar_says_whether_it_leads(release: Release, sidecar: str) -> None:
    """In the metric that an alert asks for, and where its probes ask."""

    def leads() -> bool:
        try:
            told = release.asked(sidecar, "/metrics")
        except requests.ConnectionError:  # It has only just been started.
            return False
        return 'leader_election_master_status{name=""} 1' in told.splitlines()

    wait_until(leads, _PATIENCE)
    assert release.asked(sidecar, "/healthz/leader-election") == "ok"


def test_a_node_finds_its_account_without_rights(plane: ControlPlane, admin: Api, release: Release) -> None:
    """Were a token of the node's account ever made, it would open no Secret."""
    kubeconfig = plane.service_account_kubeconfig(rendering.NAMESPACE, "csi-solidfire-node")
    with plane.api(kubeconfig) as node, pytest.raises(Exception, match="forbidden"):
        node.list("Secret", rendering.NAMESPACE)


def _nobody_was_refused(release: Release) -> None:
    refused = {
        name: [line for line in log.splitlines() if re.search(r"forbidden|cannot (list|get|watch|create|patch)", line)]
        for name, log in release.logs().items()
    }
    assert not any(refused.values()), refused
