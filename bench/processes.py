"""The array and the driver as processes of their own, as they are in real life."""

from __future__ import annotations

import socket as net
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from lab.csi import Client
from lab.vm.wire import Deadline

_PASSWORD = "bench-password"
_SECONDS = 30.0


class BareArray:
    """A client of the array's API that does nothing but the calls."""

    def __init__(self, endpoint: str, ca: Path) -> None:
        self.endpoint = endpoint
        self.ca = ca
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = ("admin", _PASSWORD)
        self.session.verify = str(ca)
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=64)
        self.session.mount("https://", adapter)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        body = {"method": method, "params": params, "id": 1}
        answer = self.session.post(f"{self.endpoint}/json-rpc/12.5", json=body, timeout=_SECONDS).json()
        result: dict[str, Any] = answer["result"]
        return result

    def lab(self, topic: str, **settings: Any) -> None:
        self.session.post(f"{self.endpoint}/lab/{topic}", json=settings, timeout=_SECONDS).raise_for_status()

    def create(self, name: str, account_id: int) -> int:
        """The two calls that the driver makes for a new volume."""
        self.call("ListVolumes", volumeName=name, volumeStatus="active")
        made = self.call("CreateVolume", name=name, accountID=account_id, totalSize=1 << 30, enable512e=True)
        return int(made["volumeID"])

    def delete(self, volume_id: int) -> None:
        self.call("DeleteVolume", volumeID=volume_id)
        self.call("PurgeDeletedVolume", volumeID=volume_id)


@contextmanager
def array(latency: float = 0.0) -> Iterator[BareArray]:
    """Run an array without data."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        state = Path(name)
        (state / "password").write_text(_PASSWORD)
        port = _free_port()
        command = [sys.executable, "-m", "lab.array", f"--listen=127.0.0.1:{port}", f"--state={state}", "--data=none"]
        command += ["--unique-id=lab1", "--username=admin", f"--password-file={state / 'password'}"]
        with running(command):
            bare = BareArray(f"https://127.0.0.1:{port}", state / "array.crt")
            until(lambda: bare.ca.exists() and bare.call("GetClusterInfo"))
            bare.lab("latency", seconds=latency)
            yield bare


def cluster_directory(of: BareArray, root: Path) -> Path:
    """Write the array's Secret as kubelet mounts it; return the directory of all clusters."""
    cluster = root / "clusters" / "lab"
    cluster.mkdir(parents=True)
    secret = {"endpoint": of.endpoint, "username": "admin", "password": _PASSWORD, "caCert": of.ca.read_text()}
    for key, value in secret.items():
        (cluster / key).write_text(value)
    return cluster.parent


@contextmanager
def controller(of: BareArray, *flags: str) -> Iterator[Client]:
    """Run the driver's controller for an array."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        clusters = cluster_directory(of, Path(name))
        socket = Path(name) / "csi.sock"
        command = [sys.executable, "-m", "csi_solidfire", "controller", f"--endpoint=unix://{socket}"]
        command += ["--hostname=bench", "--metrics-address=off", "--log-level=warning"]
        command += [f"--clusters-dir={clusters}", *flags]
        with running(command), Client(f"unix:{socket}") as client:
            client.wait_ready(_SECONDS)
            yield client


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with net.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(done: Callable[[], object]) -> None:
    deadline = Deadline(_SECONDS)
    while True:
        try:
            if done():
                return
        except (requests.RequestException, KeyError, ValueError):
            pass
        if deadline.passed():
            raise TimeoutError("it did not start in time")
        time.sleep(0.01)
