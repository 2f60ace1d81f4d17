"""What the API asks of the data behind it, and that both stay in step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.array import Array, ElementError
from tests.array.recorder import Recorder

GIB = 2**30


@pytest.fixture
def data() -> Recorder:
    """What is behind the array."""
    return Recorder()


@pytest.fixture
def array(data: Recorder) -> Iterator[Array]:
    """An array with one account and one volume, somebody logged in to it."""
    with Array.start(data=data) as running:
        running.call("AddAccount", {"username": "a", "initiatorSecret": "initiator123", "targetSecret": "target123456"})
        running.call("CreateVolume", {"name": "Vol", "accountID": 1, "totalSize": GIB, "enable512e": True})
        data.live.add(1)
        data.bytes["v1"] = "written"
        yield running


def test_an_export_says_everything_a_target_needs(array: Array, data: Recorder) -> None:
    """Names, device ids, size, secrets, and who may come in."""
    export = data.exports[1]
    volume = array.call("ListVolumes")["volumes"][0]
    assert (export.iqn, export.naa, export.eui) == (volume["iqn"], volume["scsiNAADeviceID"], volume["scsiEUIDeviceID"])
    assert (export.size, export.enable512e, export.access, export.chap) == (GIB, True, "readWrite", True)
    assert (export.username, export.initiator_secret, export.target_secret) == ("a", "initiator123", "target123456")
    assert "initiator123" not in repr(export)
    assert "target123456" not in repr(export)


@pytest.mark.parametrize(
    ("method", "params", "stays"),
    [
        ("ModifyVolume", {"volumeID": 1, "access": "locked"}, False),
        ("ModifyVolume", {"volumeID": 1, "access": "readOnly"}, False),
        ("ModifyVolume", {"volumeID": 1, "accountID": 2}, False),
        ("ModifyVolume", {"volumeID": 1, "attributes": {"a": 1}}, True),
        ("ModifyVolume", {"volumeID": 1, "totalSize": 2 * GIB}, True),
        ("ModifyAccount", {"accountID": 1, "status": "locked"}, False),
        ("ModifyAccount", {"accountID": 1, "enableChap": False}, False),
        ("ModifyAccount", {"accountID": 1, "initiatorSecret": "another12345"}, True),
        ("ModifyAccount", {"accountID": 1, "username": "renamed"}, True),
        ("DeleteVolume", {"volumeID": 1}, False),
        ("CreateSnapshot", {"volumeID": 1}, True),
        ("CreateVolumeAccessGroup", {"name": "g", "volumes": [1], "initiators": ["iqn.x:y"]}, True),
    ],
)
def test_which_changes_end_sessions(
    array: Array, data: Recorder, method: str, params: dict[str, object], stays: bool
) -> None:
    """Those that take somebody's right away; new secrets count from the next login."""
    array.call("AddAccount", {"username": "b"})
    array.call(method, params)
    assert len(array.call("ListISCSISessions")["sessions"]) == int(stays)


def test_new_secrets_reach_every_target_of_the_account(array: Array, data: Recorder) -> None:
    """At once, for logins to come."""
    array.call("CreateVolume", {"name": "two", "accountID": 1, "totalSize": GIB})
    array.call("ModifyAccount", {"accountID": 1, "initiatorSecret": "another12345"})
    assert {export.initiator_secret for export in data.exports.values()} == {"another12345"}


def test_what_does_not_concern_the_target_leaves_it_alone(array: Array, data: Recorder) -> None:
    """Attributes and QoS are the API's business."""
    data.done.clear()
    array.call("ModifyVolume", {"volumeID": 1, "attributes": {"a": 1}, "qos": {"minIOPS": 60}, "totalSize": GIB})
    assert data.done == []


def test_growth_comes_before_the_target_changes(array: Array, data: Recorder) -> None:
    """So that nobody is shown room that is not there."""
    data.done.clear()
    array.call("ModifyVolume", {"volumeID": 1, "totalSize": 2 * GIB})
    assert data.done == [f"resize 1 {2 * GIB}", "export 1"]


def test_deleted_volumes_keep_their_bytes_until_the_purge(array: Array, data: Recorder) -> None:
    """A restored one is served as before; snapshots go with the purge."""
    array.call("CreateSnapshot", {"volumeID": 1})
    array.call("DeleteVolume", {"volumeID": 1})
    assert (data.exports, data.bytes) == ({}, {"v1": "written", "s1": "written"})
    array.call("RestoreDeletedVolume", {"volumeID": 1})
    assert list(data.exports) == [1]
    array.call("DeleteVolume", {"volumeID": 1})
    array.call("PurgeDeletedVolume", {"volumeID": 1})
    assert data.bytes == {}


def test_a_clone_has_the_bytes_of_its_moment_and_is_served_when_done(array: Array, data: Recorder) -> None:
    """Writing to the source afterwards changes nothing."""
    array.settings.clone_seconds = 60
    array.call("CloneVolume", {"volumeID": 1, "name": "clone"})
    data.bytes["v1"] = "later"
    assert 2 not in data.exports
    array.clock.advance(61)
    array.call("GetAPI")
    assert data.bytes["v2"] == "written"
    assert data.exports[2].iqn.endswith(".clone.2")


def test_snapshots_and_rollbacks_move_bytes(array: Array, data: Recorder) -> None:
    """The state before a rollback is kept if asked."""
    array.call("CreateSnapshot", {"volumeID": 1})
    data.bytes["v1"] = "later"
    array.call("RollbackToSnapshot", {"volumeID": 1, "snapshotID": 1, "saveCurrentState": True})
    assert data.bytes == {"v1": "written", "s1": "written", "s2": "later"}
    array.call("CreateSnapshot", {"volumeID": 1, "snapshotID": 2})
    assert data.bytes["s3"] == "later"


def test_sessions_are_described_as_on_a_real_array(array: Array) -> None:
    """The shape is the captured one."""
    (session,) = array.call("ListISCSISessions")["sessions"]
    assert (session["volumeID"], session["accountID"], session["accountName"]) == (1, 1, "a")
    assert (session["initiatorName"], session["initiatorIP"]) == ("iqn.x:host", "192.0.2.7:40000")
    assert (session["targetIP"], session["targetName"]) == ("192.0.2.11:3260", "iqn.2010-01.com.solidfire:lab1.vol.1")
    assert session["initiatorPortName"] == "iqn.x:host,i,0x5"
    assert session["authentication"]["chapUsername"] == "a"


@pytest.mark.parametrize(
    ("method", "params", "failing"),
    [
        ("CreateVolume", {"name": "x", "accountID": 1, "totalSize": GIB}, "create"),
        ("CreateVolume", {"name": "x", "accountID": 1, "totalSize": GIB}, "export"),
        ("ModifyVolume", {"volumeID": 1, "totalSize": 2 * GIB, "access": "locked"}, "resize"),
        ("ModifyVolume", {"volumeID": 1, "access": "locked"}, "export"),
        ("ModifyVolumes", {"volumeIDs": [1, 2], "access": "locked"}, "export 2"),
        ("DeleteVolumes", {"volumeIDs": [1, 2]}, "unexport 2"),
        ("CreateGroupSnapshot", {"volumes": [1, 2]}, "snapshot 2 2"),
        ("CloneVolume", {"volumeID": 1, "name": "x"}, "clone"),
        ("ModifyAccount", {"accountID": 1, "status": "locked"}, "export 2"),
    ],
)
def test_when_the_data_fails_nothing_has_changed(
    array: Array, data: Recorder, method: str, params: dict[str, object], failing: str
) -> None:
    """Neither in the records nor in what is served and kept."""
    array.call("CreateVolume", {"name": "two", "accountID": 1, "totalSize": GIB})
    lists = ("ListVolumes", "ListSnapshots", "ListGroupSnapshots", "ListAccounts", "ListAsyncResults")
    before = [array.call(each) for each in lists], dict(data.exports), dict(data.bytes)
    data.failing.add(failing)
    with pytest.raises(ElementError, match="xInternalError"):
        array.call(method, params)
    data.failing.clear()
    assert ([array.call(each) for each in lists], data.exports, data.bytes) == before


def test_a_clone_whose_target_fails_is_finished_later(array: Array, data: Recorder) -> None:
    """It stays invisible until it can be reached."""
    array.settings.clone_seconds = 1
    array.call("CloneVolume", {"volumeID": 1, "name": "clone"})
    data.failing.add("export 2")
    array.clock.advance(2)
    assert len(array.call("ListVolumes")["volumes"]) == 1
    data.failing.clear()
    array.clock.advance(10)
    assert len(array.call("ListVolumes")["volumes"]) == 2


def test_a_restart_brings_the_targets_up(tmp_path: Path) -> None:
    """Those of active volumes."""
    with Array.start(state=tmp_path, data=Recorder()) as array:
        array.call("AddAccount", {"username": "a"})
        for name in ("one", "two"):
            array.call("CreateVolume", {"name": name, "accountID": 1, "totalSize": GIB})
        array.call("DeleteVolume", {"volumeID": 1})
    data = Recorder()
    with Array.start(state=tmp_path, data=data) as array:
        assert data.done == ["restore 2"]
        assert data.exports[2].username == "a"
