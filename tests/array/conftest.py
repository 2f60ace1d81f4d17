"""The array of a test, and ways to talk to it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.array import Array
from tests.array.client import Client

SDK = "solidfire-sdk-python==12.3.0.203"
_CACHE = Path(__file__).parents[2] / ".cache"


@pytest.fixture
def array() -> Iterator[Array]:
    """An array with nothing on it."""
    with Array.start() as running:
        yield running


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Makes clients and closes them."""
    clients: list[Client] = []

    def make(array: Array, **options: str) -> Client:
        clients.append(Client(array, tmp_path, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(array: Array, connect: Callable[..., Client]) -> Client:
    """A client of the array, as its admin."""
    return connect(array)


@pytest.fixture(scope="session")
def sdk_python() -> Path:
    """The Python of a virtual environment that has the vendor's SDK, made once and kept.

    The SDK has one of its own because it requires enum34, which has no place beside anything of today.
    """
    home = _CACHE / f"{SDK}-py{sys.version_info.major}.{sys.version_info.minor}"
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / "sdk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            venv.create(home, with_pip=True, clear=True)
            install = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", SDK]
            subprocess.run(install, check=True, timeout=100)
            (home / "complete").touch()
    return home / "bin/python"
