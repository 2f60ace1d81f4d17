"""CSI's controller service: decode, one call to the storage side, encode."""

from __future__ import annotations

import grpc
from google.protobuf import wrappers_pb2

from csi_solidfire import errors
from csi_solidfire.handles import NodeId
from csi_solidfire.pb import csi_pb2, csi_pb2_grpc
from csi_solidfire.rpc import decode
from csi_solidfire.storage import access
from csi_solidfire.storage.listing import Listed
from csi_solidfire.storage.parameters import Parameters
from csi_solidfire.storage.service import Storage

_Rpc = csi_pb2.ControllerServiceCapability.RPC
CAPABILITIES = (
    _Rpc.CREATE_DELETE_VOLUME,
    _Rpc.PUBLISH_UNPUBLISH_VOLUME,
    _Rpc.LIST_VOLUMES,
    _Rpc.GET_CAPACITY,
    _Rpc.PUBLISH_READONLY,
    _Rpc.LIST_VOLUMES_PUBLISHED_NODES,
    _Rpc.GET_VOLUME,
    _Rpc.SINGLE_NODE_MULTI_WRITER,
)
# Their requests carry no secrets, so they can speak of configured clusters only.
_OF_CONFIGURED = (_Rpc.LIST_VOLUMES, _Rpc.LIST_VOLUMES_PUBLISHED_NODES, _Rpc.GET_CAPACITY)
Context = grpc.ServicerContext


class Controller(csi_pb2_grpc.ControllerServicer):
    """Serves `csi.v1.Controller`."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def CreateVolume(self, request: csi_pb2.CreateVolumeRequest, context: Context) -> csi_pb2.CreateVolumeResponse:
        storage = self._storage
        spec = decode.volume_spec(
            request,
            topology_key=f"topology.{storage.driver_name}/hostname",
            hostname=storage.hostname,
            namespace=storage.default_namespace,
        )
        handle, volume = storage.create(spec, decode.secrets(request.secrets))
        # No accessible_topology: every node reaches the array, and one named here would tie the claim to it.
        made = csi_pb2.Volume(volume_id=str(handle), capacity_bytes=volume.total_size)
        return csi_pb2.CreateVolumeResponse(volume=made)

    def DeleteVolume(self, request: csi_pb2.DeleteVolumeRequest, context: Context) -> csi_pb2.DeleteVolumeResponse:
        decode.required("volume_id", request.volume_id)
        try:
            handle = decode.handle(request.volume_id)
        except errors.NotFound:
            # No volume of ours can have such an id.
            return csi_pb2.DeleteVolumeResponse()
        self._storage.delete(handle, decode.secrets(request.secrets))
        return csi_pb2.DeleteVolumeResponse()

    def ControllerPublishVolume(
        self, request: csi_pb2.ControllerPublishVolumeRequest, context: Context
    ) -> csi_pb2.ControllerPublishVolumeResponse:
        decode.required("node_id", request.node_id)
        decode.required("volume_id", request.volume_id)
        attachment = decode.attachment(request)
        handle, node = decode.handle(request.volume_id), decode.node_id(request.node_id)
        published, chap = self._storage.publish(handle, node, attachment, decode.secrets(request.secrets))
        return csi_pb2.ControllerPublishVolumeResponse(
            publish_context=published.to_map() | (chap.to_map() if chap else {})
        )

    def ControllerUnpublishVolume(
        self, request: csi_pb2.ControllerUnpublishVolumeRequest, context: Context
    ) -> csi_pb2.ControllerUnpublishVolumeResponse:
        decode.required("volume_id", request.volume_id)
        try:
            handle = decode.handle(request.volume_id)
            node = NodeId.parse(request.node_id) if request.node_id else None
        except errors.NotFound:
            # No volume or no node of ours: nothing can be published there.
            return csi_pb2.ControllerUnpublishVolumeResponse()
        self._storage.unpublish(handle, node, decode.secrets(request.secrets))
        return csi_pb2.ControllerUnpublishVolumeResponse()

    def ValidateVolumeCapabilities(
        self, request: csi_pb2.ValidateVolumeCapabilitiesRequest, context: Context
    ) -> csi_pb2.ValidateVolumeCapabilitiesResponse:
        decode.required("volume_id", request.volume_id)
        asked = decode.capabilities(request.volume_capabilities)
        self._storage.get(decode.handle(request.volume_id), decode.secrets(request.secrets))
        try:
            access.check(asked)
            Parameters.parse(dict(request.parameters) | dict(request.mutable_parameters))
        except errors.InvalidRequest as error:
            return csi_pb2.ValidateVolumeCapabilitiesResponse(message=str(error))
        return csi_pb2.ValidateVolumeCapabilitiesResponse(
            confirmed=csi_pb2.ValidateVolumeCapabilitiesResponse.Confirmed(
                volume_context=request.volume_context,
                volume_capabilities=request.volume_capabilities,
                parameters=request.parameters,
                mutable_parameters=request.mutable_parameters,
            )
        )

    def ListVolumes(self, request: csi_pb2.ListVolumesRequest, context: Context) -> csi_pb2.ListVolumesResponse:
        entries, token = self._storage.list(request.starting_token, decode.max_entries(request.max_entries))
        return csi_pb2.ListVolumesResponse(
            entries=[
                csi_pb2.ListVolumesResponse.Entry(
                    volume=_volume(listed),
                    status=csi_pb2.ListVolumesResponse.VolumeStatus(published_node_ids=_nodes(listed)),
                )
                for listed in entries
            ],
            next_token=token,
        )

    def ControllerGetVolume(
        self, request: csi_pb2.ControllerGetVolumeRequest, context: Context
    ) -> csi_pb2.ControllerGetVolumeResponse:
        listed = self._storage.get(decode.handle(request.volume_id), {})
        status = csi_pb2.ControllerGetVolumeResponse.VolumeStatus(published_node_ids=_nodes(listed))
        return csi_pb2.ControllerGetVolumeResponse(volume=_volume(listed), status=status)

    def GetCapacity(self, request: csi_pb2.GetCapacityRequest, context: Context) -> csi_pb2.GetCapacityResponse:
        if request.volume_capabilities:
            access.check(decode.capabilities(request.volume_capabilities))
        parameters = Parameters.parse(decode.mapping("parameters", request.parameters))
        free, smallest, largest = self._storage.capacity(parameters)
        return csi_pb2.GetCapacityResponse(
            available_capacity=free,
            minimum_volume_size=wrappers_pb2.Int64Value(value=smallest),
            maximum_volume_size=wrappers_pb2.Int64Value(value=largest),
        )

    def ControllerGetCapabilities(
        self, request: csi_pb2.ControllerGetCapabilitiesRequest, context: Context
    ) -> csi_pb2.ControllerGetCapabilitiesResponse:
        kinds = [kind for kind in CAPABILITIES if self._storage.lists or kind not in _OF_CONFIGURED]
        return csi_pb2.ControllerGetCapabilitiesResponse(
            capabilities=[csi_pb2.ControllerServiceCapability(rpc=_Rpc(type=kind)) for kind in kinds]
        )

    # Not advertised.

    def ControllerExpandVolume(
        self, request: csi_pb2.ControllerExpandVolumeRequest, context: Context
    ) -> csi_pb2.ControllerExpandVolumeResponse:
        raise NotImplementedError

    def ControllerModifyVolume(
        self, request: csi_pb2.ControllerModifyVolumeRequest, context: Context
    ) -> csi_pb2.ControllerModifyVolumeResponse:
        raise NotImplementedError

    def CreateSnapshot(
        self, request: csi_pb2.CreateSnapshotRequest, context: Context
    ) -> csi_pb2.CreateSnapshotResponse:
        raise NotImplementedError

    def DeleteSnapshot(
        self, request: csi_pb2.DeleteSnapshotRequest, context: Context
    ) -> csi_pb2.DeleteSnapshotResponse:
        raise NotImplementedError

    def ListSnapshots(self, request: csi_pb2.ListSnapshotsRequest, context: Context) -> csi_pb2.ListSnapshotsResponse:
        raise NotImplementedError

    def GetSnapshot(self, request: csi_pb2.GetSnapshotRequest, context: Context) -> csi_pb2.GetSnapshotResponse:
        raise NotImplementedError

    def ControllerGetVolumeHealth(
        self, request: csi_pb2.ControllerGetVolumeHealthRequest, context: Context
    ) -> csi_pb2.ControllerGetVolumeHealthResponse:
        raise NotImplementedError

    def ControllerListVolumeHealth(
        self, request: csi_pb2.ControllerListVolumeHealthRequest, context: Context
    ) -> csi_pb2.ControllerListVolumeHealthResponse:
        raise NotImplementedError


def _volume(listed: Listed) -> csi_pb2.Volume:
    return csi_pb2.Volume(volume_id=str(listed.handle), capacity_bytes=listed.volume.total_size)


def _nodes(listed: Listed) -> list[str]:
    return sorted(str(node) for node in listed.mark.nodes)
