"""What the known clients send, in the way they send it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.array import Array
from tests.array.client import Client
from tests.array.waiting import wait_until

TRIDENT = (
    "GetAccountByName AddAccount GetAccountByID GetDefaultQoS GetClusterHardwareInfo GetClusterCapacity"
    " ListVolumesForAccount ListVolumes CreateVolume CloneVolume ModifyVolume DeleteVolume PurgeDeletedVolume"
    " CreateSnapshot ListSnapshots RollbackToSnapshot DeleteSnapshot CreateVolumeAccessGroup ListVolumeAccessGroups"
    " AddInitiatorsToVolumeAccessGroup AddVolumesToVolumeAccessGroup"
)
CINDER = {
    "1.0": "GetClusterInfo GetClusterVersionInfo GetAccountByName AddAccount ListAccounts CreateVolume ModifyVolume"
    " DeleteVolume PurgeDeletedVolume ListActiveVolumes ListVolumesForAccount GetVolumeStats",
    "5.0": "ModifyVolume",
    "6.0": "CloneVolume CreateSnapshot ListSnapshots DeleteSnapshot RollbackToSnapshot",
    "7.0": "CreateGroupSnapshot ListGroupSnapshots DeleteGroupSnapshot CreateVolumeAccessGroup ListVolumeAccessGroups"
    " AddInitiatorsToVolumeAccessGroup ModifyVolumeAccessGroup DeleteVolumeAccessGroup AddVolumesToVolumeAccessGroup"
    " RemoveVolumesFromVolumeAccessGroup",
    "8.0": "GetClusterCapacity ListVolumes ListClusterPairs",
}
SOLIDFIRE_CSI = (
    "GetAPI GetClusterVersionInfo GetClusterInfo GetLimits GetClusterCapacity GetAccountByName AddAccount"
    " ListVolumesForAccount ListActiveVolumes CreateVolume ModifyVolume DeleteVolume PurgeDeletedVolume CloneVolume"
    " GetAsyncResult ListAsyncResults CreateSnapshot ListSnapshots DeleteSnapshot CreateGroupSnapshot"
    " ListGroupSnapshots DeleteGroupSnapshot ListISCSISessions"
)
EXPORTER = (
    "GetClusterCapacity GetClusterFullThreshold GetClusterStats ListAllNodes ListBulkVolumeJobs ListClusterFaults"
    " ListDrives ListISCSISessions ListNodeStats ListVolumeQoSHistograms ListVolumeStats ListVolumes"
)


@pytest.mark.parametrize(
    ("version", "methods"),
    [("8.0", TRIDENT), *CINDER.items(), ("12.5", SOLIDFIRE_CSI), ("12.5", EXPORTER)],
    ids=["trident", *(f"cinder-{version}" for version in CINDER), "solidfire-csi", "exporter"],
)
def test_every_method_is_there_at_the_version_used(client: Client, version: str, methods: str) -> None:
    """It may miss parameters, but it is known."""
    for method in methods.split():
        answer = client.post({"method": method}, f"/json-rpc/{version}").json
        assert answer.get("error", {}).get("name") in (None, "xMissingParameter", "xInvalidParameter"), method


class Wire:
    """Sends what a client sends: its path, its headers, its envelope."""

    def __init__(self, client: Client, path: str, content_type: str, **envelope: Any) -> None:
        """Remember how the client does it."""
        self._client, self._path, self._envelope = client, path, envelope
        self._headers = client.headers | ({"Content-Type": content_type} if content_type else {})

    def __call__(self, method: str, params: Any, path: str = "") -> dict[str, Any]:
        """Return the whole answer."""
        body = json.dumps({"method": method, "params": params, **self._envelope}).encode()
        answer = self._client.request("POST", path or self._path, body, self._headers)
        assert answer.status == 200
        return answer.json


def test_trident(array: Array, client: Client) -> None:
    """A volume, a clone, a snapshot, back to it, growth, and away."""
    send = Wire(client, "/json-rpc/8.0", "json-rpc", id=1)
    assert send("GetAccountByName", {"username": "trident"})["error"]["name"] == "xUnknownAccount"
    account = send("AddAccount", {"username": "trident"})["result"]["accountID"]
    assert send("GetDefaultQoS", {})["result"]["burstIOPS"] == 15000
    volume: dict[str, Any] = {"name": "pvc-1", "accountID": account, "totalSize": 10**9, "enable512e": True, "qos": {}}
    made = send("CreateVolume", volume | {"attributes": {"trident": '{"version":1}'}})["result"]["volumeID"]
    page = {"accounts": [account], "startVolumeID": made, "limit": 1}
    assert [each["volumeID"] for each in send("ListVolumes", page)["result"]["volumes"]] == [made]
    nothing = {"snapshotID": 0, "retention": "", "attributes": None, "enableRemoteReplication": False}
    snapshot = send("CreateSnapshot", {"volumeID": made, "name": "snap", **nothing})["result"]["snapshotID"]
    cloned = send("CloneVolume", {"volumeID": made, "name": "pvc-2", "snapshotID": snapshot, "attributes": {}})
    clone = cloned["result"]["volumeID"]
    page["startVolumeID"] = clone
    wait_until(lambda: send("ListVolumes", page)["result"]["volumes"])
    back = {"volumeID": made, "snapshotID": snapshot, "name": "", "attributes": None, "saveCurrentState": False}
    assert send("RollbackToSnapshot", back)["result"]["snapshotID"] is None
    assert "result" in send(
        "ModifyVolume", {"volumeID": made, "totalSize": 2 * 10**9, "qos": {}, "attributes": {"a": 1}}
    )
    assert "result" in send("DeleteSnapshot", {"snapshotID": snapshot})
    for each in (made, clone):
        assert "result" in send("DeleteVolume", {"volumeID": each})
        assert "result" in send("PurgeDeletedVolume", {"volumeID": each})
    assert send("ListVolumesForAccount", {"accountID": account})["result"]["volumes"] == []


def test_cinder(array: Array, client: Client) -> None:
    """No id, a slash at the end, a version for each call, and many surplus parameters."""
    send = Wire(client, "/json-rpc/1.0/", "")
    info = send("GetClusterInfo", {})["result"]["clusterInfo"]
    assert info["uuid"]
    assert {"mvip", "svip", "name", "uniqueID"} <= set(info)
    secret = "cindersecret12"
    add = {"username": "os-tenant", "initiatorSecret": secret, "targetSecret": secret, "attributes": {}}
    account = send("AddAccount", add)["result"]["accountID"]
    params = {"name": "UUID-abc", "accountID": account, "sliceCount": 1, "totalSize": 2**30, "enable512e": True}
    volume = send("CreateVolume", params | {"attributes": {"uuid": "abc"}, "qos": {}})["result"]["volumeID"]
    found = send("ListVolumes", {"volumeName": "UUID-abc"}, "/json-rpc/8.0/")["result"]["volumes"]
    assert [each["volumeID"] for each in found] == [volume]
    clone = {"volumeID": volume, "name": "UUID-def", "newAccountID": account, "newSize": 2**30}
    copy = send("CloneVolume", clone, "/json-rpc/6.0/")["result"]["volumeID"]
    change = params | {"volumeID": copy, "attributes": {"uuid": "def"}}
    wait_until(lambda: "result" in send("ModifyVolume", change, "/json-rpc/5.0/"))
    snapshot = send("CreateSnapshot", {"volumeID": volume, "name": "UUID-snap"}, "/json-rpc/6.0/")["result"][
        "snapshotID"
    ]
    back = {"accountID": account, "volumeID": volume, "snapshotID": snapshot, "saveCurrentState": "false"}
    answer = send("RollbackToSnapshot", back, "/json-rpc/6.0/")
    assert answer["warning"] == {"unusedParameters": {"accountID": account}}
    assert answer["id"] is None
    assert send("GetVolumeStats", {"volumeID": volume})["result"]["volumeStats"]["volumeAccessGroups"] == []
    capacity = send("GetClusterCapacity", {}, "/json-rpc/8.0/")["result"]["clusterCapacity"]
    assert {"maxProvisionedSpace", "usedSpace", "uniqueBlocks", "zeroBlocks", "peakIOPS"} <= set(capacity)


def test_solidfire_csi(array: Array, client: Client) -> None:
    """Null parameters, integer ids, errors known by their messages, and no way up to a four-part version."""
    send = Wire(client, "/json-rpc/12.5", "", id=7)
    assert send("GetAPI", None)["id"] == 7
    full = send("GetClusterVersionInfo", None)["result"]["clusterVersion"]
    assert client.request("POST", f"/json-rpc/{full}", b'{"method": "GetAPI"}').status == 404
    assert "xUnknownAccount" in send("GetAccountByName", {"username": "t"})["error"]["message"]
    account = send("AddAccount", {"username": "t"})["result"]["account"]
    assert account["initiatorSecret"]
    volume = send("CreateVolume", {"name": "v", "accountID": account["accountID"], "totalSize": 2**30})["result"][
        "volumeID"
    ]
    assert (
        send("ListActiveVolumes", {"startVolumeID": volume, "limit": 1})["result"]["volumes"][0]["volumeID"] == volume
    )
    begun = send("CloneVolume", {"volumeID": volume, "name": "c"})["result"]
    poll = {"asyncHandle": begun["asyncHandle"], "keepResult": True}
    wait_until(lambda: send("GetAsyncResult", poll)["result"]["status"] == "complete")
    assert "does not exist" in send("DeleteSnapshot", {"snapshotID": 99})["error"]["message"]
    send("DeleteVolume", {"volumeID": volume})
    assert send("DeleteVolume", {"volumeID": volume})["error"]["message"] == f"Volume {volume} does not exist."
