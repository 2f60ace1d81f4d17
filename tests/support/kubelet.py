"""Secrets as kubelet mounts them: each version in a directory of its own, links that swing over all at once."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

_versions = itertools.count(1)


def mount(directory: Path, values: Mapping[str, str], pause: Callable[[str], object] = lambda step: None) -> None:
    """Write a Secret's next version, in the order of kubelet's atomic writer.

    Args:
        pause: Called before each step with its name, as the moment at which somebody may be reading.
    """
    data = directory / "..data"
    before = data.resolve() if data.is_symlink() else None
    version = directory / f"..2026_11_23_05_00_00.{next(_versions)}"
    pause("make the directory")
    version.mkdir(parents=True)
    for key, value in values.items():
        pause("write a key")
        (version / key).write_text(value)
    pause("make the link")
    (directory / "..data_tmp").symlink_to(version.name)
    pause("swing the link over")
    (directory / "..data_tmp").rename(data)
    for key in values:
        if not (directory / key).is_symlink():
            pause("show a key")
            (directory / key).symlink_to(Path("..data", key))
    for entry in directory.iterdir():
        if not entry.name.startswith("..") and entry.name not in values:
            pause("hide a key")
            entry.unlink()
    if before is not None:
        for entry in sorted(before.iterdir()):
            pause("remove an old key")
            entry.unlink()
        shutil.rmtree(before)
