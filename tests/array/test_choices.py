"""The list of choices stays true."""

from __future__ import annotations

import re
from pathlib import Path

from lab.array import choices

SOURCES = Path(choices.__file__).parent


def test_every_choice_is_in_use() -> None:
    """One that no code asks for would decide nothing."""
    others = "".join(path.read_text() for path in SOURCES.rglob("*.py"))
    names = [name for name in vars(choices) if name.isupper()]
    assert len(names) > 20
    assert [name for name in names if f"choices.{name}" not in others] == []


def test_every_choice_has_a_reason() -> None:
    """A comment above it, or above the run of constants that it belongs to."""
    paragraphs = Path(choices.__file__).read_text().split("\n\n")
    bare = [text for text in paragraphs if re.match(r"[A-Z_]+ = ", text)]
    assert bare == []
