"""The page by symptom: what it quotes is what the driver says, and it knows every alert."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.docs import markdown
from tests.docs.messages import is_the_drivers

_REPOSITORY = Path(__file__).parents[2]
_PAGE = (_REPOSITORY / "docs/how-to/troubleshooting.md").read_text()
_ALERTS = _REPOSITORY / "deploy/helm/csi-solidfire/files/alerts.yaml"
_QUOTED = sorted({line for kind, body in markdown.blocks(_PAGE) if kind == "text" for line in body.splitlines()})


@pytest.mark.parametrize("message", _QUOTED)
def test_the_driver_says_what_is_quoted(message: str) -> None:
    assert is_the_drivers(message)


def test_what_is_the_drivers_can_be_told_from_what_others_say() -> None:
    """`text` is the driver's, `log` another program's, `console` what somebody types."""
    kinds = [kind for kind, _ in markdown.blocks(_PAGE)]
    assert set(kinds) == {"text", "log", "console"}
    assert kinds.count("text") > 30


@pytest.mark.parametrize(
    "message",
    [
        "volume <v> is published to node <n>: unpublish it there second",
        "cluster <name>: password is absent or empty",
        "never volume <v> is published to node <n>: unpublish it there first",
        "volume <v> is published to node <n>: unpublish it there first, please",
        "the other password is missing or empty",
        "volume <v> is made, its Secret is not: get Secret <s>: Kubernetes prohibits it: <why>",
        "volume <v> is published to node <n>",
        "<anything>",
        "account <a> is <state> on the array",
    ],
)
def test_what_the_driver_does_not_say_is_noticed(message: str) -> None:
    assert not is_the_drivers(message)


def test_every_alert_is_explained_and_no_other() -> None:
    alerts = {rule["alert"] for group in yaml.safe_load(_ALERTS.read_text()) for rule in group["rules"]}
    assert set(re.findall(r"^\| `(\w+)` \|", _PAGE, re.MULTILINE)) == alerts
    assert set(re.findall(r"\bCsiSolidfire\w+", _PAGE)) == alerts


def test_every_symptom_can_be_found_from_the_top() -> None:
    contents, _, _ = _PAGE.partition("\n## ")
    symptoms = markdown.headings(_PAGE, "##")
    assert len(symptoms) > 30
    assert [symptom for symptom in symptoms if f"](#{markdown.anchor(symptom)})" not in contents] == []


def test_what_the_tables_at_the_top_quote_is_quoted_below() -> None:
    contents, _, rest = _PAGE.partition("\n## ")
    quoted = "\n".join(body for _, body in markdown.blocks(rest))
    rows = re.findall(r"^\| (.*) \| \[", contents, re.MULTILINE)
    words = {word for row in rows for word in re.findall(r"`([^`]+)`", row)}
    assert len(words) > 40
    assert {word for word in words if word not in quoted} == set()
