"""The tables of the chart's README: every value from values.yaml, and the fields of lists from the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from tests.chart.rendering import CHART

README = CHART / "README.md"
_LISTS = {"clusters": "cluster", "storageClasses": "storageClass"}


class Value(NamedTuple):
    """One value: its path, what it is without being given, and what its comment says."""

    path: str
    default: str
    comment: str


def values() -> list[Value]:
    """Return the values that have a comment, or would need one: those without sub-values of their own."""
    source = (CHART / "values.yaml").read_text()
    root = yaml.compose(source, yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return list(_below(root, source.splitlines(), ""))


def fields(name: str) -> list[Value]:
    """Return the fields of a list's items; the default is part of the comment."""
    schema = json.loads((CHART / "values.schema.json").read_text())["$defs"][_LISTS[name]]
    required = schema.get("required", ())
    return [
        Value(f"{name}[].{key}", "required" if key in required else "", item.get("description", ""))
        for key, item in schema["properties"].items()
    ]


def readme() -> str:
    """Return the README with its tables as they should be."""
    text = README.read_text()
    for name, rows in {"values": values(), **{name: fields(name) for name in _LISTS}}.items():
        wanted = f"<!-- {name} -->\n{_table(rows)}<!-- end -->"
        text = re.sub(rf"<!-- {name} -->\n.*?<!-- end -->", lambda _: wanted, text, flags=re.DOTALL)  # noqa: B023
    return text


def _table(rows: list[Value]) -> str:
    lines = ["| Value | Default | |", "|---|---|---|"]
    lines += [f"| `{row.path}` | {_cell(row.default)} | {row.comment} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(default: str) -> str:
    return default if default in ("", "required") else f"`{default}`"


def _below(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Value]:
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and _is_explained_below(lines, key, value):
            yield from _below(value, lines, f"{path}.")
        else:
            default = yaml.SafeLoader("").construct_document(value)
            yield Value(path, json.dumps(default), _comment(lines, key))


def _is_explained_below(lines: list[str], key: yaml.Node, value: yaml.MappingNode) -> bool:
    explained = any(_comment(lines, child) for child, _ in value.value)
    return explained or (bool(value.value) and not _comment(lines, key))


def _comment(lines: list[str], key: yaml.Node) -> str:
    """Return the comment lines right above a key, in one line."""
    found: list[str] = []
    for line in reversed(lines[: key.start_mark.line]):
        if not line.strip().startswith("#"):
            break
        found.insert(0, line.strip().removeprefix("#").strip())
    return " ".join(found)
