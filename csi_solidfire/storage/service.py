"""The array side of the driver: one method for each thing CSI's controller service wants of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from csi_solidfire import deadline, errors, logs
from csi_solidfire.element.types import Volume
from csi_solidfire.handles import Chap, NodeId, PublishContext, VolumeHandle
from csi_solidfire.inflight import InFlight
from csi_solidfire.storage import listing, publishing, volumes
from csi_solidfire.storage.access import Attachment
from csi_solidfire.storage.accounts import chap_of
from csi_solidfire.storage.cluster import Cluster
from csi_solidfire.storage.clusters import Clusters
from csi_solidfire.storage.janitor import Janitor
from csi_solidfire.storage.listing import Listed
from csi_solidfire.storage.marks import VolumeMark
from csi_solidfire.storage.parameters import Parameters
from csi_solidfire.storage.volumes import VolumeSpec

log = logs.get(__name__)

Secrets = Mapping[str, str]

_READY_SECONDS = 3.0
# From here on the array refuses new volumes: docs of GetClusterFullThreshold.
_FULL = ("stage4Critical", "stage5CompletelyConsumed")


class ChapSecrets(Protocol):
    """Where nodes find the CHAP credentials of volumes: `kube.secrets` has what is meant by each."""

    def check_name(self, name: str) -> None: ...

    def ensure(
        self,
        name: str,
        handle: VolumeHandle,
        claim: str,
        chap: Chap | Callable[[], Chap],
        claimed_by: Callable[[VolumeHandle], bool],
    ) -> None: ...

    def remove(self, handle: VolumeHandle) -> None: ...


class Storage:
    """Serves a controller. Thread-safe; one operation at a time for each volume."""

    def __init__(
        self,
        *,
        clusters_dir: Path | None,
        hostname: str,
        default_namespace: str,
        driver_name: str,
        chap_in_publish_context: bool,
        chap_secrets: ChapSecrets | None,
        verify_tls: bool,
        array_calls: int,
        sweep_interval: float,
    ) -> None:
        self.hostname = hostname
        self.default_namespace = default_namespace
        self.driver_name = driver_name
        self._chap_in_context = chap_in_publish_context
        self._chap_secrets = chap_secrets
        self._clusters = Clusters(clusters_dir, verify_tls=verify_tls, parallel=array_calls)
        self._janitor = Janitor(self._clusters, sweep_interval)
        self._in_flight = InFlight()
        self._trouble = ""

    def start(self) -> None:
        self._janitor.start()

    def close(self) -> None:
        self._janitor.close()

    @property
    def lists(self) -> bool:
        """Whether there are clusters to ask without a request's Secret."""
        return self._clusters.are_configured

    def trouble(self) -> str:
        """Say why no array can be used; empty if one can, or if clusters come with requests only.

        One of several is enough: a dead array must not keep the others' volumes from being served. It takes some
        seconds at the most, however many are silent.
        """
        trouble = self._find_trouble() if self._clusters.are_configured else ""
        if trouble and trouble != self._trouble:
            log.warning("no array can be used", reason=trouble)
        self._trouble = trouble
        return trouble

    def _find_trouble(self) -> str:
        try:
            clusters, unusable = self._clusters.usable()
        except errors.DriverError as error:
            return str(error)
        troubles = {"": str(unusable)} if unusable else {}
        pool = ThreadPoolExecutor(len(clusters) or 1, "ready")
        try:
            asked = {pool.submit(_trouble, cluster): name for name, cluster in clusters.items()}
            for answer in as_completed(asked):
                if not (trouble := answer.result()):
                    return ""
                troubles[asked[answer]] = trouble
        finally:
            pool.shutdown(wait=False)
        return "; ".join(troubles[name] for name in sorted(troubles))

    def create(self, spec: VolumeSpec, secrets: Secrets) -> tuple[VolumeHandle, Volume]:
        with self._in_flight.hold(f"volume name {spec.name}"):
            if self._chap_secrets:
                self._chap_secrets.check_name(spec.name)
            cluster = self._clusters.choose(secrets, spec.parameters.cluster)
            with self._tidying(cluster):
                handle, volume = volumes.ensure(cluster, spec)
            if self._chap_secrets:
                self._add_secret(self._chap_secrets, cluster, spec.mark, handle, volume)
            return handle, volume

    def _add_secret(
        self, chap_secrets: ChapSecrets, cluster: Cluster, mark: VolumeMark, handle: VolumeHandle, volume: Volume
    ) -> None:
        """Give a volume its Secret if it has none; publishing keeps it up to date.

        Raises:
            errors.Unavailable: That failed. The volume is there, so no reason for it can be final.
        """

        def chap() -> Chap:
            return chap_of(cluster.accounts.get(volume.account_id, mark.namespace), mutual=mark.mutual_chap)

        try:
            chap_secrets.ensure(mark.name, handle, mark.full_claim, chap, self._claims(mark.name, cluster, handle))
        except errors.DriverError as error:
            raise errors.Unavailable(f"volume {handle} is made, its Secret is not: {error}") from error

    def _claims(self, name: str, cluster: Cluster, handle: VolumeHandle) -> Callable[[VolumeHandle], bool]:
        """Return what tells whether a volume is there and bears a name that the one with the handle has as well."""

        def claims(other: VolumeHandle) -> bool:
            try:
                there = cluster if other.cluster_id == handle.cluster_id else self._clusters.of_handle(other, {})
                volume = there.find(other)
                mark = VolumeMark.of(volume) if volume and volume.status != "deleted" else None
            except errors.DriverError as error:
                raise errors.Unavailable(
                    f"Secret {name} is that of volume {other}, and whether that is gone cannot be seen ({error});"
                    " remove the Secret if it is, then this goes on"
                ) from error
            return mark is not None and mark.name == name

        return claims

    @contextmanager
    def _tidying(self, cluster: Cluster) -> Iterator[None]:
        """Have the accounts looked at that were made for something which was then refused."""
        cluster.accounts.made()
        try:
            yield
        except errors.Unavailable:
            raise  # The caller asks again, and then needs them.
        except errors.DriverError:
            for account_id in cluster.accounts.made():
                self._janitor.note(cluster, account_id)
            raise

    def delete(self, handle: VolumeHandle, secrets: Secrets) -> None:
        with self._in_flight.hold(f"volume {handle}"):
            cluster = self._clusters.of_handle(handle, secrets)
            if volume := volumes.delete(cluster, handle):
                self._janitor.note(cluster, volume.account_id)
            if self._chap_secrets:
                self._chap_secrets.remove(handle)

    def publish(
        self, handle: VolumeHandle, node: NodeId, attachment: Attachment, secrets: Secrets
    ) -> tuple[PublishContext, Chap | None]:
        """Publish a volume; the credentials are returned only where they are to travel in the publish context."""
        with self._in_flight.hold(f"volume {handle}"):
            cluster = self._clusters.of_handle(handle, secrets)
            with self._tidying(cluster):
                published = publishing.publish(cluster, handle, node, attachment)
            self._janitor.note(cluster, published.left_account_id)
            if self._chap_secrets:
                claimed_by = self._claims(published.name, cluster, handle)
                self._chap_secrets.ensure(published.name, handle, published.claim, published.chap, claimed_by)
            return published.context, published.chap if self._chap_in_context else None

    def unpublish(self, handle: VolumeHandle, node: NodeId | None, secrets: Secrets) -> None:
        with self._in_flight.hold(f"volume {handle}"):
            publishing.unpublish(self._clusters.of_handle(handle, secrets), handle, node)

    def get(self, handle: VolumeHandle, secrets: Secrets) -> Listed:
        cluster = self._clusters.of_handle(handle, secrets)
        return Listed(handle, *volumes.get(cluster, handle))

    def list(self, starting_token: str, max_entries: int) -> tuple[list[Listed], str]:
        return listing.page(self._clusters.configured().values(), starting_token, max_entries)

    def capacity(self, parameters: Parameters) -> tuple[int, int, int]:
        """Return bytes still to be promised on a cluster, and its smallest and largest volume."""
        cluster = self._clusters.choose({}, parameters.cluster)
        capacity, limits = cluster.client.get_cluster_capacity(), cluster.limits()
        free = max(0, capacity.max_over_provisionable_space - capacity.provisioned_space)
        if _is_full(cluster):
            free = 0
        return free, volumes.round_up(limits.volume_size_min), limits.volume_size_max


def _is_full(cluster: Cluster) -> bool:
    """Tell whether the array refuses new volumes, as far as it lets its admin know."""
    try:
        return cluster.client.get_fullness() in _FULL
    except errors.PermissionDenied:
        return False  # It takes more rights than the driver needs for anything else.


def _trouble(cluster: Cluster) -> str:
    """Say why a cluster does not answer; empty if it does."""
    with deadline.until(_READY_SECONDS):
        try:
            cluster.client.get_cluster_info()
        except errors.DriverError as error:
            return str(error)
    return ""
