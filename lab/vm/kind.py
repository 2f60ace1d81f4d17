"""What an image is made of, beside the Debian that all have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.vm import hardware, packages


@dataclass(frozen=True)
class Kind:
    """What one kind of VM has of its own.

    Attributes:
        memory_mib: Its memory.
        packages: Debian packages beside `packages.GUEST`.
        files: Files of this machine by their path in the guest. An image is known by their names, not by what is in
            them: a name must change when its content does, as those of the lab's programs do.
        root: A shell script that finishes the root, run outside of it: `sh SCRIPT ROOT`.
        prepare: A shell script for the booted guest, run just before its state is saved.
    """

    memory_mib: int = hardware.MEMORY_MIB
    packages: tuple[str, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    root: bytes = b""
    prepare: bytes = b""

    def parts(self) -> list[str]:
        """What an image of this kind is made from beside what all are; nothing for the plain kind."""
        named = [f"{path}={file.name}" for path, file in sorted(self.files.items())]
        scripts = [script.decode() for script in (self.root, self.prepare) if script]
        return [*self.packages, *named, *scripts]

    @property
    def all_packages(self) -> tuple[str, ...]:
        return (*packages.GUEST, *self.packages)


PLAIN = Kind()
"""The array, and nodes without Kubernetes."""
