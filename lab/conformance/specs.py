"""The specs of the suite: what they are called, and which of them are not for this lab."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

_TEXT: Final = re.compile(r"\[Testpattern: (?P<pattern>[^\]]*)\](?: \[[^\]]*\])* (?P<suite>\S+)")
_LISTED: Final = re.compile(r"^\s+\S+:\d+: (External Storage .*)$", re.MULTILINE)
_UNDEFINED: Final = re.compile(
    r"^Skipping registration: \[Testpattern: (?P<pattern>[^\]]*)\] (?P<suite>.+?) \[Driver: [^\]]*\] - (?P<why>.*)$",
    re.MULTILINE,
)
# Each with the reason that a reader of the table gets.
_LEFT_OUT: Final = (
    (
        re.compile(r"\[Disruptive\]"),
        "needs SSH or crictl on the nodes, which the lab's do not have; `make e2e` restarts kubelet its own way",
    ),
    (
        re.compile(r"volumeLimits should support volume limits"),
        "fills a node to its limit, 256 volumes by default: more than an emulated one can mount",
    ),
    (
        # The block one skips itself.
        re.compile(r"^(?!.*block volmode).*should provision storage with any volume data source"),
        "needs the volume populator's images, which are in a registry only",
    ),
    (
        # The suite's RWX means filesystems too.
        re.compile(r"^(?!.*block volmode).*should concurrently access the single volume from pods on different node"),
        "a filesystem on several nodes at once is refused, for it would be destroyed; raw block volumes are tested",
    ),
)


@dataclass(frozen=True, order=True)
class Spec:
    """One spec, known by its full text."""

    text: str

    @property
    def suite(self) -> str:
        found = _TEXT.search(self.text)
        return found["suite"] if found else ""

    @property
    def pattern(self) -> str:
        found = _TEXT.search(self.text)
        return found["pattern"] if found else ""

    @property
    def title(self) -> str:
        """Without what all have in common."""
        return self.text[max(self.text.find("[Testpattern"), 0) :]

    @property
    def file_name(self) -> str:
        """Without an ending, and not longer than files' names may be."""
        words = re.sub(r"[^a-zA-Z0-9]+", "-", self.title.removeprefix("[Testpattern: ")).strip("-")
        return f"{words[:120]}-{hashlib.sha256(self.text.encode()).hexdigest()[:8]}"

    @property
    def is_serial(self) -> bool:
        """Whether nothing may run beside it."""
        return "[Serial]" in self.text

    @property
    def left_out(self) -> str:
        """Why it is not run here; empty if it is."""
        return next((why for pattern, why in _LEFT_OUT if pattern.search(self.text)), "")


@dataclass(frozen=True)
class Undefined:
    """A suite that defines no spec for a pattern, since the driver is not for it."""

    suite: str
    pattern: str
    why: str


@dataclass(frozen=True)
class Listing:
    """What the suite has for the driver."""

    specs: tuple[Spec, ...]
    undefined: tuple[Undefined, ...]

    @classmethod
    def parse(cls, text: str) -> Listing:
        """Read what the suite prints with -list-tests, and DEBUG_STORAGE_TESTSUITE in its environment."""
        specs = {Spec(found) for found in _LISTED.findall(text)}
        undefined = {Undefined(found["suite"], found["pattern"], found["why"]) for found in _UNDEFINED.finditer(text)}
        return cls(tuple(sorted(specs)), tuple(sorted(undefined, key=lambda each: (each.suite, each.pattern))))
