"""Run specs on a cluster, some at a time, and look that nothing stays behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from lab.conformance import suite
from lab.conformance.results import Outcome, Results
from lab.conformance.specs import Spec
from lab.kube import release
from lab.kube.cluster import Cluster

RunSpec = Callable[[Spec, Results, Path, float], Outcome | None]

_GIVE_UP: Final = 3  # specs one after the other that could not even be begun
_CLEAN_SECONDS: Final = 900.0  # a namespace's volumes go after the spec that made them
_POLL: Final = 0.05


class Where(Protocol):
    """What of a cluster is needed here."""

    @property
    def kubeconfig(self) -> Path: ...

    def driver_log(self, since: str) -> str:
        """Return what the driver's pods have said since a time (RFC 3339)."""

    def volumes(self) -> set[str]:
        """Return the names of the volumes on the array."""


class OnCluster:
    """The lab's."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @property
    def kubeconfig(self) -> Path:
        return self._cluster.kubeconfig

    def driver_log(self, since: str) -> str:
        pods = self._cluster.kubectl("-n", release.NAMESPACE, "get", "pods", "-o", "name", check=False).split()
        options = ("-n", release.NAMESPACE, "--all-containers", "--prefix", "--timestamps", f"--since-time={since}")
        return "".join(self._cluster.kubectl("logs", *options, pod, check=False) for pod in pods)

    def volumes(self) -> set[str]:
        listed = self._cluster.array.call("ListActiveVolumes")["volumes"]
        return {f"{volume['name']} ({volume['volumeID']})" for volume in listed}


class Runner:
    """Runs specs, each in a process of its own."""

    def __init__(
        self,
        where: Where,
        results: Results,
        *,
        jobs: int,
        seconds: float,
        say: Callable[[str], object],
        run_spec: RunSpec = suite.run,
    ) -> None:
        """Prepare to run.

        Args:
            where: The cluster.
            results: What is there already, and where more goes.
            jobs: How many specs at a time, but for those that must be alone.
            seconds: How long a spec may take.
            say: Told how it goes.
            run_spec: Runs one.
        """
        self._where = where
        self._results = results
        self._jobs = jobs
        self._seconds = seconds
        self._say = say
        self._run_spec = run_spec
        self._lock = threading.Lock()
        self._done = self._wanted = self._not_begun = 0

    def run(self, specs: Sequence[Spec], again: str | None = None) -> bool:
        """Run those that have no result, and say whether all went its way: each begun, and nothing left behind.

        Args:
            specs: Which ones.
            again: `all` runs all of them, `failed` those too that have failed.
        """
        wanted = [spec for spec in specs if self._is_wanted(spec, again)]
        self._done, self._wanted = 0, len(wanted)
        self._say(f"{len(wanted)} specs to run; {len(specs) - len(wanted)} have a result already")
        before = self._where.volumes()
        with ThreadPoolExecutor(self._jobs) as pool:
            try:
                list(pool.map(self._one, [spec for spec in wanted if not spec.is_serial]))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        for spec in wanted:
            if spec.is_serial:
                self._one(spec)
        return self._all_begun and (not wanted or self._is_clean(before))

    def _is_wanted(self, spec: Spec, again: str | None) -> bool:
        found = self._results.find(spec)
        return found is None or again == "all" or (again == "failed" and found.failed)

    @property
    def _all_begun(self) -> bool:
        return self._done == self._wanted

    def _one(self, spec: Spec) -> None:
        if self._not_begun >= _GIVE_UP:
            return
        started, since = time.monotonic(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        outcome = self._run_spec(spec, self._results, self._where.kubeconfig, self._seconds)
        if outcome is None or outcome.failed:
            self._results.driver_log(spec).write_text(self._where.driver_log(since))
        with self._lock:
            self._not_begun = self._not_begun + 1 if outcome is None else 0
            self._done += outcome is not None
            self._tell(spec, outcome, time.monotonic() - started)

    def _tell(self, spec: Spec, outcome: Outcome | None, seconds: float) -> None:
        state = outcome.state if outcome else "NOT BEGUN"
        self._say(f"{self._done}/{self._wanted} {state} {seconds:.0f} s {spec.title}")
        if outcome is None or outcome.failed:
            self._say(f"    {outcome.reason if outcome else ''}  see {self._results.log(spec)}")
        if self._not_begun >= _GIVE_UP:
            self._say(f"giving up: {_GIVE_UP} specs one after the other could not be begun")

    def _is_clean(self, before: set[str]) -> bool:
        """Wait until the array has only what it had before, and say what it has beside."""
        deadline = time.monotonic() + _CLEAN_SECONDS
        while left := self._where.volumes() - before:
            if time.monotonic() > deadline:
                self._say(f"left on the array: {', '.join(sorted(left))}")
                return False
            time.sleep(_POLL)
        return True
