"""What the driver counts and times, and the small HTTP server that shows it.

All metrics live in `REGISTRY`, apart from prometheus-client's process-wide one, so that importing the
driver as a library adds nothing to somebody else's metrics. docs/reference/metrics.md explains each.
"""

from __future__ import annotations

import contextlib
import platform
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from csi_solidfire import __version__, logs

log = logs.get(__name__)

REGISTRY = CollectorRegistry()

_OK = "ok"
# From an array call in one millisecond to a sidecar's longest patience.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

ProcessCollector(registry=REGISTRY)
_build = Gauge("csi_solidfire_build_info", "Always 1.", ["version", "mode", "python"], registry=REGISTRY)
_ready = Gauge("csi_solidfire_ready", "What /readyz last said: 1 for 200.", registry=REGISTRY)
_rpcs_in_flight = Gauge("csi_solidfire_rpcs_in_flight", "CSI calls being served.", ["method"], registry=REGISTRY)
_rpcs = Histogram(
    "csi_solidfire_rpc_duration_seconds",
    "Time a CSI call took. Its count is the number of calls.",
    ["method", "code"],
    buckets=_BUCKETS,
    registry=REGISTRY,
)
_element_calls = Histogram(
    "csi_solidfire_element_call_duration_seconds",
    "Time one HTTP request to the array took. Its count is the number of requests.",
    ["array", "method", "outcome"],
    buckets=_BUCKETS,
    registry=REGISTRY,
)
_element_retries = Counter(
    "csi_solidfire_element_retries_total",
    "Array calls made again after a transient failure.",
    ["array", "method", "reason"],
    registry=REGISTRY,
)
_kubernetes_calls = Histogram(
    "csi_solidfire_kubernetes_call_duration_seconds",
    "Time one request to Kubernetes' API took. Its count is the number of requests.",
    ["verb", "outcome"],
    buckets=_BUCKETS,
    registry=REGISTRY,
)
_commands = Histogram(
    "csi_solidfire_host_command_duration_seconds",
    "Time a command on the node took. Its count is the number of commands.",
    ["program", "outcome"],
    buckets=_BUCKETS,
    registry=REGISTRY,
)


def build_info(mode: str) -> None:
    """Say once, at start, what is running."""
    _build.labels(__version__, mode, platform.python_version()).set(1)


def rpc(method: str, code: str, seconds: float) -> None:
    """Count a finished CSI call, by its bare name (`CreateVolume`) and the code's name (`OK`, `NOT_FOUND`)."""
    _rpcs.labels(method, code).observe(seconds)


@contextmanager
def rpc_in_flight(method: str) -> Iterator[None]:
    """Count a CSI call as being served within a `with`."""
    with _rpcs_in_flight.labels(method).track_inprogress():
        yield


def element_call(array: str, method: str, outcome: str, seconds: float) -> None:
    """Count one request to the array.

    Args:
        array: Its management address, as it is configured.
        method: Element's name of it, `CreateVolume`.
        outcome: `ok`, Element's name of the error (`xVolumeIDDoesNotExist`), or a word for what went wrong below it.
            Never text from a message: each new value is a new time series.
        seconds: How long it took.
    """
    _element_calls.labels(array, method, outcome).observe(seconds)


def element_retry(array: str, method: str, reason: str) -> None:
    """Count an array call that is about to be made again; `reason` as the `outcome` of `element_call`."""
    _element_retries.labels(array, method, reason).inc()


def kubernetes_call(verb: str, outcome: str, seconds: float) -> None:
    """Count one request to Kubernetes' API, by RBAC's verb and `ok`, `unanswered` or the HTTP status."""
    _kubernetes_calls.labels(verb, outcome).observe(seconds)


def command(program: str, outcome: str, seconds: float) -> None:
    """Count a command run on the node, by the program's bare name and `ok`, `timeout` or its exit status."""
    _commands.labels(program, outcome).observe(seconds)


class MetricsServer:
    """The HTTP server while it runs.

    Attributes:
        port: The port it listens on, the kernel's choice if it was asked for port 0.
    """

    def __init__(self, server: ThreadingTCPServer) -> None:
        self._server = server
        self.port: int = server.server_address[1]
        self._thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the port and wait for the thread."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Health(Protocol):
    """The driver as its callers see it. Both methods raise if it does not answer."""

    def alive(self) -> None: ...

    def ready(self) -> bool: ...


def serve(host: str, port: int, health: Health, trouble: Callable[[], str]) -> MetricsServer:
    """Serve `/metrics`, `/healthz`, `/readyz` and `/livez` until stopped.

    `/healthz` is 200 while the driver has what it needs here, `/readyz` while it can be of use, too. `/livez` is 200
    as long as it answers at all: restarting a driver whose array or iscsid is away would cure nothing and cut off its
    calls, so that is what a liveness probe should ask for.

    Args:
        host: Address to listen on; all of them, IPv4 and IPv6, if empty.
        port: TCP port; 0 for a free one.
        health: Whom to ask.
        trouble: What keeps the driver from being of use: no array answers, kubelet does not know it; empty if nothing.

    Raises:
        OSError: The address cannot be had.
    """
    # The time each series began would double their number, and nobody asks for it.
    disable_created_metrics()  # type: ignore[no-untyped-call]

    class Handler(_Handler):
        driver = health
        elsewhere = staticmethod(trouble)

    everywhere = not host and socket.has_dualstack_ipv6()

    # Not http.server's, which asks the DNS for its own name first.
    class Server(ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        address_family = socket.AF_INET6 if everywhere or ":" in host else socket.AF_INET

        def server_bind(self) -> None:
            if everywhere:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            super().server_bind()

    return MetricsServer(Server((host, port), Handler))


class _Handler(BaseHTTPRequestHandler):
    driver: Health
    elsewhere: Callable[[], str]
    timeout = 10.0  # seconds until a silent client is hung up on
    server_version = "csi-solidfire"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept") or "")
            self._answer(200, content_type, encode(REGISTRY))
        elif path == "/healthz":
            self._say(self._health)
        elif path == "/readyz":
            self._say(self._readiness, _ready)
        elif path == "/livez":
            self._say(self._life)
        else:
            self._answer(404, "text/plain; charset=utf-8", b"There are /metrics, /healthz, /readyz and /livez.\n")

    def _health(self) -> str:
        return _OK if self.driver.ready() else "not ready"

    def _readiness(self) -> str:
        health = self._health()
        return self.elsewhere() or _OK if health == _OK else health

    def _life(self) -> str:
        self.driver.alive()
        return _OK

    def _say(self, ask: Callable[[], str], shown: Gauge | None = None) -> None:
        try:
            text = ask()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the driver did not answer
            log.warning("the driver does not answer on its own socket", error=str(error))
            text = "not answering"
        if shown is not None:
            shown.set(text == _OK)
        self._answer(200 if text == _OK else 503, "text/plain; charset=utf-8", f"{text}\n".encode())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # Who asked has not waited for the answer.
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep scrapes out of the log."""
