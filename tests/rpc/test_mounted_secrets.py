"""Secrets of clusters as kubelet mounts and changes them, under a controller that goes on working."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import grpc
import pytest

from lab.array import Array
from tests.support import ask, kubelet
from tests.support.ask import create, delete, listed, publish, refused, unpublish
from tests.support.driver import Driver, quiet, secrets_of, write_cluster

ONE = {"username": "csi-1", "password": "password-of-csi-1"}
TWO = {"username": "csi-2", "password": "password-of-csi-2"}


@pytest.fixture
def mounted(array: Array) -> Iterator[Driver]:
    """A controller whose cluster `c1` is a mounted Secret with the first of two admins."""
    for admin in (ONE, TWO):
        array.call("AddClusterAdmin", admin | {"access": ["administrator"]})
    with Driver(array) as driver:
        shutil.rmtree(driver.clusters / "c1")
        _mount(driver, array, ONE)
        yield driver


def _mount(
    driver: Driver, array: Array, admin: dict[str, str], pause: Callable[[str], object] = lambda step: None
) -> None:
    kubelet.mount(driver.clusters / "c1", secrets_of(array) | admin, pause)


def _rotate(driver: Driver, array: Array, password: str) -> None:
    """Change the first admin's password on the array and in the Secret."""
    array.call("ModifyClusterAdmin", {"clusterAdminID": 1, "password": password})
    _mount(driver, array, ONE | {"password": password})


def _who(array: Array, method: str) -> set[str]:
    return {call.username for call in array.calls if call.method == method}


def test_the_next_call_uses_what_the_secret_says_now(array: Array, mounted: Driver) -> None:
    for admin in (ONE, TWO, ONE):
        _mount(mounted, array, admin)
        array.calls.clear()
        delete(mounted, create(mounted))
        assert _who(array, "CreateVolume") == {admin["username"]}


def test_calls_at_every_step_of_the_change_have_one_admin_or_the_other(array: Array, mounted: Driver) -> None:
    """Both are good and only a mixture is not; on the way no call fails."""
    steps = []

    def call(step: str) -> None:
        steps.append(step)
        listed(mounted)

    for admin in (TWO, ONE):
        _mount(mounted, array, admin, call)
    assert "swing the link over" in steps
    assert "remove an old key" in steps


def test_a_secret_that_is_only_just_being_mounted(array: Array, mounted: Driver) -> None:
    shutil.rmtree(mounted.clusters / "c1")
    outcomes = []

    def call(_: str) -> None:
        try:
            listed(mounted)
            outcomes.append(grpc.StatusCode.OK)
        except grpc.RpcError as error:
            outcomes.append(error.code())

    _mount(mounted, array, ONE, call)
    call("at the end")
    ready = outcomes.index(grpc.StatusCode.OK)
    assert set(outcomes[:ready]) == {grpc.StatusCode.UNAVAILABLE}
    assert set(outcomes[ready:]) == {grpc.StatusCode.OK}


def test_many_calls_while_the_secret_changes_again_and_again(array: Array, mounted: Driver) -> None:
    def live(number: int) -> None:
        for turn in range(6):
            handle = create(mounted, f"pvc-{number}-{turn}")
            publish(mounted, handle)
            unpublish(mounted, handle)
            delete(mounted, handle)

    keeper = create(mounted, "keeper")  # Its account stays: that accounts come and go is tried elsewhere.
    with ThreadPoolExecutor(4) as pool:
        lives = [pool.submit(live, number) for number in range(4)]
        turns = 0
        while not all(life.done() for life in lives):
            _mount(mounted, array, (ONE, TWO)[turns % 2])
            turns += 1
            wait([lives[0]], 0.005)  # Who reads gives up after eight changes in a row; kubelet makes one a minute.
        for life in lives:
            life.result()
    delete(mounted, keeper)
    assert turns > 10
    assert _who(array, "CreateVolume") == {"csi-1", "csi-2"}
    assert not ask.volumes(array)


@pytest.mark.parametrize(
    ("interrupted", "call", "code"),
    [
        ("ListVolumes", lambda driver: create(driver, "pvc-2"), grpc.StatusCode.UNAVAILABLE),
        ("AddAccount", lambda driver: create(driver, "pvc-2", namespace="new"), grpc.StatusCode.UNAVAILABLE),
        ("ListVolumes", lambda driver: publish(driver, "lab1.1", ask.NODE_2), grpc.StatusCode.UNAUTHENTICATED),
        ("AddAccount", lambda driver: publish(driver, "lab1.1", ask.NODE_2), grpc.StatusCode.UNAUTHENTICATED),
        ("ListVolumes", lambda driver: delete(driver, "lab1.1"), grpc.StatusCode.UNAUTHENTICATED),
    ],
    ids=["create, finding", "create, making", "publish, finding", "publish, moving", "delete, finding"],
)
def test_a_call_whose_password_ends_half_way_ends_right_the_next_time(
    array: Array, mounted: Driver, interrupted: str, call: Callable[[Driver], object], code: grpc.StatusCode
) -> None:
    create(mounted)
    array.faults.hook(interrupted, after=lambda _: _rotate(mounted, array, "another-password"))
    with refused(code, "refuses username and password") as refusal:
        call(mounted)
    assert "another-password" not in refusal.message
    array.faults.clear()
    first = call(mounted)
    assert first == call(mounted)
    assert len(ask.volumes(array)) == len({volume["name"] for volume in ask.volumes(array)})


def test_a_deletion_whose_password_ends_before_the_purge_is_not_final(array: Array, mounted: Driver) -> None:
    handle = create(mounted)
    array.faults.hook("DeleteVolume", after=lambda _: _rotate(mounted, array, "another-password"))
    with refused(grpc.StatusCode.UNAVAILABLE, handle, "recycle bin", "refuses username and password"):
        delete(mounted, handle)
    delete(mounted, handle)
    assert not ask.volumes(array)


def test_a_call_in_flight_finishes_with_what_it_began_with(array: Array, mounted: Driver) -> None:
    handle = create(mounted)
    array.faults.hook("ModifyVolume", before=lambda _: _rotate(mounted, array, "another-password"))
    publish(mounted, handle)
    unpublish(mounted, handle)
    assert ask.volume(array, handle)["access"] == "locked"


def test_clusters_and_tenants_side_by_side(array: Array) -> None:
    """Two mounted clusters and a tenant with an admin of his own on each, all at once."""
    with Array.start(unique_id="lab2") as other, quiet(array, other) as driver, ThreadPoolExecutor(8) as pool:
        for one in (array, other):
            one.call("AddClusterAdmin", {"username": "tenant", "password": "tenants-own", "access": ["administrator"]})
        write_cluster(driver.clusters / "c2", other)
        tenant = {"username": "tenant", "password": "tenants-own"}

        def live(number: int) -> str:
            where = (array, other)[number % 2]
            secrets = secrets_of(where) | tenant if number % 4 > 1 else {}
            parameters = {"cluster": f"c{number % 2 + 1}"}
            handle = create(driver, f"pvc-{number}", parameters=parameters, secrets=secrets)
            publish(driver, handle, secrets=secrets)
            unpublish(driver, handle, secrets=secrets)
            return handle

        handles = list(pool.map(live, range(24)))
        for number, one in enumerate((array, other)):
            assert set(handles[number::2]) == {f"lab{number + 1}.{volume['volumeID']}" for volume in ask.volumes(one)}
            made = {call.params["name"]: call.username for call in one.calls if call.method == "CreateVolume"}
            assert made == {f"pvc-{each}": "tenant" if each % 4 > 1 else "admin" for each in range(number, 24, 2)}
