"""What the pods are allowed on their node, how they are watched, and where secrets are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.chart import rendering
from tests.chart.rendering import NAMESPACE, Object, containers, objects, of_kind, one

pytestmark = pytest.mark.timeout(1200)

_PASSWORD = 'with "quotes" and $signs'
_all_values = pytest.mark.parametrize("values", rendering.VALUES)


def _found(values: str) -> list[Object]:
    return objects(rendering.text(values))


def _pod(values: str, kind: str) -> Object:
    pod: Object = one(kind, _found(values))["spec"]["template"]["spec"]
    return pod


@_all_values
def test_the_controller_has_nothing_of_its_node(values: str) -> None:
    pod = _pod(values, "Deployment")
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    kinds = {kind for volume in pod["volumes"] for kind in volume.keys() - {"name"}}
    assert kinds <= {"emptyDir", "projected", "configMap"}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


@_all_values
def test_no_container_of_the_controller_has_a_privilege(values: str) -> None:
    for container in containers(one("Deployment", _found(values))).values():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@_all_values
def test_the_node_has_what_mounting_needs(values: str) -> None:
    pod = _pod(values, "DaemonSet")
    (driver,) = pod["containers"]
    assert pod["hostNetwork"] is True
    assert pod["hostPID"] is True
    assert driver["securityContext"]["privileged"] is True
    assert driver["securityContext"]["runAsUser"] == 0
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume}
    mounts = {mount["name"]: mount for mount in driver["volumeMounts"]}
    assert paths == {"kubelet": paths["kubelet"], "dev": "/dev", "sys": "/sys"}
    assert mounts["kubelet"]["mountPath"] == paths["kubelet"]
    assert mounts["kubelet"]["mountPropagation"] == "Bidirectional"


@_all_values
def test_the_node_has_no_second_view_of_the_hosts_mounts(values: str) -> None:
    """Each staged volume would be there twice and never count as unused; a view of old mounts would keep disks busy."""
    (driver,) = _pod(values, "DaemonSet")["containers"]
    assert "--host-root=/proc/1/root" in driver["args"]
    above = {"/", "/var", "/var/lib"}
    volumes = _pod(values, "DaemonSet")["volumes"]
    assert not above & {volume["hostPath"]["path"] for volume in volumes if "hostPath" in volume}


@pytest.mark.parametrize("values", ["minimal", "several-clusters", "monitoring"])
def test_the_node_runs_on_every_linux_node_whatever_its_taints(values: str) -> None:
    pod = _pod(values, "DaemonSet")
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert pod["priorityClassName"] == "system-node-critical"


@_all_values
@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
def test_a_silent_array_restarts_nobody(values: str, kind: str) -> None:
    driver = containers(one(kind, _found(values)))["driver"]
    paths = {probe: driver[f"{probe}Probe"]["httpGet"]["path"] for probe in ("liveness", "startup", "readiness")}
    assert paths == {"liveness": "/livez", "startup": "/livez", "readiness": "/readyz"}
    # It asks the arrays, which takes seconds while they are silent.
    assert driver["readinessProbe"]["timeoutSeconds"] > 5


@_all_values
@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
def test_probes_ask_where_somebody_answers(values: str, kind: str) -> None:
    for container in containers(one(kind, _found(values))).values():
        (port,) = container["ports"]
        address = next(
            word.partition("=")[2]
            for word in container["args"]
            if word.startswith(("--metrics-address=", "--http-endpoint="))
        )
        host, _, number = address.rpartition(":")
        assert int(number) == port["containerPort"]
        for probe in ("liveness", "readiness", "startup"):
            if f"{probe}Probe" in container:
                asked = container[f"{probe}Probe"]["httpGet"]
                assert asked["port"] == port["name"]
                assert not host or asked["host"] == host


@_all_values
def test_calls_in_flight_have_the_time_they_are_promised(values: str) -> None:
    for kind in ("Deployment", "DaemonSet"):
        pod = _pod(values, kind)
        driver = containers(one(kind, _found(values)))["driver"]
        (grace,) = [int(word.partition("=")[2]) for word in driver["args"] if word.startswith("--shutdown-grace=")]
        assert pod["terminationGracePeriodSeconds"] > grace


@_all_values
@pytest.mark.parametrize(("kind", "limited"), [("Deployment", {"memory"}), ("DaemonSet", set())])
def test_every_container_asks_for_what_it_takes(values: str, kind: str, limited: set[str]) -> None:
    """No limit of the CPU, which slows down when it hurts most; none of the memory where fsck runs."""
    for container in containers(one(kind, _found(values))).values():
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert container["resources"].get("limits", {}).keys() == limited


@_all_values
def test_sidecars_find_the_drivers_socket(values: str) -> None:
    found = containers(one("Deployment", _found(values)))
    assert "--endpoint=unix:///csi/csi.sock" in found["driver"]["args"]
    for name in ("provisioner", "attacher"):
        assert "--csi-address=/csi/csi.sock" in found[name]["args"]
        assert {"name": "socket", "mountPath": "/csi"} in found[name]["volumeMounts"]


@_all_values
def test_the_sidecars_elect_a_leader_even_of_one(values: str) -> None:
    """Two provisioners at once, as while a pod is replaced, could make two volumes of one name."""
    found = containers(one("Deployment", _found(values)))
    for name in ("provisioner", "attacher"):
        assert "--leader-election" in found[name]["args"]
        assert found[name]["livenessProbe"]["httpGet"]["path"] == "/healthz/leader-election"
        assert found[name]["startupProbe"]["httpGet"]["path"] == "/healthz/leader-election"


@_all_values
def test_several_replicas_keep_apart(values: str) -> None:
    deployment = one("Deployment", _found(values))
    several = deployment["spec"]["replicas"] > 1
    assert len(of_kind("PodDisruptionBudget", _found(values))) == several
    affinity = deployment["spec"]["template"]["spec"].get("affinity", {})
    assert ("podAntiAffinity" in affinity) is several


@pytest.mark.parametrize(
    ("controller", "rolling"),
    [
        ("{antiAffinity: hard}", {"maxSurge": 0, "maxUnavailable": 1}),
        ("{antiAffinity: hard, updateStrategy: {rollingUpdate: {maxUnavailable: 50%}}}", {"maxUnavailable": "50%"}),
        ("{antiAffinity: hard, updateStrategy: {type: Recreate}}", None),
        ("{antiAffinity: soft}", None),
    ],
)
def test_pods_that_must_keep_apart_can_be_replaced_where_nodes_are_as_few(
    controller: str, rolling: dict[str, Any] | None, tmp_path: Path
) -> None:
    """By default a new pod comes first, and would wait for ever for a node without an old one."""
    file = tmp_path / "values.yaml"
    file.write_text(f"clusters: [{{name: a, existingSecret: s}}]\ncontroller: {controller}\n")
    spec = one("Deployment", objects(rendering.template(file)))["spec"]
    assert spec["strategy"].get("rollingUpdate") == rolling
    required = spec["template"]["spec"]["affinity"]["podAntiAffinity"].keys()
    assert ("requiredDuringSchedulingIgnoredDuringExecution" in required) is ("hard" in controller)


def test_the_budget_is_for_the_controllers_pods() -> None:
    found = _found("minimal")
    labels = one("Deployment", found)["spec"]["template"]["metadata"]["labels"]
    budget = one("PodDisruptionBudget", found)["spec"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_each_cluster_is_a_directory_of_its_own() -> None:
    pod = _pod("several-clusters", "Deployment")
    driver = containers(one("Deployment", _found("several-clusters")))["driver"]
    directories = {
        mount["name"]: mount["mountPath"] for mount in driver["volumeMounts"] if mount["name"].startswith("cluster-")
    }
    assert directories == {
        "cluster-gold": "/etc/csi-solidfire/clusters/gold",
        "cluster-silver": "/etc/csi-solidfire/clusters/silver",
    }
    sources = {v["name"]: v["projected"]["sources"] for v in pod["volumes"] if "projected" in v}
    assert sources == {
        "cluster-gold": [{"secret": {"name": "solidfire-gold", "optional": True}}],
        "cluster-silver": [{"secret": {"name": "csi-solidfire-cluster-silver", "optional": True}}],
    }


def test_an_endpoint_beside_an_existing_secret_is_mounted_with_it() -> None:
    found = _found("minimal")
    (volume,) = [volume for volume in _pod("minimal", "Deployment")["volumes"] if "projected" in volume]
    assert volume["projected"]["sources"] == [
        {"secret": {"name": "solidfire-main", "optional": True}},
        {"configMap": {"name": "csi-solidfire-cluster-main"}},
    ]
    assert one("ConfigMap", found)["data"] == {"endpoint": "https://sf-mvip.example.org"}
    assert not of_kind("Secret", found)


def test_a_password_is_in_its_secret_and_nowhere_else() -> None:
    found = _found("several-clusters")
    secret = one("Secret", found)
    assert secret["stringData"]["password"] == _PASSWORD
    assert secret["stringData"]["endpoint"] == "https://[2001:db8::10]:8443"
    assert secret["stringData"]["caCert"].startswith("-----BEGIN CERTIFICATE-----\n")
    others = [item for item in found if item is not secret]
    assert "signs" not in json.dumps(others)


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
def test_further_volumes_are_the_drivers(kind: str) -> None:
    volume = {"name": "authorities", "configMap": {"name": "authorities"}}
    mount = {"name": "authorities", "mountPath": "/etc/ssl/certs", "readOnly": True}
    assert volume in _pod("particular", kind)["volumes"]
    found = containers(one(kind, _found("particular")))
    assert {name for name, container in found.items() if mount in container["volumeMounts"]} == {"driver"}


def test_the_controller_looks_up_names_where_it_is_told() -> None:
    pod = _pod("particular", "Deployment")
    assert pod["dnsPolicy"] == "None"
    assert pod["dnsConfig"] == {"nameservers": ["192.0.2.53"], "options": [{"name": "ndots", "value": "1"}]}
    assert not {"dnsPolicy", "dnsConfig"} & _pod("minimal", "Deployment").keys()


def test_each_sidecar_has_an_environment_of_its_own() -> None:
    found = containers(one("Deployment", _found("particular")))
    assert found["provisioner"]["env"] == [{"name": "HTTPS_PROXY", "value": "http://proxy.example.org:3128"}]
    assert "env" not in found["attacher"]


@_all_values
def test_nothing_of_the_environment_could_be_a_setting(values: str) -> None:
    """Kubernetes makes variables of the names of Services, and the driver's own begin with its name, too."""
    for kind in ("Deployment", "DaemonSet"):
        assert _pod(values, kind)["enableServiceLinks"] is False


@_all_values
def test_every_class_names_the_secret_that_the_controller_writes(values: str) -> None:
    for item in of_kind("StorageClass", _found(values)):
        assert item["parameters"]["csi.storage.k8s.io/node-stage-secret-name"] == "${pv.name}"
        assert item["parameters"]["csi.storage.k8s.io/node-stage-secret-namespace"] == NAMESPACE
        assert all(isinstance(value, str) for value in item["parameters"].values())


def test_a_class_is_what_its_values_say() -> None:
    databases, scratch, _ = of_kind("StorageClass", _found("several-clusters"))
    assert databases["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert (databases["reclaimPolicy"], databases["volumeBindingMode"]) == ("Retain", "WaitForFirstConsumer")
    assert databases["mountOptions"] == ["noatime"]
    own = {key: value for key, value in databases["parameters"].items() if "/" not in key}
    assert own == {
        "cluster": "gold",
        "minIOPS": "2000",
        "maxIOPS": "10000",
        "burstIOPS": "15000",
        "deletePolicy": "recycle",
    }
    assert scratch["volumeBindingMode"] == "Immediate"
    assert scratch["parameters"]["fencing"] == "false"


@_all_values
def test_the_csi_driver_is_what_the_driver_does(values: str) -> None:
    spec = one("CSIDriver", _found(values))["spec"]
    assert spec["attachRequired"] is True
    assert spec["podInfoOnMount"] is False
    assert spec["volumeLifecycleModes"] == ["Persistent"]


def test_the_helm_test_leaves_nothing_when_it_succeeds() -> None:
    text = rendering.text("several-clusters")
    found = [item for item in objects(text) if "helm.sh/hook" in item["metadata"].get("annotations", {})]
    assert [item["kind"] for item in found] == ["PersistentVolumeClaim", "Pod"]
    claim, pod = found
    assert claim["spec"]["storageClassName"] == "databases"
    for item in found:
        assert item["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == containers(one("Deployment", objects(text)))["driver"]["image"]


def test_the_helm_tests_pod_goes_where_pods_may() -> None:
    pod = one("Pod", _found("particular"))["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "example.org/storage": "yes"}
    assert pod["tolerations"] == [{"key": "example.org/storage", "operator": "Exists"}]
    assert pod["securityContext"]["runAsUser"] == 10000
