"""The controller's pod without a pod: its three programs with the chart's own arguments, rights and objects."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import requests

from lab import programs
from lab.array import Array
from lab.kube import Api, ControlPlane
from lab.kube.control_plane import free_port
from tests.array.waiting import wait_until
from tests.chart import rendering
from tests.support.driver import write_cluster

NODE: Final = "node-1"
_NODE_ID: Final = f"{NODE}/iqn.1993-08.org.debian:01:0123456789ab"
_STOP: Final = 20  # seconds

_NODE_OBJECTS = f"""
apiVersion: v1
kind: Node
metadata:
  name: {NODE}
  labels: {{topology.csi-solidfire.io/hostname: {NODE}}}
---
apiVersion: storage.k8s.io/v1
kind: CSINode
metadata:
  name: {NODE}
spec:
  drivers:
    - name: csi-solidfire.io
      nodeID: {_NODE_ID}
      topologyKeys: [topology.csi-solidfire.io/hostname]
"""


CLAIM = f"""
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
  namespace: default
  annotations:
    volume.kubernetes.io/storage-provisioner: csi-solidfire.io
    volume.kubernetes.io/selected-node: {NODE}
spec:
  storageClassName: solidfire
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: 1Gi}}}}
"""


class Release:
    """An installed release whose controller runs. A context manager.

    The programs get the ServiceAccount's token and the arguments of the rendered Deployment, with other paths and
    ports where a pod would have its own.
    """

    def __init__(self, plane: ControlPlane, admin: Api, array: Array, directory: Path, password: str = "") -> None:
        """Install one; another password than the array's can be mended with `write_password`."""
        self._directory = directory
        self._installed = rendering.installed("minimal")
        self._ends = ExitStack()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._addresses: dict[str, str] = {}
        self._endpoint = directory / "csi.sock"
        self._array = array
        self.write_password(password or array.password)
        admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": rendering.NAMESPACE}})
        for item in self._installed:
            admin.apply(item)
        admin.apply(_NODE_OBJECTS)
        account = rendering.one("Deployment", self._installed)["spec"]["template"]["spec"]["serviceAccountName"]
        self._kubeconfig = plane.service_account_kubeconfig(rendering.NAMESPACE, account)

    def __enter__(self) -> Self:
        try:
            self._start_driver()
            self._start_sidecar("provisioner", programs.CSI_PROVISIONER)
            self._start_sidecar("attacher", programs.CSI_ATTACHER)
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    def logs(self) -> dict[str, str]:
        """Return what each program has logged so far."""
        return {name: self._log(name).read_text(errors="replace") for name in self._running}

    def write_password(self, password: str) -> None:
        write_cluster(self._directory / "clusters" / "main", self._array, password=password)

    def asked(self, sidecar: str, path: str) -> str:
        """Return what a sidecar answers where Prometheus and kubelet ask it."""
        answer = requests.get(f"http://{self._addresses[sidecar]}{path}", timeout=10)
        answer.raise_for_status()
        return answer.text

    def are_running(self) -> bool:
        return all(process.poll() is None for process in self._running.values())

    def _start_driver(self) -> None:
        own = [
            *(f"--endpoint=unix://{self._endpoint}", f"--clusters-dir={self._directory / 'clusters'}"),
            *("--metrics-address=off", f"--kubeconfig={self._kubeconfig}"),
        ]
        command = [sys.executable, "-m", "csi_solidfire", *self._arguments("driver"), *own]
        self._start("driver", command)
        wait_until(self._endpoint.is_socket, 60)

    def _start_sidecar(self, name: str, program: programs.Program) -> None:
        address = self._addresses[name] = f"127.0.0.1:{free_port()}"
        own = [f"--csi-address={self._endpoint}", f"--kubeconfig={self._kubeconfig}", f"--http-endpoint={address}"]
        self._start(name, [str(programs.built(program)), *self._arguments(name), *own])

    def _arguments(self, container: str) -> list[str]:
        given = rendering.containers(rendering.one("Deployment", self._installed))[container]["args"]
        return [word.replace("$(NODE_NAME)", "node-2") for word in given]

    def _start(self, name: str, command: Sequence[str]) -> None:
        log = self._ends.enter_context(self._log(name).open("wb"))
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=rendering.REPOSITORY)
        self._running[name] = process
        self._ends.callback(_stop, process)

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_STOP)
