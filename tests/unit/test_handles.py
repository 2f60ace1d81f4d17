"""Handles, node ids, credentials and contexts: read what was written, now and years ago."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csi_solidfire import errors
from csi_solidfire.handles import Chap, NodeId, PublishContext, VolumeHandle, shorten

CLUSTERS = st.from_regex(r"[a-z0-9]{4}", fullmatch=True)
VOLUMES = st.builds(VolumeHandle, CLUSTERS, st.integers(1, 2**32 - 1))
HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", fullmatch=True)

# Every form ever released, with what it means. Lines are added here and never changed.
HISTORY = {
    "jyay.1": VolumeHandle("jyay", 1),
    "0000.4294967295": VolumeHandle("0000", 4294967295),
    "lab1.1234": VolumeHandle("lab1", 1234),
}
NODE_HISTORY = {
    "worker-3/iqn.1993-08.org.debian:01:f0e1d2c3b4a5": NodeId("worker-3", "iqn.1993-08.org.debian:01:f0e1d2c3b4a5"),
    "a.b.example/iqn.1994-05.com.redhat:a-b.c": NodeId("a.b.example", "iqn.1994-05.com.redhat:a-b.c"),
    "n/eui.02004567a425678d": NodeId("n", "eui.02004567a425678d"),
}


@pytest.mark.parametrize("text", HISTORY)
def test_handles_of_every_release_are_understood(text: str) -> None:
    assert VolumeHandle.parse(text) == HISTORY[text]
    assert str(HISTORY[text]) == text


@pytest.mark.parametrize("text", NODE_HISTORY)
def test_node_ids_of_every_release_are_understood(text: str) -> None:
    assert NodeId.parse(text) == NODE_HISTORY[text]
    assert str(NODE_HISTORY[text]) == text


@given(VOLUMES)
def test_a_handle_reads_what_it_wrote(handle: VolumeHandle) -> None:
    assert VolumeHandle.parse(str(handle)) == handle
    assert VolumeHandle.of_naa(handle.naa) == handle
    assert VolumeHandle.of_naa(handle.naa.upper()) == handle
    assert VolumeHandle.of_iqn(f"iqn.2010-01.com.solidfire:{handle.cluster_id}.pvc-1.{handle.volume_id}") == handle


@given(st.text() | st.from_regex(r"[a-z0-9]{3,5}\.0?[0-9]{0,11}\n?", fullmatch=True))
def test_nothing_else_is_a_handle(text: str) -> None:
    try:
        handle = VolumeHandle.parse(text)
    except errors.NotFound:
        return
    assert str(handle) == text
    assert handle.volume_id < 2**32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lab1",
        "lab1.",
        "lab1.0",
        "lab1.01",
        "lab1.4294967296",
        "LAB1.1",
        "lab.1",
        "lab11.1",
        "lab1.1.2",
        "lab1.\u0661",
    ],
)
def test_what_is_no_handle(text: str) -> None:
    with pytest.raises(errors.NotFound, match="cluster id"):
        VolumeHandle.parse(text)


def test_the_device_id_of_a_captured_volume() -> None:
    """From NetApp's samples: uniqueID jyay, volumeID 1 and 2."""
    assert VolumeHandle("jyay", 1).naa == "6f47acc1000000006a79617900000001"
    assert VolumeHandle("jyay", 2).naa == "6f47acc1000000006a79617900000002"


@pytest.mark.parametrize(
    "naa",
    [
        "",
        "6f47acc1000000006a7961790000000",
        "6f47acc1000000006a796179000000010",
        "6f47acc1000000016a79617900000001",
        "600140500000000000000000000000ab",
        "6f47acc100000000ffffffff00000001",
        "6f47acc1000000000000000000000001",
        "6f47acc1000000004a59415900000001",
        "6f47acc1000000006a79617900000000",
    ],
)
def test_device_ids_that_spell_no_volume(naa: str) -> None:
    assert VolumeHandle.of_naa(naa) is None


@pytest.mark.parametrize(
    "iqn",
    [
        "iqn.2010-01.com.solidfire:jyay.pvc-1.0",
        "iqn.2010-01.com.solidfire:jyay.pvc-1.4294967296",
        "iqn.2010-01.com.solidfire:jyay.pvc_1.1",
        "iqn.2010-01.com.solidfire:jyay.1",
        "iqn.2010-01.com.example:jyay.pvc-1.1",
        "iqn.2010-01.com.solidfire:jyay.pvc-1.1\n",
    ],
)
def test_target_names_that_spell_no_volume(iqn: str) -> None:
    assert VolumeHandle.of_iqn(iqn) is None


@given(HOSTS, st.from_regex(r"iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9.:-]{1,100}", fullmatch=True))
def test_a_node_id_reads_what_it_wrote(hostname: str, initiator: str) -> None:
    node = NodeId(hostname, initiator)
    assert NodeId.parse(str(node)) == node
    assert NodeId.check_hostname(hostname) == hostname


@given(st.text())
def test_nothing_else_is_a_node_id(text: str) -> None:
    try:
        node = NodeId.parse(text)
    except errors.NotFound:
        return
    assert str(node) == text


CHAP = {
    Chap.USERNAME: "node-1-shop",
    Chap.PASSWORD: "abcdefghijkl",
    Chap.USERNAME_IN: "node-1-shop",
    Chap.PASSWORD_IN: "mnopqrstuvwx",
}


def test_credentials_read_what_they_wrote() -> None:
    both = Chap("node-1-shop", "abcdefghijkl", "mnopqrstuvwx")
    one = Chap("node-1-shop", "abcdefghijkl")
    assert both.to_map() == CHAP
    for chap in (both, one):
        assert Chap.from_map(chap.to_map() | {"other": "x"}, "secrets") == chap
    assert Chap.from_map({"other": "x"}, "secrets") is None


def test_credentials_show_no_secret() -> None:
    shown = repr(Chap("node-1-shop", "abcdefghijkl", "mnopqrstuvwx"))
    assert "abcdefghijkl" not in shown
    assert "mnopqrstuvwx" not in shown


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({Chap.PASSWORD: None}, f"{Chap.PASSWORD} is missing"),
        ({Chap.USERNAME: ""}, f"{Chap.USERNAME} is missing"),
        ({Chap.USERNAME_IN: None}, f"{Chap.USERNAME_IN} is missing"),
        ({Chap.PASSWORD_IN: None}, f"{Chap.PASSWORD_IN} is missing"),
        ({Chap.PASSWORD: "abcdefghijkl\n"}, "white space"),
        ({Chap.PASSWORD: "abcdefghijk"}, "has 11 characters; Element takes 12 to 16"),
        ({Chap.PASSWORD_IN: "abcdefghijklmnopq"}, "has 17 characters"),
        ({Chap.PASSWORD: "abcdefghijké"}, "not printable ASCII"),
        ({Chap.PASSWORD: "abcdefg\x00hijkl"}, "not printable ASCII"),
        ({Chap.USERNAME_IN: "another"}, "must equal"),
    ],
)
def test_half_or_wrong_credentials_are_told_by_key_and_not_shown(changes: dict[str, str | None], word: str) -> None:
    given = {key: value for key, value in (CHAP | changes).items() if value is not None}
    with pytest.raises(errors.InvalidRequest, match=re.escape(word)) as caught:
        Chap.from_map(given, "node_stage_secret")
    assert str(caught.value).startswith("node_stage_secret: ")
    assert "abcdefg" not in str(caught.value)


CONTEXT = {
    "username": "node-1-shop",
    "portal": "10.0.0.1:3260",
    "iqn": "iqn.2010-01.com.solidfire:lab1.pvc-1.7",
    "totalSize": "1073741824",
}


@pytest.mark.parametrize("portal", ["10.0.0.1:3260", "[fd00::1]:3260", "svip.example.org:3260"])
def test_a_context_reads_what_it_wrote(portal: str) -> None:
    context = PublishContext("node-1-shop", portal, CONTEXT["iqn"], 2**30)
    assert PublishContext.from_map(context.to_map(), VolumeHandle("lab1", 7)) == context
    assert PublishContext.from_map(context.to_map() | CHAP, VolumeHandle("lab1", 7)) == context


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("username", ""),
        ("portal", ""),
        ("portal", "10.0.0.1"),
        ("portal", "10.0.0.1:3260 --op=delete"),
        ("portal", "fd00::1:3260"),
        ("portal", "10.0.0.1:\u0663"),
        ("iqn", ""),
        ("iqn", "iqn.2010-01.com.solidfire:lab1.pvc-1.8"),
        ("iqn", "iqn.2010-01.com.solidfire:lab2.pvc-1.7"),
        ("iqn", "iqn.2010-01.com.solidfire:lab1./../../x.7"),
        ("totalSize", ""),
        ("totalSize", "0"),
        ("totalSize", "-1"),
        ("totalSize", "1e9"),
        ("totalSize", "1" * 20),
    ],
)
def test_contexts_that_are_none(key: str, value: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=f"publish_context: {key}"):
        PublishContext.from_map(CONTEXT | {key: value}, VolumeHandle("lab1", 7))


@given(st.text())
def test_quoted_text_is_one_short_line(text: str) -> None:
    quoted = shorten(text, 40)
    assert quoted.isprintable()
    assert len(shorten("x" * 1000)) < 150
