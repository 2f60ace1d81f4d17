"""The whole array: a cluster behind HTTPS."""

from __future__ import annotations

import contextlib
import json
import ssl
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.array import methods, targets, tls
from lab.array.calls import Calls
from lab.array.clock import Clock
from lab.array.cluster import Cluster, Identity, Settings
from lab.array.data import Data, NoData
from lab.array.errors import ElementError
from lab.array.faults import Faults
from lab.array.listener import Listener
from lab.array.server import Caller, Handler, same

__all__ = ["Array", "ElementError"]

ADMINISTRATOR = ("administrator",)
_ = methods  # Imported for the registry it fills.


class Array:
    """An array that runs in this process. Make one with `start`; it is a context manager.

    Attributes:
        calls: What clients called over HTTP.
        faults: What is to go wrong for them.
        latency: Seconds that each call over HTTP takes longer; calls wait side by side.
        ca: The certificate to trust, PEM text.
        username: The cluster admin with all rights.
        password: That admin's password.
        cluster: The inside.
    """

    def __init__(
        self, cluster: Cluster, certificate: tls.Certificate, listen: tuple[str, int], admin: tuple[str, str]
    ) -> None:
        """Put a cluster behind a port; `start` is the easier way."""
        self.cluster = cluster
        self.calls = Calls()
        self.faults = Faults()
        self.latency = 0.0
        self.ca = certificate.cert
        self.username, self.password = admin
        self._ends = contextlib.ExitStack()
        self._refusing = False
        self._listener = Listener(listen, tls.server_context(certificate), self._serve)

    @classmethod
    def start(
        cls,
        unique_id: str = "lab1",
        *,
        state: Path | None = None,
        data: Data | None = None,
        latency: float = 0.0,
        username: str = "admin",
        password: str = "element-lab",  # noqa: S107 - a lab's
        listen: tuple[str, int] = ("127.0.0.1", 0),
        addresses: Iterable[str] = (),
        limits: Mapping[str, int] | None = None,
        clone_seconds: float = 0.02,
        **identity: str,
    ) -> Self:
        """Start an array and return it, ready.

        Args:
            unique_id: The cluster's id, four lower-case letters or digits; part of every IQN and NAA.
            state: Directory of the SQLite file and the certificate. None is a temporary one, gone with the array.
            data: What keeps the volumes' bytes; None keeps nothing.
            latency: Seconds for each call over HTTP.
            username: A cluster admin with all rights. `AddClusterAdmin` makes others.
            password: The admin's password.
            listen: Address and port; port 0 takes a free one.
            addresses: Further names and addresses for the certificate, when it is made.
            limits: What differs from the usual limits, by the names of `GetLimits`.
            clone_seconds: How long a clone takes.
            identity: More of `lab.array.cluster.Identity`: name, version, mvip, svip, sip.
        """
        with contextlib.ExitStack() as undo:
            if state is None:
                folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="lab-array-")))
                certificate = tls.make(tuple(addresses))
            else:
                folder = state
                folder.mkdir(parents=True, exist_ok=True)
                certificate = tls.for_state(folder, addresses)
            who, keeper = Identity(unique_id, **identity), data or NoData()
            cluster = Cluster(folder / "array.sqlite", who, keeper, dict(limits or {}), durable=state is not None)
            undo.callback(cluster.close)
            cluster.settings.clone_seconds = clone_seconds
            targets.restore(cluster)
            array = cls(cluster, certificate, listen, (username, password))
            undo.callback(array._listener.close)
            array.latency = latency
            array._listener.start()
            array._ends = undo.pop_all()
        return array

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return self._listener.port

    @property
    def endpoint(self) -> str:
        """The URL without a path, such as `https://127.0.0.1:38211`."""
        host = self._listener.host
        return f"https://[{host}]:{self.port}" if ":" in host else f"https://{host}:{self.port}"

    @property
    def identity(self) -> Identity:
        """Who the cluster is."""
        return self.cluster.identity

    @property
    def settings(self) -> Settings:
        """What can be changed while it runs: clone_seconds, create_seconds, capacity, fullness."""
        return self.cluster.settings

    @property
    def limits(self) -> dict[str, int]:
        """The limits, by the names of `GetLimits`; changes count at once."""
        return self.cluster.limits

    @property
    def clock(self) -> Clock:
        """The cluster's clock; `advance` moves it."""
        return self.cluster.clock

    @property
    def refuse_connections(self) -> bool:
        """Whether clients can't connect. Set, it cuts open connections too; the port stays the array's."""
        return self._refusing

    @refuse_connections.setter
    def refuse_connections(self, refusing: bool) -> None:
        self._refusing = refusing
        if refusing:
            self._listener.stop()
        else:
            self._listener.start()

    def cut_connections(self) -> None:
        """Cut the open connections once; clients can connect again."""
        self._listener.cut()

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Call a method behind the scenes: without HTTP, not recorded, with all rights, free of faults and latency.

        Raises:
            ElementError: The array refused.
        """
        result: dict[str, Any] = json.loads(json.dumps(self.cluster.call(method, dict(params or {})).result))
        return result

    def authenticate(self, username: str, password: str) -> Caller | None:
        """Return who that is, or None for wrong credentials."""
        if username == self.username:
            return Caller(username, ADMINISTRATOR) if same(password, self.password) else None
        with self.cluster.locked():
            found = self.cluster.admins.find("username", username)
        return Caller(username, found[0].access) if found and same(password, found[0].password) else None

    def _serve(self, connection: ssl.SSLSocket, address: Any) -> None:
        Handler(self, connection, address)

    def close(self) -> None:
        """Stop serving and let go of the state; what the data serves goes on."""
        self._ends.close()

    def __enter__(self) -> Self:
        """Return the running array."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
