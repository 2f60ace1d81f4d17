"""All volumes of ours on several clusters, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from csi_solidfire import errors, logs
from csi_solidfire.element.types import Malformed, Volume
from csi_solidfire.handles import VolumeHandle, shorten
from csi_solidfire.storage.cluster import Cluster
from csi_solidfire.storage.marks import VolumeMark

log = logs.get(__name__)

_PAGE = 1000  # Volumes asked for at a time; an array has 4,000 at the most.


@dataclass(frozen=True)
class Listed:
    handle: VolumeHandle
    volume: Volume
    mark: VolumeMark


def page(clusters: Iterable[Cluster], starting_token: str, max_entries: int) -> tuple[list[Listed], str]:
    """Return a page of volumes and the token of the next one, empty at the end.

    A token is the handle of the last volume given out, so volumes that come and go in between shift nothing.
    Several names for one cluster list it once.

    Args:
        max_entries: 0 for all.

    Raises:
        errors.BadToken: The token is no handle.
    """
    after = _after(starting_token)
    by_id = {cluster.info().unique_id: cluster for cluster in clusters}
    entries: list[Listed] = []
    for unique_id in sorted(by_id):
        if after and unique_id < after.cluster_id:
            continue
        start = after.volume_id + 1 if after and unique_id == after.cluster_id else 1
        for listed in everything(by_id[unique_id], start):
            if max_entries and len(entries) == max_entries:
                return entries, str(entries[-1].handle)
            entries.append(listed)
    return entries, ""


def _after(token: str) -> VolumeHandle | None:
    try:
        return VolumeHandle.parse(token) if token else None
    except errors.NotFound:
        raise errors.BadToken(
            f"starting_token {shorten(token)} was not given out by this driver: list from the start"
        ) from None


def everything(cluster: Cluster, start: int = 1) -> Iterator[Listed]:
    """Yield the volumes of ours on one cluster, from an id upwards."""
    while True:
        found = cluster.client.list_active_volumes(start, _PAGE)
        for volume in found:
            if mark := _mark(volume):
                yield Listed(cluster.handle_of(volume), volume, mark)
        if len(found) < _PAGE:
            return
        start = found[-1].volume_id + 1


def _mark(volume: Volume) -> VolumeMark | None:
    """Read a mark; one that makes no sense must not hide all the other volumes."""
    try:
        return VolumeMark.of(volume)
    except Malformed as error:
        log.warning("a volume is left out of the list", reason=str(error))
        return None
