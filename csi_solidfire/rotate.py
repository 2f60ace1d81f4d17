"""The command `csi-solidfire rotate-chap`: begins rotations and tells what they wait for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import TextIO

from csi_solidfire import config, deadline, errors
from csi_solidfire.storage import rotation
from csi_solidfire.storage.cluster import Cluster
from csi_solidfire.storage.clusters import Clusters
from csi_solidfire.storage.listing import Listed
from csi_solidfire.storage.rotation import Retired

_SECONDS = 120.0  # for one look at a cluster
_PAUSE = 5.0  # seconds between two looks of --watch; a volume moves when somebody restarts its pod


def run(settings: config.RotateChap, out: TextIO = sys.stdout) -> int:
    """Do what the settings ask for; return the exit status: 0, or 1 if an array refused or did not answer."""
    clusters = Clusters(
        settings.clusters_dir, verify_tls=not settings.insecure_skip_tls_verify, parallel=settings.array_calls
    )
    try:
        chosen = _chosen(clusters, settings.cluster)
        if settings.account or settings.all:
            _begin(chosen, settings.account, out)
        _show(chosen, out, watch=settings.watch)
    except errors.DriverError as error:
        print(f"{config.PROGRAM}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _chosen(clusters: Clusters, name: str) -> Mapping[str, Cluster]:
    if not name:
        return clusters.configured()
    names = clusters.names()
    if name not in names:
        raise errors.InvalidRequest(f"--cluster {name} is not one; configured are: {', '.join(names)}")
    return {name: clusters.choose({}, name)}  # Whatever is wrong with the Secrets of the others.


def _begin(chosen: Mapping[str, Cluster], accounts: tuple[str, ...], out: TextIO) -> None:
    if accounts and len(chosen) > 1:
        raise errors.InvalidRequest("--account needs --cluster where several are configured: names may be on each")
    for name, cluster in chosen.items():
        with deadline.until(_SECONDS):
            for account in rotation.retire(cluster, accounts):
                print(f"{name}: account {account}: new secrets for whatever is attached from now on", file=out)


def _show(chosen: Mapping[str, Cluster], out: TextIO, *, watch: bool) -> None:
    """Print what waits; again whenever it changes, until nothing does, if asked to watch."""
    shown: list[str] = []
    pause = threading.Event()
    while True:
        lines = []
        for name, cluster in chosen.items():
            with deadline.until(_SECONDS):
                lines += [f"{name}: {line}" for retired in rotation.waiting(cluster) for line in _lines(retired)]
        if lines != shown or not lines:
            print("\n".join(lines or ["nothing waits: no account has old secrets"]), file=out, flush=True)
        if not (watch and lines):
            return
        shown = lines
        pause.wait(_PAUSE)


def _lines(retired: Retired) -> list[str]:
    account = f"account {retired.username}"
    lines = [f"{account}: {_waits(listed)}" for listed in retired.volumes]
    if retired.deleted:
        lines.append(f"{account}: {retired.deleted} deleted and not purged: goes when the recycle bin is emptied")
    return lines or [f"{account}: empty, about to be removed"]


def _waits(listed: Listed) -> str:
    mark = listed.mark
    claim = f"claim {mark.full_claim}" if mark.claim else f"volume {mark.name}"
    nodes = " and ".join(sorted({node.hostname for node in mark.nodes}))
    if nodes:
        return f"{claim} is attached to {nodes}: moves once its pods have been stopped and started"
    return f"{claim} is not attached: moves when it is next"
