"""Many calls at once: of different volumes, of the same one, from one controller and from two."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc

from csi_solidfire.handles import Chap
from lab.array import Array
from tests.support import ask
from tests.support.ask import KEY, NODE_1, NODE_2, accounts, create, delete, publish, unpublish
from tests.support.driver import Driver, all_at_once, quiet, wait_until

PATIENCE = 60.0
RETRY = {grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE}


def test_fifty_volumes_in_ten_namespaces(array: Array, driver: Driver) -> None:
    """The first of a namespace makes its account, and all the others run into that."""
    names = [f"pvc-{number}" for number in range(50)]
    handles = all_at_once([partial(create, driver, n, namespace=f"ns-{n[-1]}") for n in names])
    assert len(set(handles)) == 50
    assert sorted(volume["name"] for volume in ask.volumes(array)) == sorted(names)
    assert set(accounts(array)) == {f"node-1-ns-{digit}" for digit in range(10)}
    assert not [handle for handle in handles if isinstance(handle, grpc.StatusCode)]


def test_one_name_from_many_makes_one_volume(array: Array, driver: Driver) -> None:
    array.latency = 0.02
    answers = Counter(all_at_once([lambda: create(driver, "pvc-1")] * 20))
    assert len(ask.volumes(array)) == 1
    assert set(answers) <= {"lab1.1", grpc.StatusCode.ABORTED}
    assert answers["lab1.1"] >= 1


def test_one_volume_deleted_by_many_is_deleted_once(array: Array, driver: Driver) -> None:
    handle = create(driver)
    array.latency = 0.02
    answers = set(all_at_once([lambda: delete(driver, handle)] * 10))
    assert answers <= {None, grpc.StatusCode.ABORTED}
    assert not ask.volumes(array)


def test_a_second_call_for_a_volume_is_aborted_while_the_first_runs(array: Array, driver: Driver) -> None:
    handle = create(driver)
    inside, go_on = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        inside.set()
        go_on.wait(PATIENCE)

    array.faults.hook("ModifyVolume", before=wait)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(publish, driver, handle)
        assert inside.wait(PATIENCE)
        for call in (publish, unpublish, delete):
            with ask.refused(grpc.StatusCode.ABORTED, handle):
                call(driver, handle)
        go_on.set()
        assert first.result(PATIENCE)
    unpublish(driver, handle)


def test_a_slow_call_holds_up_no_other_volume(array: Array, driver: Driver) -> None:
    slow, quick = create(driver, "slow"), create(driver, "quick", namespace="other")
    inside, go_on = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        inside.set()
        go_on.wait(PATIENCE)

    array.faults.hook("ModifyVolume", before=wait)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(publish, driver, slow)
        assert inside.wait(PATIENCE)
        publish(driver, quick)
        unpublish(driver, quick)
        delete(driver, quick)
        create(driver, "new", namespace="third")
        assert not held.done()
        go_on.set()
        held.result(PATIENCE)


def test_two_controllers_publishing_to_two_nodes_leave_one_node_with_access(array: Array) -> None:
    """Leader election keeps this from happening; where it fails, the array still has one owner and says which."""
    with quiet(array) as one, quiet(array) as two:
        for round_ in range(8):
            handle = create(one, f"pvc-{round_}")
            answers = all_at_once([partial(publish, one, handle, NODE_1), partial(publish, two, handle, NODE_2)])
            found = ask.volume(array, handle)
            nodes = list(found["attributes"][KEY].get("nodes", {}))
            assert len(nodes) == 1
            winner = nodes[0].split("/")[0]
            assert ask.owner(array, handle) == f"{winner}-shop"
            told = dict(zip(("node-1", "node-2"), answers, strict=True))
            assert isinstance(told[winner], dict), "who is written down as having it was told so"
            working = {
                node
                for node, answer in told.items()
                if isinstance(answer, dict) and answer[Chap.PASSWORD] == _password(array, handle)
            }
            assert working == {winner}
            for answer in answers:
                assert isinstance(answer, dict) or answer in {*RETRY, grpc.StatusCode.FAILED_PRECONDITION}


def test_the_volume_moves_between_a_controllers_look_and_its_change(array: Array) -> None:
    with quiet(array) as one, quiet(array) as two:
        handle = create(one)

        def move(_: object) -> None:
            publish(two, handle, NODE_2)

        array.faults.hook("ModifyVolume", before=move)
        context = publish(one, handle, NODE_1)
        assert ask.owner(array, handle) == "node-1-shop"
        assert context[Chap.PASSWORD] == _password(array, handle)
        assert list(ask.volume(array, handle)["attributes"][KEY]["nodes"]) == [NODE_1]


def _password(array: Array, handle: str) -> str:
    password: str = accounts(array)[ask.owner(array, handle)]["initiatorSecret"]
    return password


def test_two_controllers_creating_one_account_share_it(array: Array) -> None:
    array.latency = 0.01
    with quiet(array) as one, quiet(array) as two:
        answers = all_at_once([lambda: create(one, "a"), lambda: create(two, "b")])
    assert set(answers) == {"lab1.1", "lab1.2"}
    assert list(accounts(array)) == ["node-1-shop"]


def test_volumes_come_and_go_while_the_janitor_sweeps(array: Array) -> None:
    """It must remove no account that is in use, and nobody may notice when it removes one about to be used."""
    with Driver(array, sweep_interval=0.001) as driver:

        def live(number: int) -> None:
            for turn in range(5):
                handle = _persist(partial(create, driver, f"pvc-{number}-{turn}", namespace=f"ns-{number % 3}"))
                _persist(partial(publish, driver, handle, NODE_2))
                _persist(partial(unpublish, driver, handle, NODE_2))
                _persist(partial(delete, driver, handle))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(live, range(6)))
        assert not ask.volumes(array)
        wait_until(lambda: not accounts(array))


def _persist(call: Callable[[], object]) -> str:
    """Ask again while the answer is one to ask again after, as the sidecars do."""
    while True:
        try:
            return str(call())
        except grpc.RpcError as error:
            if error.code() not in RETRY:
                raise
