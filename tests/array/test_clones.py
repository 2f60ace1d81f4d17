"""Clones: asynchronous, and in no list before they are done."""

from __future__ import annotations

from typing import Any

import pytest

from lab.array import Array
from tests.array.client import Client, Refused

HOUR = 3600.0


@pytest.fixture
def source(array: Array, client: Client) -> int:
    """A volume with everything that a clone inherits; clones take an hour of the array's clock."""
    array.settings.clone_seconds = HOUR
    policy = client.call("CreateQoSPolicy", name="gold", qos={"minIOPS": 100, "maxIOPS": 200, "burstIOPS": 300})
    params: dict[str, Any] = {
        "attributes": {"k": 1},
        "enable512e": True,
        "qosPolicyID": policy["qosPolicy"]["qosPolicyID"],
    }
    volume_id: int = client.volume(client.account(), "source", **params)["volumeID"]
    client.call("ModifyVolume", volumeID=volume_id, access="readOnly")
    return volume_id


def test_a_clone_is_invisible_until_it_is_done(array: Array, client: Client, source: int) -> None:
    """Its id is in the answer; no list has it, not even by that id."""
    answer = client.call("CloneVolume", volumeID=source, name="clone")
    assert answer["volumeID"] == answer["volume"]["volumeID"] == 2
    assert (answer["volume"]["status"], answer["volume"]["sliceCount"]) == ("init", 0)
    hidden = [client.ids(), client.ids(volumeIDs=[2]), client.ids(volumeName="clone"), client.ids("ListActiveVolumes")]
    assert hidden == [[1], [], [], [1]]
    assert client.ids("ListVolumesForAccount", accountID=1) == [1]
    running = client.call("GetAsyncResult", asyncHandle=answer["asyncHandle"])
    assert (running["status"], running["resultType"], running["details"]) == ("running", "Clone", {})
    job = client.call("ListSyncJobs")["syncJobs"][0]
    assert (job["cloneID"], job["srcVolumeID"], job["dstVolumeID"]) == (answer["cloneID"], 1, 2)
    array.clock.advance(HOUR + 1)
    assert client.ids(volumeName="clone") == [2]
    assert client.call("ListSyncJobs")["syncJobs"] == []


def test_a_clone_inherits(array: Array, client: Client, source: int) -> None:
    """Account, size, 512e, access, attributes and IOPS; not the policy, and not the access groups."""
    client.call("CreateVolumeAccessGroup", name="g", volumes=[source])
    client.call("CloneVolume", volumeID=source, name="clone")
    array.clock.advance(HOUR + 1)
    old, new = client.call("ListVolumes")["volumes"]
    for same in ("accountID", "totalSize", "enable512e", "access", "attributes", "qos"):
        assert new[same] == old[same]
    assert (new["qosPolicyID"], new["volumeAccessGroups"]) == (None, [])
    for different in ("iqn", "scsiNAADeviceID", "volumeUUID", "volumeConsistencyGroupUUID"):
        assert new[different] != old[different]


def test_a_clone_can_be_otherwise(array: Array, client: Client, source: int) -> None:
    """Size, account, access and attributes can be given; attributes replace."""
    other = client.account("other")
    params = {"newSize": 2**30 + 1, "newAccountID": other, "access": "readWrite", "attributes": {}, "enable512e": False}
    clone = client.call("CloneVolume", volumeID=source, name="clone", **params)["volume"]
    assert (clone["totalSize"], clone["accountID"], clone["access"]) == (2**30 + 2**20, other, "readWrite")
    assert (clone["attributes"], clone["enable512e"]) == ({}, False)


def test_a_clone_of_a_snapshot_has_its_size(client: Client, source: int) -> None:
    """Not the volume's of today."""
    client.call("CreateSnapshot", volumeID=source)
    client.call("ModifyVolume", volumeID=source, totalSize=2**31)
    assert client.call("CloneVolume", volumeID=source, name="a", snapshotID=1)["volume"]["totalSize"] == 2**30


def test_a_result_is_read_once(array: Array, client: Client, source: int) -> None:
    """Unless it is to be kept; listing uses nothing up."""
    handle = client.call("CloneVolume", volumeID=source, name="clone")["asyncHandle"]
    assert client.call("ListAsyncResults")["asyncHandles"][0]["completed"] is False
    array.clock.advance(HOUR + 1)
    listed = client.call("ListAsyncResults", asyncResultTypes=["Clone"])["asyncHandles"][0]
    assert (listed["asyncResultID"], listed["completed"], listed["data"]["volumeID"]) == (handle, True, 2)
    for keep in (True, "true", False):
        done = client.call("GetAsyncResult", asyncHandle=handle, keepResult=keep)
        assert (done["status"], done["result"]["message"]) == ("complete", "Clone complete.")
    with pytest.raises(Refused, match=f"xAsyncHandleDoesNotExist: Async handle {handle} does not exist"):
        client.call("GetAsyncResult", asyncHandle=handle)


@pytest.mark.parametrize("method", ["ModifyVolume", "DeleteVolume", "CreateSnapshot"])
def test_a_clone_in_the_making_is_not_ready(client: Client, source: int, method: str) -> None:
    """Cinder and Trident retry on that name."""
    clone = client.call("CloneVolume", volumeID=source, name="clone")["volumeID"]
    with pytest.raises(Refused, match="xNotReadyForIO"):
        client.call(method, volumeID=clone)


def test_a_source_has_at_most_two_clones_at_once(array: Array, client: Client, source: int) -> None:
    """The third is refused until one is done."""
    for name in "ab":
        client.call("CloneVolume", volumeID=source, name=name)
    with pytest.raises(Refused, match="xMaxClonesPerVolumeExceeded"):
        client.call("CloneVolume", volumeID=source, name="c")
    array.clock.advance(HOUR + 1)
    client.call("CloneVolume", volumeID=source, name="c")


def test_a_clone_outlives_its_source(array: Array, client: Client, source: int) -> None:
    """It is a copy of the moment it was asked for."""
    client.call("CloneVolume", volumeID=source, name="clone")
    client.call("DeleteVolume", volumeID=source)
    client.call("PurgeDeletedVolume", volumeID=source)
    array.clock.advance(HOUR + 1)
    assert client.ids() == [2]


def test_a_cancelled_clone_is_gone(client: Client, source: int) -> None:
    """Volume and handle both; a second time there is nothing to cancel."""
    begun = client.call("CloneVolume", volumeID=source, name="clone")
    client.call("CancelClone", cloneID=begun["cloneID"])
    with pytest.raises(Refused, match="xVolumeIDDoesNotExist"):
        client.call("DeleteVolume", volumeID=begun["volumeID"])
    for method, params in (("GetAsyncResult", {"asyncHandle": 1}), ("CancelClone", {"cloneID": 1})):
        with pytest.raises(Refused, match="does not exist"):
            client.call(method, **params)


def test_several_volumes_are_cloned_together(array: Array, client: Client, source: int) -> None:
    """From a group snapshot; all or none."""
    other = client.volume(1, "other")["volumeID"]
    client.call("CreateGroupSnapshot", volumes=[source, other])
    client.call("ModifyVolume", volumeID=other, totalSize=2**31)
    entries = [{"volumeID": source, "name": "one"}, {"volumeID": other, "attributes": {"x": 1}}]
    begun = client.call("CloneMultipleVolumes", volumes=entries, groupSnapshotID=1, access="locked")
    assert begun["members"] == [{"srcVolumeID": 1, "volumeID": 3}, {"srcVolumeID": 2, "volumeID": 4}]
    with pytest.raises(Refused, match="xVolumeIDDoesNotExist"):
        client.call("CloneMultipleVolumes", volumes=[{"volumeID": source, "name": "x"}, {"volumeID": 99, "name": "y"}])
    array.clock.advance(HOUR + 1)
    clones = client.call("ListVolumes", startVolumeID=3)["volumes"]
    assert [(each["name"], each["access"], each["totalSize"]) for each in clones] == [
        ("one", "locked", 2**30),
        ("other", "locked", 2**30),
    ]
    assert client.call("GetAsyncResult", asyncHandle=begun["asyncHandle"])["status"] == "complete"


def test_a_copy_needs_a_volume_of_the_same_size(array: Array, client: Client, source: int) -> None:
    """And leaves its records as they are."""
    target = client.volume(1, "target")["volumeID"]
    larger = client.volume(1, "larger", size=2**31)["volumeID"]
    with pytest.raises(Refused, match="differ in size"):
        client.call("CopyVolume", volumeID=source, dstVolumeID=larger)
    handle = client.call("CopyVolume", volumeID=source, dstVolumeID=target)["asyncHandle"]
    array.clock.advance(HOUR + 1)
    assert client.call("GetAsyncResult", asyncHandle=handle)["status"] == "complete"
    assert client.ids(volumeName="target") == [target]
