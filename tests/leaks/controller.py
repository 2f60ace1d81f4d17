"""The driver's controller and its command on this machine, with all that leaves their processes written down."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import requests

import csi_solidfire
from lab.kube.control_plane import free_port
from lab.site import DRIVER, Site
from tests.kube.driver_role import NAMESPACE
from tests.support import kubelet

_PYTHON_PATH = f"{Path(__file__).parent / 'host'}:{Path(csi_solidfire.__file__).parent.parent}"
_SECONDS = 120.0


class Host:
    """Where the controller runs.

    Attributes:
        directory: The controller's own: working directory, home and place for temporary files.
        report: What its processes were started with, what they ran, and what they wrote to.
    """

    def __init__(self, site: Site, kubeconfig: Path) -> None:
        self._site = site
        self._kubeconfig = kubeconfig
        self._mounted = site.run.directory / "mounted"
        self.metrics_address = f"127.0.0.1:{free_port()}"
        self.directory = site.run.directory / "controller"
        self.directory.mkdir(mode=0o700)
        self.report = site.run.directory / "left-the-process"
        self.rotations = site.run.directory / "rotate-chap.log"

    def mount(self, secret: Mapping[str, str]) -> None:
        """Let the cluster's Secret be this one from now on."""
        kubelet.mount(self._mounted / "lab", secret)

    def start(self) -> None:
        flags = [
            *(f"--endpoint=unix://{self._site.controller_socket}", f"--clusters-dir={self._mounted}"),
            *("--hostname=lab-host", f"--driver-name={DRIVER}", f"--metrics-address={self.metrics_address}"),
            *(f"--chap-secrets-namespace={NAMESPACE}", f"--kubeconfig={self._kubeconfig}", "--log-level=debug"),
            "--sweep-interval=5",
        ]
        setting = [f"{name}={value}" for name, value in self._environment().items()]
        command = ["env", f"--chdir={self.directory}", *setting, sys.executable, "-m", "csi_solidfire", "controller"]
        self._site.run.spawn("controller", [*command, *flags], self._site.controller_log)
        self._site.controller.wait_ready(_SECONDS)

    def rotate(self, *flags: str) -> int:
        """Run `rotate-chap` and keep what it prints; return its exit status."""
        command = ["-m", "csi_solidfire", "rotate-chap", f"--clusters-dir={self._mounted}", "--log-level=debug", *flags]
        ran = self.python(*command)
        with self.rotations.open("ab") as log:
            log.write(ran.stdout)
        return ran.returncode

    def python(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run Python as the driver's is run here."""
        return subprocess.run(
            [sys.executable, *arguments],
            check=False,
            cwd=self.directory,
            env={"PATH": "/usr/bin:/bin", **self._environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
        )

    def written(self) -> bytes:
        """Return all that is in the files that the processes wrote, with their names, and in those of the directory."""
        lines = [line.split(" ", 2) for line in self.report.read_text().splitlines()]
        named = {Path(ast.literal_eval(line[2])) for line in lines if line[1] == "writes"}
        own = set(self.directory.rglob("*"))
        return b"\n".join(str(path).encode() + _content(path) for path in sorted(named | own))

    def _environment(self) -> dict[str, str]:
        own = str(self.directory)
        return {"PYTHONPATH": _PYTHON_PATH, "LEAKS_REPORT": str(self.report), "HOME": own, "TMPDIR": own}


def metrics_at(address: str) -> bytes:
    """Return what a driver tells Prometheus."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"http://{address}/metrics", timeout=60).content


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
