"""The examples in the how-to pages are taken by the chart, by the driver and by Kubernetes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from csi_solidfire.storage.parameters import Parameters
from lab import programs
from lab.kube import Api
from tests.chart import rendering

pytestmark = pytest.mark.timeout(1800)

_PAGES = rendering.REPOSITORY / "docs/how-to"
_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _examples(page: str) -> list[Any]:
    return [yaml.safe_load(block) for block in _BLOCK.findall((_PAGES / page).read_text())]


def _is_object(example: Any) -> bool:
    return isinstance(example, dict) and "kind" in example


def _values(example: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"storageClasses": example} if isinstance(example, list) else example
    return {"clusters": [{"name": "main", "existingSecret": "solidfire-main"}], **values}


@pytest.mark.parametrize("page", ["install.md", "storage-classes.md"])
def test_examples_of_values_render_to_classes_that_the_driver_takes(page: str, tmp_path: Path) -> None:
    examples = [example for example in _examples(page) if "storageClasses" in _values(example)]
    assert examples
    for number, example in enumerate(examples):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(_values(example)))
        found = rendering.objects(rendering.template(file))
        classes = {item["metadata"]["name"]: item for item in rendering.of_kind("StorageClass", found)}
        assert classes.keys() == {item["name"] for item in _values(example)["storageClasses"]}
        for item in classes.values():
            Parameters.parse(item["parameters"])


def test_the_example_of_a_secret_for_each_namespace_lets_it_be_read(tmp_path: Path) -> None:
    (example,) = [example for example in _examples("storage-classes.md") if "sidecars" in example]
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(example))
    found = rendering.objects(rendering.template(file))
    last = [role["rules"][-1] for role in rendering.of_kind("ClusterRole", found)]
    read = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["solidfire-admin"], "verbs": ["get"]}
    assert last == [read, read]


@pytest.mark.parametrize("page", ["docs/how-to/install.md", "deploy/kubernetes/README.md"])
def test_the_leases_that_stay_are_called_what_the_sidecars_may_call_them(page: str) -> None:
    """Nobody else knows that they are the driver's: they have no labels."""
    (told,) = re.findall(r"delete leases (.+)", (rendering.REPOSITORY / page).read_text())
    roles = rendering.of_kind("Role", rendering.objects(rendering.text("minimal")))
    rules = [rule for role in roles for rule in role["rules"]]
    assert told.split() == [
        name for rule in rules if "leases" in rule["resources"] for name in rule.get("resourceNames", [])
    ]


def test_the_page_says_with_which_helm_it_was_tried() -> None:
    assert f"helm {programs.HELM.version}" in (_PAGES / "install.md").read_text()


def test_what_is_said_of_openshift_leaves_the_user_to_it(tmp_path: Path) -> None:
    """Its users give this file and their own; a key that helm only adds to would still name the chart's user."""
    (example,) = [example for example in _examples("install.md") if "test" in example]
    files = []
    for name, values in {"own": _values({}), "openshift": example}.items():
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(yaml.safe_dump(values))
    found = rendering.objects(rendering.template(files[0], f"--values={files[1]}"))
    for pod in (rendering.one("Deployment", found)["spec"]["template"], rendering.one("Pod", found)):
        left = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert pod["spec"]["securityContext"] == left


def test_examples_of_objects_are_accepted(admin: Api) -> None:
    examples = [example for example in _examples("storage-classes.md") if _is_object(example)]
    assert examples
    for example in examples:
        admin.apply(example, "default", dry_run=True)


def test_every_parameter_has_an_example() -> None:
    """But for those that hardly anybody needs."""
    shown = set(re.findall(r"\w+", (_PAGES / "storage-classes.md").read_text()))
    schema = (rendering.CHART / "values.schema.json").read_text()
    (names,) = re.findall(r'"enum": \[\s*("accountNamespace".*?)\]', schema, re.DOTALL)
    assert set(re.findall(r"\w+", names)) - shown == {"accountNamespace"}
