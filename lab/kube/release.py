"""The driver on a cluster of the lab, installed as its users install it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from lab import driver_image
from lab.kube.cluster import Cluster

CHART: Final = Path(__file__).parents[2] / "deploy/helm/csi-solidfire"
NAME: Final = "csi-solidfire"
NAMESPACE: Final = "csi-solidfire"
STORAGE_CLASS: Final = "solidfire"

_SECRET: Final = "solidfire-lab"
_GIVE_UP: Final = 20  # seconds, not the chart's 120, that a node which lost a volume hopes for it
_READY: Final = "15m"  # half a minute, where nothing else runs


def install(cluster: Cluster, *, wait: bool = True) -> None:
    """Install the chart for the cluster's array; the nodes must have the driver's image.

    Args:
        cluster: Where to.
        wait: Whether to return when all pods are ready.
    """
    write_secret(cluster)
    values = cluster.run.directory / "values.json"
    values.write_text(json.dumps(chart_values(), indent=2))
    waiting = ["--wait", f"--timeout={_READY}"] if wait else []
    cluster.helm("install", NAME, str(CHART), f"--namespace={NAMESPACE}", f"--values={values}", *waiting, timeout=960)


def write_secret(cluster: Cluster) -> None:
    """Write the Secret with the array's credentials, and its namespace."""
    with cluster.api() as api:
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _SECRET}}
        api.apply(secret | {"stringData": cluster.array.secret()}, NAMESPACE)


def chart_values() -> dict[str, Any]:
    """The values for a cluster of the lab; all else is as the chart has it."""
    repository, _, tag = driver_image.NAME.rpartition(":")
    return {
        "image": {"repository": repository, "tag": tag},
        "clusters": [{"name": "lab", "existingSecret": _SECRET}],
        "storageClasses": [{"name": STORAGE_CLASS}],
        "node": {"replacementTimeout": _GIVE_UP},
    }
