"""QoS policies and the default QoS."""

from __future__ import annotations

import pytest

from tests.array.client import Client, Refused

GOLD = {"minIOPS": 1000, "maxIOPS": 2000, "burstIOPS": 3000}


@pytest.fixture
def policy(client: Client) -> int:
    """A policy."""
    policy_id: int = client.call("CreateQoSPolicy", name="gold", qos=GOLD)["qosPolicy"]["qosPolicyID"]
    return policy_id


def iops(volume: dict[str, dict[str, int]]) -> tuple[int, int, int]:
    """Return a volume's three values."""
    return volume["qos"]["minIOPS"], volume["qos"]["maxIOPS"], volume["qos"]["burstIOPS"]


def test_a_qos_object_is_complete(client: Client) -> None:
    """Also when a client asked for one value only; burstTime and curve are the array's own."""
    qos = client.volume(client.account(), qos={"minIOPS": 70, "burstTime": 1})["qos"]
    assert (qos["minIOPS"], qos["maxIOPS"], qos["burstIOPS"], qos["burstTime"]) == (70, 15000, 15000, 60)
    assert qos["curve"]["1048576"] == 15000


def test_a_new_volume_follows_its_policy(client: Client, policy: int) -> None:
    """Without being told to; told not to, it takes the values only."""
    account = client.account()
    assert client.volume(account, qosPolicyID=policy)["qosPolicyID"] == policy
    loose = client.volume(account, qosPolicyID=policy, associateWithQoSPolicy=False)
    assert (loose["qosPolicyID"], iops(loose)) == (None, (1000, 2000, 3000))
    assert client.call("GetQoSPolicy", qosPolicyID=policy)["qosPolicy"]["volumeIDs"] == [1]
    with pytest.raises(Refused, match="exclude each other"):
        client.volume(account, qosPolicyID=policy, qos=GOLD)
    with pytest.raises(Refused, match="xQoSPolicyDoesNotExist"):
        client.volume(account, qosPolicyID=99)


def test_a_changed_policy_changes_its_volumes(client: Client, policy: int) -> None:
    """Only those that follow it; unnamed values stay."""
    account = client.account()
    client.volume(account, qosPolicyID=policy)
    client.volume(account, qosPolicyID=policy, associateWithQoSPolicy=False)
    client.call("ModifyQoSPolicy", qosPolicyID=policy, qos={"burstIOPS": 4000}, name="platinum")
    assert [iops(volume)[2] for volume in client.call("ListVolumes")["volumes"]] == [4000, 3000]
    assert client.call("ListQoSPolicies")["qosPolicies"][0]["name"] == "platinum"


@pytest.mark.parametrize("change", [{"qos": {"maxIOPS": 2500}}, {"associateWithQoSPolicy": False}])
def test_a_volume_leaves_its_policy(client: Client, policy: int, change: dict[str, object]) -> None:
    """By values of its own, or when told to."""
    client.volume(client.account(), qosPolicyID=policy)
    volume = client.call("ModifyVolume", volumeID=1, **change)["volume"]
    assert volume["qosPolicyID"] is None
    assert iops(volume)[0] == 1000


def test_an_empty_qos_leaves_everything(client: Client, policy: int) -> None:
    """Trident sends one with each ModifyVolume."""
    before = client.volume(client.account(), qosPolicyID=policy)
    assert client.call("ModifyVolume", volumeID=1, qos={})["volume"] == before


def test_a_policy_is_associated_later_when_told_to(client: Client, policy: int) -> None:
    """The values are applied either way."""
    client.volume(client.account())
    loose = client.call("ModifyVolume", volumeID=1, qosPolicyID=policy)["volume"]
    assert (loose["qosPolicyID"], iops(loose)) == (None, (1000, 2000, 3000))
    tied = client.call("ModifyVolume", volumeID=1, qosPolicyID=policy, associateWithQoSPolicy=True)["volume"]
    assert tied["qosPolicyID"] == policy


def test_a_deleted_policy_leaves_its_values(client: Client, policy: int) -> None:
    """Its volumes just don't follow anybody any more."""
    client.volume(client.account(), qosPolicyID=policy)
    client.call("DeleteQoSPolicy", qosPolicyID=policy)
    volume = client.call("ListVolumes")["volumes"][0]
    assert (volume["qosPolicyID"], iops(volume)) == (None, (1000, 2000, 3000))
    with pytest.raises(Refused, match="xQoSPolicyDoesNotExist"):
        client.call("DeleteQoSPolicy", qosPolicyID=policy)


def test_the_default_counts_for_later_volumes(client: Client) -> None:
    """The answer is flat."""
    account = client.account()
    client.volume(account)
    client.call("SetDefaultQoS", minIOPS=60, maxIOPS=6000, burstIOPS=7000)
    client.volume(account)
    assert client.call("GetDefaultQoS")["burstIOPS"] == 7000
    assert [iops(volume) for volume in client.call("ListVolumes")["volumes"]] == [(50, 15000, 15000), (60, 6000, 7000)]
