"""Snapshots of one volume and of groups."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from lab.array import Array
from tests.array.client import Client, Refused

ZERO = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def volume(client: Client) -> int:
    """A volume of one GiB."""
    volume_id: int = client.volume(client.account())["volumeID"]
    return volume_id


def names(client: Client, **params: Any) -> list[str]:
    """List the names of snapshots."""
    return [snapshot["name"] for snapshot in client.call("ListSnapshots", **params)["snapshots"]]


def test_a_snapshot_is_done_at_once(client: Client, volume: int) -> None:
    """With everything about it in the answer."""
    answer = client.call("CreateSnapshot", volumeID=volume, name="before:upgrade_1.0", attributes={"a": [1]})
    snapshot = answer["snapshot"]
    assert answer["snapshotID"] == snapshot["snapshotID"] == 1
    expected = {
        "status": "done", "volumeID": volume, "totalSize": 2**30, "attributes": {"a": [1]}, "groupID": 0,
        "groupSnapshotUUID": ZERO, "expirationTime": None, "volumeName": "pvc-1", "name": "before:upgrade_1.0",
    }  # fmt: skip
    assert {key: snapshot[key] for key in expected} == expected
    assert client.call("ListSnapshots", snapshotID=1)["snapshots"] == [snapshot]


def test_a_volume_has_at_most_32(client: Client, volume: int) -> None:
    """Trident matches the name, scaleoutsean's log has the message."""
    for _ in range(32):
        client.call("CreateSnapshot", volumeID=volume)
    with pytest.raises(Refused, match="xMaxSnapshotsPerVolumeExceeded: Maximum snapshots per volume is 32"):
        client.call("CreateSnapshot", volumeID=volume)
    client.call("DeleteSnapshot", snapshotID=7)
    assert client.call("CreateSnapshot", volumeID=volume)["snapshotID"] == 33


@pytest.mark.parametrize("method", ["ListSnapshots", "DeleteSnapshot", "ModifySnapshot"])
def test_a_missing_snapshot_does_not_exist(client: Client, method: str) -> None:
    """In the words that solidfire-csi looks for."""
    with pytest.raises(Refused, match="xSnapshotIDDoesNotExist: SnapshotID 5 does not exist"):
        client.call(method, snapshotID=5)


def test_snapshots_outlive_the_volume_until_its_purge(client: Client, volume: int) -> None:
    """A volume with snapshots can be deleted."""
    client.call("CreateSnapshot", volumeID=volume, name="s")
    client.call("DeleteVolume", volumeID=volume)
    assert names(client, volumeID=volume) == names(client) == ["s"]
    client.call("PurgeDeletedVolume", volumeID=volume)
    assert names(client) == []
    with pytest.raises(Refused, match="VolumeID 1 does not exist"):
        names(client, volumeID=volume)


def test_retention_becomes_an_expiration(array: Array, client: Client, volume: int) -> None:
    """Hours without bound; the snapshot goes at its time."""
    snapshot = client.call("CreateSnapshot", volumeID=volume, retention="30:00:01")["snapshot"]
    span = datetime.fromisoformat(snapshot["expirationTime"]) - datetime.fromisoformat(snapshot["createTime"])
    assert abs(span.total_seconds() - 108_001) <= 1
    array.clock.advance(30 * 3600 - 5)
    assert len(names(client)) == 1
    array.clock.advance(10)
    assert names(client) == []


@pytest.mark.parametrize("retention", ["24", "1d", "1:2", "a:b:c", "-1:00:00", "1:2:3:4", "9" * 400 + ":0:0"])
def test_other_retentions_are_refused(client: Client, volume: int, retention: str) -> None:
    """And so is one together with an expiration."""
    with pytest.raises(Refused, match="not a valid retention"):
        client.call("CreateSnapshot", volumeID=volume, retention=retention)
    with pytest.raises(Refused, match="exclude each other"):
        client.call("CreateSnapshot", volumeID=volume, retention="1:00:00", expirationTime="2999-01-01T00:00:00Z")


@pytest.mark.parametrize("when", ["tomorrow", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_other_times_are_refused(client: Client, volume: int, when: str) -> None:
    """An expiration is an ISO time of this era."""
    with pytest.raises(Refused, match="is not a valid time"):
        client.call("CreateSnapshot", volumeID=volume, expirationTime=when)


def test_an_expiration_can_be_moved_and_taken_away(array: Array, client: Client, volume: int) -> None:
    """Null means never."""
    for _ in range(2):
        client.call("CreateSnapshot", volumeID=volume, retention="1:00:00")
    client.call("ModifySnapshot", snapshotID=1, expirationTime=None)
    changed = client.call("ModifySnapshot", snapshotID=2, expirationTime="2999-01-01T00:00:00Z", name="n")["snapshot"]
    assert (changed["expirationTime"], changed["name"]) == ("2999-01-01T00:00:00Z", "n")
    array.clock.advance(2 * 3600)
    assert len(names(client)) == 2


def test_fifo_snapshots_push_the_oldest_out(client: Client) -> None:
    """Within the volume's fifoSize."""
    volume = client.volume(client.account(), fifoSize=2)["volumeID"]
    for name in "abc":
        client.call("CreateSnapshot", volumeID=volume, name=name, expirationTime="fifo")
    client.call("CreateSnapshot", volumeID=volume, name="plain")
    assert names(client) == ["b", "c", "plain"]
    with pytest.raises(Refused, match="fifoSize"):
        client.call("ModifyVolume", volumeID=volume, fifoSize=1)


def test_a_rollback_brings_the_size_back(client: Client, volume: int) -> None:
    """The present state is kept if asked, under the target's name with -copy."""
    client.call("CreateSnapshot", volumeID=volume, name="small")
    client.call("ModifyVolume", volumeID=volume, totalSize=2**31)
    answer = client.call("RollbackToSnapshot", volumeID=volume, snapshotID=1, saveCurrentState=True)
    assert (answer["snapshot"]["name"], answer["snapshot"]["totalSize"]) == ("small-copy", 2**31)
    assert client.call("ListVolumes")["volumes"][0]["totalSize"] == 2**30
    nothing = client.call("RollbackToSnapshot", volumeID=volume, snapshotID=1, saveCurrentState=False)
    assert nothing == {"checksum": "0x0", "snapshot": None, "snapshotID": None}


def test_a_snapshot_of_another_volume_is_no_use(client: Client, volume: int) -> None:
    """Neither for a rollback nor for a clone, nor to be snapshotted again."""
    other = client.volume(1)["volumeID"]
    client.call("CreateSnapshot", volumeID=other)
    for method, more in (("RollbackToSnapshot", {}), ("CloneVolume", {"name": "x"}), ("CreateSnapshot", {})):
        with pytest.raises(Refused, match="is not of volume"):
            client.call(method, volumeID=volume, snapshotID=1, **more)
    assert client.ids() == [1, 2]
    assert len(names(client)) == 1


def test_a_group_is_one_snapshot_of_each_volume(client: Client, volume: int) -> None:
    """Members carry the group's name and ids."""
    other = client.volume(1)["volumeID"]
    answer = client.call("CreateGroupSnapshot", volumes=[other, volume], name="g", attributes={"k": 1})
    assert [(member["volumeID"], member["snapshotID"]) for member in answer["members"]] == [(1, 1), (2, 2)]
    group = answer["groupSnapshot"]
    assert (group["groupSnapshotID"], group["status"], group["attributes"]) == (1, "done", {"k": 1})
    for member in group["members"]:
        assert (member["name"], member["groupID"]) == ("g", 1)
        assert member["groupSnapshotUUID"] == group["groupSnapshotUUID"] != ZERO
    assert client.call("ListGroupSnapshots", volumes=[volume])["groupSnapshots"] == [group]
    assert client.call("ListGroupSnapshots", groupSnapshotID=1)["groupSnapshots"] == [group]
    assert client.call("ListGroupSnapshots", volumes=[99])["groupSnapshots"] == []


def test_a_group_is_taken_whole_or_not(array: Array, client: Client, volume: int) -> None:
    """One volume at its limit, or unknown, spoils it."""
    other = client.volume(1)["volumeID"]
    array.limits["snapshotsPerVolumeMax"] = 1
    client.call("CreateSnapshot", volumeID=other, name="s")
    for volumes, error in (([volume, other], "xMaxSnapshots"), ([volume, 99], "xVolumeIDDoesNotExist"), ([], "empty")):
        with pytest.raises(Refused, match=error):
            client.call("CreateGroupSnapshot", volumes=volumes)
    assert names(client) == ["s"]
    assert client.call("ListGroupSnapshots")["groupSnapshots"] == []


def test_members_can_go_one_by_one_and_take_the_group_along(client: Client, volume: int) -> None:
    """The group ends with its last member."""
    other = client.volume(1)["volumeID"]
    client.call("CreateGroupSnapshot", volumes=[volume, other])
    client.call("DeleteSnapshot", snapshotID=1)
    assert len(client.call("ListGroupSnapshots")["groupSnapshots"][0]["members"]) == 1
    client.call("DeleteSnapshot", snapshotID=2)
    assert client.call("ListGroupSnapshots")["groupSnapshots"] == []


@pytest.mark.parametrize(("keep", "left"), [(True, 2), (False, 0)])
def test_a_group_goes_with_or_without_its_members(client: Client, volume: int, keep: bool, left: int) -> None:
    """Kept members are snapshots of their own."""
    other = client.volume(1)["volumeID"]
    client.call("CreateGroupSnapshot", volumes=[volume, other])
    client.call("DeleteGroupSnapshot", groupSnapshotID=1, saveMembers=keep)
    snapshots = client.call("ListSnapshots")["snapshots"]
    assert [(each["groupID"], each["groupSnapshotUUID"]) for each in snapshots] == [(0, ZERO)] * left
    with pytest.raises(Refused, match="GroupSnapshotID 1 does not exist"):
        client.call("DeleteGroupSnapshot", groupSnapshotID=1)


def test_a_group_rolls_all_its_volumes_back(client: Client, volume: int) -> None:
    """Sizes too; the present state becomes a group if asked."""
    other = client.volume(1)["volumeID"]
    client.call("CreateGroupSnapshot", volumes=[volume, other])
    client.call("ModifyVolume", volumeID=other, totalSize=2**31)
    saved = client.call("RollbackToGroupSnapshot", groupSnapshotID=1, saveCurrentState=True, name="now")
    assert [each["totalSize"] for each in saved["groupSnapshot"]["members"]] == [2**30, 2**31]
    assert [each["totalSize"] for each in client.call("ListVolumes")["volumes"]] == [2**30, 2**30]
    unsaved = client.call("RollbackToGroupSnapshot", groupSnapshotID=1)
    assert (unsaved["groupSnapshot"], unsaved["groupSnapshotID"], len(unsaved["members"])) == (None, None, 2)
