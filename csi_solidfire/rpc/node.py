"""`csi.v1.Node`: each handler reads its request, asks the node, and writes the answer."""

from __future__ import annotations

from contextlib import nullcontext

import grpc

from csi_solidfire.node.host import Usage
from csi_solidfire.node.plugin import Plugin
from csi_solidfire.pb import csi_pb2, csi_pb2_grpc
from csi_solidfire.rpc import decode_node

_Rpc = csi_pb2.NodeServiceCapability.RPC
_Unit = csi_pb2.VolumeUsage
_CAPABILITIES = (_Rpc.STAGE_UNSTAGE_VOLUME, _Rpc.GET_VOLUME_STATS, _Rpc.SINGLE_NODE_MULTI_WRITER)


class Node(csi_pb2_grpc.NodeServicer):
    """Serves `csi.v1.Node` for this host."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin

    def NodeStageVolume(
        self, request: csi_pb2.NodeStageVolumeRequest, context: grpc.ServicerContext
    ) -> csi_pb2.NodeStageVolumeResponse:
        handle = decode_node.stage_handle(request)
        with self._plugin.nothing_left(handle) if handle else nullcontext():
            spec = decode_node.stage_spec(request)
        self._plugin.stage(spec)
        return csi_pb2.NodeStageVolumeResponse()

    def NodeUnstageVolume(
        self, request: csi_pb2.NodeUnstageVolumeRequest, context: grpc.ServicerContext
    ) -> csi_pb2.NodeUnstageVolumeResponse:
        self._plugin.unstage(*decode_node.unstage(request))
        return csi_pb2.NodeUnstageVolumeResponse()

    def NodePublishVolume(
        self, request: csi_pb2.NodePublishVolumeRequest, context: grpc.ServicerContext
    ) -> csi_pb2.NodePublishVolumeResponse:
        self._plugin.publish(decode_node.publish_spec(request))
        return csi_pb2.NodePublishVolumeResponse()

    def NodeUnpublishVolume(
        self, request: csi_pb2.NodeUnpublishVolumeRequest, context: grpc.ServicerContext
    ) -> csi_pb2.NodeUnpublishVolumeResponse:
        self._plugin.unpublish(*decode_node.unpublish(request))
        return csi_pb2.NodeUnpublishVolumeResponse()

    def NodeGetVolumeStats(
        self, request: csi_pb2.NodeGetVolumeStatsRequest, context: grpc.ServicerContext
    ) -> csi_pb2.NodeGetVolumeStatsResponse:
        return csi_pb2.NodeGetVolumeStatsResponse(usage=_usage(self._plugin.stats(*decode_node.stats(request))))

    def NodeGetCapabilities(
        self, request: csi_pb2.NodeGetCapabilitiesRequest, context: grpc.ServicerContext
    ) -> csi_pb2.NodeGetCapabilitiesResponse:
        offered = [csi_pb2.NodeServiceCapability(rpc=_Rpc(type=capability)) for capability in _CAPABILITIES]
        return csi_pb2.NodeGetCapabilitiesResponse(capabilities=offered)

    def NodeGetInfo(
        self, request: csi_pb2.NodeGetInfoRequest, context: grpc.ServicerContext
    ) -> csi_pb2.NodeGetInfoResponse:
        info = self._plugin.info()
        return csi_pb2.NodeGetInfoResponse(
            node_id=str(info.node_id),
            max_volumes_per_node=info.max_volumes,
            accessible_topology=csi_pb2.Topology(segments=info.topology),
        )

    # Not advertised.

    def NodeExpandVolume(
        self, request: csi_pb2.NodeExpandVolumeRequest, context: grpc.ServicerContext
    ) -> csi_pb2.NodeExpandVolumeResponse:
        raise NotImplementedError

    def NodeGetVolumeHealth(
        self, request: csi_pb2.NodeGetVolumeHealthRequest, context: grpc.ServicerContext
    ) -> csi_pb2.NodeGetVolumeHealthResponse:
        raise NotImplementedError

    def NodeGetStorageHealth(
        self, request: csi_pb2.NodeGetStorageHealthRequest, context: grpc.ServicerContext
    ) -> csi_pb2.NodeGetStorageHealthResponse:
        raise NotImplementedError


def _usage(found: Usage | int) -> list[csi_pb2.VolumeUsage]:
    """Return CSI's form of a volume's usage: of a raw device only the size is known."""
    if isinstance(found, int):
        return [_Unit(unit=_Unit.BYTES, total=found)]
    size = _Unit(unit=_Unit.BYTES, total=found.total, used=found.used, available=found.available)
    if not found.inodes:  # btrfs makes them as it needs them
        return [size]
    count = _Unit(unit=_Unit.INODES, total=found.inodes, used=found.inodes_used, available=found.inodes_free)
    return [size, count]
