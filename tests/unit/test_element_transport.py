"""Calls over HTTPS to the lab's array: what is repeated, what never is, and how failures are told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import generate_latest

from csi_solidfire import deadline, errors, metrics
from csi_solidfire.element.client import Client
from csi_solidfire.element.errors import TRANSIENT, ElementError, LimitExceeded, Passing
from csi_solidfire.element.transport import Credentials, Transport, Unreachable
from csi_solidfire.element.types import Malformed
from lab.array import Array
from lab.array.faults import ECHO, GARBAGE


@pytest.fixture
def array() -> Iterator[Array]:
    with Array.start(unique_id="lab1") as array:
        yield array


@pytest.fixture
def transport(array: Array) -> Iterator[Transport]:
    transport = Transport(_credentials(array))
    yield transport
    transport.close()


def _credentials(array: Array) -> Credentials:
    return Credentials(array.endpoint, array.username, array.password, array.ca)


def _read(transport: Transport) -> dict[str, Any]:
    return transport.call("12.5", "GetClusterInfo", {}, repeat=True)


def _make(transport: Transport, name: str = "a") -> dict[str, Any]:
    return transport.call("12.5", "AddAccount", {"username": name}, repeat=False)


@pytest.mark.parametrize("name", sorted(TRANSIENT))
def test_a_passing_state_is_waited_out(array: Array, transport: Transport, name: str) -> None:
    array.faults.fail("GetClusterInfo", name)
    assert _read(transport)["clusterInfo"]["uniqueID"] == "lab1"
    assert array.calls.methods() == ["GetClusterInfo"] * 2


@pytest.mark.parametrize("name", ["xWhatever", "xPermissionDenied", "xInvalidParameter"])
def test_what_does_not_pass_is_not_repeated(array: Array, transport: Transport, name: str) -> None:
    array.faults.fail("GetClusterInfo", name, "because")
    with pytest.raises(ElementError, match=f"GetClusterInfo: {name}: because"):
        _read(transport)
    assert len(array.calls) == 1


@pytest.mark.parametrize("what", sorted(GARBAGE))
def test_garbage_is_asked_about_again(array: Array, transport: Transport, what: str) -> None:
    array.faults.garbage("GetClusterInfo", what)
    assert _read(transport)["clusterInfo"]["uniqueID"] == "lab1"
    assert len(array.calls) == 2


def test_secrets_that_the_array_repeats_are_not_passed_on(array: Array, transport: Transport) -> None:
    array.faults.fail("AddAccount", "xWhatever", f"cannot take {ECHO}")
    account = {"username": "a", "initiatorSecret": "kept-to-oneself", "targetSecret": "told-to-nobody"}
    with pytest.raises(Passing) as caught:
        transport.call("12.5", "AddAccount", account, repeat=False)
    assert '"username": "a"' in str(caught.value)
    assert "kept-to-oneself" not in str(caught.value)
    assert "told-to-nobody" not in str(caught.value)


@pytest.mark.parametrize("name", ["é", "x" * 65, "x\n", "told-to-nobody"])
def test_an_error_whose_name_is_none_spoils_no_metric(array: Array, transport: Transport, name: str) -> None:
    array.faults.fail("AddAccount", name, "said so")
    with pytest.raises(Passing, match="AddAccount: unnamed error: said so"):
        transport.call("12.5", "AddAccount", {"username": "a", "targetSecret": "told-to-nobody"}, repeat=False)
    generate_latest(metrics.REGISTRY)


def test_a_lost_connection_is_made_again(array: Array, transport: Transport) -> None:
    _read(transport)
    array.cut_connections()
    _read(transport)
    array.faults.refuse("GetClusterInfo")
    array.faults.lose_answer("GetClusterInfo", 2)
    _read(transport)


@pytest.mark.parametrize("name", ["xDBConnectionLoss", "xWhatever"])
def test_a_call_that_makes_something_is_never_repeated(array: Array, transport: Transport, name: str) -> None:
    array.faults.fail("AddAccount", name)
    with pytest.raises(Passing, match=name):
        _make(transport)
    array.faults.lose_answer("AddAccount")
    with pytest.raises(Unreachable, match="AddAccount: no answer"):
        _make(transport)
    array.faults.garbage("AddAccount", "truncated")
    with pytest.raises(Malformed, match="not JSON"):
        _make(transport, "b")
    assert array.calls.methods() == ["AddAccount"] * 3
    assert len(array.call("ListAccounts")["accounts"]) == 2


@pytest.mark.parametrize("what", sorted(GARBAGE))
def test_garbage_says_nothing_about_what_was_done(array: Array, transport: Transport, what: str) -> None:
    array.faults.garbage("AddAccount", what, carried_out=True)
    with pytest.raises(errors.Unavailable, match="AddAccount"):
        _make(transport)


def test_an_answer_to_another_question_is_none(array: Array) -> None:
    """A proxy that mixes answers up must not make us believe that something was done."""
    transport = Transport(_credentials(array))
    transport._ids = iter([None])  # type: ignore[assignment]
    array.faults.garbage("AddAccount", "noresult")
    with pytest.raises(Malformed, match="without a result"):
        _make(transport)
    transport._ids = iter([5])  # type: ignore[assignment]
    array.faults.garbage("AddAccount", "noresult")
    with pytest.raises(Malformed, match="another question"):
        _make(transport)
    transport.close()


def test_the_deadline_ends_the_asking(array: Array, transport: Transport) -> None:
    array.faults.refuse("GetClusterInfo", onwards=True)
    with deadline.until(1.4), pytest.raises(Unreachable):
        _read(transport)
    array.faults.clear()
    array.faults.fail("GetClusterInfo", "xDBConnectionLoss", onwards=True)
    with deadline.until(1.4), pytest.raises(Passing, match="xDBConnectionLoss"):
        _read(transport)
    with deadline.until(0), pytest.raises(errors.Unavailable, match="deadline"):
        _read(transport)


@pytest.mark.timeout(15)
def test_the_deadline_bounds_an_answer_that_does_not_come(array: Array, transport: Transport) -> None:
    go_on = threading.Event()

    def wait(_: object) -> None:
        go_on.wait(30)

    array.faults.hook("GetClusterInfo", before=wait, onwards=True)
    with deadline.until(0.3), pytest.raises(Unreachable, match="too long"):
        _read(transport)
    go_on.set()


@pytest.mark.timeout(15)
def test_nobody_waits_for_his_turn_beyond_his_deadline(array: Array) -> None:
    transport = Transport(_credentials(array), parallel=1)
    inside, go_on = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        inside.set()
        go_on.wait(30)

    array.faults.hook("AddAccount", before=wait)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(_make, transport)
        assert inside.wait(10)
        with deadline.until(0.2), pytest.raises(errors.Unavailable, match="too many calls"):
            _read(transport)
        go_on.set()
        slow.result(10)
    _read(transport)
    transport.close()


def test_wrong_credentials_are_not_tried_again(array: Array) -> None:
    transport = Transport(replace(_credentials(array), password="not-the-password"))
    with pytest.raises(errors.Unauthenticated, match="refuses username and password") as caught:
        _read(transport)
    assert "not-the-password" not in str(caught.value)
    assert array.username not in str(caught.value), "somebody may have put the password there"
    assert "UTF-8" not in str(caught.value)
    assert not array.calls
    transport.close()


def test_credentials_of_any_characters(array: Array) -> None:
    array.call("AddClusterAdmin", {"username": "jürgen", "password": "pä$$ wörd ☃", "access": ["administrator"]})
    transport = Transport(replace(_credentials(array), username="jürgen", password="pä$$ wörd ☃"))
    assert _read(transport)
    transport.close()
    transport = Transport(replace(_credentials(array), username="jürgen", password="pä$$ wörd"))
    with pytest.raises(errors.Unauthenticated, match="sent as UTF-8"):
        _read(transport)
    transport.close()


def test_who_does_not_answer_is_told_apart(array: Array) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        for endpoint, said in (
            (f"https://127.0.0.1:{port}", "nothing listens there"),
            ("https://array.invalid", "does not resolve"),
        ):
            transport = Transport(replace(_credentials(array), endpoint=endpoint))
            with pytest.raises(Unreachable, match=said):
                _make(transport)
            transport.close()


def test_credentials_show_nothing_secret(array: Array) -> None:
    shown = repr(_credentials(array))
    assert array.password not in shown
    assert "CERTIFICATE" not in shown


def test_neither_environment_nor_netrc_decide_who_gets_the_password(
    array: Array, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none"))
    transport = Transport(_credentials(array))
    assert _read(transport)
    assert {call.username for call in array.calls} == {"admin"}
    transport.close()


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_tls(array: Array) -> None:
    for credentials in (
        replace(_credentials(array), ca_cert=""),
        replace(_credentials(array), endpoint=array.endpoint.replace("127.0.0.1", "127.0.0.2")),
    ):
        transport = Transport(credentials)
        with pytest.raises(Unreachable, match=r"TLS with|no answer"):
            _make(transport)
        transport.close()
    transport = Transport(replace(_credentials(array), ca_cert="", verify_tls=False))
    assert _read(transport)
    transport.close()


def test_the_newest_dialect_both_know_is_spoken(array: Array) -> None:
    client = Client(Transport(_credentials(array)))
    client.get_limits()
    client.get_limits()
    assert [(call.method, call.version) for call in array.calls] == [
        ("GetAPI", "1.0"),
        ("GetLimits", "12.5"),
        ("GetLimits", "12.5"),
    ]
    client.close()


@pytest.mark.parametrize(
    ("version", "spoken"), [("10.0.0.1", "10.0"), ("10.7.0.1", "10.7"), ("12.9.0.1", "12.9"), ("9.6.0.1", "")]
)
def test_versions(version: str, spoken: str) -> None:
    with Array.start(unique_id="lab1", version=version) as array:
        client = Client(Transport(_credentials(array)))
        if not spoken:
            with pytest.raises(errors.Refused, match=r"speaks Element API 9\.x; the driver needs 10\.0 or newer"):
                client.get_limits()
        else:
            client.get_limits()
            assert array.calls[-1].version == spoken
        client.close()


def test_a_dialect_that_is_gone_is_negotiated_anew(array: Array) -> None:
    client = Client(Transport(_credentials(array)))
    client.get_limits()
    with Array.start(unique_id="old1", version="11.3.0.1") as older:
        array.cluster, older.cluster = older.cluster, array.cluster
        with deadline.until(1.4), pytest.raises(Unreachable, match="no such API version"):
            client.get_limits()
        client.get_limits()
        assert array.calls[-1].version == "11.3"
        array.cluster, older.cluster = older.cluster, array.cluster
    client.close()


def test_a_definite_answer_is_an_error_of_its_kind(array: Array, transport: Transport) -> None:
    array.limits["accountCountMax"] = 0
    with pytest.raises(LimitExceeded, match="xExceededLimit"):
        _make(transport)
