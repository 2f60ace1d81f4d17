"""What is committed is what the chart renders, and what is wrong is told."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import csi_solidfire
from tests.chart import reference, rendering

pytestmark = pytest.mark.timeout(1200)  # helm itself is built first, where the cache does not have it

_ANEW = "`make chart` writes it anew; look at what changed"


@pytest.mark.parametrize("values", [None, *rendering.VALUES.values(), rendering.PLAIN / "values.yaml"])
def test_helm_finds_nothing_to_complain_about(values: Path | None) -> None:
    given = [f"--values={values}"] if values else []
    done = rendering.helm("lint", "--strict", str(rendering.CHART), *given)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout


@pytest.mark.parametrize("name", rendering.VALUES)
def test_what_is_rendered_is_what_was_looked_at(name: str) -> None:
    assert rendering.text(name) == (rendering.GOLDEN / f"{name}.yaml").read_text(), _ANEW


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in rendering.GOLDEN.iterdir()} == rendering.VALUES.keys()


def test_the_plain_manifests_are_the_chart() -> None:
    assert (rendering.PLAIN / "csi-solidfire.yaml").read_text() == rendering.plain(), _ANEW


def test_the_plain_manifests_know_nothing_of_helm() -> None:
    text = (rendering.PLAIN / "csi-solidfire.yaml").read_text()
    assert "helm.sh" not in text
    assert "managed-by: Helm" not in text


def test_kustomize_takes_all_plain_manifests() -> None:
    listed = yaml.safe_load((rendering.PLAIN / "kustomization.yaml").read_text())["resources"]
    there = {path.name for path in rendering.PLAIN.glob("*.yaml")}
    assert set(listed) == there - {"kustomization.yaml", "values.yaml"}


def test_the_readme_has_every_value() -> None:
    assert reference.README.read_text() == reference.readme(), _ANEW


def test_every_value_is_explained() -> None:
    lists = [field for name in ("clusters", "storageClasses") for field in reference.fields(name)]
    assert not [row.path for row in [*reference.values(), *lists] if not row.comment]
    assert len(reference.values()) > 80


@pytest.mark.parametrize("name", rendering.VALUES)
def test_everything_is_valid_yaml_with_each_key_once(name: str) -> None:
    found = rendering.objects(rendering.text(name))
    assert {"CSIDriver", "Deployment", "DaemonSet"} <= {item["kind"] for item in found}
    names = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in found]
    assert len(names) == len(set(names))


_LIKE_NUMBERS = """
nameOverride: "1"
fullnameOverride: "2024"
commonLabels: {year: "2024"}
clusters:
  - {name: "1e3", existingSecret: "7", endpoint: "https://10.0.0.1"}
  - {name: "0x1", endpoint: "https://10.0.0.2", username: "1", password: "2"}
storageClasses:
  - {name: "2025", cluster: "1e3", parameters: {qosPolicy: 1234567, fencing: false, deletePolicy: recycle}}
  - {name: "3e1", secret: {name: "8", namespace: "9"}}
controller: {serviceAccount: {create: false, name: "10"}}
node: {serviceAccount: {create: false, name: "11"}}
metrics:
  serviceMonitor: {enabled: true}
  prometheusRule: {enabled: true, labels: {"1": "2"}}
  dashboard: {enabled: true}
networkPolicy: {enabled: true}
"""
_WORDS = {"name", "namespace", "storageClassName", "serviceAccountName", "resourceNames", "claimName", "image", "args"}
_OF_WORDS = {"labels", "annotations", "matchLabels", "selector", "parameters", "data", "stringData"}


def _numbers(item: Any, path: str = "", words: bool = False) -> Iterator[str]:
    """Tell where Kubernetes wants a word and would get a number."""
    if isinstance(item, dict):
        for key, value in item.items():
            assert isinstance(key, str), path
            yield from _numbers(value, f"{path}.{key}", words or key in _WORDS or key in _OF_WORDS)
    elif isinstance(item, list):
        for value in item:
            yield from _numbers(value, path, words)
    elif words and not isinstance(item, str):
        yield f"{path} is {item!r}"


def test_words_that_look_like_numbers_stay_words(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(_LIKE_NUMBERS)
    found = rendering.objects(rendering.template(file, "--namespace=123", release="5"))
    assert not [f"{item['kind']}{told}" for item in found for told in _numbers(item)]
    first, _ = rendering.of_kind("StorageClass", found)
    assert first["metadata"]["name"] == "2025"
    own = {key: value for key, value in first["parameters"].items() if "/" not in key}
    assert own == {"cluster": "1e3", "qosPolicy": "1234567", "fencing": "false", "deletePolicy": "recycle"}


@pytest.mark.parametrize("name", rendering.VALUES)
def test_everything_namespaced_is_in_the_releases_namespace(name: str) -> None:
    """Only the Roles for a class's own Secret are where that Secret is."""
    elsewhere = {
        item["metadata"]["name"]
        for item in rendering.objects(rendering.text(name))
        if item["metadata"].get("namespace", rendering.NAMESPACE) != rendering.NAMESPACE
    }
    assert all("-class-" in found for found in elsewhere)


def test_annotations_are_those_of_every_object_and_its_own_win() -> None:
    annotations = {
        f"{item['kind']} {item['metadata']['name']}": item["metadata"].get("annotations", {})
        for item in rendering.objects(rendering.text("particular"))
    }
    assert all(found["example.org/contact"] == "storage@example.org" for found in annotations.values())
    assert annotations["CSIDriver sf.example.org"]["example.org/owner"] == "platform"
    assert annotations["Deployment sf-controller"]["example.org/owner"] == "nobody"


def test_the_chart_has_the_drivers_version() -> None:
    chart = yaml.safe_load((rendering.CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == csi_solidfire.__version__


def test_names_of_any_release_fit() -> None:
    found = rendering.objects(rendering.template(rendering.VALUES["monitoring"], release="r" * 53))
    for item in found:
        assert len(item["metadata"]["name"]) <= 63


def _notes(values: str) -> str:
    # helm's client side alone tells the notes: a dry run of an installation.
    done = rendering.helm(
        *("install", "sf", str(rendering.CHART), "--dry-run=client", "--namespace=storage", "--hide-secret"),
        f"--values={rendering.VALUES[values]}",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


def test_notes_tell_of_an_image_that_is_in_no_registry() -> None:
    """Its pods would wait for ever, and say no more than ErrImagePull."""
    image = f"registry.example.org/csi-solidfire:{csi_solidfire.__version__}"
    for wanted in (f"docker build -t {image} .", f"docker push {image}", "helm -n storage upgrade sf"):
        assert wanted in _notes("minimal")
        assert wanted not in _notes("particular")


def test_notes_tell_the_next_steps() -> None:
    notes = _notes("several-clusters")
    for wanted in (
        "kubectl label namespace storage pod-security.kubernetes.io/enforce=privileged",
        "deployment/sf-csi-solidfire-controller",
        "daemonset/sf-csi-solidfire-node",
        "helm -n storage test sf",
        "databases (the default one) scratch tenant-a",
        "create secret generic solidfire-gold",
        "The password of cluster silver is kept in this release's values",
    ):
        assert wanted in notes
    assert "signs" not in notes  # a piece of the password


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("{}", r"clusters is empty\. Give at least one.*existingSecret: solidfire-main"),
        (
            "clusters: [{name: a, existingSecret: s}, {name: b, existingSecret: s}]",
            "storageClasses: solidfire must say which cluster it is for: a, b",
        ),
        (
            "clusters: [{name: a, existingSecret: s}]\nstorageClasses: [{name: x, cluster: c}]",
            "storageClasses: x wants cluster c, but clusters has: a",
        ),
        ("clusters: [{name: a, existingSecret: s}, {name: a, existingSecret: s}]", "clusters: two are called a"),
        (
            "clusters: [{name: a, existingSecret: s}]\nstorageClasses: [{name: x}, {name: x}]",
            "storageClasses: two are called x",
        ),
        (
            "storageClasses: [{name: x, secret: {name: s, namespace: t},"
            " parameters: {csi.storage.k8s.io/provisioner-secret-name: s}}]",
            "storageClasses: x has secret, and csi.storage.k8s.io/provisioner-secret-name among its parameters",
        ),
        (
            "clusters: [{name: a, existingSecret: s}]\nnode: {serviceAccount: {create: false}}",
            "node.serviceAccount.name is needed",
        ),
        (
            "clusters: [{name: a, existingSecret: s}]\nmetrics: {enabled: false, serviceMonitor: {enabled: true}}",
            r"metrics\.serviceMonitor\.enabled needs metrics\.enabled",
        ),
        (
            "clusters: [{name: a, existingSecret: s}]\nmetrics: {enabled: false, prometheusRule: {enabled: true}}",
            r"metrics\.prometheusRule\.enabled needs metrics\.enabled",
        ),
        (
            "clusters: [{name: a, existingSecret: s}]\nsidecars: {attacher: {port: 9808}}",
            r"controller\.port and sidecars\.attacher\.port are both 9808",
        ),
        (
            "clusters: [{name: a, existingSecret: s}]\nsidecars: {attacher: {port: 9000}, provisioner: {port: 9000}}",
            r"sidecars\.attacher\.port and sidecars\.provisioner\.port are both 9000",
        ),
    ],
)
def test_values_that_lead_nowhere_are_told(values: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(values)
    with pytest.raises(ValueError, match=r"(?s)" + told):
        rendering.template(file)


def test_a_parent_chart_gives_the_secrets_of_its_registry(tmp_path: Path) -> None:
    """To all its charts, in `global`, where it has other things as well."""
    parent = tmp_path / "parent"
    shutil.copytree(rendering.CHART, parent / "charts/csi-solidfire")
    (parent / "Chart.yaml").write_text("{apiVersion: v2, name: parent, version: 0.1.0}")
    values = {
        "global": {"imagePullSecrets": ["mirror", {"name": "other"}], "storageClass": "of-another-chart"},
        "csi-solidfire": {
            "clusters": [{"name": "a", "existingSecret": "s"}],
            "imagePullSecrets": [{"name": "own"}, {"name": "mirror"}],
        },
    }
    (parent / "values.yaml").write_text(yaml.safe_dump(values))
    done = rendering.helm("template", "x", str(parent), f"--kube-version={rendering.KUBERNETES}")
    assert done.returncode == 0, done.stderr
    found = rendering.objects(done.stdout)
    pods = [rendering.one(kind, found)["spec"]["template"] for kind in ("Deployment", "DaemonSet")]
    for pod in [*pods, rendering.one("Pod", found)]:
        assert pod["spec"]["imagePullSecrets"] == [{"name": "own"}, {"name": "mirror"}, {"name": "other"}]


@pytest.mark.parametrize("version", ["1.33.9", "1.28.0"])
def test_a_kubernetes_that_is_too_old_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match=re.escape(version)):
        rendering.template(rendering.VALUES["minimal"], f"--kube-version={version}")
