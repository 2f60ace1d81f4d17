"""An array and a controller in front of it, new for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.array import Array
from tests.support.driver import Driver


@pytest.fixture
def array() -> Iterator[Array]:
    with Array.start(unique_id="lab1") as array:
        yield array


@pytest.fixture
def driver(array: Array) -> Iterator[Driver]:
    with Driver(array) as driver:
        yield driver
