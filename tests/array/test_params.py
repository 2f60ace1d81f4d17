"""How lenient the array is with parameters, as its clients need it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.array.client import Client, Refused


def refused(client: Client, method: str, **params: Any) -> str:
    """Return the name of the error that a call must end in."""
    with pytest.raises(Refused) as caught:
        client.call(method, **params)
    return str(caught.value.name)


def test_a_missing_parameter_is_named(client: Client) -> None:
    """In the wording seen from a fake of the maker's testers."""
    with pytest.raises(Refused, match=r"xMissingParameter: Missing member=\[volumeID\]"):
        client.call("DeleteVolume")
    assert refused(client, "DeleteVolume", volumeID=None) == "xMissingParameter"


@pytest.mark.parametrize("wrong", [True, "x", 1.5, [1], {}, "1.0"])
def test_an_integer_must_be_one(client: Client, wrong: object) -> None:
    """Numeric strings are, everything else is not."""
    assert refused(client, "GetAccountByID", accountID=wrong) == "xInvalidParameterType"


@pytest.mark.parametrize("spelling", ["1", 1, 1.0])
def test_a_number_may_be_a_string(client: Client, spelling: object) -> None:
    """Cinder's startVolumeID is one."""
    client.account()
    assert client.call("GetAccountByID", accountID=spelling)["account"]["username"] == "owner"


@pytest.mark.parametrize(("spelling", "kept"), [("false", 1), ("False", 1), (False, 1), ("true", 2), (True, 2)])
def test_a_boolean_may_be_a_string(client: Client, spelling: object, kept: int) -> None:
    """Cinder's saveCurrentState is one."""
    volume = client.volume(client.account())["volumeID"]
    snapshot = client.call("CreateSnapshot", volumeID=volume)["snapshotID"]
    client.call("RollbackToSnapshot", volumeID=volume, snapshotID=snapshot, saveCurrentState=spelling, accountID=1)
    assert len(client.call("ListSnapshots")["snapshots"]) == kept


@pytest.mark.parametrize("wrong", [1, 0, "yes"])
def test_a_boolean_is_no_number(client: Client, wrong: object) -> None:
    """Nobody sends numbers for booleans."""
    account = client.account()
    params = {"name": "a", "accountID": account, "totalSize": 2**30, "enable512e": wrong}
    assert refused(client, "CreateVolume", **params) == "xInvalidParameterType"


def test_what_trident_sends_for_nothing_is_nothing(client: Client) -> None:
    """Zero ids, empty strings, null attributes and an empty qos are as good as absent."""
    volume = client.volume(client.account(), qos={}, attributes=None)
    assert (volume["qos"]["maxIOPS"], volume["attributes"]) == (15000, {})
    params = {"retention": "", "attributes": None, "enableRemoteReplication": False, "name": "", "snapshotID": 0}
    snapshot = client.call("CreateSnapshot", volumeID=volume["volumeID"], **params)["snapshot"]
    assert snapshot["name"] == snapshot["createTime"]
    assert snapshot["expirationTime"] is None
    clone = client.call(
        "CloneVolume", volumeID=volume["volumeID"], name="clone", snapshotID=0, newSize=0, newAccountID=0
    )
    assert clone["volume"]["totalSize"] == volume["totalSize"]


def test_null_lists_are_no_lists(client: Client) -> None:
    """Trident adds a nil list of volumes to an access group."""
    group = client.call("CreateVolumeAccessGroup", name="g")["volumeAccessGroupID"]
    answer = client.call("AddVolumesToVolumeAccessGroup", volumeAccessGroupID=group, volumes=None)
    assert answer["volumeAccessGroup"]["volumes"] == []


def test_surplus_parameters_do_no_harm(client: Client) -> None:
    """Cinder sends a whole volume's parameters to AddAccount, and a name to ModifyVolume."""
    account = client.call("AddAccount", username="a", totalSize=5, qos={}, name="x", sliceCount=1)["accountID"]
    volume = client.volume(account, "Keeps-Its-Name", sliceCount=1)["volumeID"]
    answer = client.post(
        {"method": "ModifyVolume", "params": {"volumeID": volume, "name": "new", "enable512e": True}}
    ).json
    assert answer["warning"]["unusedParameters"] == {"name": "new", "enable512e": True}
    assert answer["result"]["volume"]["name"] == "Keeps-Its-Name"


def test_an_unknown_word_is_refused_by_repeating_it(client: Client) -> None:
    """For instance an access that there is not."""
    volume = client.volume(client.account())["volumeID"]
    with pytest.raises(Refused, match="xUnrecognizedEnumString: readwrite"):
        client.call("ModifyVolume", volumeID=volume, access="readwrite")


def test_no_error_shows_a_secret(client: Client) -> None:
    """Neither a secret that is too short nor one of the wrong type is repeated."""
    for bad in ("tooshort", ["alistofsecrets"]):
        with pytest.raises(Refused) as caught:
            client.call("AddAccount", username="a", initiatorSecret=bad)
        assert "tooshort" not in caught.value.message
        assert "alistofsecrets" not in caught.value.message


def test_nothing_for_a_required_parameter_is_a_value(client: Client) -> None:
    """A bad one, as the case may be; only null is as good as absent."""
    assert refused(client, "DeleteVolume", volumeID=0) == "xVolumeIDDoesNotExist"
    assert refused(client, "AddAccount", username="") == "xInvalidAPIParameter"
    assert client.call("CreateQoSPolicy", name="p", qos={})["qosPolicy"]["qos"]["minIOPS"] == 50


def test_false_is_not_zero(client: Client) -> None:
    """An optional id of false is a mistake, not an absent one."""
    volume = client.volume(client.account())["volumeID"]
    assert refused(client, "CreateSnapshot", volumeID=volume, snapshotID=False) == "xInvalidParameterType"
