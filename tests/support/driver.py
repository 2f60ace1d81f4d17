"""The driver's controller in this process, behind a real Unix socket, in front of the lab's array.

Every `Driver` is a fresh one: what it knows of the array it has from the array. Ending one in the middle of
its work and starting another is what a killed and restarted process looks like from outside.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from csi_solidfire import __version__
from csi_solidfire.rpc.controller import Controller
from csi_solidfire.rpc.identity import CAPABILITIES, Identity
from csi_solidfire.rpc.server import Server
from csi_solidfire.storage.marks import KEY
from csi_solidfire.storage.service import ChapSecrets, Storage
from lab.array import Array
from lab.csi import Client

HOSTNAME = "controller-host"


def write_cluster(directory: Path, array: Array, **changes: str | None) -> Path:
    """Write a cluster's directory as kubelet mounts a Secret; a change of None leaves the key out."""
    directory.mkdir(parents=True, exist_ok=True)
    values: dict[str, str | None] = {
        "endpoint": array.endpoint,
        "username": array.username,
        "password": array.password,
        "caCert": array.ca,
    }
    for key, value in (values | changes).items():
        (directory / key).unlink(missing_ok=True)
        if value is not None:
            (directory / key).write_text(value)
    return directory


def secrets_of(array: Array) -> dict[str, str]:
    """The same as secrets of a request."""
    return {"endpoint": array.endpoint, "username": array.username, "password": array.password, "caCert": array.ca}


class Driver:
    """A controller and a client of it. A context manager."""

    def __init__(
        self,
        *arrays: Array,
        chap: bool = True,
        configured: bool = True,
        sweep_interval: float = 600.0,
        chap_secrets: ChapSecrets | None = None,
    ) -> None:
        """Start one.

        Args:
            arrays: Configured under the names `c1`, `c2`, ...
            chap: Whether CHAP credentials travel in the publish context.
            configured: Whether there is a clusters directory at all.
            chap_secrets: Where Secrets are kept; none if there is no Kubernetes.
        """
        self._directory = tempfile.TemporaryDirectory(prefix="csi-")
        root = Path(self._directory.name)
        self.clusters = root / "clusters"
        self.clusters.mkdir()
        for number, array in enumerate(arrays, 1):
            write_cluster(self.clusters / f"c{number}", array)
        self.storage = Storage(
            clusters_dir=self.clusters if configured else None,
            hostname=HOSTNAME,
            default_namespace="default",
            driver_name="csi-solidfire.io",
            chap_in_publish_context=chap,
            chap_secrets=chap_secrets,
            verify_tls=True,
            array_calls=32,
            sweep_interval=sweep_interval,
        )
        identity = Identity("csi-solidfire.io", __version__, CAPABILITIES, lambda: True)
        self._server = Server(f"unix://{root / 'csi.sock'}", [identity, Controller(self.storage)])
        self._server.start()
        self.storage.start()
        client = Client(self._server.address)
        self._client = client
        self.identity, self.controller = client.identity, client.controller

    def close(self) -> None:
        self._client.close()
        self._server.stop(5.0)
        self.storage.close()
        self._directory.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def sweepable(accounts: list[dict[str, Any]]) -> list[str]:
    """The names of those that a sweep removes."""
    return [
        each["username"] for each in accounts if isinstance(each["attributes"].get(KEY), dict) and not each["volumes"]
    ]


@contextmanager
def quiet(*arrays: Array, **options: Any) -> Iterator[Driver]:
    """A `Driver` whose first sweep is over: accounts made from now on are out of its reach.

    The sweep is in the background. An account that it meets between its making and its first volume is removed, or
    looked up again, which is right and yet not what most tests are about.
    """

    def sweeps() -> list[int]:
        return [array.calls.methods().count("ListAccounts") for array in arrays]

    before = sweeps()
    with Driver(*arrays, **options) as driver:
        wait_until(lambda: all(now > then for now, then in zip(sweeps(), before, strict=True)))
        wait_until(lambda: not any(sweepable(array.call("ListAccounts")["accounts"]) for array in arrays))
        yield driver


def wait_until(predicate: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that happens by itself.

    Raises:
        AssertionError: It does not.
    """
    expires = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < expires, "it did not happen in time"
        time.sleep(0.01)


def all_at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Begin all calls at the same moment; return answers, and codes for failures."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        gate.wait(60.0)
        try:
            return call()
        except grpc.RpcError as error:
            return error.code()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
