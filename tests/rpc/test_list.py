"""ListVolumes and ControllerGetVolume: all volumes of ours, nobody else's, wherever they are published."""

from __future__ import annotations

import grpc
import pytest

from csi_solidfire.pb import csi_pb2
from lab.array import Array
from lab.csi import GIB, block
from tests.support.ask import KEY, NODE_1, NODE_2, Mode, create, delete, get, listed, publish, refused, unpublish
from tests.support.driver import Driver

SHARED = block(mode=Mode.MULTI_NODE_MULTI_WRITER)


def _ids(response: csi_pb2.ListVolumesResponse) -> list[str]:
    return [entry.volume.volume_id for entry in response.entries]


def _foreign(array: Array, name: str = "theirs") -> None:
    username = f"{name}-owner"
    account = array.call("AddAccount", {"username": username})["accountID"]
    array.call("CreateVolume", {"name": name, "accountID": account, "totalSize": 10**9})


def test_nothing(driver: Driver) -> None:
    assert listed(driver) == csi_pb2.ListVolumesResponse()


def test_volumes_with_their_sizes_and_nodes(driver: Driver) -> None:
    alone, shared = create(driver, "a", size=2 * GIB), create(driver, "b", capability=SHARED)
    publish(driver, alone, NODE_1)
    for node in (NODE_2, NODE_1):
        publish(driver, shared, node, capability=SHARED)
    found = {entry.volume.volume_id: entry for entry in listed(driver).entries}
    assert found[alone].volume.capacity_bytes == 2 * GIB
    assert list(found[alone].status.published_node_ids) == [NODE_1]
    assert list(found[shared].status.published_node_ids) == [NODE_1, NODE_2]
    unpublish(driver, alone, NODE_1)
    assert [list(entry.status.published_node_ids) for entry in listed(driver).entries] == [[], [NODE_1, NODE_2]]


def test_only_ours_and_none_from_the_recycle_bin(array: Array, driver: Driver) -> None:
    _foreign(array)
    mine = create(driver, "mine")
    delete(driver, create(driver, "recycled", parameters={"deletePolicy": "recycle"}))
    assert _ids(listed(driver)) == [mine]


def test_pages_hold_every_volume_once(array: Array, driver: Driver) -> None:
    handles = []
    for number in range(7):
        handles.append(create(driver, f"pvc-{number}"))
        _foreign(array, f"theirs-{number}")
    for entries in (1, 2, 3, 7, 8):
        found, token, pages = [], "", 0
        while token or not pages:
            page = listed(driver, entries, token)
            assert len(page.entries) <= entries
            found += _ids(page)
            token, pages = page.next_token, pages + 1
        assert found == handles
        assert pages == -(-7 // entries)


def test_volumes_that_come_and_go_between_pages_shift_nothing(driver: Driver) -> None:
    handles = [create(driver, f"pvc-{number}") for number in range(6)]
    first = listed(driver, 2)
    delete(driver, handles[0])
    delete(driver, handles[1])  # The token's own volume.
    delete(driver, handles[3])
    late = create(driver, "late")
    rest = listed(driver, 0, first.next_token)
    assert _ids(first) == handles[:2]
    assert _ids(rest) == [handles[2], handles[4], handles[5], late]


def test_a_token_may_be_followed_by_nothing(driver: Driver) -> None:
    handles = [create(driver, f"pvc-{number}") for number in range(2)]
    token = listed(driver, 1).next_token
    delete(driver, handles[1])
    assert listed(driver, 1, token) == csi_pb2.ListVolumesResponse()


def test_more_volumes_than_the_array_is_asked_for_at_once(array: Array, driver: Driver) -> None:
    account = array.call("AddAccount", {"username": "many"})["accountID"]
    made = {"name": "x", "accountID": account, "totalSize": 10**9, "attributes": {KEY: {"name": "x", "namespace": "y"}}}
    for _ in range(2000):
        array.call("CreateVolume", made)
    assert _ids(listed(driver)) == [f"lab1.{number}" for number in range(1, 2001)]
    assert _ids(listed(driver, 5, "lab1.1998")) == ["lab1.1999", "lab1.2000"]


@pytest.mark.parametrize("token", ["invalid-token", "lab1.x", "0", "lab1.0"])
def test_a_token_it_never_gave_out(driver: Driver, token: str) -> None:
    with refused(grpc.StatusCode.ABORTED, "starting_token"):
        listed(driver, 0, token)


def test_less_than_no_entries(driver: Driver) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "max_entries"):
        listed(driver, -1)


def test_one_volume_whose_mark_is_broken_hides_no_other(array: Array, driver: Driver) -> None:
    """An attacher that is told nothing at all can no longer see where any volume is published."""
    handles = [create(driver, f"pvc-{number}") for number in range(3)]
    array.call("ModifyVolume", {"volumeID": 2, "attributes": {KEY: "something else"}})
    assert _ids(listed(driver)) == [handles[0], handles[2]]


def test_one_volume(array: Array, driver: Driver) -> None:
    handle = create(driver, size=2 * GIB)
    publish(driver, handle, NODE_2)
    found = get(driver, handle)
    assert (found.volume.volume_id, found.volume.capacity_bytes) == (handle, 2 * GIB)
    assert list(found.status.published_node_ids) == [NODE_2]


@pytest.mark.parametrize("volume_id", ["lab1.999", "non-existing-volume-id"])
def test_one_volume_that_is_not_there(driver: Driver, volume_id: str) -> None:
    with refused(grpc.StatusCode.NOT_FOUND):
        get(driver, volume_id)


def test_one_volume_of_the_recycle_bin_or_of_somebody_else(array: Array, driver: Driver) -> None:
    handle = create(driver, parameters={"deletePolicy": "recycle"})
    delete(driver, handle)
    with refused(grpc.StatusCode.NOT_FOUND, handle):
        get(driver, handle)
    _foreign(array)
    with refused(grpc.StatusCode.FAILED_PRECONDITION, "lab1.2", "not made by this driver"):
        get(driver, "lab1.2")


def test_an_id_is_needed(driver: Driver) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "volume_id"):
        get(driver, "")
