"""The lab's own paths beside the API."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest

from lab.array import Array
from tests.array.client import Client, Refused
from tests.array.waiting import wait_until

Connect = Callable[..., Client]


def lab(client: Client, verb: str, topic: str, body: Any = None, status: int = 200) -> Any:
    """Use one of the paths."""
    answer = client.request(verb, f"/lab/{topic}", None if body is None else json.dumps(body).encode())
    assert answer.status == status, answer.text
    return json.loads(answer.text)


def test_faults_are_armed_listed_and_cleared(client: Client) -> None:
    """With the members of a Fault."""
    armed = lab(
        client, "POST", "faults", {"kind": "fail", "method": "GetAPI", "name": "xFault", "nth": 2, "times": None}
    )
    other = lab(client, "POST", "faults", {"kind": "lose"})
    assert [fault["id"] for fault in lab(client, "GET", "faults")] == [armed["id"], other["id"]]
    lab(client, "DELETE", f"faults/{other['id']}")
    client.call("GetAPI")
    for _ in range(2):
        with pytest.raises(Refused, match="xFault"):
            client.call("GetAPI")
    lab(client, "DELETE", "faults")
    client.call("GetAPI")


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"kind": "hook"},
        {"kind": "lose", "bogus": 1},
        {"kind": "lose", "nth": "x"},
        {"kind": "garbage", "name": "x"},
        [],
    ],
)
def test_a_bad_fault_is_a_bad_request(client: Client, fault: object) -> None:
    """With a reason."""
    assert lab(client, "POST", "faults", fault, status=400)["error"]
    assert lab(client, "GET", "faults") == []


def test_latency_settings_and_clock(array: Array, client: Client) -> None:
    """Are set while the array runs."""
    assert lab(client, "POST", "latency", {"seconds": 0.01}) == {"seconds": 0.01}
    assert array.latency == 0.01
    assert (
        lab(client, "POST", "settings", {"fullness": "stage4Critical", "clone_seconds": 3})["fullness"]
        == "stage4Critical"
    )
    assert array.settings.clone_seconds == 3.0
    lab(client, "POST", "settings", {"bogus": 1}, status=400)
    before = array.clock.now()
    lab(client, "POST", "clock", {"advance": 3600})
    assert array.clock.now() >= before + 3600


def test_calls_are_shown_and_forgotten(client: Client) -> None:
    """Secrets are starred; the lab's own paths are no calls."""
    client.call("AddAccount", username="a", targetSecret="verysecret12")
    (call,) = lab(client, "GET", "calls")
    assert (call["method"], call["params"]["targetSecret"], call["outcome"]) == ("AddAccount", "***", "ok")
    lab(client, "DELETE", "calls")
    assert lab(client, "GET", "calls") == []


def test_connections_are_refused_for_a_while(client: Client) -> None:
    """And taken again without being told."""

    def refused() -> bool:
        try:
            client.call("GetAPI")
        except (http.client.HTTPException, OSError):
            return True
        return False

    lab(client, "POST", "refuse", {"seconds": 1})
    wait_until(refused)
    wait_until(lambda: not refused())


def test_only_administrators_get_in(array: Array, connect: Connect) -> None:
    """Others see 403, strangers 401, and a wrong path 404."""
    array.call("AddClusterAdmin", {"username": "bob", "password": "bobspassword", "access": ["read"]})
    lab(connect(array, username="bob", password="bobspassword"), "GET", "calls", status=403)
    assert connect(array, password="wrong").request("GET", "/lab/calls").status == 401
    lab(connect(array), "GET", "nothing", status=404)
