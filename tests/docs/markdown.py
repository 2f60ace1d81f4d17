"""What the tests of the documentation read in it."""

from __future__ import annotations

import re

_FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the kind and the content of each fenced block."""
    return _FENCED.findall(text)


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return _FENCED.sub("", text)


def headings(text: str, level: str = "#{1,6}") -> list[str]:
    """Return the headings, of all levels or of one: `##`."""
    return re.findall(rf"^{level} (.*)", prose(text), re.MULTILINE)


def anchor(heading: str) -> str:
    """Return where a link to a heading leads, as GitHub makes it."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w -]", "", text).replace(" ", "-")
