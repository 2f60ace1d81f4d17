"""Every flag that the chart passes exists, with a value that its program takes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from csi_solidfire import config
from lab import programs
from tests.chart import rendering
from tests.chart.rendering import containers, objects, one

pytestmark = pytest.mark.timeout(1800)  # the sidecars are built first, where the cache does not have them

_NAMES = list(rendering.VALUES)


def _arguments(values: str, kind: str, container: str) -> list[str]:
    found = containers(one(kind, objects(rendering.text(values))))[container]["args"]
    return [argument.replace("$(NODE_NAME)", "node-1.example.org") for argument in found]


def _controller(values: str) -> config.Controller:
    settings = config.load(_arguments(values, "Deployment", "driver"), {})
    assert isinstance(settings, config.Controller)
    return settings


def _node(values: str) -> config.Node:
    settings = config.load(_arguments(values, "DaemonSet", "driver"), {})
    assert isinstance(settings, config.Node)
    return settings


@pytest.mark.parametrize("values", _NAMES)
def test_the_controllers_flags_exist(values: str) -> None:
    settings = _controller(values)
    assert settings.chap_secrets_namespace == rendering.NAMESPACE
    assert not settings.chap_in_publish_context
    assert settings.hostname == "node-1.example.org"


@pytest.mark.parametrize("values", _NAMES)
def test_the_nodes_flags_exist_and_agree(values: str) -> None:
    settings = _node(values)
    assert settings.registration_dir == settings.kubelet_dir / "plugins_registry"
    assert settings.endpoint == f"unix://{settings.kubelet_dir}/plugins/{settings.driver_name}/csi.sock"
    assert settings.host_command_prefix == ("nsenter", "--target", "1", "--mount", "--net", "--")


@pytest.mark.parametrize("values", _NAMES)
def test_both_services_have_the_name_that_kubernetes_calls(values: str) -> None:
    found = objects(rendering.text(values))
    name = one("CSIDriver", found)["metadata"]["name"]
    assert _controller(values).driver_name == _node(values).driver_name == name
    assert {item["provisioner"] for item in rendering.of_kind("StorageClass", found)} == {name}


def test_values_reach_the_driver() -> None:
    controller, node = _controller("particular"), _node("particular")
    assert (controller.insecure_skip_tls_verify, controller.array_calls) == (True, 8)
    assert (controller.default_namespace, controller.log_level, controller.log_format) == ("storage", "debug", "json")
    assert controller.metrics_address == ("", 10001)
    assert (node.kubelet_dir, node.iscsi_db) == (Path("/var/lib/k0s/kubelet"), Path("/var/lib/iscsi"))
    assert (node.max_volumes, node.threads, node.log_level) == (64, 8, "debug")
    # Without metrics nobody but kubelet, on the same node, has business with the port.
    assert node.metrics_address == ("127.0.0.1", 20001)
    assert not _controller("minimal").insecure_skip_tls_verify


def test_without_clusters_credentials_come_with_requests(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("storageClasses: [{name: x, secret: {name: s, namespace: team-a}}]")
    deployment = one("Deployment", objects(rendering.template(values)))
    settings = config.load(
        [word.replace("$(NODE_NAME)", "node-1") for word in containers(deployment)["driver"]["args"]], {}
    )
    assert isinstance(settings, config.Controller)
    assert settings.clusters_dir is None


@pytest.mark.parametrize("values", _NAMES)
@pytest.mark.parametrize(
    ("name", "program"), [("provisioner", programs.CSI_PROVISIONER), ("attacher", programs.CSI_ATTACHER)]
)
def test_the_sidecars_flags_exist(values: str, name: str, program: programs.Program) -> None:
    """Asked of the programs themselves: with `--version` they read all flags and go no further."""
    command = [str(programs.built(program)), *_arguments(values, "Deployment", name), "--version"]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert program.version in done.stdout


def test_a_sidecar_refuses_what_does_not_exist() -> None:
    """The test above would notice."""
    command = [str(programs.built(programs.CSI_ATTACHER)), "--reconcile-snyc=1m", "--version"]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0


def test_the_images_are_those_of_the_lab() -> None:
    """What the tests run is what users run."""
    found = containers(one("Deployment", objects(rendering.text("minimal"))))
    for name, program in (("provisioner", programs.CSI_PROVISIONER), ("attacher", programs.CSI_ATTACHER)):
        assert found[name]["image"] == f"registry.k8s.io/sig-storage/csi-{name}:{program.version}"
