"""Links in the documentation lead to files and headings that are there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs import markdown

_REPOSITORY = Path(__file__).parents[2]
_LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)")


def _pages() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return sorted(name for name in listed.stdout.split() if (_REPOSITORY / name).exists())


@pytest.mark.parametrize("name", _pages())
def test_links_lead_somewhere(name: str) -> None:
    page = _REPOSITORY / name
    for target, anchor in _LINK.findall(markdown.prose(page.read_text())):
        there = (page.parent / target) if target else page
        assert there.exists(), target
        if anchor:
            assert anchor in map(markdown.anchor, markdown.headings(there.read_text())), f"{target}#{anchor}"
