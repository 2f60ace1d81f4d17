"""A release whose Secret has a wrong password: whoever waits for a volume hears of it, and it can be mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.array import Array
from lab.kube import Api, ControlPlane
from tests.array.waiting import wait_until
from tests.chart.release import CLAIM, Release

pytestmark = pytest.mark.timeout(1800)  # everything is built first, where the cache does not have it

_PATIENCE = 120.0  # seconds: the provisioner's pauses grow


def test_a_claim_hears_of_it_and_is_served_when_it_is_mended(plane: ControlPlane, admin: Api, tmp_path: Path) -> None:
    """With a password that was wrong from the first start on."""

    def told() -> list[str]:
        events = admin.list("Event", "default", fields="involvedObject.name=data", api_version="v1")
        return [event["message"] for event in events if "refuses username and password" in event["message"]]

    with Array.start(unique_id="lab1") as array, Release(plane, admin, array, tmp_path, "mistyped") as release:
        admin.apply(CLAIM)
        wait_until(lambda: told() or not release.are_running(), _PATIENCE)
        assert release.are_running(), release.logs()
        release.write_password(array.password)
        wait_until(lambda: admin.list("PersistentVolume") or not release.are_running(), _PATIENCE)
        assert release.are_running(), release.logs()
        assert len(array.call("ListVolumes", {"volumeStatus": "active"})["volumes"]) == 1
