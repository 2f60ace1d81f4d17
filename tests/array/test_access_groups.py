"""Volume access groups and initiators."""

from __future__ import annotations

import pytest

from lab.array import Array
from tests.array.client import Client, Refused

A, B = "iqn.1993-08.org.debian:01:aaaa", "iqn.1993-08.org.debian:01:bbbb"


@pytest.fixture
def group(client: Client) -> int:
    """A group with one volume and one initiator."""
    volume = client.volume(client.account())["volumeID"]
    answer = client.call("CreateVolumeAccessGroup", name="g", volumes=[volume], initiators=[A])
    group_id: int = answer["volumeAccessGroupID"]
    return group_id


def only(client: Client) -> dict[str, object]:
    """Return the only group."""
    (found,) = client.call("ListVolumeAccessGroups")["volumeAccessGroups"]
    assert isinstance(found, dict)
    return found


def test_a_group_knows_its_members_and_they_know_it(client: Client, group: int) -> None:
    """An initiator named for the first time becomes known."""
    expected = {
        "attributes": {}, "deletedVolumes": [], "initiatorIDs": [1], "initiators": [A], "name": "g", "volumes": [1],
        "volumeAccessGroupID": group,
    }  # fmt: skip
    assert only(client) == expected
    assert client.call("ListVolumes")["volumes"][0]["volumeAccessGroups"] == [group]
    assert client.call("ListInitiators")["initiators"][0]["volumeAccessGroups"] == [group]
    assert client.call("GetVolumeStats", volumeID=1)["volumeStats"]["volumeAccessGroups"] == [group]


def test_a_recycled_volume_comes_back_to_its_group(client: Client, group: int) -> None:
    """And leaves it for good when it is purged."""
    client.call("DeleteVolume", volumeID=1)
    assert (only(client)["volumes"], only(client)["deletedVolumes"]) == ([], [1])
    client.call("RestoreDeletedVolume", volumeID=1)
    assert (only(client)["volumes"], only(client)["deletedVolumes"]) == ([1], [])
    client.call("DeleteVolume", volumeID=1)
    client.call("PurgeDeletedVolume", volumeID=1)
    assert (only(client)["volumes"], only(client)["deletedVolumes"]) == ([], [])


def test_members_are_added_and_removed_once(client: Client, group: int) -> None:
    """The names of the errors are those that Trident and Cinder forgive."""
    params = {"volumeAccessGroupID": group}
    for add, remove, members in (
        ("AddVolumesToVolumeAccessGroup", "RemoveVolumesFromVolumeAccessGroup", {"volumes": [1]}),
        ("AddInitiatorsToVolumeAccessGroup", "RemoveInitiatorsFromVolumeAccessGroup", {"initiators": [A]}),
    ):
        with pytest.raises(Refused, match="xAlreadyInVolumeAccessGroup"):
            client.call(add, **params, **members)
        client.call(remove, **params, **members)
        with pytest.raises(Refused, match="xNotInVolumeAccessGroup"):
            client.call(remove, **params, **members)
        client.call(add, **params, **members)
    assert (only(client)["volumes"], only(client)["initiators"]) == ([1], [A])


def test_an_initiator_is_in_one_group(client: Client, group: int) -> None:
    """Cinder looks for its IQN in the message."""
    with pytest.raises(Refused, match=f"xExceededLimit.*{A}"):
        client.call("CreateVolumeAccessGroup", name="h", initiators=[A, B])
    assert len(client.call("ListInitiators")["initiators"]) == 1
    other = client.call("CreateVolumeAccessGroup", name="h")["volumeAccessGroupID"]
    client.call("ModifyInitiators", initiators=[{"initiatorID": 1, "volumeAccessGroupID": other}])
    assert client.call("ListInitiators")["initiators"][0]["volumeAccessGroups"] == [other]
    client.call("ModifyInitiators", initiators=[{"initiatorID": 1, "volumeAccessGroupID": None}])
    assert client.call("ListInitiators")["initiators"][0]["volumeAccessGroups"] == []


def test_a_full_group_says_so(array: Array, client: Client, group: int) -> None:
    """In the words of a real one."""
    array.limits["initiatorsPerVolumeAccessGroupCountMax"] = 1
    with pytest.raises(Refused) as caught:
        client.call("AddInitiatorsToVolumeAccessGroup", volumeAccessGroupID=group, initiators=[B])
    expected = "Exceeded max number of initiators per volumeAccessGroup. volumeAccessGroupID=1 limit=1"
    assert (caught.value.name, caught.value.message) == ("xExceededLimit", expected)
    assert only(client)["initiators"] == [A]


def test_lists_replace_lists(client: Client, group: int) -> None:
    """And orphans go if asked."""
    client.call(
        "ModifyVolumeAccessGroup", volumeAccessGroupID=group, initiators=[B], name="new", deleteOrphanInitiators=True
    )
    assert (only(client)["initiators"], only(client)["name"], only(client)["volumes"]) == ([B], "new", [1])
    assert [each["initiatorName"] for each in client.call("ListInitiators")["initiators"]] == [B]


def test_a_group_goes_and_its_members_stay(client: Client, group: int) -> None:
    """Orphans too, unless asked otherwise."""
    client.call("DeleteVolumeAccessGroup", volumeAccessGroupID=group)
    assert client.ids() == [1]
    assert len(client.call("ListInitiators")["initiators"]) == 1
    with pytest.raises(Refused, match="xVolumeAccessGroupIDDoesNotExist: VolumeAccessGroupID 1 does not exist"):
        client.call("DeleteVolumeAccessGroup", volumeAccessGroupID=group)


def test_groups_that_are_not_there_are_listed_as_such(client: Client, group: int) -> None:
    """When asked for by id."""
    answer = client.call("ListVolumeAccessGroups", volumeAccessGroups=[group, 7])
    assert (len(answer["volumeAccessGroups"]), answer["volumeAccessGroupsNotFound"]) == (1, [7])
    assert "volumeAccessGroupsNotFound" not in client.call(
        "ListVolumeAccessGroups", startVolumeAccessGroupID=1, limit=1
    )


def test_initiators_are_made_all_or_none(client: Client) -> None:
    """Names are lower-cased and unique."""
    made = client.call("CreateInitiators", initiators=[{"name": A.upper(), "alias": "a", "attributes": {"k": 1}}])[
        "initiators"
    ]
    assert (made[0]["initiatorName"], made[0]["alias"], made[0]["attributes"]) == (A, "a", {"k": 1})
    assert (made[0]["requireChap"], made[0]["initiatorSecret"], made[0]["chapUsername"]) == (False, None, None)
    with pytest.raises(Refused, match="xInitiatorExists"):
        client.call("CreateInitiators", initiators=[{"name": B}, {"name": A}])
    assert len(client.call("ListInitiators")["initiators"]) == 1
    with pytest.raises(Refused, match="xInitiatorDoesNotExist"):
        client.call("DeleteInitiators", initiators=[1, 9])
    client.call("DeleteInitiators", initiators=[1])
    assert client.call("ListInitiators")["initiators"] == []


def test_luns_can_be_set(client: Client, group: int) -> None:
    """All or none, and no LUN twice."""
    other = client.volume(1)["volumeID"]
    client.call("AddVolumesToVolumeAccessGroup", volumeAccessGroupID=group, volumes=[other])
    params = {"volumeAccessGroupID": group}
    client.call("ModifyVolumeAccessGroupLunAssignments", **params, lunAssignments=[{"volumeID": 2, "lun": 0}])
    twice = [{"volumeID": 1, "lun": 3}, {"volumeID": 2, "lun": 3}]
    with pytest.raises(Refused, match="LUN"):
        client.call("ModifyVolumeAccessGroupLunAssignments", **params, lunAssignments=twice)
    found = client.call("GetVolumeAccessGroupLunAssignments", **params)["volumeAccessGroupLunAssignments"]
    assert found["lunAssignments"] == [{"lun": 1, "volumeID": 1}, {"lun": 0, "volumeID": 2}]
