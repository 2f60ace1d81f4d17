"""The CSI Identity service, the same in every mode, and the question whether the driver is ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc
from google.protobuf.wrappers_pb2 import BoolValue

from csi_solidfire import logs
from csi_solidfire.pb import csi_pb2, csi_pb2_grpc

log = logs.get(__name__)

_Service = csi_pb2.PluginCapability.Service

# Told in every mode, as the sidecars beside a controller and those beside a node compare them.
CAPABILITIES = (
    csi_pb2.PluginCapability(service=_Service(type=_Service.CONTROLLER_SERVICE)),
    csi_pb2.PluginCapability(service=_Service(type=_Service.VOLUME_ACCESSIBILITY_CONSTRAINTS)),
)


class Identity(csi_pb2_grpc.IdentityServicer):
    """`csi.v1.Identity`.

    Args:
        ready: Whether what the driver needs is there. Asked on every Probe, so it must not take long.
    """

    def __init__(
        self,
        driver_name: str,
        version: str,
        capabilities: Sequence[csi_pb2.PluginCapability],
        ready: Callable[[], bool],
    ) -> None:
        self._driver_name = driver_name
        self._version = version
        self._capabilities = tuple(capabilities)
        self._ready = ready
        self._was_ready: bool | None = None

    def GetPluginInfo(
        self, request: csi_pb2.GetPluginInfoRequest, context: grpc.ServicerContext
    ) -> csi_pb2.GetPluginInfoResponse:
        return csi_pb2.GetPluginInfoResponse(name=self._driver_name, vendor_version=self._version)

    def GetPluginCapabilities(
        self, request: csi_pb2.GetPluginCapabilitiesRequest, context: grpc.ServicerContext
    ) -> csi_pb2.GetPluginCapabilitiesResponse:
        return csi_pb2.GetPluginCapabilitiesResponse(capabilities=self._capabilities)

    def Probe(self, request: csi_pb2.ProbeRequest, context: grpc.ServicerContext) -> csi_pb2.ProbeResponse:
        ready = self._ready()
        if ready != self._was_ready:
            self._was_ready = ready
            log.info("ready" if ready else "not ready")
        return csi_pb2.ProbeResponse(ready=BoolValue(value=ready))


class Client:
    """Asks a driver through its own socket. Every method raises grpc.RpcError if there is no answer.

    Args:
        address: As gRPC writes it, `Server.address`.
        timeout: Seconds to wait for an answer.
    """

    def __init__(self, address: str, timeout: float) -> None:
        self._channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self._stub = csi_pb2_grpc.IdentityStub(self._channel)
        self._timeout = timeout

    def alive(self) -> None:
        """Ask what needs neither array nor iscsid, so that neither can delay the answer."""
        self._stub.GetPluginInfo(csi_pb2.GetPluginInfoRequest(), timeout=self._timeout)

    def ready(self) -> bool:
        """Ask Probe."""
        response = self._stub.Probe(csi_pb2.ProbeRequest(), timeout=self._timeout)
        return response.ready.value or not response.HasField("ready")

    def close(self) -> None:
        self._channel.close()
