"""The array as a program of its own."""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Program:
    """A running one."""

    process: subprocess.Popen[str]
    url: str
    state: Path

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method as the admin."""
        body = json.dumps({"method": method, "params": params}).encode()
        request = urllib.request.Request(f"{self.url}/json-rpc/12.0", body)  # noqa: S310 - it is https
        request.add_header("Authorization", f"Basic {base64.b64encode(b'boss:thepassword').decode()}")
        context = ssl.create_default_context(cafile=str(self.state / "array.crt"))
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:  # noqa: S310
            result: dict[str, Any] = json.load(answer)["result"]
            return result


@contextmanager
def running(tmp_path: Path, *more: str) -> Iterator[Program]:
    """Start the program and stop it, however the test ends."""
    state, password = tmp_path / "state", tmp_path / "password"
    password.write_text("thepassword\n")
    argv = [
        "--listen",
        "127.0.0.1:0",
        "--state",
        str(state),
        "--username",
        "boss",
        "--password-file",
        str(password),
        *more,
    ]
    # -I: nothing but the standard library and the program itself, as on a machine where nothing is installed.
    code = "import sys, runpy; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('lab.array', run_name='__main__')"
    command = [sys.executable, "-I", "-S", "-c", code, str(ROOT), *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert " ready at https://" in line
            yield Program(process, line.split()[-1], state)
        finally:
            process.kill()


def test_it_serves_and_stops_when_told(tmp_path: Path) -> None:
    """With the identity that it was given; SIGTERM ends it with status 0."""
    given = ["--unique-id", "ab12", "--mvip", "192.0.2.9", "--svip", "192.0.2.10", "--sip", "192.0.2.11", "--name", "n"]
    with running(tmp_path, *given, "--element-version", "12.3.1.103") as program:
        info = program.call("GetClusterInfo")["clusterInfo"]
        assert (info["uniqueID"], info["mvip"], info["svip"], info["name"]) == ("ab12", "192.0.2.9", "192.0.2.10", "n")
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(10) == 0


def test_killed_and_started_again_it_goes_on(tmp_path: Path) -> None:
    """What was answered is there."""
    with running(tmp_path) as program:
        program.call("AddAccount", username="a")
        os.kill(program.process.pid, signal.SIGKILL)
    with running(tmp_path) as program:
        assert program.call("GetAccountByName", username="a")["account"]["accountID"] == 1


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--unique-id", "UPPER"], "four lower-case letters or digits"),
        (["--listen", "443"], "HOST:PORT"),
        (["--data", "tape"], "invalid choice"),
    ],
)
def test_bad_options_are_explained(argv: list[str], complaint: str) -> None:
    """With status 2, before anything is made."""
    command = [sys.executable, "-m", "lab.array", "--state", "/nonexistent", "--password-file", "/nonexistent", *argv]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=ROOT)
    assert ended.returncode == 2
    assert complaint in ended.stderr
