"""`python -m lab.conformance list | run | report`: Kubernetes' own storage suite against the driver."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Final

from lab import driver_image, programs
from lab.conformance import images, report, suite
from lab.conformance.results import DIRECTORY, Results
from lab.conformance.runner import OnCluster, Runner
from lab.conformance.specs import Listing, Spec
from lab.kube import release
from lab.kube.cluster import Cluster
from lab.vm import LabError
from lab.vm.progress import Say

_TABLE: Final = Path(__file__).parents[2] / "docs/reference/conformance.md"


def main() -> int:
    options = _parser().parse_args()
    try:
        status: int = options.action(options)
    except (LabError, programs.BuildError) as error:
        print(f"The storage suite failed: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab.conformance", description=__doc__)
    parser.add_argument("--results", type=Path, default=DIRECTORY, help="directory of the results (%(default)s)")
    actions = parser.add_subparsers(required=True)
    listed = actions.add_parser("list", help="print the specs, and why some are not run")
    listed.set_defaults(action=_list)
    run = actions.add_parser("run", help="run the specs that have no result yet")
    run.set_defaults(action=_run)
    for each in (listed, run):
        each.add_argument("--focus", default="", metavar="REGEX", help="only specs whose text it is found in")
        each.add_argument("--shard", default="1/1", metavar="K/N", help="only every Nth spec, beginning with the Kth")
    run.add_argument("--cluster", metavar="NAME", help="use one that is up: `kubernetes`, after `make kubernetes`")
    run.add_argument("--jobs", type=int, default=2, help="specs at a time (%(default)s)")
    run.add_argument("--minutes", type=float, default=45.0, help="for one spec (%(default)s)")
    run.add_argument("--again", choices=("failed", "all"), help="run again what has failed, or all that is chosen")
    written = actions.add_parser("report", help="write the table of the documentation from the results")
    written.add_argument("--output", type=Path, default=_TABLE, help="where to (%(default)s)")
    written.set_defaults(action=_report)
    return parser


def _list(options: argparse.Namespace) -> int:
    suite.build(_say)
    listing = suite.list_specs(Results(options.results))
    for spec in _chosen(listing, options):
        print(f"{spec.title}{f'   NOT RUN: {spec.left_out}' if spec.left_out else ''}")
    for undefined in listing.undefined:
        print(f"[Testpattern: {undefined.pattern}] {undefined.suite}   NO SPECS: {undefined.why}")
    return 0


def _run(options: argparse.Namespace) -> int:
    suite.build(_say)
    if unknown := set(images.NAMES) - suite.wanted_images():
        raise LabError(f"Kubernetes {suite.VERSION} has other images than {', '.join(sorted(unknown))}")
    archive = images.archive(_say)
    results = Results(options.results)
    specs = [spec for spec in _chosen(suite.list_specs(results), options) if not spec.left_out]
    with _cluster(options.cluster, archive) as cluster:
        runner = Runner(OnCluster(cluster), results, jobs=options.jobs, seconds=options.minutes * 60, say=_say)
        complete = runner.run(specs, again=options.again)
    return 0 if _summarize(specs, results) and complete else 1


def _summarize(specs: list[Spec], results: Results) -> bool:
    """Print how it stands, and return whether it stands well."""
    found = [outcome for spec in specs if (outcome := results.find(spec))]
    failed = [outcome for outcome in found if outcome.failed]
    for outcome in failed:
        print(f"FAILED {outcome.spec.title}\n    {outcome.reason}\n    {results.log(outcome.spec)}")
    passed = sum(outcome.passed for outcome in found)
    skipped = sum(outcome.skipped for outcome in found)
    missing = len(specs) - len(found)
    print(f"{passed} passed, {len(failed)} failed, {skipped} skipped themselves, {missing} have no result")
    return not failed and not missing


def _report(options: argparse.Namespace) -> int:
    results = Results(options.results)
    options.output.write_text(report.written(results))
    print(options.output)
    return 0


def _cluster(name: str | None, archive: Path) -> Cluster:
    """A cluster with the driver and the suite's images; closing it ends it, unless it was up before."""
    if name is not None:
        attached = Cluster.attach(name)
        if attached is None:
            raise LabError(f"no cluster named {name} is up")
        with Say(_say).step("giving the nodes the images of the suite"):
            attached.import_image(archive)
        return attached
    started = Cluster.start(images=[driver_image.driver_image(_say), archive], say=_say)
    try:
        with Say(_say).step("installing the driver with helm"):
            release.install(started)
    except BaseException:
        started.close()
        raise
    return started


def _chosen(listing: Listing, options: argparse.Namespace) -> list[Spec]:
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", options.shard)
    if found is None or int(found[1]) > int(found[2]):
        raise LabError(f"--shard {options.shard}: it is 1/4, 2/4, ...")
    matching = [spec for spec in listing.specs if re.search(options.focus, spec.text)]
    return matching[int(found[1]) - 1 :: int(found[2])]


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
