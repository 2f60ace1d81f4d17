"""A pod that writes to its volume all the time, and what it knows to have written; see `lab.writer`."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

import lab.writer
from lab.site import Node

_PROGRAM = "/opt/writer.py"
_PATIENCE = 300  # seconds on a busy machine; some ten on a quiet one
# What iscsid says of a login refused for its CHAP credentials (seen with open-iscsi 2.1.8), before the target's name.
_REFUSED = ("Login failed to authenticate with target", "Login authentication failed with target")


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
        # A last line without its end is just being written.
        lines = [line.split() for line in text.split("\n")[:-1]]
        kinds = [line[0] for line in lines]
        resumed = "failed" in kinds and "ok" in kinds[kinds.index("failed") :]
        return cls(kinds.count("ok"), [line[2] for line in lines if line[0] == "failed"], resumed)


@dataclass(frozen=True)
class Writer:
    """A program on a node that never gives up by itself."""

    node: Node
    name: str

    @classmethod
    def start(cls, node: Node, path: str, *, block: bool = False) -> Writer:
        """Append lines to a file in a published directory, or overwrite a published device."""
        new = cls(node, f"writer-{secrets.token_hex(4)}")
        what = ["overwrite", path] if block else ["append", _lines(path)]
        node.machine.run(["touch", new._notes])  # to be followed before the first of them is there
        unit = ["systemd-run", "--quiet", "--collect", f"--unit={new.name}"]
        node.machine.run([*unit, *_program(node), *what, new._notes])
        return new

    @property
    def _notes(self) -> str:
        return f"/run/{self.name}"

    def notes(self) -> Notes:
        return Notes.parse(self.node.machine.run(["cat", self._notes]).stdout)

    def wait_for_attempts(self, more: int) -> None:
        """Wait until it has tried to write so many more times, in vain or not, without work for the node meanwhile.

        Raises:
            lab.vm.errors.CommandFailed: It has not, in five minutes.
        """
        # tail ends when it has more to tell than head wants to hear, and a writer always has.
        command = f"tail -n 0 -f {self._notes} | head -n {more} | wc -l | grep -qx {more}"
        self.node.machine.run(["timeout", str(_PATIENCE), "sh", "-c", command], timeout=_PATIENCE + 60)

    def stop(self) -> None:
        self.node.machine.run(["systemctl", "stop", self.name], check=False)


def written(node: Node, path: str, *, block: bool = False) -> int:
    """Count what a writer wrote, as a node sees it now.

    Raises:
        lab.vm.errors.CommandFailed: Some of it is not as it was written.
    """
    what = ["blocks", path] if block else ["lines", _lines(path)]
    return int(node.machine.run([*_program(node), *what]).stdout)


def refused_logins(node: Node, iqn: str) -> int:
    """Count how often a target has refused a node for its credentials so far, as its own iscsid tells."""
    log = node.machine.run("journalctl -u iscsid --no-pager -o cat").stdout
    return sum(log.count(f"{words} {iqn}") for words in _REFUSED)


def wait_for_refused_logins(node: Node, iqn: str, more: int) -> bool:
    """Wait until a target has refused a node so many more times; tell whether it did, in two minutes."""
    words = " ".join(f"-e '{each} {iqn}'" for each in _REFUSED)
    command = f"journalctl -u iscsid -f -n 0 -o cat | grep -F -m {more} {words} | wc -l | grep -qx {more}"
    return node.machine.run(["timeout", "120", "sh", "-c", command], check=False, timeout=180).exit_code == 0


def _lines(directory: str) -> str:
    return f"{directory}/lines"


def _program(node: Node) -> list[str]:
    """Put the program on a node."""
    node.machine.write_file(_PROGRAM, Path(lab.writer.__file__).read_bytes())
    return ["python3", _PROGRAM]
