"""The whole scene: an array, nodes with the driver's node service, and its controller on this machine.

with Site.start(nodes=["node-1", "node-2"]) as site:
    site.controller.controller.CreateVolume(...)
    site.node("node-1").csi.node.NodeStageVolume(...)
    site.call("ListActiveVolumes")
"""

from __future__ import annotations

import hashlib
import secrets
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import grpc
import requests

import csi_solidfire
import lab
from lab.csi import Client
from lab.vm import Image, LabError, Machine, Run

Say = Callable[[str], None]

UNIQUE_ID: Final = "lab1"
MVIP, SVIP, SIP = "192.0.2.9", "192.0.2.10", "192.0.2.11"
ADMIN: Final = "csi"
DRIVER: Final = "csi-solidfire.io"
KUBELET: Final = "/var/lib/kubelet"

_API_PORT: Final = 443
_CSI_PORT: Final = 9000
_METRICS_PORT: Final = 9808
_ROOT: Final = Path(csi_solidfire.__file__).parent.parent
_GUEST: Final = "/opt/csi-solidfire"
_STATE: Final = "/srv/array/state"
_READY_SECONDS: Final = 240.0  # a few, where nothing else runs


def ensure_image(say: Say = print) -> Image:
    """Return the VMs' image, with the driver's run-time dependencies in it; builds it if the cache has none."""
    with (_ROOT / "pyproject.toml").open("rb") as file:
        requirements: list[str] = tomllib.load(file)["project"]["dependencies"]
    return Image.ensure(requirements=requirements, say=say)


class Node:
    """A node VM with the driver's node service in it.

    Attributes:
        machine: The VM.
        csi: A client of the node service.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.csi = Client(f"127.0.0.1:{machine.forwards[_CSI_PORT]}")

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def id(self) -> str:
        """The node id that the driver gives itself."""
        name = self.machine.run(["sed", "-n", "s/^InitiatorName=//p", "/etc/iscsi/initiatorname.iscsi"]).stdout
        return f"{self.name}/{name.strip()}"

    def staging_path(self, handle: str) -> str:
        """Make the directory, as kubelet does, and return where it is."""
        digest = hashlib.sha256(handle.encode()).hexdigest()
        path = f"{KUBELET}/plugins/kubernetes.io/csi/{DRIVER}/{digest}/globalmount"
        self.machine.run(["mkdir", "-p", path])
        return path

    def target_path(self, pod: str, claim: str, *, block: bool = False) -> str:
        """Make the parent directory, as kubelet does, and return where a pod's volume goes."""
        pods = f"{KUBELET}/pods/{pod}"
        path = f"{pods}/volumeDevices/{claim}" if block else f"{pods}/volumes/kubernetes.io~csi/{claim}/mount"
        self.machine.run(["mkdir", "-p", str(Path(path).parent)])
        return path

    def start_driver(self, *flags: str, mode: str = "node") -> None:
        """Start the node service, in place of one that runs."""
        self.stop_driver()
        self.machine.send_tree({f"{_GUEST}/app/csi_solidfire": _ROOT / "csi_solidfire"})
        command = [
            *("systemd-run", "--quiet", "--collect", "--unit=csi-solidfire"),
            f"--setenv=PYTHONPATH={_GUEST}/app:{_GUEST}/site-packages",
            *("python3", "-m", "csi_solidfire", mode, f"--hostname={self.name}"),
            *(f"--endpoint=tcp://0.0.0.0:{_CSI_PORT}", f"--metrics-address=:{_METRICS_PORT}"),
            *(f"--driver-name={DRIVER}", *flags),
        ]
        self.machine.run(command)
        try:
            self.csi.wait_ready(_READY_SECONDS)
        except (TimeoutError, grpc.FutureTimeoutError, grpc.RpcError) as error:
            raise LabError(f"the driver on {self.name} does not get ready:\n{self.driver_log()[-2000:]}") from error

    def stop_driver(self, signal: str = "TERM") -> None:
        """End the node service; `KILL` for a crash."""
        self.machine.run(f"systemctl kill --signal={signal} csi-solidfire; systemctl stop csi-solidfire", check=False)

    def driver_log(self) -> str:
        return self.machine.run("journalctl -u csi-solidfire --no-pager -o cat", check=False).stdout


class Site:
    """Made by `start` or `attach`; a context manager that ends what it started."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.array = run.machines["array"]
        self.nodes = {
            name: Node(machine) for name, machine in list(run.machines.items()) if _CSI_PORT in machine.forwards
        }
        self.endpoint = f"https://127.0.0.1:{self.array.forwards[_API_PORT]}"
        self.controller_socket = run.directory / "controller.sock"
        self.clusters = run.directory / "clusters"
        self.controller = Client(f"unix:{self.controller_socket}")
        self._http = requests.Session()
        self._http.trust_env = False

    @classmethod
    def start(
        cls,
        nodes: Sequence[str] = ("node-1", "node-2"),
        *,
        say: Say = lambda text: None,
        detached: bool = False,
        drivers: bool = True,
    ) -> Self:
        """Restore an array and nodes and start the driver on them.

        Args:
            nodes: Host names `node-1` to `node-9`.
            say: Told what is going on.
            detached: Whether it all stays up when this process ends.
            drivers: Whether to start the driver's controller and node services.
        """
        image = ensure_image(say)
        run = Run.detached(image) if detached else Run(image)
        try:
            say("restoring the virtual machines")
            _restore(run, nodes)
            site = cls(run)
            say("starting the array's Element API")
            site.start_array()
            if drivers:
                say("starting the driver: its controller here, its node service on each node")
                site.start_controller()
                with ThreadPoolExecutor() as pool:
                    list(pool.map(lambda node: node.start_driver(), site.nodes.values()))
        except BaseException:
            run.down() if detached else run.close()
            raise
        return site

    @classmethod
    def of_array(cls, run: Run) -> Self:
        """Restore an array in a run, from the run's image, and start its Element API; no nodes, no driver."""
        run.start("array", address=[MVIP, SVIP, SIP], forwards=[_API_PORT])
        site = cls(run)
        site.start_array()
        return site

    @classmethod
    def attach(cls) -> Self | None:
        """Return the site that was left up, if there is one."""
        run = Run.attach()
        return cls(run) if run is not None else None

    def start_array(self, *flags: str) -> None:
        """Start the array's program on the state and with the password it has, in place of one that runs."""
        self.array.run("systemctl stop lab-array", check=False)
        self.array.send_tree({f"{_GUEST}/lab": Path(lab.__file__).parent})
        known = self.clusters / "lab" / "password"
        password = known.read_text() if known.exists() else secrets.token_urlsafe(12)
        self.array.write_file("/etc/lab-array.password", password.encode(), mode=0o600)
        command = [
            *("systemd-run", "--quiet", "--collect", "--unit=lab-array", f"--setenv=PYTHONPATH={_GUEST}"),
            *("python3", "-m", "lab.array", f"--listen=0.0.0.0:{_API_PORT}", f"--state={_STATE}"),
            *(f"--unique-id={UNIQUE_ID}", f"--mvip={MVIP}", f"--svip={SVIP}", f"--sip={SIP}"),
            *("--data=lio", "--data-dir=/srv/array/volumes", f"--username={ADMIN}"),
            *("--password-file=/etc/lab-array.password", *flags),
        ]
        self.array.run(command)
        _wait(lambda: self.array.run(["test", "-s", f"{_STATE}/array.crt"], check=False).exit_code == 0)
        self._write_secret({"endpoint": self.endpoint, "username": ADMIN, "password": password, "svip": SVIP})
        _wait(self._answers)

    def secret(self) -> dict[str, str]:
        """The Secret of the cluster as a user writes it, for a driver on the storage network."""
        written = {file.name: file.read_text() for file in (self.clusters / "lab").iterdir()}
        return written | {"endpoint": f"https://{MVIP}"}

    def _write_secret(self, values: Mapping[str, str]) -> None:
        """Write the cluster's directory as kubelet would mount a Secret."""
        directory = self.clusters / "lab"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        certificate = self.array.read_file(f"{_STATE}/array.crt").decode()
        for key, value in {**values, "caCert": certificate}.items():
            (directory / key).write_text(value)

    def start_controller(self, *flags: str) -> None:
        """Start the controller on this machine."""
        command = [
            *(sys.executable, "-m", "csi_solidfire", "controller", f"--endpoint=unix://{self.controller_socket}"),
            *(f"--clusters-dir={self.clusters}", "--hostname=lab-host", f"--driver-name={DRIVER}"),
            *("--metrics-address=127.0.0.1:0", "--chap-in-publish-context", *flags),
        ]
        self.run.spawn("controller", command, self.controller_log)
        self.controller.wait_ready(_READY_SECONDS)

    @property
    def controller_log(self) -> Path:
        return self.run.directory / "controller.log"

    def node(self, name: str) -> Node:
        return self.nodes[name]

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask the array itself, past the driver.

        Raises:
            RuntimeError: It answers with an error.
            requests.RequestException: It does not answer. What only asks is asked twice: the array hangs up on idle
                connections.
        """
        try:
            return self._call(method, params or {})
        except requests.ConnectionError:
            if not method.startswith(("Get", "List")):
                raise
            return self._call(method, params or {})

    def _call(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        directory = self.clusters / "lab"
        response = self._http.post(
            f"{self.endpoint}/json-rpc/12.5",
            json={"method": method, "params": dict(params), "id": 1},
            auth=(ADMIN, (directory / "password").read_text()),
            verify=str(directory / "caCert"),
            timeout=30,
        )
        answer: dict[str, Any] = response.json()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _answers(self) -> bool:
        try:
            return bool(self.call("GetClusterInfo"))
        except requests.ConnectionError:
            return False

    def close(self) -> None:
        """End everything, unless it was to stay up."""
        for client in (self.controller, *(node.csi for node in self.nodes.values())):
            client.close()
        self._http.close()
        self.run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _restore(run: Run, nodes: Iterable[str]) -> None:
    """Restore all VMs at once."""
    wanted = [("array", [MVIP, SVIP, SIP], [_API_PORT])]
    wanted += [(name, [f"192.0.2.{100 + int(name.rpartition('-')[2])}"], [_CSI_PORT, _METRICS_PORT]) for name in nodes]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda each: run.start(each[0], address=each[1], forwards=each[2]), wanted))


def _wait(done: Callable[[], bool]) -> None:
    """Poll until something is so.

    Raises:
        TimeoutError: It is not, in four minutes.
    """
    expires = time.monotonic() + _READY_SECONDS
    while not done():
        if time.monotonic() > expires:
            raise TimeoutError("the array's program did not start; see `journalctl -u lab-array` on it")
        time.sleep(0.05)
