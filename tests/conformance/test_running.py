"""Which specs are run, which are not run again, and what is kept of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.conformance.results import Outcome, Results
from lab.conformance.runner import Runner
from lab.conformance.specs import Listing, Spec

LISTING = Listing.parse((Path(__file__).with_name("listing.txt")).read_text())
RUN = [spec for spec in LISTING.specs if not spec.left_out]


class Somewhere:
    """A cluster where nothing is, but for what a test puts on its array."""

    kubeconfig = Path("/nonexistent")

    def __init__(self) -> None:
        self.on_array: set[str] = set()

    def driver_log(self, since: str) -> str:
        return f"since {since}"

    def volumes(self) -> set[str]:
        return set(self.on_array)


class Suite:
    """Does what the program does: it writes its results itself."""

    def __init__(self, state: Callable[[Spec], str | None] = lambda _: "passed") -> None:
        self.ran: list[Spec] = []
        self.together = 0
        self._state = state
        self._running = 0
        self._lock = threading.Lock()

    def run(self, spec: Spec, results: Results, kubeconfig: Path, seconds: float) -> Outcome | None:
        with self._lock:
            self._running += 1
            self.ran.append(spec)
        self.together = max(self.together, self._running if spec.is_serial else 0)
        state = self._state(spec)
        if state is not None:
            text = {"spec": spec.text, "state": state, "message": "", "where": "", "started": "", "seconds": 1.5}
            results.result(spec).write_text(json.dumps(text))
        with self._lock:
            self._running -= 1
        return results.find(spec)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


def run(suite: Suite, results: Results, where: Somewhere | None = None, *, again: str | None = None) -> bool:
    runner = Runner(where or Somewhere(), results, jobs=2, seconds=1, say=print, run_spec=suite.run)
    return runner.run(RUN, again)


def test_what_the_suite_lists() -> None:
    assert len(LISTING.specs) == 7
    assert {(spec.suite, spec.pattern) for spec in LISTING.specs} == {
        ("disruptive", "Dynamic PV (block volmode)"),
        ("multiVolume", "Dynamic PV (block volmode)"),
        ("multiVolume", "Dynamic PV (ext4)"),
        ("provisioning", "Dynamic PV (block volmode)"),
        ("read-write-once-pod", "Dynamic PV (default fs)"),
        ("volumes", "Dynamic PV (xfs)"),
    }
    first = LISTING.undefined[0]
    assert (first.suite, first.pattern) == ("capacity", "Dynamic PV (default fs)")
    assert first.why == "Driver csi-solidfire.io doesn't publish storage capacity"


def test_a_filesystem_is_not_asked_for_on_two_nodes_but_a_raw_device_is() -> None:
    left_out = {spec.pattern for spec in LISTING.specs if spec.left_out and spec.suite == "multiVolume"}
    assert left_out == {"Dynamic PV (ext4)"}


def test_files_have_names_that_fit_and_differ() -> None:
    names = {spec.file_name for spec in LISTING.specs}
    assert len(names) == len(LISTING.specs)
    assert max(len(f"{name}.driver.log.part") for name in names) < 255


def test_a_run_goes_on_where_it_was_ended(results: Results) -> None:
    first = Suite(lambda spec: None if spec.suite == "provisioning" else "passed")
    assert not run(first, results)
    assert sorted(first.ran) == sorted(RUN)

    second = Suite()
    assert run(second, results)
    assert [spec.suite for spec in second.ran] == ["provisioning"]

    third = Suite()
    assert run(third, results)
    assert not third.ran


def test_what_was_interrupted_has_no_result(results: Results) -> None:
    run(Suite(lambda _: "interrupted"), results)
    assert sorted(_ran(results, None)) == sorted(RUN)


def test_what_failed_is_run_again_only_if_wanted(results: Results) -> None:
    run(Suite(lambda spec: "failed" if spec.suite == "volumes" else "skipped"), results)
    assert not _ran(results, None)
    assert {spec.suite for spec in _ran(results, "failed")} == {"volumes"}
    assert sorted(_ran(results, "all")) == sorted(RUN)


def _ran(results: Results, again: str | None) -> list[Spec]:
    suite = Suite()
    run(suite, results, again=again)
    return suite.ran


def test_serial_specs_run_alone_and_last(results: Results) -> None:
    suite = Suite()
    run(suite, results)
    assert suite.ran[-1].is_serial
    assert suite.together == 1


def test_the_driver_log_is_kept_of_what_failed(results: Results) -> None:
    run(Suite(lambda spec: "failed" if spec.suite == "volumes" else "passed"), results)
    kept = {spec.suite for spec in RUN if results.driver_log(spec).exists()}
    assert kept == {"volumes"}


def test_it_gives_up_when_the_cluster_is_gone(results: Results) -> None:
    suite = Suite(lambda _: None)
    assert not run(suite, results)
    assert len(suite.ran) < len(RUN)


def test_a_volume_that_stays_is_no_success(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.conformance.runner._CLEAN_SECONDS", 0.1)
    where = Somewhere()
    where.on_array = {"somebody's"}
    assert run(Suite(), results, where)

    def leaves_one(spec: Spec) -> str:
        where.on_array.add("left")
        return "passed"

    assert not run(Suite(leaves_one), results, where, again="all")
