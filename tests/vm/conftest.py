"""Two VMs, shared by the tests that leave them as they were."""

from __future__ import annotations

import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.vm import Image, Machine, Run

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
BUILD_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first of them may have to build the image."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vm)
            item.add_marker(pytest.mark.timeout(BUILD_SECONDS))


@pytest.fixture(scope="session")
def image() -> Image:
    return Image.ensure(tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"])


@pytest.fixture(scope="package")
def run(image: Image) -> Iterator[Run]:
    with Run(image) as run:
        yield run


@pytest.fixture(scope="package")
def array(run: Run) -> Machine:
    return _start(run, "array", ["192.0.2.9", "192.0.2.10", "192.0.2.11"])


@pytest.fixture(scope="package")
def node(run: Run) -> Machine:
    return _start(run, "node-1", ["192.0.2.101"])


def _start(run: Run, name: str, address: list[str]) -> Machine:
    started = time.monotonic()
    machine = run.start(name, address=address, forwards=[8000])
    sys.stdout.write(f"{name} was restored and itself after {time.monotonic() - started:.2f} s\n")
    return machine
