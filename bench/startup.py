"""How long a process takes until its Probe is true, and how much memory it then has."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.processes import array, cluster_directory, running, until
from bench.table import Figure
from lab.csi import Client

_SECONDS = 30.0


def figures() -> Iterator[Figure]:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import grpc, google.protobuf"], check=True, timeout=_SECONDS)
    bare = time.perf_counter() - began
    with array() as of, tempfile.TemporaryDirectory(prefix="bench-") as name:
        clusters = cluster_directory(of, Path(name))
        socket = Path(name) / "csi.sock"
        command = [sys.executable, "-m", "csi_solidfire", "controller", f"--endpoint=unix://{socket}"]
        command += ["--hostname=bench", "--metrics-address=off", f"--clusters-dir={clusters}"]
        began = time.perf_counter()
        with running(command) as process:
            # gRPC waits a second before it tries again to connect, which would be most of what is measured.
            until(socket.exists)
            with Client(f"unix:{socket}") as client:
                client.wait_ready(_SECONDS)
            seconds = time.perf_counter() - began
            status = Path(f"/proc/{process.pid}/status").read_text()
        resident = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
    detail = f"{seconds / bare:.1f} x the {bare:.2f} s that Python takes to import gRPC"
    yield Figure("Controller: from start to a true Probe", f"{seconds:.2f} s", "1 s", detail)
    yield Figure("Controller: memory then", f"{resident / 1024:.0f} MB", "", "VmRSS")
