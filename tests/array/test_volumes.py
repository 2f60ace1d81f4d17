"""Volumes from their making to their purge."""

from __future__ import annotations

from typing import Any

import pytest

from lab.array import Array
from tests.array.client import Client, Refused


def test_a_new_volume_has_everything_a_client_reads(client: Client) -> None:
    """The whole object, as recorded from real clusters."""
    account = client.account()
    answer = client.call(
        "CreateVolume", name="PVC-one", accountID=account, totalSize=1_000_000_000, attributes={"a": 1}
    )
    volume = answer["volume"]
    assert answer["volumeID"] == volume["volumeID"] == 1
    assert volume["iqn"] == "iqn.2010-01.com.solidfire:lab1.pvc-one.1"
    assert volume["scsiNAADeviceID"] == "6f47acc1000000006c61623100000001"
    assert volume["scsiEUIDeviceID"] == "6c61623100000001f47acc0100000000"
    expected = {
        "name": "PVC-one", "accountID": account, "totalSize": 1_000_341_504, "status": "active", "access": "readWrite",
        "attributes": {"a": 1}, "blockSize": 4096, "enable512e": False, "deleteTime": "", "purgeTime": "",
        "sliceCount": 1, "qosPolicyID": None, "volumeAccessGroups": [], "volumePairs": [], "lastAccessTime": None,
    }  # fmt: skip
    assert {key: volume[key] for key in expected} == expected
    assert client.call("ListVolumes")["volumes"] == [volume]


def test_device_ids_are_those_of_a_real_cluster() -> None:
    """The ids captured from cluster `1mhp`, volume 1."""
    with Array.start("1mhp") as array:
        array.call("AddAccount", {"username": "a"})
        volume = array.call("CreateVolume", {"name": "test-volume1", "accountID": 1, "totalSize": 10**9})["volume"]
    assert volume["scsiEUIDeviceID"] == "316d687000000001f47acc0100000000"
    assert volume["scsiNAADeviceID"] == "6f47acc100000000316d687000000001"
    assert volume["iqn"] == "iqn.2010-01.com.solidfire:1mhp.test-volume1.1"


@pytest.mark.parametrize(
    ("asked", "got"),
    [(1_000_000_000, 1_000_341_504), (15_000_000_000, 15_000_928_256), (2**30, 2**30), (2**30 + 1, 2**30 + 2**20)],
)
def test_sizes_are_rounded_up_to_a_mib(client: Client, asked: int, got: int) -> None:
    """As a real 12.0 does."""
    assert client.volume(client.account(), size=asked)["totalSize"] == got


@pytest.mark.parametrize(
    "params",
    [
        {"totalSize": 999_999_999},
        {"totalSize": 16 * 2**40 + 1},
        {"name": "under_score"},
        {"name": "dot.ted"},
        {"name": "x" * 65},
        {"name": "ü"},
        {"name": "new\n"},
        {"attributes": {"x": "y" * 1000}},
        {"qos": {"minIOPS": 49}},
        {"qos": {"minIOPS": 15001}},
        {"qos": {"maxIOPS": 200_001, "burstIOPS": 200_001}},
        {"qos": {"minIOPS": 500, "maxIOPS": 400}},
        {"qos": {"maxIOPS": 900, "burstIOPS": 800}},
    ],
)
def test_a_bad_value_makes_no_volume(client: Client, params: dict[str, Any]) -> None:
    """Names, sizes, attributes and IOPS have limits."""
    good = {"name": "good", "accountID": client.account(), "totalSize": 2**30}
    with pytest.raises(Refused, match="xInvalidAPIParameter"):
        client.call("CreateVolume", **(good | params))
    assert client.ids() == []
    assert client.call("CreateVolume", **good)["volumeID"]


def test_attributes_may_fill_their_room(client: Client) -> None:
    """999 bytes of JSON, counted in UTF-8."""
    account = client.account()
    assert client.volume(account, attributes={"x": "ü" * 495 + "a"})["attributes"]["x"].endswith("a")
    with pytest.raises(Refused, match="attributes"):
        client.volume(account, attributes={"x": "ü" * 496})


def test_a_volume_needs_an_account(client: Client) -> None:
    """That exists."""
    with pytest.raises(Refused, match="xAccountIDDoesNotExist"):
        client.volume(5)


def test_two_volumes_may_share_a_name(client: Client) -> None:
    """Even in one account: a client that repeats a create has two volumes."""
    account = client.account()
    ids = [client.volume(account, "twin")["volumeID"] for _ in range(2)]
    assert client.ids(volumeName="twin") == ids
    assert client.ids(volumeName="Twin") == []


def test_lists_filter_before_they_page(client: Client) -> None:
    """Trident fetches one volume of an account by start and limit."""
    first, second = client.account("a"), client.account("b")
    ids = [client.volume(account)["volumeID"] for account in (first, second, first, second)]
    assert client.ids(accounts=[second], startVolumeID=3, limit=1) == [4]
    assert client.ids(startVolumeID="2", limit=2) == [2, 3]
    assert client.ids(volumeIDs=[4, 1, 99]) == [1, 4]
    assert client.ids("ListActiveVolumes", startVolumeID=4, limit=1) == [4]
    assert client.ids("ListVolumesForAccount", accountID=first) == [1, 3]
    assert client.ids(isPaired=False) == ids
    assert client.ids(isPaired=True) == []
    with pytest.raises(Refused, match="excludes"):
        client.ids(volumeIDs=[1], accounts=[first])


def test_the_recycle_bin_keeps_a_volume_for_eight_hours(array: Array, client: Client) -> None:
    """Deleted volumes are in most lists; only the clock or a purge removes them."""
    volume = client.volume(client.account(), "gone")["volumeID"]
    deleted = client.call("DeleteVolume", volumeID=volume)["volume"]
    assert (deleted["status"], deleted["name"]) == ("deleted", "gone")
    assert client.ids() == client.ids(volumeStatus="deleted") == client.ids("ListVolumesForAccount", accountID=1) == [1]
    assert client.ids(volumeStatus="active") == client.ids("ListActiveVolumes") == []
    array.clock.advance(8 * 3600 - 5)
    assert client.ids("ListDeletedVolumes") == [1]
    array.clock.advance(10)
    assert client.ids() == []
    assert client.call("GetVolumeCount")["count"] == 0


def test_a_restored_volume_is_as_before(array: Array, client: Client) -> None:
    """And is not purged when its time would have come."""
    volume = client.volume(client.account())
    client.call("DeleteVolume", volumeID=1)
    client.call("RestoreDeletedVolume", volumeID=1)
    array.clock.advance(9 * 3600)
    assert client.call("ListActiveVolumes")["volumes"] == [volume]
    client.call("DeleteVolume", volumeID=1)
    array.clock.advance(7 * 3600)
    assert client.ids() == [1]


def test_deleting_twice_says_what_solidfire_go_compares(client: Client) -> None:
    """Character by character, for a volume that is deleted, purged, or never was."""
    client.volume(client.account())
    client.call("DeleteVolume", volumeID=1)
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            client.call("DeleteVolume", volumeID=1)
        assert (caught.value.name, caught.value.message) == ("xVolumeIDDoesNotExist", "Volume 1 does not exist.")
        if client.ids():
            client.call("PurgeDeletedVolume", volumeID=1)


@pytest.mark.parametrize("method", ["PurgeDeletedVolume", "RestoreDeletedVolume"])
def test_only_deleted_volumes_are_purged_and_restored(client: Client, method: str) -> None:
    """An active one stays as it is."""
    client.volume(client.account())
    with pytest.raises(Refused, match="Volume 1 is not deleted"):
        client.call(method, volumeID=1)
    with pytest.raises(Refused, match="xVolumeIDDoesNotExist"):
        client.call(method, volumeID=2)
    assert client.ids(volumeStatus="active") == [1]


@pytest.mark.parametrize("method", ["ModifyVolume", "CreateSnapshot", "GetVolumeStats"])
def test_a_deleted_volume_is_unknown_to_other_calls(client: Client, method: str) -> None:
    """Its data cannot be touched."""
    client.volume(client.account())
    client.call("DeleteVolume", volumeID=1)
    with pytest.raises(Refused, match="xVolumeIDDoesNotExist"):
        client.call(method, volumeID=1)


def test_bulk_calls_do_all_or_nothing(client: Client) -> None:
    """One bad id spoils it."""
    account = client.account()
    for _ in range(3):
        client.volume(account)
    for method in ("DeleteVolumes", "ModifyVolumes"):
        with pytest.raises(Refused, match="xVolumeIDDoesNotExist"):
            client.call(method, volumeIDs=[1, 99, 2], access="locked")
    assert {volume["access"] for volume in client.call("ListActiveVolumes")["volumes"]} == {"readWrite"}
    client.call("ModifyVolumes", volumeIDs=[1, 2], access="locked")
    client.call("DeleteVolumes", accountIDs=[account])
    client.call("PurgeDeletedVolumes", volumeIDs=[1, 3])
    assert client.ids() == [2]
    lists: tuple[dict[str, Any], ...] = ({}, {"volumeIDs": [2], "accountIDs": [1]})
    for params in lists:
        with pytest.raises(Refused, match="No volume ID, account ID, or volume access group ID list specified"):
            client.call("PurgeDeletedVolumes", **params)


def test_volumes_only_grow(client: Client) -> None:
    """The same size is fine, a smaller one is not."""
    volume = client.volume(client.account())["volumeID"]
    assert client.call("ModifyVolume", volumeID=volume, totalSize=2**30)["volume"]["totalSize"] == 2**30
    assert client.call("ModifyVolume", volumeID=volume, totalSize=2**31 - 1)["volume"]["totalSize"] == 2**31
    with pytest.raises(Refused, match="xVolumeShrinkProhibited: Lowering a volume size is not allowed"):
        client.call("ModifyVolume", volumeID=volume, totalSize=2**30)


def test_a_change_changes_what_it_names(client: Client) -> None:
    """Attributes are replaced as a whole; the account can change, the IQN does not."""
    volume = client.volume(client.account("a"), attributes={"mine": 1, "yours": 2})
    other = client.account("b")
    moved = client.call("ModifyVolume", volumeID=1, accountID=other, access="readOnly", attributes={"mine": 3})[
        "volume"
    ]
    assert moved == volume | {"accountID": other, "access": "readOnly", "attributes": {"mine": 3}}
    assert client.ids("ListVolumesForAccount", accountID=other) == [1]
    assert client.call("ModifyVolume", volumeID=1, attributes={})["volume"]["attributes"] == {}
    assert client.call("ModifyVolume", volumeID=1, access="replicationTarget")["volume"]["access"] == "locked"


def test_limits_of_volumes(array: Array, client: Client) -> None:
    """Of the account, also by moving in, and of the cluster."""
    array.limits["volumesPerAccountCountMax"] = 1
    first, second = client.account("a"), client.account("b")
    client.volume(first)
    client.volume(second)
    with pytest.raises(Refused, match=r"volumes per account\. limit=1"):
        client.volume(first)
    with pytest.raises(Refused, match="xExceededLimit"):
        client.call("ModifyVolume", volumeID=1, accountID=second)
    array.limits["volumeCountMax"] = 2
    with pytest.raises(Refused, match=r"xExceededLimit: Exceeded max number of volumes\. limit=2"):
        client.volume(client.account("c"))


def test_a_full_cluster_takes_nothing_new(array: Array, client: Client) -> None:
    """No volumes, clones or snapshots from stage 4 on; everything else goes on."""
    volume = client.volume(client.account())["volumeID"]
    array.settings.fullness = "stage4Critical"
    assert client.call("GetClusterFullThreshold")["fullness"] == "stage4Critical"
    for method, params in (
        ("CreateVolume", {"name": "x", "accountID": 1, "totalSize": 2**30}),
        ("CloneVolume", {"volumeID": volume, "name": "x"}),
        ("CreateSnapshot", {"volumeID": volume}),
        ("CreateGroupSnapshot", {"volumes": [volume]}),
    ):
        with pytest.raises(Refused, match="xTotalCapacityExceeded"):
            client.call(method, **params)
    client.call("DeleteVolume", volumeID=volume)


def test_more_than_five_times_the_capacity_cannot_be_promised(array: Array, client: Client) -> None:
    """Recycled volumes count."""
    array.settings.capacity = 2**30
    account = client.account()
    client.volume(account, size=5 * 2**30)
    client.call("DeleteVolume", volumeID=1)
    with pytest.raises(Refused, match="no room"):
        client.volume(account)
    capacity = client.call("GetClusterCapacity")["clusterCapacity"]
    assert (capacity["provisionedSpace"], capacity["maxOverProvisionableSpace"]) == (5 * 2**30, 5 * 2**30)
