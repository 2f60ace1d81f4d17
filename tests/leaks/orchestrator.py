"""Kubernetes without its programs: what the sidecars and kubelet ask of the driver, and what they write of its answers.

Objects stay when what they tell of is over, to be looked at in the end.
"""

from __future__ import annotations

import uuid
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message

from csi_solidfire.pb import csi_pb2
from lab import csi
from lab.kube import Api, ApiException
from lab.site import DRIVER, Node, Site
from tests.kube.driver_role import NAMESPACE
from tests.leaks.tape import Tape
from tests.realnode.volumes import PATIENCE
from tests.support.driver import wait_until

_STORAGE = "storage.k8s.io/v1"


@dataclass
class Volume:
    """A claim, and what has become of it.

    Attributes:
        namespace: The claim's.
        parameters: Its StorageClass's.
        secrets: What its StorageClass's provisioner and attacher secrets hold; none for the mounted ones.
        pod: The last one that uses it.
    """

    namespace: str
    capability: csi_pb2.VolumeCapability
    parameters: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    name: str = field(default_factory=lambda: f"pvc-{uuid.uuid4()}")
    handle: str = ""
    context: dict[str, str] = field(default_factory=dict)
    pod: str = ""

    @property
    def is_block(self) -> bool:
        return self.capability.HasField("block")


class Orchestrator:
    """Plays Kubernetes.

    Args:
        admin: The API for the sidecars' objects.
        kubelets: The API as each node may use it.
    """

    def __init__(self, site: Site, admin: Api, kubelets: Mapping[str, Api], tape: Tape) -> None:
        self._admin = admin
        self._kubelets = kubelets
        self._controller = site.controller.controller
        self._tape = tape

    def create(self, volume: Volume, timeout: float = PATIENCE) -> None:
        """What external-provisioner does."""
        self._ensure_claim(volume)
        with self._told_of("PersistentVolumeClaim", volume.namespace, volume.name):
            made = self._tape.ask(self._controller.CreateVolume, _creation(volume), timeout).volume
        volume.handle = made.volume_id
        self._make_persistent_volume(volume, dict(made.volume_context))

    def delete(self, volume: Volume, timeout: float = PATIENCE) -> None:
        with self._told_of("PersistentVolume", "default", volume.name):
            self._tape.ask(self._controller.DeleteVolume, _deletion(volume), timeout)

    def attach(self, volume: Volume, node: Node, timeout: float = PATIENCE) -> None:
        """What external-attacher does, for a pod that is scheduled to the node."""
        self._schedule(volume, node)
        attachment = f"csi-{volume.name}-{node.name}"
        self._admin.apply(_attachment(attachment, volume, node))
        status: dict[str, Any] = {}
        try:
            answer = self._tape.ask(self._controller.ControllerPublishVolume, _publication(volume, node), timeout)
        except grpc.RpcError as error:
            status = {"attached": False, "attachError": {"message": error.details()}}
            raise
        else:
            volume.context = dict(answer.publish_context)
            status = {"attached": True, "attachmentMetadata": volume.context, "attachError": None}
        finally:
            self._admin.patch_status("VolumeAttachment", attachment, {"status": status})

    def detach(self, volume: Volume, node: Node, timeout: float = PATIENCE) -> None:
        request = csi_pb2.ControllerUnpublishVolumeRequest(
            volume_id=volume.handle, node_id=node.id, secrets=volume.secrets
        )
        with self._told_of("PersistentVolume", "default", volume.name):
            self._tape.ask(self._controller.ControllerUnpublishVolume, request, timeout)

    def ask_for_all(self, volume: Volume, node: Node, timeout: float) -> list[grpc.StatusCode]:
        """Ask the controller what needs Kubernetes, and write nothing down there; return how the calls failed."""
        asked: list[tuple[Callable[..., Any], Message]] = [
            (self._controller.CreateVolume, _creation(Volume(volume.namespace, volume.capability))),
            (self._controller.ControllerPublishVolume, _publication(volume, node)),
            (self._controller.DeleteVolume, _deletion(Volume(volume.namespace, volume.capability, handle="lab1.999"))),
        ]
        codes = []
        for call, request in asked:
            try:
                self._tape.ask(call, request, timeout)
            except grpc.RpcError as error:
                codes.append(error.code())
        return codes

    def look_around(self, volume: Volume, nodes: Iterable[Node]) -> None:
        """Ask what changes nothing."""
        ask, controller = self._tape.ask, self._controller
        ask(controller.ListVolumes, csi_pb2.ListVolumesRequest())
        ask(controller.GetCapacity, csi_pb2.GetCapacityRequest())
        ask(controller.ControllerGetVolume, csi_pb2.ControllerGetVolumeRequest(volume_id=volume.handle))
        validation = csi_pb2.ValidateVolumeCapabilitiesRequest(
            volume_id=volume.handle, volume_capabilities=[volume.capability], secrets=volume.secrets
        )
        ask(controller.ValidateVolumeCapabilities, validation)
        for node in nodes:
            ask(node.csi.node.NodeGetInfo, csi_pb2.NodeGetInfoRequest())
            ask(node.csi.identity.GetPluginInfo, csi_pb2.GetPluginInfoRequest())

    def secret(self, volume: Volume, node: Node) -> dict[str, str]:
        """Read a volume's Secret as the node's kubelet does, once the authorizer knows of its pod."""
        wait_until(lambda: self._may_read(volume, node), PATIENCE)
        data = self._kubelets[node.name].get("Secret", volume.name, NAMESPACE)["data"]
        return {key: b64decode(value).decode() for key, value in data.items()}

    def _may_read(self, volume: Volume, node: Node) -> bool:
        try:
            self._kubelets[node.name].get("Secret", volume.name, NAMESPACE)
        except ApiException as error:
            if error.status != 403:
                raise
            return False
        return True

    def stage(self, volume: Volume, node: Node, secrets: Mapping[str, str] | None = None) -> None:
        """What kubelet does; with the volume's Secret, or with what is given in its place."""
        request = csi_pb2.NodeStageVolumeRequest(
            volume_id=volume.handle,
            publish_context=volume.context,
            staging_target_path=node.staging_path(volume.handle),
            volume_capability=volume.capability,
            secrets=self.secret(volume, node) if secrets is None else secrets,
        )
        with self._told_of("Pod", volume.namespace, volume.pod):
            self._tape.ask(node.csi.node.NodeStageVolume, request)

    def unstage(self, volume: Volume, node: Node) -> None:
        request = csi_pb2.NodeUnstageVolumeRequest(
            volume_id=volume.handle, staging_target_path=node.staging_path(volume.handle)
        )
        with self._told_of("Pod", volume.namespace, volume.pod):
            self._tape.ask(node.csi.node.NodeUnstageVolume, request)

    def show(self, volume: Volume, node: Node) -> str:
        """Give a staged volume to its pod; return where it is."""
        path = self._target(volume, node)
        request = csi_pb2.NodePublishVolumeRequest(
            volume_id=volume.handle,
            publish_context=volume.context,
            staging_target_path=node.staging_path(volume.handle),
            target_path=path,
            volume_capability=volume.capability,
        )
        self._tape.ask(node.csi.node.NodePublishVolume, request)
        asked = csi_pb2.NodeGetVolumeStatsRequest(volume_id=volume.handle, volume_path=path)
        self._tape.ask(node.csi.node.NodeGetVolumeStats, asked)
        return path

    def hide(self, volume: Volume, node: Node) -> None:
        request = csi_pb2.NodeUnpublishVolumeRequest(volume_id=volume.handle, target_path=self._target(volume, node))
        self._tape.ask(node.csi.node.NodeUnpublishVolume, request)

    @staticmethod
    def _target(volume: Volume, node: Node) -> str:
        return node.target_path(volume.pod, volume.name, block=volume.is_block)

    def _ensure_claim(self, volume: Volume) -> None:
        metadata = {"name": volume.namespace}
        self._admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        self._admin.apply(_claim(volume))

    def _make_persistent_volume(self, volume: Volume, context: Mapping[str, str]) -> None:
        self._admin.apply(_persistent_volume(volume, context))

    def _schedule(self, volume: Volume, node: Node) -> None:
        volume.pod = f"pod-of-{volume.name}-{node.name}"
        self._admin.apply(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": volume.namespace},
            }
        )
        if self._admin.find("Pod", volume.pod, volume.namespace) is None:
            self._admin.create(_pod(volume, node), volume.namespace)

    @contextmanager
    def _told_of(self, kind: str, namespace: str, name: str) -> Iterator[None]:
        """Write a failure's message into an Event."""
        try:
            yield
        except grpc.RpcError as error:
            about = {"apiVersion": "v1", "kind": kind, "namespace": namespace, "name": name}
            event = {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"generateName": f"{name}.", "namespace": namespace},
                "involvedObject": about,
                "type": "Warning",
                "reason": "Failed",
                "message": error.details(),
            }
            self._admin.create(event, namespace)
            raise


def _creation(volume: Volume) -> csi_pb2.CreateVolumeRequest:
    return csi_pb2.CreateVolumeRequest(
        name=volume.name,
        capacity_range=csi_pb2.CapacityRange(required_bytes=csi.GIB),
        volume_capabilities=[volume.capability],
        parameters=csi.claim(volume.namespace, volume.name) | dict(volume.parameters),
        accessibility_requirements=csi.topology("node-1"),
        secrets=volume.secrets,
    )


def _deletion(volume: Volume) -> csi_pb2.DeleteVolumeRequest:
    return csi_pb2.DeleteVolumeRequest(volume_id=volume.handle, secrets=volume.secrets)


def _publication(volume: Volume, node: Node) -> csi_pb2.ControllerPublishVolumeRequest:
    return csi_pb2.ControllerPublishVolumeRequest(
        volume_id=volume.handle, node_id=node.id, volume_capability=volume.capability, secrets=volume.secrets
    )


def _claim(volume: Volume) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": volume.name, "namespace": volume.namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Block" if volume.is_block else "Filesystem",
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "solidfire",
            "volumeName": volume.name,
        },
    }


def _persistent_volume(volume: Volume, context: Mapping[str, str]) -> dict[str, Any]:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Block" if volume.is_block else "Filesystem",
        "capacity": {"storage": "1Gi"},
        "storageClassName": "solidfire",
        "claimRef": {"name": volume.name, "namespace": volume.namespace},
        "csi": {
            "driver": DRIVER,
            "volumeHandle": volume.handle,
            "volumeAttributes": {**context, "storage.kubernetes.io/csiProvisionerIdentity": DRIVER},
            "nodeStageSecretRef": {"name": volume.name, "namespace": NAMESPACE},
        },
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume.name}, "spec": spec}


def _pod(volume: Volume, node: Node) -> dict[str, Any]:
    use = {"name": "data", "persistentVolumeClaim": {"claimName": volume.name}}
    spec = {"nodeName": node.name, "containers": [{"name": "main", "image": "busybox"}], "volumes": [use]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": volume.pod}, "spec": spec}


def _attachment(name: str, volume: Volume, node: Node) -> dict[str, Any]:
    spec = {"attacher": DRIVER, "nodeName": node.name, "source": {"persistentVolumeName": volume.name}}
    return {"apiVersion": _STORAGE, "kind": "VolumeAttachment", "metadata": {"name": name}, "spec": spec}
