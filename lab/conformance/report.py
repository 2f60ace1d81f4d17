"""The table for the documentation, from the results."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import yaml

from lab.conformance import suite
from lab.conformance.results import Outcome, Results
from lab.conformance.specs import Listing, Spec

EXPLAINED: Final = Path(__file__).with_name("failures.yaml")
"""Why specs fail, by their full texts; written by people."""

_NO_RESULT: Final = "not run yet"
_INTRODUCTION: Final = """\
# Kubernetes' storage suite

What the specs of Kubernetes' own suite for storage drivers ([External Storage][suite]) say of this driver, on the
lab's cluster: real kubelets and a real API server, the driver installed with its chart, an array that serves real
iSCSI. Written by `python -m lab.conformance report` from the results of `make conformance`; what the suite is told of
the driver is in [driver.yaml](../../lab/conformance/driver.yaml).

[suite]: https://github.com/kubernetes/kubernetes/tree/{version}/test/e2e/storage/external
"""


def written(results: Results) -> str:
    """Return the page, in Markdown."""
    listing = results.listing()
    outcomes = {spec: outcome for spec in listing.specs if (outcome := results.find(spec))}
    parts = [
        _INTRODUCTION.format(version=suite.VERSION),
        _facts(listing, outcomes),
        _table(listing.specs, outcomes),
        _failures(outcomes.values()),
        _not_run(listing, outcomes),
        _undefined(listing),
    ]
    return "\n".join(part for part in parts if part)


def _facts(listing: Listing, outcomes: dict[Spec, Outcome]) -> str:
    count = Counter(_column(spec, outcomes) for spec in listing.specs)
    lines = [
        f"- Kubernetes {suite.VERSION}, two emulated nodes",
        f"- {len(listing.specs)} specs: {count['passed']} passed, {count['failed']} failed, {count['not run']} not run",
    ]
    ran = [outcome for outcome in outcomes.values() if not outcome.skipped]
    if ran:
        days = sorted({outcome.started[:10] for outcome in ran})
        minutes = sum(outcome.seconds for outcome in ran) / 60
        lines.append(f"- Run {' to '.join(dict.fromkeys((days[0], days[-1])))}; {minutes:.0f} minutes of specs")
    return "\n".join(lines) + "\n"


def _table(specs: Iterable[Spec], outcomes: dict[Spec, Outcome]) -> str:
    counts: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for spec in specs:
        counts[spec.suite, spec.pattern][_column(spec, outcomes)] += 1
    lines = ["| Suite | Pattern | Passed | Failed | Not run |", "|---|---|---|---|---|"]
    for (name, pattern), count in sorted(counts.items()):
        numbers = " | ".join(str(count[column] or "") for column in ("passed", "failed", "not run"))
        lines.append(f"| {name} | {pattern} | {numbers} |")
    return "\n".join(lines) + "\n"


def _column(spec: Spec, outcomes: dict[Spec, Outcome]) -> str:
    outcome = outcomes.get(spec)
    if outcome is None or outcome.skipped or spec.left_out:
        return "not run"
    return "passed" if outcome.passed else "failed"


def _failures(outcomes: Iterable[Outcome]) -> str:
    failed = sorted((outcome for outcome in outcomes if outcome.failed and not outcome.spec.left_out), key=_by_spec)
    if not failed:
        return ""
    explained = yaml.safe_load(EXPLAINED.read_text()) or {}
    lines = ["## Failed\n"]
    for outcome in failed:
        lines += [
            f"- **{outcome.spec.title}**",
            f"  - `{outcome.reason[:300].replace('`', chr(39))}`",
            f"  - {explained.get(outcome.spec.text, 'Not explained yet.').strip()}",
        ]
    return "\n".join(lines) + "\n"


def _not_run(listing: Listing, outcomes: dict[Spec, Outcome]) -> str:
    grouped: defaultdict[str, list[Spec]] = defaultdict(list)
    for spec in listing.specs:
        if _column(spec, outcomes) == "not run":
            outcome = outcomes.get(spec)
            grouped[spec.left_out or (_plain(outcome.reason) if outcome else _NO_RESULT)].append(spec)
    return _grouped("## Not run\n", grouped)


def _undefined(listing: Listing) -> str:
    """Tell of suites that have no spec at all for a pattern; the reasons are the suite's."""
    grouped: defaultdict[str, list[str]] = defaultdict(list)
    for each in listing.undefined:
        grouped[_plain(each.why)].append(f"{each.suite}, {each.pattern.strip()}")
    if not grouped:
        return ""
    lines = ["## No specs for this driver\n", "| Why | Suites and patterns |", "|---|---|"]
    lines += [f"| {why} | {'; '.join(what)} |" for why, what in sorted(grouped.items())]
    return "\n".join(lines) + "\n"


def _grouped(title: str, grouped: dict[str, list[Spec]]) -> str:
    if not grouped:
        return ""
    lines = [title, "| Why | Specs | Suites |", "|---|---|---|"]
    for why, specs in sorted(grouped.items()):
        lines.append(f"| {why} | {len(specs)} | {', '.join(sorted({spec.suite for spec in specs}))} |")
    return "\n".join(lines) + "\n"


def _plain(reason: str) -> str:
    """A reason of the suite's without what all of them say, so that equal ones are equal."""
    text = reason.removesuffix("- skipping").removesuffix("-- skipping").rstrip(" -")
    return text.replace('"csi-solidfire.io" ', "").replace("csi-solidfire.io ", "").replace("|", "\\|")


def _by_spec(outcome: Outcome) -> Spec:
    return outcome.spec
