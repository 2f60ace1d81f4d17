"""The controller's calls as a test writes them, with what Kubernetes would send where the test says nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import pytest

from csi_solidfire.pb import csi_pb2, csi_pb2_grpc
from lab.array import Array
from lab.array.errors import ElementError
from lab.csi import GIB, claim, mount, topology

Mode = csi_pb2.VolumeCapability.AccessMode
NODE_1 = "node-1/iqn.1993-08.org.debian:01:f0e1d2c3b4a5"
NODE_2 = "node-2/iqn.1993-08.org.debian:01:00112233aabb"
NODE_3 = "node-3/iqn.1993-08.org.debian:01:0f0f0f0f0f0f"
MIB = 1 << 20
KEY = "csi-solidfire"  # The driver's member of an array object's attributes.


class Caller(Protocol):
    """Who has a controller to call: a `Driver` in this process, or a client of another one."""

    @property
    def controller(self) -> csi_pb2_grpc.ControllerStub: ...


def create_request(
    name: str = "pvc-1",
    *,
    size: int = GIB,
    limit: int = 0,
    host: str = "node-1",
    namespace: str = "shop",
    parameters: Mapping[str, str] | None = None,
    capability: csi_pb2.VolumeCapability | None = None,
    secrets: Mapping[str, str] | None = None,
) -> csi_pb2.CreateVolumeRequest:
    """A claim in a namespace for a pod on a node; an empty host or namespace leaves that out."""
    return csi_pb2.CreateVolumeRequest(
        name=name,
        capacity_range=csi_pb2.CapacityRange(required_bytes=size, limit_bytes=limit) if size or limit else None,
        volume_capabilities=[capability or mount()],
        parameters=(claim(namespace, "data") if namespace else {}) | dict(parameters or {}),
        accessibility_requirements=topology(host) if host else None,
        secrets=secrets,
    )


def create(driver: Caller, name: str = "pvc-1", *, timeout: float = 30, **options: Any) -> str:
    """Return the handle of the new volume."""
    return driver.controller.CreateVolume(create_request(name, **options), timeout=timeout).volume.volume_id


def delete(driver: Caller, volume_id: str, *, secrets: Mapping[str, str] | None = None, timeout: float = 30) -> None:
    driver.controller.DeleteVolume(csi_pb2.DeleteVolumeRequest(volume_id=volume_id, secrets=secrets), timeout=timeout)


def publish(
    driver: Caller,
    volume_id: str,
    node: str = NODE_1,
    *,
    capability: csi_pb2.VolumeCapability | None = None,
    readonly: bool = False,
    secrets: Mapping[str, str] | None = None,
    timeout: float = 30,
) -> dict[str, str]:
    """Return the publish context."""
    request = csi_pb2.ControllerPublishVolumeRequest(
        volume_id=volume_id,
        node_id=node,
        volume_capability=capability or mount(),
        readonly=readonly,
        secrets=secrets,
    )
    return dict(driver.controller.ControllerPublishVolume(request, timeout=timeout).publish_context)


def unpublish(
    driver: Caller,
    volume_id: str,
    node: str = NODE_1,
    *,
    secrets: Mapping[str, str] | None = None,
    timeout: float = 30,
) -> None:
    request = csi_pb2.ControllerUnpublishVolumeRequest(volume_id=volume_id, node_id=node, secrets=secrets)
    driver.controller.ControllerUnpublishVolume(request, timeout=timeout)


def get(driver: Caller, volume_id: str, timeout: float = 30) -> csi_pb2.ControllerGetVolumeResponse:
    return driver.controller.ControllerGetVolume(
        csi_pb2.ControllerGetVolumeRequest(volume_id=volume_id), timeout=timeout
    )


def listed(driver: Caller, entries: int = 0, token: str = "", timeout: float = 30) -> csi_pb2.ListVolumesResponse:
    request = csi_pb2.ListVolumesRequest(max_entries=entries, starting_token=token)
    return driver.controller.ListVolumes(request, timeout=timeout)


@dataclass
class Refusal:
    """How a call failed; the message is known after the `with`."""

    message: str = ""


@contextmanager
def refused(code: grpc.StatusCode, *words: str) -> Iterator[Refusal]:
    """Expect a call to fail with a code and a message that holds all the words."""
    refusal = Refusal()
    with pytest.raises(grpc.RpcError) as caught:
        yield refusal
    refusal.message = caught.value.details() or ""
    assert caught.value.code() is code, f"{caught.value.code()}: {refusal.message}"
    for word in words:
        assert word in refusal.message


def volumes(array: Array) -> list[dict[str, Any]]:
    """All volumes on the array, the recycle bin's too."""
    found: list[dict[str, Any]] = array.call("ListVolumes")["volumes"]
    return found


def volume(array: Array, handle: str) -> dict[str, Any]:
    return next(found for found in volumes(array) if found["volumeID"] == int(handle.split(".")[1]))


def accounts(array: Array) -> dict[str, dict[str, Any]]:
    """All accounts on the array by name."""
    return {found["username"]: found for found in array.call("ListAccounts")["accounts"]}


def sweep(array: Array, name: str) -> None:
    """Remove an empty account, as a controller's sweep does: a first one in the background may be quicker."""
    found = accounts(array).get(name)
    with suppress(ElementError):
        if found is not None:
            array.call("RemoveAccount", {"accountID": found["accountID"]})
    assert name not in accounts(array)


def owner(array: Array, handle: str) -> str:
    """The name of the account that a volume is in."""
    owner_id = volume(array, handle)["accountID"]
    return next(name for name, account in accounts(array).items() if account["accountID"] == owner_id)


def snapshot(array: Array) -> dict[str, Any]:
    """Everything on the array that a call could have changed, secrets included."""
    return {
        "volumes": {found["volumeID"]: found for found in volumes(array)},
        "accounts": accounts(array),
        "policies": array.call("ListQoSPolicies")["qosPolicies"],
    }
