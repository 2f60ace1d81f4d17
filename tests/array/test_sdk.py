"""The vendor's SDK, unmodified, against the array."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.array import Array

SCRIPT = Path(__file__).with_name("sdk_stories.py")
STORIES = (
    "connecting",
    "accounts",
    "volumes",
    "snapshots",
    "group_snapshots",
    "clones",
    "qos",
    "statistics",
    "access_groups",
)


@pytest.mark.parametrize("story", STORIES)
def test_the_sdk_tells_its_story(story: str, sdk_python: Path, tmp_path: Path) -> None:
    """Each story ends as the SDK's documentation has it, and no parameter of the SDK's was unknown to the array."""
    with Array.start(clone_seconds=0.3) as array:
        ca = tmp_path / "ca.pem"
        ca.write_text(array.ca)
        told = subprocess.run(
            [sdk_python, SCRIPT, story, str(array.port)],
            input=array.password,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"REQUESTS_CA_BUNDLE": str(ca)},
        )
        assert (told.returncode, told.stdout) == (0, "told\n"), told.stderr
        assert len(array.calls) > 5
