"""How the array answers over HTTP, whatever the method."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

import pytest

from lab.array import Array
from tests.array.client import Client, Refused

Connect = Callable[..., Client]
GET_API = {"method": "GetAPI", "id": 1}


@pytest.mark.parametrize(
    "path", ["/json-rpc/12.5", "/json-rpc/12.5/", "/json-rpc/1.0", "/json-rpc/8.0/", "/json-rpc/7.0"]
)
def test_every_clients_url_reaches_the_api(client: Client, path: str) -> None:
    """With and without the last slash, at every supported version."""
    assert client.post(GET_API, path).json["result"]["currentVersion"] == "12.5"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/json-rpc",
        "/json-rpc/12.5.0.897",
        "/json-rpc/12.9",
        "/json-rpc/99.0",
        "/json-rpc/12.5/x",
        "/json-rpc/11.2",
    ],
)
def test_any_other_path_is_not_found(client: Client, path: str) -> None:
    """Not even a four-part version, or one newer than the software."""
    answer = client.post(GET_API, path)
    assert answer.status == 404
    assert "404 Not Found" in answer.text


@pytest.mark.parametrize(
    "header",
    [{}, {"Authorization": "Basic YWRtaW46d3Jvbmc="}, {"Authorization": "Bearer x"}, {"Authorization": "Basic %"}],
)
def test_without_good_credentials_there_is_only_a_401(client: Client, header: dict[str, str]) -> None:
    """The body is HTML with the words that the vendor's SDK looks for; the connection can be used again."""
    answer = client.request("POST", "/json-rpc/12.5", b'{"method": "GetAPI"}', header)
    assert answer.status == 401
    assert "401 Unauthorized." in answer.text
    assert client.call("GetAPI")["currentVersion"] == "12.5"


def test_only_post_is_taken(client: Client) -> None:
    """GET gets no answer from the API."""
    assert client.request("GET", "/json-rpc/12.5").status == 405


def test_only_who_trusts_the_certificate_connects(array: Array) -> None:
    """It is signed by itself, and good for the local names, also for a strict verifier."""
    strict = ssl.create_default_context(cadata=array.ca)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("localhost", "127.0.0.1"):
        with socket.create_connection(("127.0.0.1", array.port), 10) as raw:
            strict.wrap_socket(raw, server_hostname=name).close()
    for context, name in ((ssl.create_default_context(), "localhost"), (strict, "elsewhere.example")):
        with (
            socket.create_connection(("127.0.0.1", array.port), 10) as raw,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(raw, server_hostname=name)


@pytest.mark.parametrize("request_id", [7, "seven", None])
def test_the_id_comes_back_as_it_was_sent(client: Client, request_id: object) -> None:
    """An integer stays one: Trident decodes it so."""
    assert client.post({"method": "GetAPI", "id": request_id}).json["id"] == request_id


def test_without_an_id_the_answer_has_null(client: Client) -> None:
    """Cinder sends none."""
    answer = client.post({"method": "GetLimits"}).json
    assert answer["id"] is None
    assert "error" not in answer


@pytest.mark.parametrize("params", [None, {}])
def test_no_parameters_may_be_written_in_several_ways(client: Client, params: object) -> None:
    """solidfire-go sends null."""
    assert "result" in client.post({"method": "GetAPI", "params": params}).json


def test_unknown_parameters_are_named_in_a_warning(client: Client) -> None:
    """They are no error; the warning is beside the result."""
    answer = client.post({"method": "ListVolumes", "params": {"foo": 1, "limit": 5}}).json
    assert answer["warning"] == {"unusedParameters": {"foo": 1}}
    assert answer["result"] == {"volumes": []}
    assert "warning" not in client.post({"method": "ListVolumes", "params": {"limit": 5}}).json


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'[{"method": "GetAPI"}]', b'{"method": 5}', b'{"method": "GetAPI", "params": [1]}']
)
def test_what_is_no_request_gets_an_error(client: Client, body: bytes) -> None:
    """With HTTP status 200, as every error of the API."""
    answer = client.request("POST", "/json-rpc/12.5", body)
    assert answer.status == 200
    assert answer.json["error"]["code"] == 500


def test_an_error_has_code_name_and_message(client: Client) -> None:
    """solidfire-go sees only code and message, so the message repeats the name where clients match it."""
    answer = client.post({"method": "GetAccountByName", "params": {"username": "nobody"}, "id": 12}).json
    assert answer == {"id": 12, "error": {"code": 500, "name": "xUnknownAccount", "message": "xUnknownAccount"}}


@pytest.mark.parametrize(
    ("method", "version"), [("NoSuchMethod", "12.5"), ("ListVolumes", "7.0"), ("CreateQoSPolicy", "9.6")]
)
def test_a_method_that_the_version_lacks_is_unknown(array: Array, connect: Connect, method: str, version: str) -> None:
    """Also when newer versions have it."""
    with pytest.raises(Refused, match=f"xUnknownAPIMethod  method={method}"):
        connect(array, path=f"/json-rpc/{version}").call(method)


def test_get_api_lists_what_there_is(client: Client) -> None:
    """Every method listed can be called."""
    api = client.call("GetAPI")
    methods = api[api["currentVersion"]]
    assert methods == sorted(methods)
    assert {"CreateVolume", "ListISCSISessions", "GetAPI"} <= set(methods)
    assert api["supportedVersions"][0] == "1.0"
    assert api["supportedVersions"][-1] == "12.5"
    for method in methods:
        answer = client.post({"method": method}).json
        assert answer.get("error", {}).get("name") in (None, "xMissingParameter", "xInvalidParameter"), method


def test_one_connection_serves_many_calls(client: Client, array: Array) -> None:
    """It is kept open."""
    for _ in range(20):
        client.call("GetAPI")
    assert array.calls.methods() == ["GetAPI"] * 20


def test_calls_are_recorded_without_secrets(client: Client, array: Array) -> None:
    """Method, parameters, outcome and who called."""
    client.call("AddAccount", username="a", initiatorSecret="verysecret12")
    with pytest.raises(Refused):
        client.call("GetAccountByID", accountID=9)
    added, asked = array.calls
    assert added.params == {"username": "a", "initiatorSecret": "***"}
    assert (added.outcome, added.carried_out, added.username, added.version) == ("ok", True, "admin", "12.5")
    assert (asked.outcome, asked.carried_out) == ("xUnknownAccount", False)
    assert added.seconds > 0


def test_calls_from_behind_are_not_recorded(array: Array) -> None:
    """A test's own looks don't count."""
    array.call("GetAPI")
    assert len(array.calls) == 0
