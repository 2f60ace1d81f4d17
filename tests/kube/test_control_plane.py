"""What the control plane is for: the real rules about who may do what, and a server that can be down."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from lab.kube import Api, ApiException, ControlPlane
from tests.array.waiting import wait_until

# Building kube-apiserver, where the cache does not have it yet, takes minutes.
pytestmark = pytest.mark.timeout(1200)

_VOLUME_OF_A_POD = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: default}
---
apiVersion: v1
kind: Namespace
metadata: {name: csi-solidfire}
---
apiVersion: v1
kind: Secret
metadata: {name: pv-1, namespace: csi-solidfire}
stringData: {node.session.auth.password: of-pv-1}
---
apiVersion: v1
kind: Secret
metadata: {name: pv-2, namespace: csi-solidfire}
stringData: {node.session.auth.password: of-pv-2}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv-1}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  claimRef: {name: claim, namespace: default}
  csi:
    driver: csi-solidfire.io
    volumeHandle: lab1.1
    nodeStageSecretRef: {name: pv-1, namespace: csi-solidfire}
    controllerPublishSecretRef: {name: pv-2, namespace: csi-solidfire}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim, namespace: default}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
  volumeName: pv-1
---
apiVersion: v1
kind: Pod
metadata: {name: pod, namespace: default}
spec:
  nodeName: node-1
  containers: [{name: main, image: busybox}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: claim}}]
"""


@pytest.fixture(scope="module")
def scene(admin: Api) -> Api:
    admin.apply(_VOLUME_OF_A_POD)
    return admin


@pytest.fixture
def node(plane: ControlPlane, scene: Api) -> Iterator[Api]:
    """The API as kubelet of the pod's node has it."""
    with plane.api(plane.kubeconfig("system:node:node-1", ["system:nodes"])) as api:
        wait_until(lambda: readable(api, "pv-1"))  # The authorizer's graph follows what is written.
        yield api


def readable(api: Api, name: str) -> bool:
    try:
        api.get("Secret", name, "csi-solidfire")
    except ApiException as error:
        if error.status != 403:
            raise
        return False
    return True


def test_a_node_reads_the_stage_secret_of_its_pods_volume_and_no_other(node: Api) -> None:
    assert readable(node, "pv-1")
    assert not readable(node, "pv-2")
    with pytest.raises(ApiException, match="forbidden"):
        node.list("Secret", "csi-solidfire")


def test_another_node_reads_neither(plane: ControlPlane, node: Api) -> None:
    with plane.api(plane.kubeconfig("system:node:node-2", ["system:nodes"])) as other:
        assert not readable(other, "pv-1")
        assert not readable(other, "pv-2")


def test_a_service_account_may_do_what_its_role_says(plane: ControlPlane, admin: Api) -> None:
    admin.apply(
        """
        {apiVersion: v1, kind: ServiceAccount, metadata: {name: reader}}
---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata: {name: reader}
        rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata: {name: reader}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
        subjects: [{kind: ServiceAccount, name: reader, namespace: kube-public}]
---
        {apiVersion: v1, kind: ConfigMap, metadata: {name: seen}, data: {key: value}}
        """,
        "kube-public",
    )
    with plane.api(plane.service_account_kubeconfig("kube-public", "reader")) as reader:
        assert reader.get("ConfigMap", "seen", "kube-public")["data"] == {"key": "value"}
        with pytest.raises(ApiException) as refused:
            reader.delete("ConfigMap", "seen", "kube-public")
        assert refused.value.status == 403
        assert "system:serviceaccount:kube-public:reader" in str(refused.value.body)


def test_the_server_is_down_and_comes_back_with_its_port_and_its_objects(plane: ControlPlane, admin: Api) -> None:
    admin.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}}, "default")

    plane.stop_api()
    with socket.socket() as knock:
        assert knock.connect_ex(("127.0.0.1", plane.port)) != 0
    plane.start_api()

    assert admin.get("ConfigMap", "kept", "default")["metadata"]["name"] == "kept"


def test_a_paused_server_takes_connections_and_does_not_answer(plane: ControlPlane) -> None:
    def ask() -> int:
        with requests.Session() as session:
            session.trust_env = False
            ca = str(plane.authority.certificate.cert)
            return session.get(f"{plane.server}/readyz", verify=ca, timeout=2).status_code

    def answers() -> bool:
        try:
            return ask() == 200
        except requests.Timeout:  # It has much to make up for.
            return False

    plane.pause()
    try:
        socket.create_connection(("127.0.0.1", plane.port), timeout=2).close()
        with pytest.raises(requests.Timeout):
            ask()
    finally:
        plane.resume()
    wait_until(answers)


def test_nothing_runs_when_it_has_ended(tmp_path: Path) -> None:
    with ControlPlane.start(tmp_path / "plane") as plane:
        port = plane.port
    for _ in range(2):  # The port can be had at once, by the next as well.
        with socket.create_server(("127.0.0.1", port)):
            pass
    assert (tmp_path / "plane" / "kube-apiserver.log").exists()
