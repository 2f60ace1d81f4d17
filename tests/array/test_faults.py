"""What can be made to go wrong, seen from the client."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from lab.array import Array, Fault, Moment
from tests.array.client import Client, Refused

Connect = Callable[..., Client]
BROKEN = (http.client.HTTPException, OSError)


def test_an_error_instead_of_doing(array: Array, client: Client) -> None:
    """Once, and nothing is done."""
    array.faults.fail("AddAccount", "xDBConnectionLoss", "try again")
    with pytest.raises(Refused, match="xDBConnectionLoss: try again"):
        client.account("a")
    assert client.account("a") == 1
    assert [call.outcome for call in array.calls] == ["xDBConnectionLoss", "ok"]


def test_an_error_in_spite_of_doing(array: Array, client: Client) -> None:
    """As a time-out within the cluster looks."""
    array.faults.fail("AddAccount", "xRecvTimeout", carried_out=True)
    with pytest.raises(Refused, match="xRecvTimeout"):
        client.account("a")
    assert len(client.call("ListAccounts")["accounts"]) == 1
    assert array.calls[0].carried_out


@pytest.mark.parametrize(("nth", "times", "failing"), [(1, 1, [0]), (3, 1, [2]), (2, 2, [1, 2])])
def test_the_nth_call_and_so_many_from_it(
    array: Array, client: Client, nth: int, times: int, failing: list[int]
) -> None:
    """Counted from when it was armed, calls of that method only."""
    client.call("GetAPI")
    array.faults.fail("GetAPI", "xFault", nth=nth, times=times)
    outcomes = []
    for _ in range(5):
        client.call("GetLimits")
        outcomes.append("error" in client.post({"method": "GetAPI"}).json)
    assert [number for number, failed in enumerate(outcomes) if failed] == failing
    assert array.faults.armed() == []


def test_from_the_nth_call_on_until_cleared(array: Array, client: Client) -> None:
    """Any method, if none is named."""
    array.faults.fail(None, "xFault", nth=2, onwards=True)
    client.call("GetAPI")
    for method in ("GetAPI", "GetLimits", "GetClusterInfo"):
        with pytest.raises(Refused, match="xFault"):
            client.call(method)
    array.faults.clear()
    client.call("GetAPI")


def test_two_faults_count_apart(array: Array, client: Client) -> None:
    """A delay and an error can hit one call; the first end wins."""
    array.faults.delay("GetAPI", 0.01, nth=2)
    first = array.faults.fail("GetAPI", "xFirst", nth=2)
    array.faults.fail("GetAPI", "xSecond", nth=2)
    client.call("GetAPI")
    with pytest.raises(Refused, match="xFirst"):
        client.call("GetAPI")
    assert array.calls[1].seconds >= 0.01
    assert first.id != 0


def test_a_lost_answer(array: Array, client: Client) -> None:
    """The call is carried out, the connection ends without a byte."""
    array.faults.lose_answer("AddAccount")
    with pytest.raises(http.client.RemoteDisconnected):
        client.account("a")
    assert client.call("GetAccountByName", username="a")["account"]["accountID"] == 1
    assert (array.calls[0].outcome, array.calls[0].carried_out) == ("lost", True)


def test_a_refused_call(array: Array, client: Client) -> None:
    """The connection ends and nothing was done."""
    array.faults.refuse("AddAccount", nth=1, onwards=True)
    for _ in range(2):
        with pytest.raises(http.client.RemoteDisconnected):
            client.account("a")
    assert client.call("ListAccounts")["accounts"] == []
    assert [call.outcome for call in array.calls] == ["refused", "refused", "ok"]


@pytest.mark.parametrize(
    ("what", "status"),
    [("text", 200), ("truncated", 200), ("empty", 200), ("http500", 500), ("http503", 503), ("http404", 404)],
)
def test_garbage(array: Array, client: Client, what: str, status: int) -> None:
    """None of it is JSON."""
    array.faults.garbage("GetAPI", what)
    answer = client.post({"method": "GetAPI"})
    assert answer.status == status
    with pytest.raises(json.JSONDecodeError):
        _ = answer.json
    client.call("GetAPI")


@pytest.mark.parametrize(("what", "decoded"), [("noresult", {"id": None}), ("array", [])])
def test_garbage_that_is_json(array: Array, client: Client, what: str, decoded: object) -> None:
    """Without result and error, or no object at all."""
    array.faults.garbage("GetAPI", what)
    assert client.post({"method": "GetAPI"}).json == decoded


def test_a_truncated_answer_was_carried_out(array: Array, client: Client) -> None:
    """It is the first half of the true one; other garbage comes instead of doing, unless asked."""
    array.faults.garbage("AddAccount", "truncated")
    assert client.post({"method": "AddAccount", "params": {"username": "a"}}).text.startswith('{"id": null, "result"')
    array.faults.garbage("AddAccount", "http503")
    client.post({"method": "AddAccount", "params": {"username": "b"}})
    array.faults.garbage("AddAccount", "http503", carried_out=True)
    client.post({"method": "AddAccount", "params": {"username": "c"}})
    assert [account["username"] for account in client.call("ListAccounts")["accounts"]] == ["a", "c"]


def test_hooks_see_before_and_after(array: Array, client: Client) -> None:
    """And may look behind the scenes and arm faults of their own."""
    seen: list[tuple[str, int]] = []

    def look(moment: Moment) -> None:
        seen.append((moment.when, len(array.call("ListAccounts")["accounts"])))
        if moment.answer is not None:
            array.faults.fail("AddAccount", "xNext")

    array.faults.hook("AddAccount", before=look, after=look)
    client.account("a")
    with pytest.raises(Refused, match="xNext"):
        client.account("b")
    assert seen == [("before", 0), ("after", 1)]


def test_a_hook_can_hold_a_call_back(array: Array, client: Client, connect: Connect) -> None:
    """Other calls go on meanwhile."""
    reached, release = threading.Event(), threading.Event()

    def hold(moment: Moment) -> None:
        reached.set()
        release.wait(10)

    array.faults.hook("AddAccount", before=hold)
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(client.account("a")))
    thread.start()
    assert reached.wait(10)
    assert connect(array).account("b") == 1
    release.set()
    thread.join(10)
    assert answers == [2]


def test_latency_is_waited_side_by_side(array: Array, connect: Connect) -> None:
    """Eight calls of a fifth of a second each overlap, and are recorded with it."""
    array.latency = 0.2
    together = threading.Barrier(8, timeout=10)
    array.faults.hook("GetAPI", before=lambda _: join(together), times=8)
    threads = [threading.Thread(target=connect(array).call, args=("GetAPI",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(array.calls) == 8
    assert min(call.seconds for call in array.calls) >= 0.2


def join(barrier: threading.Barrier) -> None:
    """Wait for the others; if calls came one after the other, the barrier would break."""
    barrier.wait()


def test_refused_connections(array: Array, client: Client) -> None:
    """Open ones are cut, new ones refused; the port stays the array's."""
    client.call("GetAPI")
    array.refuse_connections = True
    with pytest.raises(BROKEN):
        client.call("GetAPI")
    with pytest.raises(ConnectionRefusedError):
        client.call("GetAPI")
    port = array.port
    array.refuse_connections = False
    client.call("GetAPI")
    assert array.port == port


def test_cut_connections_can_be_made_anew(array: Array, client: Client) -> None:
    """A fail-over of the cluster's management address looks so."""
    client.call("GetAPI")
    array.cut_connections()
    with pytest.raises(BROKEN):
        client.call("GetAPI")
    client.call("GetAPI")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "no"},
        {"kind": "fail"},
        {"kind": "garbage", "name": "no"},
        {"kind": "lose", "nth": 0},
        {"kind": "lose", "times": 0},
    ],
)
def test_senseless_faults_are_refused(array: Array, fault: dict[str, Any]) -> None:
    """At arming, not when a test wonders why nothing happens."""
    with pytest.raises(ValueError, match=r"no such|count from|needs"):
        array.faults.arm(Fault(**fault))
