"""A CSI client: what Kubernetes' sidecars and kubelet would ask of the driver, in a few words."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import grpc

from csi_solidfire.pb import csi_pb2, csi_pb2_grpc

GIB = 1 << 30
_Mode = csi_pb2.VolumeCapability.AccessMode
TIMEOUT = 120.0  # seconds; kubelet's own patience with a CSI call
_OPTIONS = (
    # An address per client: gRPC would share one connection, and its back-off, between clients of a process.
    ("grpc.use_local_subchannel_pool", 1),
    # A driver that just starts is found as soon as it listens; by itself gRPC would wait for 1 s, and then for longer.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)


class Client:
    """The three services behind one address. A context manager."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        self.identity = csi_pb2_grpc.IdentityStub(self._channel)
        self.controller = csi_pb2_grpc.ControllerStub(self._channel)
        self.node = csi_pb2_grpc.NodeStub(self._channel)

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Return when Probe says true.

        Raises:
            TimeoutError: It does not, in so many seconds.
        """
        grpc.channel_ready_future(self._channel).result(timeout)
        probe = self.identity.Probe(csi_pb2.ProbeRequest(), timeout=timeout, wait_for_ready=True)
        if not probe.ready.value:
            raise TimeoutError("the driver answers and says that it is not ready")

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def mount(
    fs_type: str = "ext4", *, mode: _Mode.Mode.ValueType = _Mode.SINGLE_NODE_MULTI_WRITER, flags: tuple[str, ...] = ()
) -> csi_pb2.VolumeCapability:
    """A filesystem, by default as Kubernetes asks for a ReadWriteOnce claim."""
    return csi_pb2.VolumeCapability(
        mount=csi_pb2.VolumeCapability.MountVolume(fs_type=fs_type, mount_flags=flags),
        access_mode=_Mode(mode=mode),
    )


def block(*, mode: _Mode.Mode.ValueType = _Mode.SINGLE_NODE_MULTI_WRITER) -> csi_pb2.VolumeCapability:
    """A raw block device."""
    return csi_pb2.VolumeCapability(block=csi_pb2.VolumeCapability.BlockVolume(), access_mode=_Mode(mode=mode))


def topology(hostname: str, driver: str = "csi-solidfire.io") -> csi_pb2.TopologyRequirement:
    """The scheduler has chosen a node."""
    chosen = csi_pb2.Topology(segments={f"topology.{driver}/hostname": hostname})
    return csi_pb2.TopologyRequirement(requisite=[chosen], preferred=[chosen])


def claim(namespace: str, name: str) -> dict[str, str]:
    """What the provisioner adds to a StorageClass's parameters with --extra-create-metadata."""
    return {"csi.storage.k8s.io/pvc/namespace": namespace, "csi.storage.k8s.io/pvc/name": name}
