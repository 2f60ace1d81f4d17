"""The node service without gRPC: what one Linux host does for CSI."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from csi_solidfire import errors, logs
from csi_solidfire.handles import NodeId, VolumeHandle
from csi_solidfire.inflight import InFlight
from csi_solidfire.node import stats
from csi_solidfire.node.host import Host, Usage
from csi_solidfire.node.iscsi import Iscsi
from csi_solidfire.node.publishing import Publishing
from csi_solidfire.node.specs import PublishSpec, StageSpec
from csi_solidfire.node.staging import Staging

log = logs.get(__name__)

_INITIATOR_FILE = Path("/etc/iscsi/initiatorname.iscsi")
_INITIATOR = re.compile(r"^\s*InitiatorName\s*=\s*(\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class NodeInfo:
    """What this node tells the cluster of itself."""

    node_id: NodeId
    max_volumes: int
    topology: dict[str, str]


class Plugin:
    """This node.

    Args:
        hostname: The Kubernetes node's name.
        driver_name: Begins the topology's key.
        max_volumes: How many volumes the scheduler may put here; 0 for no limit of ours.
        kubelet_dir: Nothing outside of it is mounted on or removed.
        database: open-iscsi's directory; None: the one that is there.
        replacement_timeout: Seconds that I/O waits for a lost session.
        initiator_file: Where the host says its iSCSI name.
    """

    def __init__(
        self,
        *,
        host: Host,
        hostname: str,
        driver_name: str,
        max_volumes: int,
        kubelet_dir: Path,
        database: Path | None = None,
        replacement_timeout: int = 120,
        initiator_file: Path = _INITIATOR_FILE,
    ) -> None:
        self._host = host
        self._hostname = hostname
        self._driver_name = driver_name
        self._max_volumes = max_volumes
        self._kubelet_dir = kubelet_dir
        self._initiator_file = initiator_file
        self._in_flight = InFlight()
        self._staging = Staging(host, Iscsi(host, database, replacement_timeout), kubelet_dir)
        self._publishing = Publishing(host, kubelet_dir)
        self._listened = True

    def stage(self, spec: StageSpec) -> None:
        with self._working_on(spec.handle):
            self._staging.stage(spec)

    @contextmanager
    def nothing_left(self, handle: VolumeHandle) -> Iterator[None]:
        """Refuse to stage a volume for good only if nothing of it is here; inside, a request is read."""
        with self._working_on(handle), self._staging.nothing_left(handle):
            yield

    def unstage(self, handle: VolumeHandle, path: str) -> None:
        with self._working_on(handle):
            self._staging.unstage(handle, path)

    def publish(self, spec: PublishSpec) -> None:
        with self._working_on(spec.handle):
            self._publishing.publish(spec)

    def unpublish(self, handle: VolumeHandle, path: str) -> None:
        with self._working_on(handle):
            self._publishing.unpublish(handle, path)

    def stats(self, handle: VolumeHandle, path: str) -> Usage | int:
        with _host_answers():
            return stats.of(self._host, self._kubelet_dir, handle, path)

    def info(self) -> NodeInfo:
        """Return who this node is.

        Raises:
            errors.Unavailable: The host has no usable initiator name.
        """
        with _host_answers():
            found = _INITIATOR.search(self._host.read_text(self._initiator_file))
        node_id = NodeId(self._hostname, found[1].lower() if found else "")
        try:
            NodeId.parse(str(node_id))
        except errors.NotFound as wrong:
            raise errors.Unavailable(
                f"this node can have no id ({self._initiator_file}, host name): {wrong}"
            ) from wrong
        return NodeInfo(node_id, self._max_volumes, {f"topology.{self._driver_name}/hostname": self._hostname})

    def ready(self) -> bool:
        """Tell whether volumes could be logged in to: iscsid takes requests."""
        try:
            listens = self._host.iscsid_listens()
        except (OSError, errors.Unavailable):
            listens = False
        if self._listened and not listens:
            log.warning("iscsid takes no requests on this node: is it installed, enabled and running?")
        self._listened = listens
        return listens

    @contextmanager
    def _working_on(self, handle: VolumeHandle) -> Iterator[None]:
        with self._in_flight.hold(f"volume {handle}"), _host_answers():
            yield


@contextmanager
def _host_answers() -> Iterator[None]:
    """Report what the kernel refuses without our having expected it as something to be tried again."""
    try:
        yield
    except OSError as error:
        raise errors.Unavailable(f"the host refused: {error}") from error
