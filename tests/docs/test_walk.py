"""How a page is compared with what its commands print: what changes each time may, and nothing else."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.e2e.walk import Shell, Step

_PODS = Step(
    "kubectl get pods -o wide",
    "NAME                                  READY   STATUS    RESTARTS   AGE   NODE\n"
    "csi-solidfire-controller-5d666bf876-5cbkr   3/3     Running   0          114s   node-1",
)
_LATER = (
    "NAME  READY STATUS RESTARTS AGE NODE\n"
    "csi-solidfire-controller-7c9f04ab12-zz2rm 3/3 Running 3 (60s ago) 6m4s node-2"
)
_CLAIM = Step("kubectl describe pvc mistake", "Name: mistake\n...\n  Warning  ProvisioningFailed  61s  minIPOS\n...")


def test_names_ages_and_nodes_may_differ() -> None:
    assert _PODS.is_like(replace(_PODS, output=_LATER))


@pytest.mark.parametrize(("shown", "now"), [("3/3", "2/3"), ("Running", "Error"), ("controller", "node")])
def test_nothing_else_may(shown: str, now: str) -> None:
    assert not _PODS.is_like(replace(_PODS, output=_LATER.replace(shown, now)))


@pytest.mark.parametrize("output", ["", _PODS.output.partition("\n")[0], f"{_PODS.output}\nanother"])
def test_no_line_is_missing_or_too_many(output: str) -> None:
    assert not _PODS.is_like(replace(_PODS, output=output))


def test_dots_are_any_lines() -> None:
    told = "  Warning  ProvisioningFailed  5s (x3 over 9s)  minIPOS"
    assert _CLAIM.is_like(replace(_CLAIM, output=f"Name: mistake\nStatus: Pending\nEvents:\n{told}\n  Normal x"))
    assert _CLAIM.is_like(replace(_CLAIM, output=f"Name: mistake\n{told}"))
    assert not _CLAIM.is_like(replace(_CLAIM, output="Name: mistake\nStatus: Pending\nEvents:"))


def test_a_console_is_read_and_its_commands_share_a_shell() -> None:
    steps = list(Step.read("$ x=5\n$ cat <<'EOF'\n$ 1\nEOF\nshown\n$ echo $x\n5\n"))
    assert [step.command for step in steps] == ["x=5", "cat <<'EOF'\n$ 1\nEOF", "echo $x"]
    assert [step.output for step in steps] == ["", "shown", "5"]
    with Shell(dict(os.environ)) as shell:
        assert [shell.run(step).output for step in steps] == ["", "$ 1", "5"]
