"""The command `csi-solidfire`: reads the settings, puts the parts together, serves until told to stop."""

# ruff: noqa: PLC0415 - gRPC, requests and the generated code take half a second to import. What a mode does
# not need is not imported: the node's process stays small, and --help, version and complaints are immediate.

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from csi_solidfire import __version__, config

if TYPE_CHECKING:
    from csi_solidfire.rpc.registration import Registration

CSI_VERSION = "1.13.0"

_PROBE_TIMEOUT = 5.0  # seconds


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 if it cannot serve, 2 if the settings are wrong."""
    try:
        settings = config.load(sys.argv[1:] if argv is None else argv)
    except config.ConfigError as error:
        _complain(error)
        return 2
    if isinstance(settings, config.Help):
        print(settings.text, end="")
        return 0
    if isinstance(settings, config.Version):
        print(_versions())
        return 0
    # A core dump would hold all secrets that the process has in memory. The commands it runs inherit this: iscsiadm
    # reads them from the node record.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if isinstance(settings, config.RotateChap):
        return _rotate(settings)
    return _serve(settings)


def _rotate(settings: config.RotateChap) -> int:
    from csi_solidfire import logs, rotate

    logs.configure(settings.log_level, settings.log_format, sys.stderr)
    return rotate.run(settings)


def _complain(error: config.ConfigError) -> None:
    print(f"{config.PROGRAM}: the settings cannot be used:", file=sys.stderr)
    for problem in error.problems:
        print(f"  - {problem}", file=sys.stderr)
    print(f"{config.PROGRAM} --help and {config.PROGRAM} <mode> --help explain them.", file=sys.stderr)


def _versions() -> str:
    import platform
    from importlib.metadata import version

    return (
        f"{config.PROGRAM} {__version__}\nCSI specification {CSI_VERSION}\n"
        f"Python {platform.python_version()}\ngrpc {version('grpcio')}"
    )


class _Part(NamedTuple):
    """One of the services a mode is made of.

    Attributes:
        ready: Whether what it needs on this machine is there.
        trouble: What keeps it from being of use, for example that no array answers; empty if nothing.
    """

    servicers: list[object]
    ready: Callable[[], bool]
    trouble: Callable[[], str]


def _serve(settings: config.Settings) -> int:
    from csi_solidfire import logs

    logs.configure(settings.log_level, settings.log_format, sys.stderr)
    log = logs.get(__name__)
    stop = _stop_signals()
    with ExitStack() as stack:
        try:
            finished = _run(settings, stack, stop)
        except OSError as error:
            log.error("cannot serve", error=str(error))
            return 1
    if not finished:
        # Python would wait for the threads of calls that are not done, past any grace. Cutting them off is
        # what a crash does, and every step of every call survives that.
        log.warning("calls were still running at the end of the grace; they are cut off")
        sys.stderr.flush()
        os._exit(0)
    log.info("stopped")
    return 0


def _run(settings: config.Settings, stack: ExitStack, stop: SimpleQueue[int]) -> bool:
    """Serve until asked to stop; return whether all calls ended in time."""
    from csi_solidfire import logs
    from csi_solidfire.rpc.identity import CAPABILITIES, Identity
    from csi_solidfire.rpc.server import Server

    log = logs.get(__name__)
    log.info("starting", mode=settings.MODE, version=__version__, driver=settings.driver_name, node=settings.hostname)
    parts = _parts(settings, stack)
    identity = Identity(settings.driver_name, __version__, CAPABILITIES, lambda: all(part.ready() for part in parts))
    services = [identity, *(servicer for part in parts for servicer in part.servicers)]
    server = Server(settings.endpoint, services, settings.threads, settings.shutdown_grace)
    server.start()
    try:
        withdraw = _announce(settings, stack, server.address, parts)
    except OSError:
        server.stop(0)
        raise
    number = stop.get()
    log.info("stopping", signal=signal.Signals(number).name, grace=settings.shutdown_grace)
    withdraw()
    return server.stop()


def _announce(settings: config.Settings, stack: ExitStack, address: str, parts: list[_Part]) -> Callable[[], None]:
    """Show a driver that serves to Prometheus and to kubelet; return what takes it from kubelet's sight."""
    from csi_solidfire import logs, metrics

    registration = _registration(settings)
    metrics.build_info(settings.MODE)
    if settings.metrics_address is not None:
        from csi_solidfire.rpc.identity import Client

        client = Client(address, _PROBE_TIMEOUT)
        stack.callback(client.close)
        web = metrics.serve(*settings.metrics_address, client, _trouble(parts, registration))
        stack.callback(web.stop)
        logs.get(__name__).info("serving metrics", host=settings.metrics_address.host, port=web.port)
    if registration is None:
        return lambda: None
    registration.start()
    return registration.stop


def _trouble(parts: list[_Part], registration: Registration | None) -> Callable[[], str]:
    def trouble() -> str:
        found = [part.trouble() for part in parts]
        if registration is not None and not registration.registered():
            found.append("not registered with kubelet")
        return "; ".join(filter(None, found))

    return trouble


def _always() -> bool:
    return True


def _none() -> str:
    return ""


def _registration(settings: config.Settings) -> Registration | None:
    if not isinstance(settings, config.Node) or settings.registration_dir is None:
        return None
    from csi_solidfire.rpc.registration import Registration

    return Registration(
        settings.registration_socket(settings.registration_dir),
        settings.driver_name,
        Path(settings.endpoint.removeprefix("unix://")),
    )


def _stop_signals() -> SimpleQueue[int]:
    """Return where SIGTERM and SIGINT arrive; a second one ends the process at once.

    A queue of this kind and no Event: a signal handler that interrupts `Event.wait` can wait for itself.
    """
    arrived: SimpleQueue[int] = SimpleQueue()

    def stop(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        arrived.put(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return arrived


def _parts(settings: config.Settings, stack: ExitStack) -> list[_Part]:
    parts = []
    if isinstance(settings, config.Controller):
        parts.append(_controller(settings, stack))
    if isinstance(settings, config.Node):
        parts.append(_node(settings))
    return parts


def _controller(settings: config.Controller, stack: ExitStack) -> _Part:
    from csi_solidfire import logs
    from csi_solidfire.rpc.controller import Controller
    from csi_solidfire.storage.service import Storage

    log = logs.get(__name__)
    if settings.insecure_skip_tls_verify:
        log.warning("--insecure-skip-tls-verify: whoever is between here and the array can read the admin password")
    if settings.chap_in_publish_context:
        log.warning("--chap-in-publish-context: CHAP passwords go into VolumeAttachment objects in clear text")
    chap_secrets = None
    if settings.chap_secrets_namespace:
        from csi_solidfire.kube.client import connect
        from csi_solidfire.kube.secrets import ChapSecrets

        chap_secrets = ChapSecrets(connect(settings.kubeconfig), settings.chap_secrets_namespace, settings.driver_name)
    storage = Storage(
        clusters_dir=settings.clusters_dir,
        hostname=settings.hostname,
        default_namespace=settings.default_namespace,
        driver_name=settings.driver_name,
        chap_in_publish_context=settings.chap_in_publish_context,
        chap_secrets=chap_secrets,
        verify_tls=not settings.insecure_skip_tls_verify,
        array_calls=settings.array_calls,
        sweep_interval=settings.sweep_interval,
    )
    storage.start()
    stack.callback(storage.close)
    # No array is asked for: the sidecars wait for this, and then claims would not hear what is wrong with theirs.
    return _Part([Controller(storage)], _always, storage.trouble)


def _node(settings: config.Node) -> _Part:
    from csi_solidfire.node.host import ISCSI_CONFIGURATION, LocalHost
    from csi_solidfire.node.plugin import Plugin
    from csi_solidfire.rpc.node import Node

    host_files = [*ISCSI_CONFIGURATION, settings.initiator_name_file, *filter(None, [settings.iscsi_db])]
    plugin = Plugin(
        host=LocalHost(settings.host_command_prefix, settings.host_root, host_files),
        hostname=settings.hostname,
        driver_name=settings.driver_name,
        max_volumes=settings.max_volumes,
        kubelet_dir=settings.kubelet_dir,
        database=settings.iscsi_db,
        initiator_file=settings.initiator_name_file,
        replacement_timeout=settings.replacement_timeout,
    )
    return _Part([Node(plugin)], plugin.ready, _none)
