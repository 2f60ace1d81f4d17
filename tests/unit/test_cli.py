"""The command as a user starts it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from csi_solidfire.cli import CSI_VERSION


def run(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "csi_solidfire", *argv]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_every_wrong_setting_is_listed_and_the_status_is_2() -> None:
    done = run("node", "--max-volumes=none", CSI_ENDPOINT="nowhere", CSI_SOLIDFIRE_THREADS="0")
    assert done.returncode == 2
    assert done.stdout == ""
    for name in ("--hostname", "--max-volumes", "CSI_ENDPOINT", "CSI_SOLIDFIRE_THREADS"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("argv", [["--help"], ["controller", "--help"], ["node", "-h"], ["all", "--help"]])
def test_help_goes_to_standard_output(argv: list[str]) -> None:
    done = run(*argv)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: csi-solidfire")
    assert done.stderr == ""


def test_version_says_what_it_is_built_on() -> None:
    done = run("version")
    assert done.returncode == 0
    assert [line.rpartition(" ")[0] for line in done.stdout.splitlines()] == [
        "csi-solidfire",
        "CSI specification",
        "Python",
        "grpc",
    ]


def test_a_port_that_is_taken_is_status_1_and_no_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("controller", "--hostname=n", f"--endpoint=unix://{tmp_path}/s", f"--metrics-address={address}")
    assert done.returncode == 1
    assert "cannot serve" in done.stderr
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_complaints_load_no_grpc() -> None:
    script = (
        "import sys; from csi_solidfire import cli; "
        "cli.main(['node', '--help']); cli.main([]); print('grpc' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_the_version_of_the_specification_is_that_of_the_contract() -> None:
    assert f"v{CSI_VERSION}" in (Path(__file__).parents[2] / "proto/csi.proto").read_text().splitlines()[0]
