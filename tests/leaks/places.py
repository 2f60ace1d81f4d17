"""Where secrets could turn up on a node: what it runs, what it logs and what is in its files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.site import Node
from tests.leaks.needles import Secrets
from tests.support.driver import wait_until

_GUEST = Path(__file__).parent / "guest"
_DIRECTORY = "/opt/leaks"
EXECS = "/run/leaks-execs"
CORES = "/var/leaks-cores"
JOURNAL = ("journalctl", "--no-pager", "--all", "--output=export")
KERNEL = ("dmesg",)
STARTED = ("cat", EXECS)


@dataclass(frozen=True)
class Found:
    """A file with secrets.

    Attributes:
        names: Whose they are.
        modes: The file's and its directory's, `f 600` and `d 700`.
    """

    names: tuple[str, ...]
    modes: tuple[str, str]


@dataclass
class Watched:
    """A node of which everything is written down that is started on it, from `begin` on."""

    node: Node
    since: float

    @classmethod
    def begin(cls, node: Node) -> Watched:
        node.machine.send_tree({_DIRECTORY: _GUEST})
        unit = ["systemd-run", "--quiet", "--collect", "--unit=leaks-execs"]
        node.machine.run([*unit, "python3", f"{_DIRECTORY}/watch_execs.py", EXECS])
        wait_until(lambda: node.machine.run(["test", "-s", EXECS], check=False).exit_code == 0, 60)
        return cls(node, float(node.machine.run(["date", "+%s"]).stdout))

    def files(self, secrets: Secrets) -> dict[str, Found]:
        """Return the files that have secrets in them now, of those that were changed since the beginning.

        What was there before and has not been changed cannot hold them: they are made up as the story goes.
        """
        answer = self._search(secrets, self.since, [])["files"]
        return {path: Found(tuple(found["names"]), tuple(found["modes"])) for path, found in answer.items()}

    def output(self, secrets: Secrets, command: Sequence[str]) -> set[str]:
        """Return the names of the secrets that a command prints."""
        return set(self._search(secrets, None, [command])["commands"][0])

    def _search(self, secrets: Secrets, since: float | None, commands: Sequence[Sequence[str]]) -> dict[str, Any]:
        needles = {needle.hex(): name for needle, name in secrets.needles().items()}
        order = {"needles": needles, "since": since, "commands": [list(command) for command in commands]}
        ran = self.node.machine.run(["python3", f"{_DIRECTORY}/find.py"], input=json.dumps(order), timeout=600)
        answer: dict[str, Any] = json.loads(ran.stdout)
        return answer
