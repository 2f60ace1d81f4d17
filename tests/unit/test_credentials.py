"""A cluster's Secret, key by key: what is wrong with it is told, its values never are."""

from __future__ import annotations

import base64
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from csi_solidfire import errors
from csi_solidfire.storage import credentials
from lab.array import tls
from tests.support import kubelet

ARRAY = tls.make(())
GOOD = {"endpoint": "https://10.0.0.1", "username": "csi", "password": "hunter2-hunter2", "caCert": ARRAY.cert}


def _check(values: dict[str, str]) -> str:
    """Return what is said about a Secret; empty if it can be used."""
    try:
        credentials.check(values, "cluster c1", verify_tls=True)
    except errors.InvalidRequest as error:
        return str(error)
    return ""


def _twice(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _told(value: object) -> str:
    """Name a case by what is the same in each process: the certificate is not."""
    return ascii(value)[:36]


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://10.0.0.1",
        "https://10.0.0.1/",
        "https://10.0.0.1:443",
        "https://10.0.0.1:1",
        "https://10.0.0.1:65535/",
        "https://array",
        "https://array.example.com.",
        "https://xn--spiegel-7ya.example:8443",
        "https://[2001:db8::10]",
        "https://[2001:DB8::10]:8443/",
        "https://[::ffff:10.0.0.1]",
    ],
)
def test_endpoints_it_takes(endpoint: str) -> None:
    access, svip = credentials.check(GOOD | {"endpoint": endpoint}, "x", verify_tls=True)
    assert access.endpoint == endpoint.rstrip("/")
    assert access.host == access.endpoint.removeprefix("https://")
    assert not svip


PATH = "endpoint must not have a path"
PORT = "endpoint must have a number from 1 to 65535 as its port"
CREDENTIALS = "endpoint must not hold a user name or password"
BRACKETS = "endpoint must have its IPv6 address in brackets"
HTTPS = "endpoint must begin with https://"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"endpoint": ""}, ["endpoint is missing or empty"]),
        ({"username": ""}, ["username is missing or empty"]),
        ({"password": " \n"}, ["password is nothing but white space"]),
        ({"password": "hunter2-hunter2\n"}, ["password ends with a newline, as `echo` adds one: use `echo -n`"]),
        ({"username": "hunter2\r\n"}, ["username ends with a newline"]),
        ({"endpoint": "https://10.0.0.1\n"}, ["endpoint ends with a newline"]),
        ({"svip": "10.0.0.2\n"}, ["svip ends with a newline"]),
        ({"username": " hunter2"}, ["username begins or ends with white space"]),
        ({"password": "\ufeffhunter2"}, ["password has a character that cannot be seen"]),
        ({"username": "hunter2\u200b"}, ["username has a character that cannot be seen"]),
        ({"password": "hunter2\nhunter2"}, ["password has a character that cannot be seen"]),
        ({"username": "hunter2:x"}, ["username must not have a colon"]),
        ({"password": "hunter2" * 200}, ["password must not have more than 1024 characters"]),
        ({"password": "hunter2\udcff"}, ["password is not text in UTF-8"]),
        ({"endpoint": "10.0.0.1"}, [HTTPS]),
        ({"endpoint": "ftp://10.0.0.1"}, [HTTPS]),
        ({"endpoint": "http://10.0.0.1"}, [HTTPS, "unencrypted"]),
        ({"endpoint": "https://10.0.0.1/json-rpc/12.5"}, [PATH]),
        ({"endpoint": "https://10.0.0.1?hunter2"}, [PATH]),
        ({"endpoint": "https://csi:hunter2@10.0.0.1"}, [CREDENTIALS]),
        ({"endpoint": "https://csi:hun/ter2@10.0.0.1:443"}, [CREDENTIALS]),
        ({"endpoint": "csi:hunter2@10.0.0.1"}, [HTTPS, CREDENTIALS]),
        ({"endpoint": "http://csi:hunter2@10.0.0.1:0/json-rpc"}, [HTTPS, CREDENTIALS, PATH, PORT]),
        ({"endpoint": "https://10.0.0.1:0"}, [PORT]),
        ({"endpoint": "https://10.0.0.1:65536"}, [PORT]),
        ({"endpoint": "https://10.0.0.1:"}, [PORT]),
        ({"endpoint": "https://10.0.0.1:https"}, [PORT]),
        ({"endpoint": "https://10.0.0.1:-1"}, [PORT]),
        ({"endpoint": "https://10.0.0.1:\u0663"}, [PORT]),
        ({"endpoint": "https://[2001:db8::10]:99999"}, [PORT]),
        ({"endpoint": "https://2001:db8::10"}, [BRACKETS]),
        ({"endpoint": "https://2001:db8::10:443"}, [BRACKETS]),
        ({"endpoint": "https://2001:db8::10:65535"}, [BRACKETS]),
        ({"endpoint": "https://[2001:db8::10"}, ["endpoint must have an IPv6 address"]),
        ({"endpoint": "https://[hunter2]"}, ["endpoint must have an IPv6 address"]),
        ({"endpoint": "https://[10.0.0.1]"}, ["endpoint must have an IPv6 address"]),
        ({"endpoint": "https://[fe80::1%eth0]"}, ["endpoint must have an IPv6 address, without a zone"]),
        ({"endpoint": "https://10.0.0.300"}, ["endpoint must have four numbers from 0 to 255"]),
        ({"endpoint": "https://10.0.0"}, ["endpoint must have four numbers"]),
        ({"endpoint": "https://"}, ["endpoint must have an IP address or a host name"]),
        ({"endpoint": "https:// 10.0.0.1"}, ["endpoint must have an IP address or a host name"]),
        ({"endpoint": "https://-hunter2"}, ["endpoint must have an IP address or a host name"]),
        ({"endpoint": "https://" + "a." * 127 + "a"}, ["endpoint must have an IP address or a host name"]),
        ({"endpoint": "https://hunter2-\u00fc.example"}, ["endpoint has characters outside ASCII", "xn--"]),
        ({"endpoint": _twice("https://10.0.0.1")}, ["endpoint is encoded in base64 twice"]),
        ({"svip": "10.0.0.2:3260"}, ["svip must have", "without https://, port or brackets"]),
        ({"svip": "[2001:db8::20]"}, ["svip must have", "without https://, port or brackets"]),
        ({"svip": "https://10.0.0.2"}, ["svip must have", "without https://, port or brackets"]),
        ({"svip": "10.0.0.300"}, ["svip must have four numbers"]),
        ({"caCert": "hunter2"}, ["caCert must be certificates in PEM form"]),
        ({"caCert": " \n"}, ["caCert must be certificates in PEM form"]),
        ({"caCert": ARRAY.key}, ["caCert holds a private key"]),
        ({"caCert": ARRAY.cert + ARRAY.key}, ["caCert holds a private key"]),
        ({"caCert": _twice(ARRAY.cert)}, ["caCert is encoded in base64 twice"]),
        ({"caCert": ARRAY.cert.replace("CERTIFICATE", "CERTIFICATE REQUEST")}, ["caCert must be", "something else"]),
        ({"caCert": ARRAY.cert.replace("\n", " ")}, ["caCert has a certificate in PEM form that is damaged"]),
        ({"caCert": ARRAY.cert[:-80]}, ["caCert has a certificate in PEM form that is damaged"]),
        ({"caCert": ARRAY.cert + ARRAY.cert[:100]}, ["caCert has a certificate in PEM form that is damaged"]),
        ({"caCert": "\u201c" + ARRAY.cert}, ["caCert has a certificate in PEM form that is damaged"]),
        ({"caCert": "\udc30\udc82hunter2"}, ["caCert is not text in UTF-8"]),
    ],
    ids=_told,
)
def test_each_mistake_has_a_message_of_its_own(changes: dict[str, str], said: list[str]) -> None:
    message = _check(GOOD | changes)
    assert message.startswith("cluster c1: ")
    for words in said:
        assert words in message
    keys = [words for words in said if words.startswith(tuple(credentials._CHECKS))]
    assert message.count("; ") == len(keys) - 1, "something is told twice, or something wrong"
    assert "hunter2" not in message
    assert "10.0.0" not in message


def test_all_mistakes_are_told_at_once() -> None:
    """Within the kibibyte that a message may have."""
    message = _check({"endpoint": "http://a:b@10.0.0.1:0/x\n", "username": "a:\tb\n", "CACERT": "", "svip": "x:1 "})
    for key, problems in {"endpoint": 5, "username": 3, "password": 1, "caCert": 1, "svip": 2}.items():
        assert message.replace("c1: ", "; ").count(f"; {key} ") == problems, message
    assert len(message) < 1000


@pytest.mark.parametrize("key", ["Endpoint", "USERNAME", "cacert", "SVIP"])
def test_keys_in_other_capitals_are_not_passed_over(key: str) -> None:
    right = next(known for known in credentials._CHECKS if known.lower() == key.lower())
    values = {name: value for name, value in GOOD.items() if name != right} | {key: "x"}
    assert f"{right} must be spelt in just these capitals" in _check(values)


def test_keys_that_mean_nothing_are_passed_over() -> None:
    assert not _check(GOOD | {"note": "hunter2", "ca": "x", "tls.crt": "x"})


@given(st.dictionaries(st.sampled_from(list(credentials._CHECKS)), st.text(min_size=3), min_size=3))
def test_no_value_is_ever_told(values: dict[str, str]) -> None:
    """Whatever is typed where."""
    marked = {key: f"{value}<{value}>hunter2-{value}" for key, value in values.items()}
    assert "hunter2" not in _check(marked)


@example("https://[::ffff:1.2.3.4]:1/")
@example("https://A_b.c-d.:65535")
@given(st.text() | st.text("0123456789abcdef:.[]/@%-", max_size=40).map("https://".__add__))
def test_what_is_taken_for_an_endpoint_can_be_asked(endpoint: str) -> None:
    """What asks it finds a host and a port in it, and nothing to leave out."""
    if not _check(GOOD | {"endpoint": endpoint}):
        access, _ = credentials.check(GOOD | {"endpoint": endpoint}, "x", verify_tls=True)
        asked = requests.Request("POST", f"{access.endpoint}/json-rpc/1.0").prepare().url
        assert asked
        assert asked.lower() == f"{access.endpoint}/json-rpc/1.0".lower()
        parts = urlsplit(asked)
        assert (parts.hostname, parts.username, parts.path) == (parts.hostname or "no host", None, "/json-rpc/1.0")
        assert parts.port is None or 0 < parts.port < 1 << 16


def test_a_mounted_secret_is_read_in_any_form(tmp_path: Path) -> None:
    plain, mounted, projected = tmp_path / "plain", tmp_path / "mounted", tmp_path / "projected"
    plain.mkdir()
    for key, value in GOOD.items():
        (plain / key).write_text(value)
    kubelet.mount(mounted, GOOD)
    (projected / "..1" / "c1").mkdir(parents=True)
    shutil.copytree(plain, projected / "..1" / "c1", dirs_exist_ok=True)
    (projected / "..data").symlink_to("..1")
    (projected / "c1").symlink_to("..data/c1")
    assert credentials.read(plain) == credentials.read(mounted) == credentials.read(projected / "c1") == GOOD


def test_a_secret_is_old_or_new_at_every_step_of_its_change(tmp_path: Path) -> None:
    """Never one key of this and another of that version, and never without one that both have."""
    old = GOOD | {"svip": "10.0.0.2"}
    new = GOOD | {"username": "new", "password": "new"}
    directory = tmp_path / "c1"
    kubelet.mount(directory, old)
    seen = []
    kubelet.mount(directory, new, pause=lambda step: seen.append((step, credentials.read(directory))))
    steps = [step for step, _ in seen]
    swung = steps.index("swing the link over")
    assert [values for _, values in seen] == [old] * (swung + 1) + [new] * (len(seen) - swung - 1)
    assert "remove an old key" in steps
    assert "hide a key" in steps


def _wait_at(directory: Path, key: str) -> Path:
    """Let whoever reads a key of the present version wait there, at a pipe."""
    pipe = (directory / "..data" / key).resolve()
    pipe.unlink()
    os.mkfifo(pipe)
    return pipe


@pytest.mark.parametrize("key", list(GOOD))
def test_a_secret_that_changes_while_it_is_read_is_read_again(tmp_path: Path, key: str) -> None:
    """The whole change happens while one of its keys is being read."""
    new = GOOD | {"username": "new", "password": "new"}
    directory = tmp_path / "c1"
    kubelet.mount(directory, GOOD)
    pipe = _wait_at(directory, key)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(credentials.read, directory)
        with pipe.open("w") as reader:
            kubelet.mount(directory, new)
            reader.write(GOOD[key])
        assert reading.result(10) == new


def test_a_secret_that_never_stands_still_is_not_read(tmp_path: Path) -> None:
    directory = tmp_path / "c1"
    kubelet.mount(directory, GOOD)
    pipe = _wait_at(directory, "password")
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(credentials.read, directory)
        for _ in range(credentials._READS):
            with pipe.open("w"):
                kubelet.mount(directory, GOOD)
                pipe = _wait_at(directory, "password")
        with pytest.raises(errors.Unavailable, match="cluster c1: its Secret is being changed"):
            reading.result(10)


def test_a_secret_that_is_not_there_yet(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="cluster c1: its Secret cannot be read"):
        credentials.read(tmp_path / "c1")
    (tmp_path / "c1" / "password").mkdir(parents=True)
    with pytest.raises(errors.Unavailable, match="cluster c1: its Secret cannot be read"):
        credentials.read(tmp_path / "c1")
