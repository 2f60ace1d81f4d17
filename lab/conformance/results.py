"""What came of specs, one file for each: a run can be ended at any time, and goes on where it was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.conformance.specs import Listing, Spec

DIRECTORY: Final = Path(__file__).parents[2] / ".lab/conformance"
"""Where they are unless somebody says otherwise; not in version control."""

_LISTING: Final = "listing.txt"


@dataclass(frozen=True)
class Outcome:
    """What came of a spec.

    Attributes:
        state: As Ginkgo calls it: `passed`, `skipped`, and others that all are failures.
        message: Why it failed or was skipped.
        where: The line of the suite where it failed.
        started: When, as RFC 3339 says.
        seconds: How long it took.
    """

    spec: Spec
    state: str
    message: str = ""
    where: str = ""
    started: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return self.state == "passed"

    @property
    def skipped(self) -> bool:
        return self.state == "skipped"

    @property
    def failed(self) -> bool:
        return not self.passed and not self.skipped

    @property
    def reason(self) -> str:
        """The first line of the message."""
        return next((line.strip() for line in self.message.splitlines() if line.strip()), "")


class Results:
    """A directory of them, and of what the suite and the driver said meanwhile."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory

    def result(self, spec: Spec) -> Path:
        """The file that the suite writes."""
        return self.directory / f"{spec.file_name}.json"

    def log(self, spec: Spec) -> Path:
        return self.directory / f"{spec.file_name}.log"

    def driver_log(self, spec: Spec) -> Path:
        return self.directory / f"{spec.file_name}.driver.log"

    def find(self, spec: Spec) -> Outcome | None:
        """Return what came of a spec, if anything did; a person's Ctrl-C does not count."""
        path = self.result(spec)
        if not path.exists():
            return None
        values = json.loads(path.read_text())
        outcome = Outcome(**values | {"spec": Spec(values["spec"])})
        return outcome if outcome.state != "interrupted" else None

    def write(self, outcome: Outcome) -> None:
        """Note what the suite could not write itself."""
        self.result(outcome.spec).write_text(json.dumps(vars(outcome) | {"spec": outcome.spec.text}))

    def forget(self, spec: Spec) -> None:
        for path in (self.result(spec), self.log(spec), self.driver_log(spec)):
            path.unlink(missing_ok=True)

    def keep_listing(self, text: str) -> None:
        (self.directory / _LISTING).write_text(text)

    def listing(self) -> Listing:
        """What the suite last had for the driver."""
        return Listing.parse((self.directory / _LISTING).read_text())
