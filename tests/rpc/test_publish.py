"""ControllerPublishVolume: who can reach the volume afterwards, and with what."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from csi_solidfire.handles import Chap, PublishContext, VolumeHandle
from csi_solidfire.pb import csi_pb2
from lab.array import Array
from lab.csi import GIB, block, mount
from tests.support import ask
from tests.support.ask import KEY, NODE_1, NODE_2, NODE_3, Mode, accounts, create, publish, refused, unpublish
from tests.support.driver import Driver, wait_until

SHARED = block(mode=Mode.MULTI_NODE_MULTI_WRITER)
READERS = mount(mode=Mode.MULTI_NODE_READER_ONLY)
UNFENCED = {"fencing": "false"}


def _works(array: Array, handle: str, context: dict[str, str]) -> bool:
    """Whether a login with a publish context's credentials would reach the volume now."""
    found = ask.volume(array, handle)
    account = accounts(array)[ask.owner(array, handle)]
    given = (context[Chap.USERNAME], context[Chap.PASSWORD], context[Chap.PASSWORD_IN])
    return found["access"] != "locked" and given == (
        account["username"],
        account["initiatorSecret"],
        account["targetSecret"],
    )


def test_the_node_gets_what_it_needs_to_log_in(array: Array, driver: Driver) -> None:
    handle = create(driver, size=GIB + 1)
    context = publish(driver, handle)
    account = accounts(array)["node-1-shop"]
    assert context == {
        PublishContext.USERNAME: "node-1-shop",
        PublishContext.PORTAL: "127.0.0.1:3260",
        PublishContext.IQN: "iqn.2010-01.com.solidfire:lab1.pvc-1.1",
        PublishContext.TOTAL_SIZE: str(GIB + ask.MIB),
        Chap.USERNAME: "node-1-shop",
        Chap.PASSWORD: account["initiatorSecret"],
        Chap.USERNAME_IN: "node-1-shop",
        Chap.PASSWORD_IN: account["targetSecret"],
    }
    found = ask.volume(array, handle)
    assert found["access"] == "readWrite"
    assert found["attributes"][KEY]["nodes"] == {NODE_1: "snmw,mount,rw"}


def test_credentials_travel_only_if_a_flag_says_so(array: Array) -> None:
    with Driver(array, chap=False) as driver:
        context = publish(driver, create(driver))
    assert context == PublishContext.from_map(context, VolumeHandle("lab1", 1)).to_map()


def test_publishing_elsewhere_moves_the_volume_and_old_credentials_end(array: Array, driver: Driver) -> None:
    handle = create(driver)
    first = publish(driver, handle, NODE_1)
    assert _works(array, handle, first)
    unpublish(driver, handle, NODE_1)
    assert not _works(array, handle, first)
    second = publish(driver, handle, NODE_2)
    assert ask.owner(array, handle) == "node-2-shop"
    assert _works(array, handle, second)
    assert not _works(array, handle, first)
    wait_until(lambda: list(accounts(array)) == ["node-2-shop"])


def test_a_volume_that_another_node_has_stays_there(array: Array, driver: Driver) -> None:
    handle = create(driver)
    context = publish(driver, handle, NODE_1)
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, NODE_1, "unpublish"):
        publish(driver, handle, NODE_2)
    assert ask.snapshot(array) == before
    assert _works(array, handle, context)


def test_once_more_is_the_same(array: Array, driver: Driver) -> None:
    handle = create(driver)
    first = publish(driver, handle)
    before = ask.snapshot(array)
    assert publish(driver, handle) == first
    assert ask.snapshot(array) == before


@pytest.mark.parametrize(
    "changes",
    [{"readonly": True}, {"capability": block()}, {"capability": mount(mode=Mode.SINGLE_NODE_WRITER)}],
    ids=str,
)
def test_the_same_node_in_another_way(array: Array, driver: Driver, changes: dict[str, Any]) -> None:
    handle = create(driver)
    publish(driver, handle)
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.ALREADY_EXISTS, handle, NODE_1):
        publish(driver, handle, **changes)
    assert ask.snapshot(array) == before


@pytest.mark.parametrize(
    ("capability", "readonly", "access"),
    [
        (mount(), False, "readWrite"),
        (mount(), True, "readOnly"),
        (block(), True, "readOnly"),
        (mount(mode=Mode.SINGLE_NODE_WRITER), False, "readWrite"),
        (mount(mode=Mode.SINGLE_NODE_READER_ONLY), False, "readOnly"),
        (READERS, False, "readOnly"),
        (SHARED, False, "readWrite"),
    ],
)
def test_the_array_itself_enforces_reading_only(
    array: Array, driver: Driver, capability: csi_pb2.VolumeCapability, readonly: bool, access: str
) -> None:
    handle = create(driver, capability=capability)
    publish(driver, handle, capability=capability, readonly=readonly)
    assert ask.volume(array, handle)["access"] == access


def test_nodes_that_share_a_volume_share_an_account_for_that(array: Array, driver: Driver) -> None:
    handle = create(driver, host="node-3", capability=SHARED)
    alone = create(driver, "pvc-2", host="node-3")
    first = publish(driver, handle, NODE_1, capability=SHARED)
    second = publish(driver, handle, NODE_2, capability=SHARED)
    assert first == second
    assert _works(array, handle, first)
    assert ask.owner(array, handle) == "shared-shop"
    assert ask.owner(array, alone) == "node-3-shop"
    assert set(ask.volume(array, handle)["attributes"][KEY]["nodes"]) == {NODE_1, NODE_2}


def test_a_shared_volume_is_writable_while_one_node_writes(array: Array, driver: Driver) -> None:
    handle = create(driver, capability=SHARED)
    publish(driver, handle, NODE_1, capability=SHARED, readonly=True)
    assert ask.volume(array, handle)["access"] == "readOnly"
    publish(driver, handle, NODE_2, capability=SHARED)
    assert ask.volume(array, handle)["access"] == "readWrite"
    unpublish(driver, handle, NODE_2)
    assert ask.volume(array, handle)["access"] == "readOnly"


@pytest.mark.parametrize(("first", "second"), [(SHARED, mount()), (mount(), SHARED)], ids=["shared first", "one first"])
def test_a_volume_is_not_shared_with_a_node_that_wants_it_alone(
    array: Array, driver: Driver, first: csi_pb2.VolumeCapability, second: csi_pb2.VolumeCapability
) -> None:
    handle = create(driver)
    publish(driver, handle, NODE_1, capability=first)
    before = ask.volume(array, handle)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, NODE_1):
        publish(driver, handle, NODE_2, capability=second)
    assert ask.volume(array, handle) == before


def test_without_fencing_all_nodes_have_one_account(array: Array, driver: Driver) -> None:
    handle = create(driver, parameters=UNFENCED)
    context = publish(driver, handle, NODE_2)
    assert ask.owner(array, handle) == "shared-shop"
    assert _works(array, handle, context)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, NODE_2):
        publish(driver, handle, NODE_3)
    unpublish(driver, handle, NODE_2)
    assert ask.volume(array, handle)["access"] == "readWrite"
    assert "nodes" not in ask.volume(array, handle)["attributes"][KEY]
    assert publish(driver, handle, NODE_3) == context


def test_a_volume_that_was_shared_is_fenced_when_one_node_has_it_alone(array: Array, driver: Driver) -> None:
    handle = create(driver, capability=SHARED)
    shared = publish(driver, handle, NODE_1, capability=SHARED)
    unpublish(driver, handle, NODE_1)
    alone = publish(driver, handle, NODE_2)
    assert ask.owner(array, handle) == "node-2-shop"
    assert _works(array, handle, alone)
    assert not _works(array, handle, shared)


def test_other_peoples_attributes_are_kept(array: Array, driver: Driver) -> None:
    handle = create(driver)
    others = {"backup": {"plan": "daily"}, "fs": "x"}
    array.call("ModifyVolume", {"volumeID": 1, "attributes": ask.volume(array, handle)["attributes"] | others})
    publish(driver, handle)
    unpublish(driver, handle)
    kept = ask.volume(array, handle)["attributes"]
    assert {key: kept[key] for key in others} == others
    assert kept[KEY] == {"name": "pvc-1", "namespace": "shop", "claim": "data", "last": NODE_1, "given": [1]}


def test_room_is_made_in_the_attributes_by_leaving_the_claims_name_out(array: Array, driver: Driver) -> None:
    handle = create(driver)
    publish(driver, handle)
    full = len(json.dumps(ask.volume(array, handle)["attributes"] | {"x": ""}))
    unpublish(driver, handle)
    ours = ask.volume(array, handle)["attributes"]
    array.call("ModifyVolume", {"volumeID": 1, "attributes": ours | {"x": "y" * (1000 - full)}})
    publish(driver, handle)
    mark = ask.volume(array, handle)["attributes"][KEY]
    assert "claim" not in mark
    assert mark["nodes"] == {NODE_1: "snmw,mount,rw"}


def test_attributes_without_room_are_not_cut(array: Array, driver: Driver) -> None:
    handle = create(driver)
    ours = ask.volume(array, handle)["attributes"]
    array.call("ModifyVolume", {"volumeID": 1, "attributes": ours | {"x": "y" * 850}})
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "1000"):
        publish(driver, handle, NODE_2)
    wait_until(lambda: ask.snapshot(array) == before)


def test_an_account_with_all_the_volumes_it_may_have(array: Array, driver: Driver) -> None:
    array.limits["volumesPerAccountCountMax"] = 2
    for name in ("a", "b"):
        create(driver, name, host="node-2")
    handle = create(driver, host="node-1")
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "node-2-shop", "2 volumes"):
        publish(driver, handle, NODE_2)
    assert ask.snapshot(array) == before
    publish(driver, handle, NODE_1)


def test_an_account_that_an_admin_locked(array: Array, driver: Driver) -> None:
    handle = create(driver)
    array.call("ModifyAccount", {"accountID": 1, "status": "locked"})
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "node-1-shop", "locked"):
        publish(driver, handle)
    assert ask.snapshot(array) == before


def test_an_account_whose_secrets_an_admin_changed(array: Array, driver: Driver) -> None:
    handle = create(driver)
    publish(driver, handle)
    array.call("ModifyAccount", {"accountID": 1, "initiatorSecret": "new-initiator-1", "targetSecret": "new-target-12"})
    context = publish(driver, handle)
    assert (context[Chap.PASSWORD], context[Chap.PASSWORD_IN]) == ("new-initiator-1", "new-target-12")


@pytest.mark.parametrize("volume_id", ["lab1.999", "fake-vol-id", "lab1.-1", "lab1", "lab1.1 "])
def test_a_volume_that_is_not_there(array: Array, driver: Driver, volume_id: str) -> None:
    with refused(grpc.StatusCode.NOT_FOUND, "volume"):
        publish(driver, volume_id)
    assert not accounts(array)


@pytest.mark.parametrize(
    "node",
    ["fake-node-id", "node-1", "node-1/", "/iqn.1993-08.org.debian:01:f0", "Node-1/iqn.1993-08.org.debian:01:f0"],
)
def test_a_node_that_cannot_be_one(array: Array, driver: Driver, node: str) -> None:
    handle = create(driver)
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.NOT_FOUND, "node_id"):
        publish(driver, handle, node)
    assert ask.snapshot(array) == before


def test_a_deleted_volume_is_not_there(array: Array, driver: Driver) -> None:
    handle = create(driver)
    array.call("DeleteVolume", {"volumeID": 1})
    with refused(grpc.StatusCode.NOT_FOUND, handle):
        publish(driver, handle)


def test_a_volume_of_somebody_else(array: Array, driver: Driver) -> None:
    account = array.call("AddAccount", {"username": "trident"})["accountID"]
    array.call("CreateVolume", {"name": "static", "accountID": account, "totalSize": 10**9})
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "lab1.1", "static", "not made by this driver"):
        publish(driver, "lab1.1")
    assert ask.snapshot(array) == before


@pytest.mark.parametrize("field", ["volume_id", "node_id", "volume_capability"])
def test_missing_fields(driver: Driver, field: str) -> None:
    request = csi_pb2.ControllerPublishVolumeRequest(
        volume_id=create(driver), node_id=NODE_1, volume_capability=mount()
    )
    request.ClearField(field)  # type: ignore[arg-type]
    with refused(grpc.StatusCode.INVALID_ARGUMENT, field):
        driver.controller.ControllerPublishVolume(request)


@pytest.mark.parametrize(
    "capability",
    [mount("ntfs"), mount(mode=Mode.MULTI_NODE_MULTI_WRITER), mount(mode=Mode.UNKNOWN), csi_pb2.VolumeCapability()],
    ids=str,
)
def test_capabilities_it_refuses(array: Array, driver: Driver, capability: csi_pb2.VolumeCapability) -> None:
    handle = create(driver)
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "volume_capability"):
        publish(driver, handle, capability=capability)
    assert ask.snapshot(array) == before
