"""The one process that all of a run's QEMUs and its switch are children of; it outlives nothing it started.

It ends, and with it every process and the run's directory, when it is told to
("end" or SIGTERM), or, if its standard input is a pipe, when the other end of
that pipe is gone: however the process that began the run ended, kill -9
included. Should the supervisor itself be killed, the kernel kills its
children (PR_SET_PDEATHSIG), and the next run removes the directory.

That signal is sent when the *thread* that forked ends, which is why a process
of its own, with one thread, does the forking, and not a test's worker thread.

Runs as a program by itself: `supervisor.py RUN-DIRECTORY`, with the run's lock
inherited. Requests are one line of JSON each, on the Unix socket `control`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

CONTROL = "control"
_REQUEST_TIMEOUT = 10.0  # seconds for a client to send its one line


class Supervisor:
    """Starts and kills a run's processes on request."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def spawn(self, name: str, argv: list[str], log: str) -> dict[str, Any]:
        running = self._processes.get(name)
        if running is not None and running.poll() is None:
            return {"error": f"{name} is running already"}
        with Path(log).open("ab") as output:
            self._processes[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *argv],
                stdin=subprocess.PIPE,  # vde_switch ends when its input does
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                start_new_session=True,
            )
        return {"pid": self._processes[name].pid}

    def kill(self, name: str) -> dict[str, Any]:
        """End a process, and say so when it is gone."""
        process = self._processes.pop(name, None)
        if process is not None:
            process.kill()
            process.wait()
        return {}

    def status(self) -> dict[str, Any]:
        """Each process's exit status, or None while it runs."""
        return {"exits": {name: process.poll() for name, process in self._processes.items()}}

    def end(self) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            match request:
                case {"do": "spawn", "name": str(name), "argv": list(argv), "log": str(log)}:
                    return self.spawn(name, argv, log)
                case {"do": "kill", "name": str(name)}:
                    return self.kill(name)
                case {"do": "status"}:
                    return self.status()
        except OSError as error:
            return {"error": str(error)}
        return {"error": f"not understood: {request}"}


class _Ended(Exception):
    pass


def _serve(supervisor: Supervisor, listener: socket.socket, watch_parent: bool) -> None:
    """Answer requests until the end."""
    waiting: list[Any] = [listener, sys.stdin.fileno()] if watch_parent else [listener]
    while True:
        ready, _, _ = select.select(waiting, [], [])
        if listener not in ready:
            return
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(_REQUEST_TIMEOUT)
            request = json.loads(connection.makefile("rb").readline())
            if request == {"do": "end"}:
                supervisor.end()
                connection.sendall(b"{}\n")
                return
            connection.sendall(json.dumps(supervisor.answer(request)).encode() + b"\n")


def _stop(signum: int, frame: FrameType | None) -> None:
    raise _Ended


def main(directory: Path) -> None:
    """Serve one run's directory."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    watch_parent = not os.path.samestat(os.fstat(0), Path(os.devnull).stat())
    supervisor = Supervisor(directory)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(directory / CONTROL))
            listener.listen(64)
            sys.stdout.write("ready\n")
            sys.stdout.close()
            _serve(supervisor, listener, watch_parent)
    except _Ended:
        pass
    finally:
        supervisor.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
