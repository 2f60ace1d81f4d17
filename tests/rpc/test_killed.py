"""A real controller, killed with SIGKILL while the array works for it; the next one finishes the job."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from lab.array import Array
from lab.csi import Client
from tests.support.driver import Driver, wait_until, write_cluster
from tests.support.scenes import SCENES

PATIENCE = 60.0


@contextmanager
def _controller(array: Array, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    write_cluster(folder / "clusters" / "c1", array)
    flags = {
        "endpoint": f"unix://{folder}/csi.sock",
        "hostname": "controller-host",
        "clusters-dir": str(folder / "clusters"),
        "metrics-address": "off",
        "chap-in-publish-context": "true",
    }
    command = [sys.executable, "-m", "csi_solidfire", "controller", *(f"--{key}={flags[key]}" for key in flags)]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            wait_until(lambda: process.poll() is not None or (folder / "csi.sock").exists(), PATIENCE)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("create", "AddAccount"),
        ("create", "CreateVolume"),
        ("delete", "DeleteVolume"),
        ("delete", "PurgeDeletedVolume"),
        ("publish elsewhere", "ModifyVolume"),
        ("unpublish", "ModifyVolume"),
    ],
)
def test_killed_before_the_answer_arrives(array: Array, tmp_path: Path, name: str, method: str) -> None:
    scene = next(scene for scene in SCENES if scene.name == name)
    with Driver(array) as driver:
        scene.prepare(driver, array)
    with _controller(array, tmp_path) as process, Client(f"unix:{tmp_path}/csi.sock") as client:
        client.wait_ready(PATIENCE)
        array.faults.hook(method, after=lambda moment: process.kill())
        with pytest.raises(grpc.RpcError):
            scene.call(client, PATIENCE)
        assert process.wait(PATIENCE) == -9
    assert "Traceback" not in (tmp_path / "log").read_text()
    array.faults.clear()
    with Driver(array) as successor:
        scene.call(successor, PATIENCE)
        wait_until(lambda: scene.settled(array))
