"""The driver as a process of its own: signals, standard error, exit status."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from csi_solidfire.pb import csi_pb2, csi_pb2_grpc
from lab.array import Array
from tests.support.driver import write_cluster

PATIENCE = 60.0  # seconds

# The command with a controller that works until it is told through standard input to end.
PROGRAM = """
import sys
from csi_solidfire import cli
from csi_solidfire.pb import csi_pb2, csi_pb2_grpc

class Slow(csi_pb2_grpc.ControllerServicer):
    def DeleteVolume(self, request, context):
        print("inside", flush=True)
        sys.stdin.readline()
        return csi_pb2.DeleteVolumeResponse()

cli._parts = lambda settings, stack: [cli._Part([Slow()], lambda: True, str)]
sys.exit(cli.main(sys.argv[1:]))
"""


# The command as it is.
COMMAND = "import sys; from csi_solidfire import cli; sys.exit(cli.main(sys.argv[1:]))"


@contextmanager
def driver(tmp_path: Path, *argv: str, program: str = PROGRAM) -> Iterator[tuple[subprocess.Popen[str], grpc.Channel]]:
    socket = f"{tmp_path}/csi.sock"
    command = [sys.executable, "-c", program, "controller", "--hostname=n", f"--endpoint=unix://{socket}", *argv]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            wait_for_line(process, "serving")
            with grpc.insecure_channel(f"unix:{socket}") as channel:
                yield process, channel
        finally:
            process.kill()


def wait_for_line(process: subprocess.Popen[str], word: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return
    pytest.fail(f"the driver ended without saying {word!r}")


def start_call(process: subprocess.Popen[str], channel: grpc.Channel) -> Any:
    stub = csi_pb2_grpc.ControllerStub(channel)
    call = stub.DeleteVolume.future(csi_pb2.DeleteVolumeRequest(volume_id="jyay.1"), timeout=PATIENCE)
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    return call


def test_a_crash_leaves_no_core_with_secrets_in_it(tmp_path: Path) -> None:
    with driver(tmp_path, "--metrics-address=off") as (process, _):
        assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == (0, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_calls_in_flight_end(tmp_path: Path, number: signal.Signals) -> None:
    with driver(tmp_path, "--metrics-address=off") as (process, channel):
        call = start_call(process, channel)
        process.send_signal(number)
        wait_for_line(process, "stopping")
        assert process.stdin is not None
        process.stdin.write("end\n")
        process.stdin.flush()
        assert call.result() == csi_pb2.DeleteVolumeResponse()
        assert process.wait(PATIENCE) == 0
    assert not (tmp_path / "csi.sock").exists()


def test_a_call_that_outlasts_the_grace_is_cut_off(tmp_path: Path) -> None:
    with driver(tmp_path, "--metrics-address=off", "--shutdown-grace=0.1") as (process, channel):
        call = start_call(process, channel)
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert call.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with driver(tmp_path, "--metrics-address=off", "--shutdown-grace=3600") as (process, channel):
        start_call(process, channel)
        process.terminate()
        wait_for_line(process, "stopping")
        process.terminate()
        assert process.wait(PATIENCE) == -signal.SIGTERM


def test_a_new_process_takes_over_the_socket_of_a_killed_one(tmp_path: Path) -> None:
    with driver(tmp_path, "--metrics-address=off") as (process, _):
        process.kill()
        process.wait(PATIENCE)
    assert (tmp_path / "csi.sock").is_socket()
    with driver(tmp_path, "--metrics-address=off") as (process, channel):
        probe = csi_pb2_grpc.IdentityStub(channel).Probe(csi_pb2.ProbeRequest(), timeout=PATIENCE)
        assert probe.ready.value
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_the_process_shows_its_health_and_what_it_served(tmp_path: Path) -> None:
    with driver(tmp_path, "--metrics-address=127.0.0.1:0", "--log-format=json") as (process, _):
        assert process.stderr is not None
        port = process.stderr.readline().partition('"port": ')[2].partition(",")[0]
        assert get(f"http://127.0.0.1:{port}/healthz") == "ok\n"
        text = get(f"http://127.0.0.1:{port}/metrics")
        assert 'csi_solidfire_rpc_duration_seconds_count{code="OK",method="Probe"} 1.0' in text
        assert 'csi_solidfire_build_info{mode="controller"' in text
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_a_controller_serves_before_its_array_answers(tmp_path: Path) -> None:
    """Sidecars wait for Probe when they start; a claim must hear from them what is wrong with the array."""
    with Array.start(unique_id="lab1") as array:
        write_cluster(tmp_path / "clusters" / "main", array, password="not-the-password")
        argv = [f"--clusters-dir={tmp_path / 'clusters'}", "--metrics-address=127.0.0.1:0", "--log-format=json"]
        with driver(tmp_path, *argv, program=COMMAND) as (process, channel):
            assert process.stderr is not None
            lines = map(json.loads, process.stderr)
            port = next(line["port"] for line in lines if line["event"] == "serving metrics")
            assert csi_pb2_grpc.IdentityStub(channel).Probe(csi_pb2.ProbeRequest(), timeout=PATIENCE).ready.value
            assert get(f"http://127.0.0.1:{port}/healthz") == "ok\n"
            with pytest.raises(urllib.error.HTTPError) as refusal:
                get(f"http://127.0.0.1:{port}/readyz")
            with refusal.value as answer:
                assert answer.code == 503
                assert "refuses username and password" in answer.read().decode()
            write_cluster(tmp_path / "clusters" / "main", array)
            assert get(f"http://127.0.0.1:{port}/readyz") == "ok\n"


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - our own server
        return str(answer.read().decode())
