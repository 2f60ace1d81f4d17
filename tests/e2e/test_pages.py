"""What the documentation shows in its consoles is what its reader sees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import programs
from lab.kube.cluster import Cluster
from tests.e2e.walk import Shell, steps

_HOW_TO = Path(__file__).parents[2] / "docs/how-to"


@pytest.fixture
def shell(cluster: Cluster, tmp_path: Path) -> Iterator[Shell]:
    """A shell with the cluster's tools; what its user leaves in the default namespace goes afterwards."""
    for program in (programs.KUBECTL, programs.HELM):
        (tmp_path / program.name).symlink_to(programs.built(program))
    path = f"{tmp_path}{os.pathsep}{os.defpath}"
    with Shell({"PATH": path, "HOME": str(tmp_path), "KUBECONFIG": str(cluster.kubeconfig)}) as shell:
        yield shell
    cluster.kubectl("uncordon", *cluster.nodes)
    cluster.kubectl("--namespace=default", "delete", "pod,pvc", "--all")


@pytest.mark.parametrize("page", ["first-volume.md"])
def test_a_page_is_walked_from_its_first_line_to_its_last(shell: Shell, page: str) -> None:
    walked = steps(_HOW_TO / page)
    assert walked
    for step in walked:
        now = shell.run(step)
        assert step.is_like(now), f"{page} shows\n{step}\nand this is what there is:\n{now}"
