"""What is written into attributes, read again, and never guessed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csi_solidfire import errors
from csi_solidfire.element.types import Account, Malformed, Qos, Volume
from csi_solidfire.handles import NodeId
from csi_solidfire.storage.access import Attachment, Mode
from csi_solidfire.storage.marks import KEY, AccountMark, VolumeMark

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NODES = st.builds(
    NodeId,
    st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True),
    st.from_regex(r"iqn\.2000-01\.[a-z0-9]{1,20}", fullmatch=True),
)
MARKS = st.builds(
    VolumeMark,
    name=st.text(min_size=1, max_size=64),
    namespace=st.text(max_size=63),
    claim=st.text(max_size=63),
    recycle=st.booleans(),
    fencing=st.booleans(),
    last=st.from_regex(r"[a-z0-9]{0,20}", fullmatch=True),
    given=st.lists(st.integers(1, 10**6), max_size=4).map(tuple),
    older=st.integers(0, 10**6),
    nodes=st.dictionaries(
        NODES, st.builds(Attachment, st.sampled_from(Mode), st.booleans(), st.booleans()), max_size=2
    ),
)


def _volume(attributes: dict[str, Any]) -> Volume:
    return Volume(1, 1, "x", "iqn", "naa", "readWrite", "active", 1, True, attributes, Qos(), None)


def _account(attributes: dict[str, Any]) -> Account:
    return Account(1, "x", "active", (), attributes, "", "")


@given(MARKS, st.dictionaries(st.text(max_size=5), JSON, max_size=2))
def test_a_mark_reads_what_it_wrote_and_keeps_what_others_wrote(mark: VolumeMark, others: dict[str, Any]) -> None:
    others.pop(KEY, None)
    try:
        written = mark.attributes(others)
    except errors.Exhausted:
        return
    assert len(json.dumps(written)) < 1000
    read = VolumeMark.of(_volume(json.loads(json.dumps(written))))
    assert read in (mark, replace(mark, claim=""))
    assert {key: written[key] for key in others} == others


def test_marks_of_every_release_are_understood() -> None:
    """These are on the volumes of arrays in use; lines are added here and never changed."""
    node = NodeId("node-1", "iqn.1993-08.org.debian:01:f0")
    written: dict[str, VolumeMark] = {
        '{"name": "pvc-1", "namespace": "shop"}': VolumeMark("pvc-1", "shop"),
        '{"name": "pvc-1", "namespace": "shop", "claim": "data", "recycle": true, "fencing": false,'
        ' "nodes": {"node-1/iqn.1993-08.org.debian:01:f0": "snmw,mount,ro"}}': VolumeMark(
            "pvc-1",
            "shop",
            "data",
            recycle=True,
            fencing=False,
            nodes={node: Attachment(Mode.SINGLE_NODE_MULTI_WRITER, block=False, readonly=True)},
        ),
        '{"name": "pvc-1", "namespace": "shop", "last": "node-1", "given": [7, 9]}': VolumeMark(
            "pvc-1", "shop", last="node-1", given=(7, 9)
        ),
        '{"name": "pvc-1", "namespace": "shop", "last": "node-1/iqn.1993-08.org.debian:01:f0",'
        ' "given": [7]}': VolumeMark("pvc-1", "shop", last=str(node), given=(7,)),
    }
    for text, mark in written.items():
        assert VolumeMark.of(_volume({KEY: json.loads(text)})) == mark
        assert mark.attributes({})[KEY] == json.loads(text)


@given(JSON)
def test_nonsense_is_no_mark(value: Any) -> None:
    try:
        mark = VolumeMark.of(_volume({KEY: value}))
    except Malformed:
        return
    assert mark is None or mark.name == value["name"]
    assert (mark is None) == (value is None)


@given(JSON)
def test_nonsense_is_no_account_of_ours(value: Any) -> None:
    mark = AccountMark.of(_account({KEY: value}))
    assert mark is None or (mark.hostname, mark.namespace) == (value["node"], value["namespace"])


def test_an_account_mark_reads_what_it_wrote() -> None:
    mark = AccountMark("node-1", "shop")
    assert AccountMark.of(_account(mark.attributes())) == mark
    assert mark.attributes() == {KEY: {"node": "node-1", "namespace": "shop"}}
    assert AccountMark.of(_account({"docker": {}})) is None


def test_the_claim_gives_way_and_nothing_else_does() -> None:
    mark = VolumeMark("pvc-1", "shop", "data")
    room = 999 - len(json.dumps(mark.attributes({"x": ""})))
    assert mark.attributes({"x": "y" * room})[KEY]["claim"] == "data"
    assert "claim" not in mark.attributes({"x": "y" * (room + 1)})[KEY]
    with pytest.raises(errors.Exhausted, match="pvc-1 would need"):
        mark.attributes({"x": "y" * 999})


def test_the_longest_names_there_are_fit_with_a_node() -> None:
    """Names of 128 bytes, on a node with the longest name that Kubernetes takes, given to twelve accounts before."""
    node = NodeId("n" * 63, "iqn.1993-08.org.debian:01:" + "f" * 30)
    attachment = Attachment(Mode.SINGLE_NODE_MULTI_WRITER, block=False, readonly=False)
    mark = VolumeMark(
        "p" * 128,
        "s" * 63,
        recycle=True,
        fencing=False,
        mutual_chap=False,
        nodes={node: attachment},
        last=str(node),
        given=tuple(range(10_001, 10_013)),
    )
    assert VolumeMark.of(_volume(mark.attributes({}))) == mark
