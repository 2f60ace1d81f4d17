"""Kubernetes' storage suite as a program."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lab import programs
from lab.conformance.results import Outcome, Results
from lab.conformance.specs import Listing, Spec
from lab.vm import LabError

DRIVER: Final = Path(__file__).with_name("driver.yaml")
VERSION: Final = programs.STORAGE_SUITE.version

_LIST_SECONDS: Final = 300.0
_GRACE_SECONDS: Final = 300.0  # for the suite's own end, once its time is up
_TAIL: Final = 2000  # characters


def build(say: Callable[[str], object]) -> None:
    """Build what the suite is, unless the cache has it."""
    for program in (programs.STORAGE_SUITE, programs.KUBECTL):
        programs.built(program, say)


def list_specs(results: Results) -> Listing:
    """Ask the suite what it has for the driver; needs no cluster."""
    text = _ask("-list-tests", f"-storage.testdriver={DRIVER}")
    listing = Listing.parse(text)
    if not listing.specs:
        raise LabError(f"the storage suite lists no spec:\n{text[-_TAIL:]}")
    results.keep_listing(text)
    return listing


def wanted_images() -> set[str]:
    """All images that any test of Kubernetes asks for, under their full names."""
    return set(_ask("-list-images").split())


def run(spec: Spec, results: Results, kubeconfig: Path, seconds: float) -> Outcome | None:
    """Run one spec, which takes a process of its own; its result is kept.

    Args:
        spec: Which one.
        results: Where to.
        kubeconfig: Of somebody who may do everything.
        seconds: How long it may take.

    Returns:
        None if it was not even begun: the cluster is not there, or not as it should be.
    """
    arguments = [
        f"-kubeconfig={kubeconfig}",
        f"-kubectl-path={programs.built(programs.KUBECTL)}",
        f"-storage.testdriver={DRIVER}",
        f"-lab.spec={spec.text}",
        f"-lab.result={results.result(spec)}",
        *("-ginkgo.v", "-ginkgo.no-color", f"-ginkgo.timeout={seconds:.0f}s"),
    ]
    results.forget(spec)
    with tempfile.TemporaryDirectory(prefix="conformance-") as home, results.log(spec).open("wb") as log:
        process = subprocess.Popen(
            [str(programs.built(programs.STORAGE_SUITE)), *arguments, f"-e2e-output-dir={home}"],
            env=_environment(home),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            process.wait(seconds + _GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            results.write(Outcome(spec, "timedout", f"it had not ended after {seconds:.0f} s"))
        finally:
            process.kill()
            process.wait()
    return results.find(spec)


def _ask(*arguments: str) -> str:
    with tempfile.TemporaryDirectory(prefix="conformance-") as home:
        ran = subprocess.run(
            [str(programs.built(programs.STORAGE_SUITE)), *arguments],
            env=_environment(home) | {"DEBUG_STORAGE_TESTSUITE": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIST_SECONDS,
        )
    if ran.returncode:
        raise LabError(f"the storage suite failed:\n{(ran.stdout + ran.stderr)[-_TAIL:]}")
    return ran.stdout


def _environment(home: str) -> dict[str, str]:
    """Nothing of the user's own, and no proxy on the way to this machine's API server."""
    return {"PATH": os.defpath, "HOME": home}
