"""The consoles on a page of the documentation: run, and compared with what the page shows.

A console is a fenced block of kind `console`. Lines that start with `$ ` are commands, with the lines of a
here-document after them; what follows is what they print. A line `...` stands for any number of lines. What is
different each time (names that Kubernetes makes up, ages, dates, addresses, which node it was) may be different.

    python -m tests.e2e.walk docs/how-to/first-volume.md     # after `. …/environment`: writes what was printed
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

_ROOT: Final = Path(__file__).parents[2]
_CONSOLE: Final = re.compile(r"(?<=^```console\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
_HERE_DOCUMENT: Final = re.compile(r"<<'(\w+)'")
_NOT_HERE: Final = re.compile(r"make |\. ")  # the cluster is there, and this shell knows of it
_LOOKS: Final = re.compile(r"kubectl (-\S+ \S+ )*(get|describe|logs|wait|events) ")
_PATIENCE: Final = 600.0  # seconds until what a command that looks at something prints must be what the page shows
_POLL: Final = 0.05
_END_SECONDS: Final = 60.0
_END: Final = "\x1e"

_CHANGING: Final = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
    (r"-[0-9a-f]{5,10}-[a-z0-9]{5}(?![a-z0-9])", "-NAME"),
    (r"(?<=csi-solidfire-node)-[a-z0-9]{5}\b", "-NAME"),
    (r"\b(10\.244|192\.0\.2|10\.0)(\.\d+){1,2}\b", "ADDRESS"),
    (r"\bnode-\d\b", "NODE"),
    (r"\w{3} \w{3} +\d+ [\d:]{8} UTC \d{4}", "DATE"),
    (r"\b\d+( \(\S+ ago\))?(?= +(\d+[dhms])+)", "RESTARTS"),
    (r"\b(\d+[dhms])+( \(x\d+ over \S+\))?", "AGE"),
    (r"\b\d+(\.\d+)?[KMG]\b", "SIZE"),
)


@dataclass(frozen=True)
class Step:
    """A command and what it printed.

    Attributes:
        command: One line, or several with a here-document.
        output: What the page shows, or what there was.
    """

    command: str
    output: str

    @classmethod
    def read(cls, console: str) -> Iterator[Self]:
        lines = iter(console.splitlines())
        command, output = "", list[str]()
        for line in lines:
            if not line.startswith("$ "):
                output.append(line)
                continue
            if command:
                yield cls(command, "\n".join(output))
            command, output = line[2:], []
            if document := _HERE_DOCUMENT.search(command):
                for inner in lines:
                    command += f"\n{inner}"
                    if inner == document[1]:
                        break
        if command:
            yield cls(command, "\n".join(output))

    @property
    def is_run(self) -> bool:
        return not _NOT_HERE.match(self.command)

    @property
    def only_looks(self) -> bool:
        """Whether it may be run again until things are as they are to be."""
        return bool(self.output and _LOOKS.match(self.command))

    def is_like(self, other: Step) -> bool:
        """Whether another one printed what this one's page shows."""
        lines = [".*" if line == "..." else re.escape(line) for line in _masked(self.output)]
        pattern = "\n".join(lines).replace(".*\n", "(?:.*\n)?").replace("\n.*", "(?:\n.*)?")
        return re.fullmatch(pattern, "\n".join(_masked(other.output)), re.DOTALL) is not None

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.output}".rstrip("\n") + "\n"


class Shell:
    """A shell that keeps its variables from one command to the next; a context manager."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=_ROOT,
            env=environment,
        )

    def run(self, step: Step) -> Step:
        """Return a step as it is now: a command that only looks is given some time to see what the page shows."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            now = replace(step, output=self._run(step.command))
            if step.is_like(now) or not step.only_looks or time.monotonic() > deadline:
                return now
            time.sleep(_POLL)

    def _run(self, command: str) -> str:
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.write(f"{{ {command}\n}} < /dev/null; printf '{_END}\\n'\n")
        self._bash.stdin.flush()
        printed = ""
        for line in self._bash.stdout:
            printed += line
            if line.endswith(f"{_END}\n"):
                return printed.removesuffix(f"{_END}\n").strip("\n")
        raise AssertionError(f"the shell ended after: {printed}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bash.kill()
        self._bash.communicate(timeout=_END_SECONDS)  # It closes the pipes as well.


def steps(page: Path) -> list[Step]:
    """Return the commands of a page that are run, in their order."""
    return [step for console in _CONSOLE.findall(page.read_text()) for step in Step.read(console) if step.is_run]


def rewrite(page: Path, shell: Shell) -> None:
    """Run a page's commands and write what they print, where it is not what the page shows."""

    def run(step: Step) -> Step:
        if not step.is_run:
            return step
        now = shell.run(step)
        return step if step.is_like(now) else now

    def console(found: re.Match[str]) -> str:
        return "".join(str(run(step)) for step in Step.read(found[0]))

    page.write_text(_CONSOLE.sub(console, page.read_text()))


def _masked(text: str) -> list[str]:
    for pattern, name in _CHANGING:
        text = re.sub(pattern, name, text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]


def main() -> None:
    with Shell(dict(os.environ)) as shell:
        for page in sys.argv[1:]:
            rewrite(Path(page), shell)


if __name__ == "__main__":
    main()
