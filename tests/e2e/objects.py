"""Manifests, as short as tests want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.kube import release
from lab.kube.api import Object
from lab.site import DRIVER

IMAGE = "busybox:1"
_SLEEP = "exec sleep 86400"


def claim(
    name: str,
    *,
    storage_class: str = release.STORAGE_CLASS,
    mode: str = "ReadWriteOnce",
    block: bool = False,
    size: str = "1Gi",
    volume: str = "",
) -> Object:
    """A PersistentVolumeClaim; with `volume`, for a PersistentVolume that exists."""
    spec: dict[str, Any] = {
        "storageClassName": storage_class,
        "accessModes": [mode],
        "volumeMode": "Block" if block else "Filesystem",
        "resources": {"requests": {"storage": size}},
    }
    if volume:
        spec["volumeName"] = volume
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def pod(
    name: str,
    claims: Sequence[str],
    *,
    node: str = "",
    command: str = _SLEEP,
    block: bool = False,
    read_only: bool = False,
    sub_path: str = "",
    security: Mapping[str, Any] | None = None,
) -> Object:
    """A pod that has claims at /data, or /dev/data, and sleeps.

    Args:
        name: Its name.
        claims: One is at /data, of several each at /<name of the claim>.
        node: Where it must run.
        command: A line for `sh`.
        block: The claims are devices.
        read_only: The claims are mounted so; of devices, the pod asks for them so.
        sub_path: In the volume.
        security: The pod's security context.
    """
    places = {each: "data" if len(claims) == 1 else each for each in claims}
    mounts: dict[str, Any]
    if block:
        mounts = {"volumeDevices": [{"name": each, "devicePath": f"/dev/{place}"} for each, place in places.items()]}
    else:
        more: dict[str, Any] = {"readOnly": True} if read_only else {}
        more |= {"subPath": sub_path} if sub_path else {}
        mounts = {"volumeMounts": [{"name": each, "mountPath": f"/{place}", **more} for each, place in places.items()]}
    source: dict[str, Any] = {"readOnly": True} if block and read_only else {}
    volumes = [{"name": each, "persistentVolumeClaim": {"claimName": each, **source}} for each in claims]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": pod_spec(mounts, volumes, command, node=node, security=security),
    }


def pod_spec(
    mounts: Mapping[str, Any],
    volumes: Sequence[Mapping[str, Any]],
    command: str = _SLEEP,
    *,
    node: str = "",
    security: Mapping[str, Any] | None = None,
) -> Object:
    """The spec of a pod with one container."""
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", command], **mounts}
    spec: dict[str, Any] = {
        "containers": [container],
        "volumes": list(volumes),
        "terminationGracePeriodSeconds": 1,  # sleep, as process 1, hears no SIGTERM.
    }
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    if security:
        spec["securityContext"] = dict(security)
    return spec


def storage_class(
    name: str,
    *,
    parameters: Mapping[str, str] | None = None,
    immediate: bool = False,
    reclaim: str = "Delete",
) -> Object:
    """A StorageClass as the chart writes it."""
    secrets = {
        "csi.storage.k8s.io/node-stage-secret-name": "${pv.name}",
        "csi.storage.k8s.io/node-stage-secret-namespace": release.NAMESPACE,
    }
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": DRIVER,
        "reclaimPolicy": reclaim,
        "volumeBindingMode": "Immediate" if immediate else "WaitForFirstConsumer",
        "parameters": {"csi.storage.k8s.io/fstype": "ext4", **secrets, **(parameters or {})},
    }
