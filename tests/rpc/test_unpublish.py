"""ControllerUnpublishVolume: nobody reaches the volume afterwards, however it is asked."""

from __future__ import annotations

import grpc
import pytest

from lab.array import Array
from lab.csi import block
from tests.support import ask
from tests.support.ask import KEY, NODE_1, NODE_2, Mode, create, publish, refused, unpublish
from tests.support.driver import Driver

SHARED = block(mode=Mode.MULTI_NODE_MULTI_WRITER)


def test_the_volume_is_locked_while_nobody_has_it(array: Array, driver: Driver) -> None:
    handle = create(driver)
    publish(driver, handle)
    unpublish(driver, handle)
    found = ask.volume(array, handle)
    assert found["access"] == "locked"
    assert "nodes" not in found["attributes"][KEY]
    publish(driver, handle)
    assert ask.volume(array, handle)["access"] == "readWrite"


def test_lock_and_list_of_nodes_change_in_one_step(array: Array, driver: Driver) -> None:
    """In two, a cut between them would leave a free volume that looks published, or one that looks free and is not."""
    handle = create(driver)
    array.calls.clear()
    publish(driver, handle, NODE_2)
    unpublish(driver, handle, NODE_2)
    changes = [set(call.params) for call in array.calls if call.method == "ModifyVolume"]
    assert changes == [{"volumeID", "accountID", "access", "attributes"}, {"volumeID", "access", "attributes"}]


def test_a_shared_volume_is_locked_by_the_last_node(array: Array, driver: Driver) -> None:
    handle = create(driver, capability=SHARED)
    for node in (NODE_1, NODE_2):
        publish(driver, handle, node, capability=SHARED)
    unpublish(driver, handle, NODE_1)
    assert ask.volume(array, handle)["access"] == "readWrite"
    assert set(ask.volume(array, handle)["attributes"][KEY]["nodes"]) == {NODE_2}
    unpublish(driver, handle, NODE_2)
    assert ask.volume(array, handle)["access"] == "locked"


def test_no_node_means_all_of_them(array: Array, driver: Driver) -> None:
    handle = create(driver, capability=SHARED)
    for node in (NODE_1, NODE_2):
        publish(driver, handle, node, capability=SHARED)
    unpublish(driver, handle, "")
    assert ask.volume(array, handle)["access"] == "locked"
    assert "nodes" not in ask.volume(array, handle)["attributes"][KEY]


def test_twice_is_once(array: Array, driver: Driver) -> None:
    handle = create(driver)
    publish(driver, handle)
    unpublish(driver, handle)
    before = ask.snapshot(array)
    unpublish(driver, handle)
    assert ask.snapshot(array) == before


@pytest.mark.parametrize("node", [NODE_2, "fake-node-id", "node-1"])
def test_a_node_that_does_not_have_it_takes_it_from_nobody(array: Array, driver: Driver, node: str) -> None:
    handle = create(driver)
    publish(driver, handle, NODE_1)
    before = ask.snapshot(array)
    unpublish(driver, handle, node)
    assert ask.snapshot(array) == before


def test_the_same_hostname_with_another_initiator_is_another_node(array: Array, driver: Driver) -> None:
    """A node set up anew under its old name must not be taken for the one that has the volume."""
    handle = create(driver)
    publish(driver, handle, NODE_1)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, NODE_1):
        publish(driver, handle, "node-1/iqn.1993-08.org.debian:01:ffffffffffff")
    unpublish(driver, handle, "node-1/iqn.1993-08.org.debian:01:ffffffffffff")
    assert ask.volume(array, handle)["access"] == "readWrite"


@pytest.mark.parametrize("volume_id", ["lab1.999", "fake-vol-id", "lab1.0", "x" * 300])
def test_what_does_not_exist_is_published_nowhere(driver: Driver, volume_id: str) -> None:
    unpublish(driver, volume_id)


def test_an_id_is_needed(driver: Driver) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "volume_id"):
        unpublish(driver, "")


def test_a_deleted_volume_is_published_nowhere(array: Array, driver: Driver) -> None:
    handle = create(driver)
    publish(driver, handle)
    array.call("DeleteVolume", {"volumeID": 1})
    before = ask.snapshot(array)
    unpublish(driver, handle)
    assert ask.snapshot(array) == before


def test_a_volume_purged_while_it_is_unpublished_is_published_nowhere(array: Array, driver: Driver) -> None:
    handle = create(driver)
    publish(driver, handle)

    def purge(_: object) -> None:
        array.call("DeleteVolume", {"volumeID": 1})
        array.call("PurgeDeletedVolume", {"volumeID": 1})

    array.faults.hook("ModifyVolume", before=purge)
    unpublish(driver, handle)
    assert not ask.volumes(array)


def test_a_volume_of_somebody_else_is_left_alone(array: Array, driver: Driver) -> None:
    account = array.call("AddAccount", {"username": "trident"})["accountID"]
    array.call("CreateVolume", {"name": "static", "accountID": account, "totalSize": 10**9})
    before = ask.snapshot(array)
    unpublish(driver, "lab1.1")
    unpublish(driver, "lab1.1", "")
    assert ask.snapshot(array) == before
