"""The gRPC server and the socket it answers on."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from csi_solidfire import logs
from csi_solidfire.pb import csi_pb2_grpc
from csi_solidfire.rpc.interceptors import Calls

log = logs.get(__name__)

_REGISTER: dict[type, Callable[[Any, grpc.Server], None]] = {
    csi_pb2_grpc.IdentityServicer: csi_pb2_grpc.add_IdentityServicer_to_server,
    csi_pb2_grpc.ControllerServicer: csi_pb2_grpc.add_ControllerServicer_to_server,
    csi_pb2_grpc.GroupControllerServicer: csi_pb2_grpc.add_GroupControllerServicer_to_server,
    csi_pb2_grpc.NodeServicer: csi_pb2_grpc.add_NodeServicer_to_server,
}

_OPTIONS = (
    # A second process on the same port must fail and not take half of the calls.
    ("grpc.so_reuseport", 0),
    # Clients may ping an idle connection every ten seconds; the default would hang up on them.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)

_CONNECT_TIMEOUT = 1.0  # seconds; a local socket answers or refuses at once


class EndpointError(OSError):
    """The endpoint cannot be listened on; the message says why."""


class Server:
    """Serves CSI services on one endpoint.

    Args:
        endpoint: `unix:///absolute/path` or `tcp://host:port`; port 0 is a free one.
        services: Servicers, each a subclass of one that grpc generated.
        threads: Calls served at the same time.
        grace: Seconds that `stop` gives calls in flight.

    Attributes:
        address: What a gRPC client connects to, known once started.
    """

    def __init__(self, endpoint: str, services: Sequence[object], threads: int = 32, grace: float = 30.0) -> None:
        self._endpoint = endpoint
        self._grace = grace
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="call")
        self._urgent = ThreadPoolExecutor(4, thread_name_prefix="identity")
        self._calls = Calls(self._urgent)
        self._server = grpc.server(self._pool, interceptors=[self._calls], options=_OPTIONS)
        for service in services:
            _register(service, self._server)
        self.address = ""

    def start(self) -> None:
        """Listen and serve.

        Raises:
            EndpointError: Somebody else listens there, or it cannot be listened on.
        """
        scheme, _, rest = self._endpoint.partition("://")
        self.address = self._bind_unix(Path(rest)) if scheme == "unix" else self._bind_tcp(rest)
        self._server.start()
        log.info("serving", endpoint=self._endpoint)

    def stop(self, grace: float | None = None) -> bool:
        """Take no more calls and let those in flight end; return whether all of them did.

        Args:
            grace: Seconds they have, in place of the server's own.
        """
        ends = time.monotonic() + (self._grace if grace is None else grace)
        self._server.stop(max(ends - time.monotonic(), 0)).wait()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._urgent.shutdown(wait=False)
        return self._calls.wait_idle(max(ends - time.monotonic(), 0))

    def _bind_unix(self, path: Path) -> str:
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            remove_stale(path)
            # For the driver's user and the pod's group; a mode set later would leave a gap.
            before = os.umask(0o117)
            try:
                self._server.add_insecure_port(f"unix:{path}")
            finally:
                os.umask(before)
        except (OSError, RuntimeError) as error:
            raise EndpointError(f"cannot listen on {self._endpoint}: {error}") from error
        return f"unix:{path}"

    def _bind_tcp(self, address: str) -> str:
        host, _, _ = address.rpartition(":")
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise EndpointError(f"cannot listen on {self._endpoint}; is something else listening there?") from error
        return f"{host}:{port}"


def _register(service: object, server: grpc.Server) -> None:
    known = [add for kind, add in _REGISTER.items() if isinstance(service, kind)]
    if not known:
        raise TypeError(f"{type(service).__name__} implements no CSI service")
    for add in known:
        add(service, server)


def remove_stale(path: Path) -> None:
    """Remove the socket of a process that is gone; gRPC itself would remove that of a living one, too.

    Raises:
        EndpointError: Somebody answers on it, or it is no socket.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise EndpointError(f"{path} exists and is not a socket; remove it or choose another endpoint")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_CONNECT_TIMEOUT)
        refused = client.connect_ex(str(path))
    if refused not in {errno.ECONNREFUSED, errno.ENOENT}:
        raise EndpointError(f"another process is listening on {path}; stop it first")
    path.unlink(missing_ok=True)
    log.info("removed a stale socket", path=str(path))
