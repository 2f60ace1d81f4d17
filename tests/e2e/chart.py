"""The release, changed as its users change it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lab.kube import release
from lab.kube.cluster import Cluster

_TIMEOUT = 900  # seconds


@contextmanager
def upgraded(cluster: Cluster, changes: Mapping[str, Any]) -> Iterator[None]:
    """Have the release upgraded with changed values, and as it was afterwards.

    Args:
        cluster: Where it is.
        changes: Top-level values.
    """
    upgrade(cluster, changes)
    try:
        yield
    finally:
        upgrade(cluster, {})


def upgrade(cluster: Cluster, changes: Mapping[str, Any]) -> None:
    """Upgrade the release to the usual values and some changes; return when all pods are ready."""
    values = cluster.run.directory / "upgrade.json"
    values.write_text(json.dumps(release.chart_values() | dict(changes), indent=2))
    cluster.helm(
        *("upgrade", release.NAME, str(release.CHART), f"--namespace={release.NAMESPACE}", f"--values={values}"),
        *("--wait", f"--timeout={_TIMEOUT}s"),
        timeout=_TIMEOUT + 60,
    )
