"""The saved VM that every other is a copy of, found in the cache or built once.

The cache is `${XDG_CACHE_HOME:-~/.cache}/csi-solidfire-lab`, or what
CSI_SOLIDFIRE_LAB_CACHE says. It holds one directory for each image, named
after what the image was made from, and the directories of runs. All of it
may be deleted at any time; VMs that run keep what they have opened, but can't
be powered on again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.vm import build, hardware, packages
from lab.vm.agent import Agent
from lab.vm.identity import guest_script
from lab.vm.kind import PLAIN, Kind
from lab.vm.progress import Say

_CHANGED_KEPT: Final = 2
_MADE_BY: Final = ("root.sh", "initramfs.sh", "prepare.sh")


def cache() -> Path:
    """Where images and runs are kept."""
    if chosen := os.environ.get("CSI_SOLIDFIRE_LAB_CACHE"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "csi-solidfire-lab"


@dataclass(frozen=True, slots=True)
class Image:
    """A saved VM: its disks, its memory and the rest of its state. Never written again."""

    directory: Path

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinuz"

    @property
    def initramfs(self) -> Path:
        return self.directory / "initrd.img"

    @property
    def disks(self) -> hardware.Disks:
        return hardware.Disks(self.directory / "root.img", self.directory / "data.img", "raw")

    @property
    def memory(self) -> Path:
        return self.directory / "memory"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def memory_mib(self) -> int:
        return self.memory.stat().st_size >> 20

    @classmethod
    def find(cls, requirements: Sequence[str], kind: Kind = PLAIN) -> Image | None:
        """Return the image for these requirements if it has been built."""
        image = cls(cache() / key(requirements, kind))
        return image if image.state.exists() else None

    @classmethod
    def ensure(
        cls,
        requirements: Sequence[str],
        kind: Kind = PLAIN,
        *,
        say: Callable[[str], object] = print,
        may_use_sudo: Callable[[str], bool] = build.ask,
    ) -> Image:
        """Find the image in the cache, or build it.

        Args:
            requirements: Python packages for the guest, as pip understands them.
            kind: What is in it beside Debian and those.
            say: Told each step of a build, which takes some minutes.
            may_use_sudo: Asked with the command line before sudo runs it: one
                step of the build needs root. Not asked if root is who runs it.

        Raises:
            LabError: The build failed, or needs root and may not have it.
        """
        if image := cls.find(requirements, kind):
            return image
        with _only_builder(say):
            if image := cls.find(requirements, kind):
                return image
            building = _empty_directory(may_use_sudo)
            image = cls(cache() / key(requirements, kind))
            build.build(cls(building), requirements, kind, Say(say), may_use_sudo)
            building.rename(image.directory)
            return image

    def changed(
        self,
        name: str,
        change: Callable[[Agent], None],
        *,
        say: Callable[[str], object] = print,
        may_use_sudo: Callable[[str], bool] = build.ask,
    ) -> Image:
        """Find in the cache, or make, an image that is this one with something done in it.

        Of each image the cache keeps the last two changed ones. The next is made from the last: what was done there
        need not be done again.

        Args:
            name: Says what is done; an image of that name is taken for one in which the same was done.
            change: Does it, in a VM restored from this image, through its agent.
            say: Told that it is done, which takes as long as it takes.
            may_use_sudo: As in `ensure`.
        """
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        image = Image(self.directory.with_name(f"{self.directory.name}-{digest}"))
        if image.state.exists():
            return image
        with _only_builder(say):
            if image.state.exists():
                return image
            building = _empty_directory(may_use_sudo)
            with Say(say).step(name):
                build.derive(Image(building), self._last_changed() or self, change)
            building.rename(image.directory)
            # The one before may be in use by a cluster that is just starting.
            for old in self._changed()[:-_CHANGED_KEPT]:
                shutil.rmtree(old)
            return image

    def _last_changed(self) -> Image | None:
        return next((Image(path) for path in reversed(self._changed())), None)

    def _changed(self) -> list[Path]:
        """Directories of the images made from this one, the last one last."""
        changed = self.directory.parent.glob(f"{self.directory.name}-*")
        return sorted(changed, key=lambda path: path.stat().st_mtime)


def key(requirements: Sequence[str], kind: Kind = PLAIN) -> str:
    """What identifies an image: everything that it is made from."""
    parts = (
        packages.SUITE,
        *packages.GUEST,
        *sorted(requirements),
        *(guest_script(name).decode() for name in _MADE_BY),
        *hardware.fingerprint(kind.memory_mib),
        hardware.qemu_version(),
        *kind.parts(),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def clean() -> None:
    """Throw the cached images away; runs go on."""
    for entry in cache().glob("*"):
        if entry.is_dir() and entry.name != "runs":
            shutil.rmtree(entry)


def _empty_directory(may_use_sudo: Callable[[str], bool]) -> Path:
    """Where an image is made; left-overs of an interrupted build are removed."""
    building = cache() / "building"
    build.clear(building, may_use_sudo)
    building.mkdir(parents=True)
    return building


@contextmanager
def _only_builder(say: Callable[[str], object]) -> Iterator[None]:
    cache().mkdir(parents=True, exist_ok=True, mode=0o700)
    with (cache() / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another program is building the image: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
