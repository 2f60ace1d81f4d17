"""A pod that writes all the time, and what it knows to have written."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import lab.writer
from lab.site import Node
from tests.realnode.volumes import Volume
from tests.support.driver import wait_until

_PROGRAM = "/opt/writer.py"


@dataclass(frozen=True)
class Notes:
    """What a writer noted.

    Attributes:
        acknowledged: The number of the last write that it knows to be there; writes are numbered from 1.
        failures: Names of errors, in their order.
        resumed: Whether a write was acknowledged after one had failed.
    """

    acknowledged: int
    failures: list[str]
    resumed: bool

    @property
    def attempts(self) -> int:
        return self.acknowledged + len(self.failures)

    @classmethod
    def parse(cls, text: str) -> Notes:
        lines = [line.split() for line in text.split("\n")[:-1]]
        kinds = [line[0] for line in lines]
        resumed = "failed" in kinds and "ok" in kinds[kinds.index("failed") :]
        return cls(kinds.count("ok"), [line[2] for line in lines if line[0] == "failed"], resumed)


@dataclass(frozen=True)
class Writer:
    """The pod. It never gives up by itself."""

    node: Node
    name: str

    @classmethod
    def start(cls, node: Node, volume: Volume, path: str) -> Writer:
        """Start one that appends to a file in a published directory, or overwrites a published device."""
        block = volume.capability.HasField("block")
        new = cls(node, f"writer-{uuid.uuid4()}")
        node.machine.write_file(_PROGRAM, Path(lab.writer.__file__).read_bytes())
        what = ["overwrite", path] if block else ["append", f"{path}/lines"]
        unit = ["systemd-run", "--quiet", "--collect", f"--unit={new.name}"]
        node.machine.run([*unit, "python3", _PROGRAM, *what, new._notes])
        return new

    @property
    def _notes(self) -> str:
        return f"/run/{self.name}"

    def notes(self) -> Notes:
        return Notes.parse(self.node.machine.run(["cat", self._notes], check=False).stdout)

    def wait_for_writes(self, more: int = 20) -> None:
        """Wait until so many more writes have been acknowledged."""
        wanted = self.notes().acknowledged + more
        wait_until(lambda: self.notes().acknowledged >= wanted, 120)

    def wait_for_attempts(self, more: int = 20) -> None:
        """Wait until it has tried so many more times, in vain or not."""
        wanted = self.notes().attempts + more
        wait_until(lambda: self.notes().attempts >= wanted, 120)

    def stop(self) -> None:
        self.node.machine.run(["systemctl", "stop", self.name], check=False)


def written(node: Node, volume: Volume, path: str) -> int:
    """Count what a writer wrote to a published volume, as a node sees it now; fails if any of it is damaged."""
    node.machine.write_file(_PROGRAM, Path(lab.writer.__file__).read_bytes())
    what = ["blocks", path] if volume.capability.HasField("block") else ["lines", f"{path}/lines"]
    return int(node.machine.run(["python3", _PROGRAM, *what]).stdout)
