"""An array and a controller in front of it, new for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.array import Array
from tests.support.driver import Driver, quiet
from tests.support.secrets_api import SecretsApi, serving


@pytest.fixture
def array() -> Iterator[Array]:
    with Array.start(unique_id="lab1") as array:
        yield array


@pytest.fixture
def driver(array: Array) -> Iterator[Driver]:
    with quiet(array) as driver:
        yield driver


@pytest.fixture
def secrets(tmp_path: Path) -> Iterator[SecretsApi]:
    """Kubernetes' Secrets, for a controller that keeps CHAP credentials there."""
    with serving(tmp_path) as secrets:
        yield secrets
