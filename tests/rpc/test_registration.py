"""Registration with kubelet, through the socket that a kubelet finds."""

from __future__ import annotations

import io
import json
import logging
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from csi_solidfire import logs
from csi_solidfire.pb import csi_pb2, csi_pb2_grpc, pluginregistration_pb2, pluginregistration_pb2_grpc
from csi_solidfire.rpc.registration import Registration
from csi_solidfire.rpc.server import EndpointError
from tests.support.driver import wait_until

PATIENCE = 60.0  # seconds for what takes milliseconds
DRIVER = "block.example.org"
CSI_SOCKET = Path("/var/lib/kubelet/plugins/block.example.org/csi.sock")
SOCKET = f"{DRIVER}-reg.sock"


class Kubelet:
    """What kubelet does with a registration directory, one step at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def sockets(self) -> list[Path]:
        """Return the plug-ins it would connect to."""
        return [path for path in self._directory.iterdir() if path.is_socket() and not path.name.startswith(".")]

    @contextmanager
    def plugin(self) -> Iterator[pluginregistration_pb2_grpc.RegistrationStub]:
        """Connect to the only plug-in there is."""
        (path,) = self.sockets()
        # kubelet's gRPC library has the socket's path for an authority.
        with grpc.insecure_channel(f"unix:{path}", options=[("grpc.default_authority", str(path))]) as channel:
            yield pluginregistration_pb2_grpc.RegistrationStub(channel)

    def ask(self) -> pluginregistration_pb2.PluginInfo:
        with self.plugin() as plugin:
            return plugin.GetInfo(pluginregistration_pb2.InfoRequest(), timeout=PATIENCE)

    def tell(self, error: str = "") -> None:
        status = pluginregistration_pb2.RegistrationStatus(plugin_registered=not error, error=error)
        with self.plugin() as plugin:
            plugin.NotifyRegistrationStatus(status, timeout=PATIENCE)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one: a socket's path may have 107 bytes, and pytest's own directories take most of them."""
    with tempfile.TemporaryDirectory(prefix="reg-") as made:
        yield Path(made)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "plugins_registry"
    path.mkdir()
    return path


@pytest.fixture
def kubelet(directory: Path) -> Kubelet:
    return Kubelet(directory)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure("info", "text", stream)
    yield stream
    logging.basicConfig(handlers=[], force=True)
    logging.captureWarnings(capture=False)


@contextmanager
def offered(directory: Path, interval: float = 3600.0) -> Iterator[Registration]:
    registration = Registration(directory / SOCKET, DRIVER, CSI_SOCKET, interval)
    registration.start()
    try:
        yield registration
    finally:
        registration.stop()


def test_kubelet_learns_whom_to_call_and_where(directory: Path, kubelet: Kubelet) -> None:
    with offered(directory):
        info = kubelet.ask()
    assert (info.type, info.name, info.endpoint) == ("CSIPlugin", DRIVER, str(CSI_SOCKET))
    assert [version.partition(".")[0] for version in info.supported_versions] == ["1"]


def test_it_is_registered_when_kubelet_says_so(directory: Path, kubelet: Kubelet) -> None:
    with offered(directory) as registration:
        kubelet.ask()
        assert not registration.registered()
        kubelet.tell()
        assert registration.registered()


def test_a_refusal_is_logged_and_may_be_taken_back(directory: Path, kubelet: Kubelet, log: io.StringIO) -> None:
    with offered(directory) as registration:
        kubelet.tell("another driver with the same name")
        assert not registration.registered()
        assert "another driver with the same name" in log.getvalue()
        kubelet.tell()
        assert registration.registered()
        kubelet.tell("no CSINode")
        assert not registration.registered()


def test_only_the_answering_socket_is_ever_shown_and_for_root_alone(directory: Path) -> None:
    with offered(directory):
        assert [path.name for path in directory.iterdir()] == [SOCKET]
        assert stat.S_IMODE((directory / SOCKET).stat().st_mode) == 0o600


def test_nothing_is_left_when_it_stops(directory: Path) -> None:
    with offered(directory):
        pass
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("name", [SOCKET, f".{SOCKET}"], ids=["shown", "hidden"])
def test_what_a_crash_left_is_replaced(directory: Path, kubelet: Kubelet, name: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(directory / name))
    with offered(directory):
        assert kubelet.ask().name == DRIVER
        assert [path.name for path in directory.iterdir()] == [SOCKET]


def test_a_driver_that_lives_keeps_its_place(directory: Path, kubelet: Kubelet) -> None:
    with offered(directory) as first:
        kubelet.tell()
        with pytest.raises(EndpointError, match="another process is listening"):
            Registration(directory / SOCKET, DRIVER, Path("/elsewhere")).start()
        assert kubelet.ask().endpoint == str(CSI_SOCKET)
        assert first.registered()
        assert [path.name for path in directory.iterdir()] == [SOCKET]


def test_what_is_no_socket_stays(directory: Path) -> None:
    (directory / SOCKET).write_text("precious")
    with pytest.raises(EndpointError, match="not a socket"), offered(directory):
        pass
    assert (directory / SOCKET).read_text() == "precious"


def test_another_directory_than_kubelets_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="is kubelet's plugins_registry mounted there"), offered(tmp_path / "other"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_socket_that_was_cleaned_away_comes_back(directory: Path, kubelet: Kubelet) -> None:
    with offered(directory, interval=0.01) as registration:
        kubelet.tell()
        (directory / SOCKET).unlink()
        assert not registration.registered()
        wait_until(kubelet.sockets)
        assert not registration.registered()
        kubelet.ask()
        kubelet.tell()
        assert registration.registered()
    assert list(directory.iterdir()) == []


def test_who_took_its_place_is_left_alone(directory: Path, kubelet: Kubelet, log: io.StringIO) -> None:
    with offered(directory, interval=0.01) as registration:
        kubelet.tell()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(directory / "other"))
            other.listen()
            (directory / "other").rename(directory / SOCKET)
            wait_until(lambda: "the driver is not registered" in log.getvalue())
            assert not registration.registered()
            registration.stop()
            assert (directory / SOCKET).is_socket()


def test_a_kubelet_that_never_asks_is_complained_of_once(directory: Path, log: io.StringIO) -> None:
    with offered(directory, interval=0.001):
        wait_until(lambda: "kubelet has not asked" in log.getvalue())
    assert log.getvalue().count("kubelet has not asked") == 1


# The command, with parts that are always ready.
PROGRAM = """
import sys
from csi_solidfire import cli
cli._parts = lambda settings, stack: [cli._Part([], lambda: True, str)]
sys.exit(cli.main(sys.argv[1:]))
"""


@contextmanager
def command(root: Path, directory: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the node's command; yields it and the address of its metrics."""
    flags = [
        f"--endpoint=unix://{root}/plugins/{DRIVER}/csi.sock",
        f"--kubelet-dir={root}",
        f"--registration-dir={directory}",
        f"--driver-name={DRIVER}",
        "--metrics-address=127.0.0.1:0",
        "--log-format=json",
        "--hostname=node-1",
    ]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "node", *flags], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            metrics = next(line for line in map(json.loads, process.stderr) if line["event"] == "serving metrics")
            next(line for line in process.stderr if "offering" in line)
            yield process, f"http://127.0.0.1:{metrics['port']}"
        finally:
            process.kill()


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - our own server
            return str(answer.read().decode())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return f"{refusal.code} {refusal.read().decode()}"


def test_the_node_is_ready_once_kubelet_knows_it(tmp_path: Path, directory: Path, kubelet: Kubelet) -> None:
    with command(tmp_path, directory) as (process, url):
        assert get(f"{url}/readyz") == "503 not registered with kubelet\n"
        assert get(f"{url}/healthz") == "ok\n"
        endpoint = kubelet.ask().endpoint
        with grpc.insecure_channel(f"unix:{endpoint}") as channel:
            answer = csi_pb2_grpc.IdentityStub(channel).GetPluginInfo(csi_pb2.GetPluginInfoRequest(), timeout=PATIENCE)
        assert answer.name == DRIVER
        kubelet.tell()
        assert get(f"{url}/readyz") == "ok\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert list(directory.iterdir()) == []


def test_a_killed_driver_is_offered_again_by_the_next(tmp_path: Path, directory: Path, kubelet: Kubelet) -> None:
    with command(tmp_path, directory) as (process, _):
        process.kill()
        process.wait(PATIENCE)
    assert (directory / SOCKET).is_socket()
    with command(tmp_path, directory):
        assert kubelet.ask().name == DRIVER
