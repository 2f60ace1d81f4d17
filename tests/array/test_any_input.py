"""Whatever a client sends, it gets a proper answer."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.array import Array, ElementError
from lab.array.registry import METHODS
from tests.array.client import Client
from tests.array.recorder import Recorder

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
likely = st.sampled_from(
    [0, 1, 2, -1, 2**30, 2**63, "1", "true", "", "readOnly", "active", "1:00:00", "x" * 70, 1e300, "9" * 5000]
)
values = st.recursive(
    scalars | likely,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw a method and values for some of its parameters, often values that make sense."""
    method = METHODS[draw(st.sampled_from(sorted(METHODS)))]
    names = draw(st.lists(st.sampled_from([param.name for param in method.params] or ["x"]), unique=True, max_size=6))
    sensible = st.sampled_from([1, "1", [1], [1, 2], {"minIOPS": 100}, {"a": "b"}, "name", True, 2**30])
    return method.name, {name: draw(sensible | values) for name in names}


def outcome(array: Array, method: str, params: dict[str, Any]) -> str:
    """Return what a call ends in; anything but a result and an Element error is raised."""
    try:
        return json.dumps(array.cluster.call(method, params).result, allow_nan=False)
    except ElementError as error:
        return error.name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(calls(), min_size=1, max_size=8))
def test_any_parameters_get_a_result_or_a_named_error(sequence: list[tuple[str, dict[str, Any]]]) -> None:
    """Never a failure below the API, and the records stay in step with the data."""
    data = Recorder()
    with Array.start(data=data) as array:
        array.call("AddAccount", {"username": "a"})
        for name in ("one", "two"):
            array.call("CreateVolume", {"name": name, "accountID": 1, "totalSize": 2**30})
        for method, params in sequence:
            assert outcome(array, method, params) != "xInternalError"
        active = [volume["volumeID"] for volume in array.call("ListActiveVolumes")["volumes"]]
        assert sorted(data.exports) == active


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=50) | values.map(lambda value: json.dumps(value).encode()))
def test_any_body_gets_json(client: Client, body: bytes) -> None:
    """With an error in it."""
    answer = client.request("POST", "/json-rpc/12.5", body)
    assert answer.status == 200
    assert answer.json["error"]["name"].startswith("x")


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"method": "AddAccount", "params": {"username": "a", "attributes": {"x": NaN}}}']
)
def test_what_python_would_take_for_json(client: Client, body: bytes) -> None:
    """And real arrays would not."""
    assert "error" in client.request("POST", "/json-rpc/12.5", body).json


@pytest.mark.parametrize(
    "header", ["Content-Length: x", "Content-Length: -1", "Content-Length: 99999999999", "Transfer-Encoding: chunked"]
)
def test_odd_headers_do_not_stop_the_array(client: Client, header: str) -> None:
    """The next client is served."""
    name, value = header.split(": ")
    with contextlib.suppress(OSError):
        client.request("POST", "/json-rpc/12.5", b"", {name: value})
    assert client.call("GetAPI")
