"""The chart as helm renders it, and what is written from it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lab import programs

Object = dict[str, Any]

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "deploy/helm/csi-solidfire"
PLAIN = REPOSITORY / "deploy/kubernetes"
GOLDEN = Path(__file__).parent / "golden"
VALUES = {path.stem: path for path in sorted((Path(__file__).parent / "values").glob("*.yaml"))}
RELEASE = "csi-solidfire"
NAMESPACE = "csi-solidfire"
KUBERNETES = "1.37.2"

_OF_HELM = re.compile(r"^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n|^# Source: .*\n", re.MULTILINE)
_TIMEOUT = 60  # seconds


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    """Run helm, without anything of the user's own."""
    command = [str(programs.built(programs.HELM)), *words]
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "PATH": os.defpath}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=_TIMEOUT, check=False)


def template(values: Path | None, *words: str, release: str = RELEASE) -> str:
    """Return what the chart renders to.

    Raises:
        ValueError: helm refuses; its words.
    """
    given = [f"--values={values}"] if values else []
    done = helm(
        *("template", release, str(CHART), f"--namespace={NAMESPACE}", f"--kube-version={KUBERNETES}"), *given, *words
    )
    if done.returncode:
        raise ValueError(done.stderr)
    return done.stdout


@cache
def text(name: str) -> str:
    """Return what one of `values/` renders to."""
    return template(VALUES[name])


def objects(rendered: str) -> list[Object]:
    """Read rendered YAML; a key that occurs twice is an error, as it is for Kubernetes."""
    return [document for document in yaml.load_all(rendered, _Strict) if document]


def installed(name: str) -> list[Object]:
    """Return the objects that `helm install` makes: without those of `helm test`."""
    return [item for item in objects(text(name)) if "helm.sh/hook" not in item["metadata"].get("annotations", {})]


def of_kind(kind: str, found: Sequence[Object]) -> list[Object]:
    return [item for item in found if item["kind"] == kind]


def one(kind: str, found: Sequence[Object]) -> Object:
    (item,) = of_kind(kind, found)
    return item


def containers(workload: Object) -> dict[str, Object]:
    """Return the containers of a Deployment or DaemonSet by name."""
    return {container["name"]: container for container in workload["spec"]["template"]["spec"]["containers"]}


def plain() -> str:
    """Return the manifests for people without helm: the chart's, with nothing of helm in them."""
    header = "# Rendered from the Helm chart with values.yaml beside this; `make chart` writes it anew. Do not edit.\n"
    return header + _OF_HELM.sub("", template(PLAIN / "values.yaml", "--skip-tests"))


class _Strict(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"twice in one mapping: {twice} {node.start_mark}")
        return super().construct_mapping(node, deep=deep)
