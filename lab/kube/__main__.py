"""`python -m lab.kube up | down`: a Kubernetes with two nodes and an array, left up to look around.

`python -m lab.kube build` makes all that a cluster is started from, and starts none.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from lab import driver_image, programs
from lab.kube import release
from lab.kube.cluster import NAME, Cluster, build
from lab.vm import LabError, Run
from lab.vm.progress import Say

_ENVIRONMENT = "environment"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.kube", description=__doc__)
    parser.add_argument("action", choices=tuple(_ACTIONS))
    action = parser.parse_args().action
    try:
        return _ACTIONS[action]()
    except (LabError, programs.BuildError) as error:
        print(f"The Kubernetes lab failed: {error}", file=sys.stderr)
        return 1


def _up() -> int:
    run = Run.attach(NAME)
    if run is None:
        _show(
            _start().directory,
            "The Kubernetes lab is up: two nodes, the driver on them, and an array with nothing on it.",
        )
    else:
        _show(
            run.directory,
            "The Kubernetes lab was up already. It is left as it is, with the driver and the chart that it was started"
            " with:\n`make kubernetes-down` first to have those of now.",
        )
    return 0


def _start() -> Run:
    cluster = Cluster.start(images=[driver_image.driver_image(_say)], detached=True, say=_say)
    try:
        _write_environment(cluster)
        with Say(_say).step("installing the driver with helm"):
            release.install(cluster)
    except BaseException:
        cluster.run.down()
        raise
    cluster.close()
    return cluster.run


def _down() -> int:
    run = Run.attach(NAME)
    if run is None:
        print("No Kubernetes lab is up.")
        return 0
    run.down()
    print("The Kubernetes lab is down; nothing of it is left but the cached images and programs.")
    return 0


def _build() -> int:
    build([driver_image.driver_image(_say)], _say)
    return 0


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


def _write_environment(cluster: Cluster) -> None:
    """Write a file to be sourced, which puts the cluster's own kubectl and helm first."""
    directory = cluster.run.directory
    tools = directory / "bin"
    tools.mkdir()
    for program in (programs.KUBECTL, programs.HELM):
        (tools / program.name).symlink_to(programs.built(program, print))
    lines = [
        f"export KUBECONFIG='{cluster.kubeconfig}'",
        f"export PATH='{tools}':\"$PATH\"",
    ]
    (directory / _ENVIRONMENT).write_text("\n".join(lines) + "\n")


def _show(directory: Path, first: str) -> None:
    environment = _shortened(directory / _ENVIRONMENT)
    print(
        f"""
{first}

  . {environment}
                               gives this shell its kubectl, helm and kubeconfig
  kubectl get nodes
  kubectl apply -f lab/kube/example.yaml
  kubectl get pvc,pod --watch
  kubectl logs writer          what it wrote to its volume
  kubectl -n csi-solidfire get pods

  python -m lab.vm shell --run {NAME} node-1     a shell on a node, or on `array` (with the Python in .venv/bin)
  {_shortened(directory / "plane")}/*.log     what the control plane says

  make kubernetes-down     ends it all
"""
    )


_ACTIONS: Final = {"up": _up, "down": _down, "build": _build}


def _shortened(path: Path) -> str:
    home = str(Path.home())
    text = str(path)
    return text.replace(home, "~", 1) if text.startswith(f"{home}{os.sep}") else text


if __name__ == "__main__":
    sys.exit(main())
