"""A real API server for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.kube import Api, ControlPlane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane.start(tmp_path_factory.mktemp("kube") / "plane", say=print) as running:
        yield running


@pytest.fixture(scope="module")
def admin(plane: ControlPlane) -> Iterator[Api]:
    """The API for somebody who may do everything."""
    with plane.api(plane.admin) as api:
        yield api
