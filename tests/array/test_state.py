"""What the array remembers, and that calls at the same time do not mix."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.array import Array, ElementError
from tests.array.client import Client

Connect = Callable[..., Client]
LISTS = (
    "ListAccounts",
    "ListVolumes",
    "ListSnapshots",
    "ListGroupSnapshots",
    "ListQoSPolicies",
    "ListVolumeAccessGroups",
    "ListInitiators",
    "ListAsyncResults",
    "ListClusterAdmins",
    "GetDefaultQoS",
)


def everything(array: Array) -> list[dict[str, Any]]:
    """Return all that the array tells about its objects."""
    return [array.call(method) for method in LISTS]


def fill(array: Array) -> None:
    """Make one of everything."""
    call = array.call
    call("SetDefaultQoS", {"minIOPS": 60})
    call("AddClusterAdmin", {"username": "bob", "password": "bobspassword", "access": ["read", "volumes"]})
    call("AddAccount", {"username": "a", "attributes": {"k": [1, {"deep": None}]}})
    call("CreateQoSPolicy", {"name": "gold", "qos": {"minIOPS": 100}})
    for name in ("one", "two", "three"):
        call(
            "CreateVolume", {"name": name, "accountID": 1, "totalSize": 2**30, "qosPolicyID": 1, "attributes": {"a": 1}}
        )
    call("CreateSnapshot", {"volumeID": 1, "retention": "1:00:00"})
    call("CreateGroupSnapshot", {"volumes": [1, 2]})
    call("CreateVolumeAccessGroup", {"name": "g", "volumes": [1, 2], "initiators": ["iqn.x:y"]})
    call(
        "ModifyVolumeAccessGroupLunAssignments",
        {"volumeAccessGroupID": 1, "lunAssignments": [{"volumeID": 1, "lun": 4}]},
    )
    call("DeleteVolume", {"volumeID": 3})
    call("CloneVolume", {"volumeID": 1, "name": "clone"})


def test_a_restart_loses_nothing(tmp_path: Path, connect: Connect) -> None:
    """Objects, secrets, admins, certificate: all as before."""
    with Array.start(state=tmp_path, clone_seconds=0) as array:
        fill(array)
        before, ca = everything(array), array.ca
    with Array.start(state=tmp_path) as array:
        assert everything(array) == before
        assert array.ca == ca
        assert connect(array, username="bob", password="bobspassword").ids("ListActiveVolumes") == [1, 2, 4]


def test_what_was_under_way_goes_on_after_a_restart(tmp_path: Path) -> None:
    """Clones end, snapshots expire, deleted volumes are purged."""
    with Array.start(state=tmp_path, clone_seconds=1800) as array:
        fill(array)
    with Array.start(state=tmp_path) as array:
        array.clock.advance(2000)
        assert [volume["volumeID"] for volume in array.call("ListActiveVolumes")["volumes"]] == [1, 2, 4]
        array.clock.advance(3600)
        assert [snapshot["snapshotID"] for snapshot in array.call("ListSnapshots")["snapshots"]] == [2, 3]
        array.clock.advance(8 * 3600)
        assert array.call("ListDeletedVolumes")["volumes"] == []


def test_ids_are_never_used_again(tmp_path: Path) -> None:
    """Not after a purge, and not after a restart."""
    with Array.start(state=tmp_path) as array:
        array.call("AddAccount", {"username": "a"})
        array.call("CreateVolume", {"name": "x", "accountID": 1, "totalSize": 2**30})
        array.call("DeleteVolume", {"volumeID": 1})
        array.call("PurgeDeletedVolume", {"volumeID": 1})
        array.call("RemoveAccount", {"accountID": 1})
    with Array.start(state=tmp_path) as array:
        assert array.call("AddAccount", {"username": "a"})["accountID"] == 2
        assert array.call("CreateVolume", {"name": "x", "accountID": 2, "totalSize": 2**30})["volumeID"] == 2


def test_two_programs_cannot_share_a_state(tmp_path: Path) -> None:
    """They would hand out the same ids."""
    with Array.start(state=tmp_path), pytest.raises(sqlite3.OperationalError, match="locked"):
        Array.start(state=tmp_path)


def test_secrets_on_disk_are_the_owners_only(tmp_path: Path) -> None:
    """Records and key."""
    with Array.start(state=tmp_path):
        for name in ("array.sqlite", "array.key"):
            assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_without_a_state_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary directory goes with the array."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Array.start():
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_limits_that_do_not_exist_are_refused() -> None:
    """A misspelt one would silently not limit."""
    with pytest.raises(ValueError, match="volumesMax"):
        Array.start(limits={"volumesMax": 3})
    with Array.start(limits={"volumeCountMax": 3}) as array:
        assert array.call("GetLimits")["volumeCountMax"] == 3


def test_calls_at_the_same_time_get_ids_of_their_own(array: Array, connect: Connect) -> None:
    """Sixteen clients, each with its own connection, twenty volumes each."""
    array.call("AddAccount", {"username": "a"})
    made: list[int] = []

    def work(client: Client) -> None:
        made.extend(client.volume(1)["volumeID"] for _ in range(20))

    threads = [threading.Thread(target=work, args=(connect(array),)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(made) == list(range(1, 321))
    assert [volume["volumeID"] for volume in array.call("ListVolumes")["volumes"]] == sorted(made)


def test_a_unique_name_goes_to_one_of_many(array: Array, connect: Connect) -> None:
    """All ask for the same account at once; one makes it."""
    start = threading.Barrier(12, timeout=10)
    outcomes: list[str] = []

    def work(client: Client) -> None:
        start.wait()
        answer = client.post({"method": "AddAccount", "params": {"username": "same"}}).json
        outcomes.append(answer.get("error", {}).get("name", "made"))

    threads = [threading.Thread(target=work, args=(connect(array),)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["made"] + ["xDuplicateUsername"] * 11


def test_a_failed_call_leaves_no_trace_in_the_file(tmp_path: Path) -> None:
    """Not even after a restart."""
    with Array.start(state=tmp_path) as array:
        array.call("AddAccount", {"username": "a"})
        with pytest.raises(ElementError):
            array.call("CreateMultipleVolumes", {"names": ["good", "bad_one"], "accountID": 1, "totalSize": 2**30})
        assert array.call("ListVolumes")["volumes"] == []
    with Array.start(state=tmp_path) as array:
        assert array.call("ListVolumes")["volumes"] == []
