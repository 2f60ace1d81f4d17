"""Which cluster a request is for, and with whose credentials.

Clusters are mounted Kubernetes Secrets, one directory each, read anew for every request: kubelet swaps
the files under us when a password is rotated. Secrets that come with a request win over them.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import cachetools

from csi_solidfire import deadline, errors, logs
from csi_solidfire.element.transport import Credentials
from csi_solidfire.handles import VolumeHandle, shorten
from csi_solidfire.storage import credentials
from csi_solidfire.storage.cluster import Cluster

log = logs.get(__name__)

_MOST = 256


class Clusters:
    """The clusters this controller can reach. Keeps connections, by the credentials they were made with."""

    def __init__(self, directory: Path | None, *, verify_tls: bool, parallel: int) -> None:
        self._directory = directory
        self._verify_tls = verify_tls
        self._parallel = parallel
        self._lock = threading.Lock()
        self._connected: cachetools.LRUCache[tuple[Credentials, str], Cluster] = cachetools.LRUCache(_MOST)

    @property
    def are_configured(self) -> bool:
        return self._directory is not None

    def configured(self) -> dict[str, Cluster]:
        """Return all clusters of the directory by name.

        Raises:
            errors.Refused: None are to be configured.
            errors.Unavailable: The directory is empty or a Secret in it cannot be used. Once that is mended
                the same request may succeed, and an earlier one may have, so it is not final.
        """
        return {entry.name: self._mounted(entry) for entry in self._entries()}

    def names(self) -> list[str]:
        """Return what the configured clusters are called, whether or not their Secrets can be used.

        Raises:
            errors.Refused: None are to be configured.
            errors.Unavailable: The directory is empty or cannot be read.
        """
        return [entry.name for entry in self._entries()]

    def _entries(self) -> list[Path]:
        """Return the directories of the clusters, by name."""
        if self._directory is None:
            raise errors.Refused("no clusters are configured (--clusters-dir) and this call carries no secrets")
        try:
            found = sorted(
                entry for entry in self._directory.iterdir() if entry.is_dir() and not entry.name.startswith(".")
            )
        except OSError as error:
            raise errors.Unavailable(
                f"the clusters directory {self._directory} cannot be read: {error.strerror}"
            ) from error
        if not found:
            raise errors.Unavailable(f"clusters directory {self._directory} is empty: mount a Secret in it")
        return found

    def _mounted(self, entry: Path) -> Cluster:
        try:
            return self._connect(credentials.read(entry), f"cluster {entry.name}")
        except errors.InvalidRequest as error:
            raise errors.Unavailable(str(error)) from error

    def usable(self) -> tuple[dict[str, Cluster], errors.Unavailable | None]:
        """Return the clusters whose Secrets can be used, by name, and what is wrong with the last of the others."""
        clusters, problem = {}, None
        for entry in self._entries():
            try:
                clusters[entry.name] = self._mounted(entry)
            except errors.Unavailable as error:
                problem = error
        return clusters, problem

    def choose(self, secrets: Mapping[str, str], wanted: str) -> Cluster:
        """Return the cluster for a new volume: the secrets' one, else the one named, else the only one.

        Raises:
            errors.InvalidRequest: The name is unknown, or missing where there are several.
        """
        if secrets:
            return self._connect(secrets, "secrets")
        entries = {entry.name: entry for entry in self._entries()}
        if not wanted and len(entries) == 1:
            wanted = next(iter(entries))
        if wanted not in entries:
            given = f"{shorten(wanted)} is not one" if wanted else "is missing"
            raise errors.InvalidRequest(f"parameters: cluster {given}; configured are: {', '.join(entries)}")
        return self._mounted(entries[wanted])

    def of_handle(self, handle: VolumeHandle, secrets: Mapping[str, str]) -> Cluster:
        """Return the cluster that a volume is on.

        Raises:
            errors.Refused: No credentials given or configured lead there.
            errors.Unavailable: One that did not answer may be it.
        """
        silent: errors.DriverError | None
        candidates, silent = ({"secrets": self._connect(secrets, "secrets")}, None) if secrets else self.usable()
        # Whoever is known to be it must not wait for others; `Cluster.find` notices if it no longer is.
        for cluster in candidates.values():
            if cluster.last_known_id == handle.cluster_id:
                return cluster
        seen = {}
        for position, (name, cluster) in enumerate(candidates.items()):
            # One that is down may use up its share of the caller's time, and no more.
            share = deadline.remaining() / (len(candidates) - position + 1)
            try:
                with deadline.until(share):
                    seen[name] = cluster.info().unique_id
            except errors.DriverError as error:
                silent = error
            else:
                if seen[name] == handle.cluster_id:
                    return cluster
        if silent is not None:
            raise silent
        where = ", ".join(f"{name} is {unique_id}" for name, unique_id in seen.items())
        raise errors.Refused(f"volume {handle} is on none of the known clusters ({where}): nothing was done")

    def _connect(self, values: Mapping[str, str], where: str) -> Cluster:
        access, svip = credentials.check(values, where, verify_tls=self._verify_tls)
        with self._lock:
            cluster = self._connected.get((access, svip))
            if cluster is None:
                if not self._verify_tls:
                    log.warning("the array's TLS certificate is not verified", cluster=access.host)
                cluster = self._connected[access, svip] = Cluster(access, svip, self._parallel)
        return cluster
