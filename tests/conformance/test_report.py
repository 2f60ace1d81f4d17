"""The table of the documentation says what the results say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lab.conformance import report, suite
from lab.conformance.results import Outcome, Results
from lab.conformance.specs import Listing, Spec

_LISTED = Path(__file__).with_name("listing.txt").read_text()
_DAY = "2026-11-23T10:00:00Z"


@pytest.fixture
def results(tmp_path: Path) -> Results:
    made = Results(tmp_path / "results")
    made.keep_listing(_LISTED)
    return made


def spec(words: str) -> Spec:
    (found,) = [each for each in Listing.parse(_LISTED).specs if words in each.text]
    return found


def test_numbers_by_suite_and_pattern(results: Results) -> None:
    results.write(Outcome(spec("allow exec"), "passed", started=_DAY, seconds=90))
    results.write(Outcome(spec("store data"), "failed", "timed out\nlong story", started=_DAY, seconds=30))
    text = report.written(results)

    assert "| volumes | Dynamic PV (xfs) | 1 | 1 |  |" in text
    assert "| multiVolume | Dynamic PV (ext4) |  |  | 1 |" in text
    assert "7 specs: 1 passed, 1 failed, 5 not run" in text
    assert suite.VERSION in text
    assert "Run 2026-11-23; 2 minutes of specs" in text


def test_each_failure_with_its_reason(results: Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    explained = tmp_path / "failures.yaml"
    monkeypatch.setattr(report, "EXPLAINED", explained)
    failed = spec("store data")
    results.write(Outcome(failed, "failed", "\n  Timed out after 300 s\nlong story", started=_DAY))

    explained.write_text("{}")
    assert "Not explained yet." in report.written(results)
    explained.write_text(yaml.safe_dump({failed.text: "The lab is too slow."}))
    text = report.written(results)
    assert f"**{failed.title}**" in text
    assert "`Timed out after 300 s`" in text
    assert "The lab is too slow." in text


def test_what_was_not_run_and_why(results: Results) -> None:
    reason = 'Driver "csi-solidfire.io" does not support cloning - skipping'
    results.write(Outcome(spec("pvc data source"), "skipped", reason, started=_DAY))
    text = report.written(results)

    assert "| Driver does not support cloning | 1 | provisioning |" in text
    assert "| not run yet | 4 | multiVolume, read-write-once-pod, volumes |" in text
    assert "is refused, for it would be destroyed; raw block volumes are tested | 1 | multiVolume |" in text
    assert '| Driver does not support volume type "InlineVolume" | volumes, Inline-volume (default fs); ' in text


def test_an_old_result_of_what_is_left_out_now_does_not_count(results: Results) -> None:
    results.write(Outcome(spec("(ext4)"), "failed", "refused", started=_DAY))
    text = report.written(results)
    assert "## Failed" not in text
    assert "0 failed" in text
