"""etcd, kube-apiserver and, if wanted, the controllers and the scheduler, as processes of this machine."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

import requests

from lab import programs
from lab.kube.api import Api
from lab.kube.pki import Authority, client_certificate, write_kubeconfig
from lab.vm.children import Children, tail, take_lock
from lab.vm.errors import LabError, MachineDied

GUESTS_HOST: Final = "10.0.2.2"  # this machine's loopback, as QEMU's user network shows it
SERVICE_ADDRESS: Final = "10.96.0.1"  # the API's own service: the first address of the range
_SERVICES: Final = "10.96.0.0/16"
_LOOPBACK: Final = "127.0.0.1"
_ISSUER: Final = "https://kubernetes.default.svc"
_NAMES: Final = (
    *("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"),
    *(_LOOPBACK, GUESTS_HOST, SERVICE_ADDRESS),
)
_ETCD: Final = "etcd"
_API_SERVER: Final = "kube-apiserver"
_RECORD: Final = "record.json"
# The API server reaches a kubelet by its node's name, at a port of the loopback that leads into the VM. Its resolver
# knows no file but this one, so it is given one of its own, in a mount namespace of its own.
_WITH_HOSTS: Final = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
_READY_SECONDS: Final = 240.0  # about four, where nothing else runs
_POLL: Final = 0.02  # seconds
# Below the ports that Linux gives to connections (ip_local_port_range): a client that knocks at the port of a stopped
# server could otherwise be given that very port, and keep it.
_PORTS: Final = range(20000, 32000)
_given = {29808}  # The driver's on each node; and those that somebody is about to listen on.


class Keeper(Protocol):
    """Starts processes and outlives none of them: `Children` and `Run`."""

    def spawn(self, name: str, argv: Sequence[str], log: Path) -> int: ...

    def kill(self, name: str) -> None: ...

    def exits(self) -> dict[str, int | None]: ...


@dataclass(frozen=True)
class _Record:
    """What another process must know to take part; `pid` is the API server's."""

    port: int
    etcd_port: int
    nodes: tuple[str, ...]
    pid: int = 0


class ControlPlane:
    """A Kubernetes API, with nothing behind it unless `start_controllers` is called.

    That means no scheduler, no nodes, no default service accounts; what is deleted leaves what it owned. Made by
    `start`; a context manager. Its processes end with it, or with the process that started it, however that ends.
    """

    def __init__(self, directory: Path, keeper: Keeper, nodes: Sequence[str] = ()) -> None:
        """Prepare one; `start_etcd` and `start_api` start it.

        Args:
            directory: For its keys, its data, its kubeconfigs and its logs. Made here; must not be there yet.
            keeper: Of its processes.
            nodes: Names of nodes whose kubelets are reached at this machine's loopback.
        """
        directory.mkdir(mode=0o700, parents=True)
        self._set_up(
            directory, keeper, Authority.make(directory / "pki"), _Record(free_port(), free_port(), tuple(nodes))
        )

    def _set_up(self, directory: Path, keeper: Keeper, authority: Authority, record: _Record) -> None:
        self.directory = directory
        self.authority = authority
        self.port = record.port
        self._keeper = keeper
        self._record = record
        self._own: Children | None = None

    @classmethod
    def start(cls, directory: Path, *, say: Callable[[str], object] = lambda _: None) -> Self:
        """Start etcd and the API server, and return when it is ready.

        Args:
            directory: A new one, for all that it writes. It stays when the control plane has ended: for its logs.
            say: Told what takes long: the first start builds both programs.
        """
        for program in (programs.ETCD, programs.KUBE_APISERVER):
            programs.built(program, say)
        # The supervisor's socket needs a short path, and a test's directory may have a long one.
        run = Path(tempfile.mkdtemp(prefix="lab-kube-"))
        children = Children.supervise(run, take_lock(run))
        try:
            plane = cls(directory, children)
            plane._own = children
            plane.start_etcd()
            plane.start_api()
        except BaseException:
            children.end()
            raise
        return plane

    @classmethod
    def attach(cls, directory: Path, keeper: Keeper) -> Self:
        """Return the control plane that another process started in a directory."""
        record = _Record(**json.loads((directory / _RECORD).read_text()))
        plane = cls.__new__(cls)
        plane._set_up(directory, keeper, Authority(directory / "pki"), record)
        return plane

    @property
    def server(self) -> str:
        """The API server's address on this machine."""
        return f"https://{_LOOPBACK}:{self.port}"

    def kubeconfig(self, user: str, groups: Sequence[str] = (), *, host: str = _LOOPBACK) -> Path:
        """Return a kubeconfig of somebody with a client certificate.

        Args:
            user: `system:node:<name>` for a node.
            groups: `system:masters` may do everything; a node is in `system:nodes`.
            host: Where the API server is for who uses it: `GUESTS_HOST` in a VM.
        """
        name = f"{user.replace(':', '-')}-{'-'.join(groups).replace(':', '-')}".strip("-")
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        credentials = client_certificate(self.authority.issue(name, subject))
        return self._write(f"{name}@{host}", credentials, f"https://{host}:{self.port}")

    def service_account_kubeconfig(self, namespace: str, name: str, *, host: str = _LOOPBACK) -> Path:
        """Return a kubeconfig with a token for a service account that is there, valid for an hour."""
        with self.api(self.admin) as api:
            token = api.token(namespace, name)
        return self._write(f"{namespace}.{name}@{host}", {"token": token}, f"https://{host}:{self.port}")

    @property
    def admin(self) -> Path:
        """A kubeconfig of somebody who may do everything."""
        return self.kubeconfig("admin", ["system:masters"])

    def api(self, kubeconfig: Path) -> Api:
        """Return a client; close it, or use it as a context manager."""
        return Api(kubeconfig)

    def start_etcd(self) -> None:
        """Start etcd on the data that it has."""
        url = f"http://{_LOOPBACK}:{self._record.etcd_port}"
        command = [
            *(str(programs.built(programs.ETCD)), f"--data-dir={self.directory / 'etcd'}", "--unsafe-no-fsync"),
            *(f"--listen-client-urls={url}", f"--advertise-client-urls={url}"),
            *(f"--listen-peer-urls=http://{_LOOPBACK}:0", "--log-level=warn"),
        ]
        self._keeper.spawn(_ETCD, command, self._log(_ETCD))

    def start_api(self) -> None:
        """Start the API server on the port that it had, and return when it is ready."""
        files = self.authority.directory
        serving = self.authority.issue("kube-apiserver", "/CN=kube-apiserver", _NAMES)
        kubelets = self.authority.issue("kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")
        tokens = self.authority.token_key
        command = [
            *(
                str(programs.built(programs.KUBE_APISERVER)),
                f"--etcd-servers=http://{_LOOPBACK}:{self._record.etcd_port}",
            ),
            *(f"--bind-address={_LOOPBACK}", f"--secure-port={self.port}", f"--advertise-address={GUESTS_HOST}"),
            *(f"--tls-cert-file={serving.cert}", f"--tls-private-key-file={serving.key}"),
            *(f"--client-ca-file={self.authority.certificate.cert}", f"--cert-dir={files}"),
            *(f"--kubelet-client-certificate={kubelets.cert}", f"--kubelet-client-key={kubelets.key}"),
            f"--kubelet-certificate-authority={self.authority.certificate.cert}",
            "--kubelet-preferred-address-types=Hostname",
            *(f"--service-account-issuer={_ISSUER}", f"--service-account-key-file={tokens}"),
            *(f"--service-account-signing-key-file={tokens}", f"--service-cluster-ip-range={_SERVICES}"),
            *("--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"),
            "--allow-privileged=true",
        ]
        pid = self._keeper.spawn(_API_SERVER, [*self._with_hosts(), *command], self._log(_API_SERVER))
        self._record = dataclasses.replace(self._record, pid=pid)
        (self.directory / _RECORD).write_text(json.dumps(dataclasses.asdict(self._record)))
        self._await_ready()

    def start_controllers(self) -> None:
        """Start the controller manager and the scheduler."""
        ca, tokens = self.authority.certificate, self.authority.token_key
        self._start_controller(
            programs.KUBE_CONTROLLER_MANAGER,
            *("--use-service-account-credentials", f"--root-ca-file={ca.cert}"),
            f"--service-account-private-key-file={tokens}",
            "--node-monitor-grace-period=20s",  # not 50: tests wait for nodes to be given up
        )
        self._start_controller(programs.KUBE_SCHEDULER)

    def _start_controller(self, program: programs.Program, *flags: str) -> None:
        config = self.kubeconfig(f"system:{program.name}")
        roles = ("--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig")
        command = [
            *(str(programs.built(program)), *(f"{role}={config}" for role in roles)),
            *("--leader-elect=false", f"--bind-address={_LOOPBACK}", f"--secure-port={free_port()}", *flags),
        ]
        self._keeper.spawn(program.name, command, self._log(program.name))

    def stop_api(self) -> None:
        """End the API server at once, as a crash would; return when it is gone."""
        self._keeper.kill(_API_SERVER)

    def pause(self) -> None:
        """Let the API server hang: connections are taken, nothing is answered."""
        os.kill(self._record.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a hanging API server go on."""
        os.kill(self._record.pid, signal.SIGCONT)

    def close(self) -> None:
        """End its processes; return when they are gone."""
        if self._own is not None:
            self._own.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _with_hosts(self) -> list[str]:
        if not self._record.nodes:
            return []
        hosts = self.directory / "hosts"
        hosts.write_text(f"{_LOOPBACK} localhost {' '.join(self._record.nodes)}\n")
        as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
        return ["unshare", "--mount", *as_root, "--", "sh", "-c", _WITH_HOSTS, "sh", str(hosts)]

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        with self._session() as session:
            # The namespaces are made after the server is ready.
            while not all(self._answers(session, path) for path in ("/readyz", "/api/v1/namespaces/default")):
                self._check_alive()
                if time.monotonic() > deadline:
                    raise LabError(f"the API server does not get ready: {tail(self._log(_API_SERVER))}")
                time.sleep(_POLL)

    def _check_alive(self) -> None:
        exits = self._keeper.exits()
        for name in (_ETCD, _API_SERVER):
            if exits.get(name, -1) is not None:
                raise MachineDied(f"{name} ended: {tail(self._log(name))}")

    def _answers(self, session: requests.Session, path: str) -> bool:
        try:
            return session.get(f"{self.server}{path}", timeout=5).ok
        except requests.RequestException:
            return False

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        admin = self.authority.issue("admin-system-masters", "/O=system:masters/CN=admin")
        session.cert = (str(admin.cert), str(admin.key))
        session.verify = str(self.authority.certificate.cert)
        return session

    def _write(self, name: str, credentials: dict[str, str], server: str) -> Path:
        path = self.directory / f"{name}.kubeconfig"
        return write_kubeconfig(path, server, self.authority.certificate.cert, credentials)

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"


def free_port() -> int:
    """Return a port of the loopback on which nobody listens, another one each time."""
    while True:
        port = random.choice(_PORTS)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((_LOOPBACK, port))
            except OSError:
                continue
            _given.add(port)
            return port
