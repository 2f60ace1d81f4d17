"""A volume of the array and its way to the nodes' kernels, asked for as Kubernetes does and looked at from outside."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

from csi_solidfire.handles import Chap, PublishContext, VolumeHandle
from csi_solidfire.pb import csi_pb2
from lab import csi
from lab.site import DRIVER, KUBELET, Node, Site
from tests.support.driver import wait_until

MIB = 1 << 20
PATIENCE = 180.0  # seconds for one call on a busy machine; nothing is ever asserted about it
_NAMESPACE = "shop"

# Sessions by IQN, node records, mounts of the disk or below the given directories, and disks by NAA: what a volume
# can leave on a node, a line each.
_LEFT = """
grep -lx "$1" /sys/class/iscsi_session/*/targetname
ls -d "/etc/iscsi/nodes/$1" "/var/lib/iscsi/nodes/$1"
grep -lx "naa.$2" /sys/class/block/sd*/device/wwid
grep -F -e "$3" -e "$4" /proc/self/mountinfo
true
"""
# The same, taken away by hand, for the tests that come after one that failed.
_CLEAN = """
for round in 1 2 3; do
    grep -F -e "$3" -e "$4" /proc/self/mountinfo | cut -d' ' -f5 | while read -r path; do umount "$path"; done
done
for session in $(grep -lx "$1" /sys/class/iscsi_session/*/targetname); do
    sid=${session%/targetname}; iscsiadm -m session -r "${sid##*/session}" -u
done
rm -rf "/etc/iscsi/nodes/$1"
true
"""

# Which blocks a file system stores as holes may change without a write, so holes and zeros count the same.
_DIGEST = """
import hashlib, os, sys
digest, size, block, at = hashlib.sha256(), os.path.getsize(sys.argv[1]), 65536, 0
file = os.open(sys.argv[1], os.O_RDONLY)
while at < size:
    try:
        at = os.lseek(file, at, os.SEEK_DATA) // block * block
    except OSError:
        break
    data = os.pread(file, block, at)
    if data.count(0) < len(data):
        digest.update(at.to_bytes(8, "big") + data)
    at += block
print(digest.hexdigest())
"""


class Volume:
    """A volume made by the driver's controller.

    Attributes:
        capability: How it is asked for, unless a call says otherwise.
        context: What the last publishing gave the node.
    """

    def __init__(
        self,
        site: Site,
        capability: csi_pb2.VolumeCapability,
        size: int = csi.GIB,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self.site = site
        self.capability = capability
        self.context: dict[str, str] = {}
        self._name = f"pvc-{uuid.uuid4()}"
        self.handle = site.controller.controller.CreateVolume(
            csi_pb2.CreateVolumeRequest(
                name=self._name,
                capacity_range=csi_pb2.CapacityRange(required_bytes=size),
                volume_capabilities=[capability],
                parameters=csi.claim(_NAMESPACE, self._name) | dict(parameters or {}),
                accessibility_requirements=csi.topology("node-1"),
            ),
            timeout=PATIENCE,
        ).volume.volume_id

    @property
    def number(self) -> int:
        return VolumeHandle.parse(self.handle).volume_id

    @property
    def naa(self) -> str:
        return VolumeHandle.parse(self.handle).naa

    @property
    def iqn(self) -> str:
        return self.context[PublishContext.IQN]

    @property
    def secrets(self) -> list[str]:
        return [self.context[key] for key in sorted(Chap.SECRET_KEYS)]

    def publish(self, node: Node) -> dict[str, str]:
        """Attach it to a node on the array; return the context."""
        answer = self.site.controller.controller.ControllerPublishVolume(
            csi_pb2.ControllerPublishVolumeRequest(
                volume_id=self.handle, node_id=node.id, volume_capability=self.capability
            ),
            timeout=PATIENCE,
        )
        self.context = dict(answer.publish_context)
        return self.context

    def unpublish(self, node: Node) -> None:
        self.site.controller.controller.ControllerUnpublishVolume(
            csi_pb2.ControllerUnpublishVolumeRequest(volume_id=self.handle, node_id=node.id), timeout=PATIENCE
        )

    def staging(self) -> str:
        """Return where kubelet would stage it."""
        digest = hashlib.sha256(self.handle.encode()).hexdigest()
        return f"{KUBELET}/plugins/kubernetes.io/csi/{DRIVER}/{digest}/globalmount"

    def stage(
        self,
        node: Node,
        *,
        capability: csi_pb2.VolumeCapability | None = None,
        context: Mapping[str, str] | None = None,
        path: str | None = None,
        timeout: float = PATIENCE,
    ) -> str:
        """Stage it, in a directory made as kubelet makes it; return the path."""
        path = node.staging_path(self.handle) if path is None else path
        request = csi_pb2.NodeStageVolumeRequest(
            volume_id=self.handle,
            publish_context=self.context if context is None else context,
            staging_target_path=path,
            volume_capability=capability or self.capability,
        )
        node.csi.node.NodeStageVolume(request, timeout=timeout)
        return path

    def unstage(self, node: Node, *, path: str | None = None, timeout: float = PATIENCE) -> None:
        request = csi_pb2.NodeUnstageVolumeRequest(
            volume_id=self.handle, staging_target_path=self.staging() if path is None else path
        )
        node.csi.node.NodeUnstageVolume(request, timeout=timeout)

    def show(
        self,
        node: Node,
        pod: str = "pod-1",
        *,
        capability: csi_pb2.VolumeCapability | None = None,
        readonly: bool = False,
        path: str | None = None,
        staging: str | None = None,
    ) -> str:
        """Publish it to a pod; return the target path."""
        capability = capability or self.capability
        path = self.target(node, pod, capability) if path is None else path
        request = csi_pb2.NodePublishVolumeRequest(
            volume_id=self.handle,
            publish_context=self.context,
            staging_target_path=self.staging() if staging is None else staging,
            target_path=path,
            volume_capability=capability,
            readonly=readonly,
        )
        node.csi.node.NodePublishVolume(request, timeout=PATIENCE)
        return path

    def target(self, node: Node, pod: str = "pod-1", capability: csi_pb2.VolumeCapability | None = None) -> str:
        block = (capability or self.capability).HasField("block")
        return node.target_path(f"{pod}-{self._name}", self._name, block=block)

    def hide(self, node: Node, path: str) -> None:
        """Unpublish it from a pod."""
        request = csi_pb2.NodeUnpublishVolumeRequest(volume_id=self.handle, target_path=path)
        node.csi.node.NodeUnpublishVolume(request, timeout=PATIENCE)

    def stats(self, node: Node, path: str) -> dict[int, Any]:
        """Return CSI's usage by unit."""
        request = csi_pb2.NodeGetVolumeStatsRequest(volume_id=self.handle, volume_path=path)
        answer = node.csi.node.NodeGetVolumeStats(request, timeout=PATIENCE)
        return {usage.unit: usage for usage in answer.usage}

    def left_on(self, node: Node) -> list[str]:
        """Return what of it is on a node, in lines; none for a node that has nothing to do with it."""
        return node.machine.run(["sh", "-c", _LEFT, "left", *self._traces]).stdout.splitlines()

    def clean(self, node: Node) -> None:
        """Take it off a node by hand."""
        if self.context and self.left_on(node):
            node.machine.run(["sh", "-c", _CLEAN, "clean", *self._traces], check=False)

    @property
    def _traces(self) -> list[str]:
        """Return its IQN and NAA, and what is in the paths of its mounts, staged and published."""
        return [self.iqn, self.naa, f"{Path(self.staging()).parent.name}/", f"{self._name}/"]

    # The array's side

    @property
    def file(self) -> str:
        """Its bytes on the array."""
        return f"/srv/array/volumes/volume-{self.number}"

    def write(self, data: bytes, *, at: int = 0) -> None:
        """Put bytes into it behind everybody's back; whole blocks of 4096."""
        command = f"dd of={self.file} bs=64K seek={at} oflag=seek_bytes conv=notrunc,fsync iflag=fullblock status=none"
        self.site.array.run(command, input=data)

    def read(self, at: int, length: int) -> bytes:
        command = f"dd if={self.file} bs=64K skip={at} count={length} iflag=skip_bytes,count_bytes status=none"
        return self.site.array.run(command).output

    def digest(self) -> str:
        """Return a checksum of every block of it that is not zeros; what was never written to costs no time."""
        return self.site.array.run(["python3", "-c", _DIGEST, self.file], timeout=PATIENCE).stdout.strip()


def session_ids(node: Node, volume: Volume) -> list[str]:
    """Return the kernel's names of the sessions to a volume."""
    script = f"cd /sys/class/iscsi_session && grep -lx {volume.iqn} */targetname | cut -d/ -f1"
    return node.machine.run(script, check=False).stdout.split()


def session_state(node: Node, volume: Volume) -> str:
    """Return the kernel's word for the state of the session to a volume, `LOGGED_IN` if it is up; empty for none."""
    script = f"cd /sys/class/iscsi_session && cat $(dirname $(grep -lx {volume.iqn} */targetname))/state"
    return node.machine.run(script, check=False).stdout.strip()


def mounted_at(node: Node, path: str) -> list[str]:
    """Return filesystem type, options and source of what is mounted at a path, a line for each layer."""
    script = f"findmnt -n --raw -o FSTYPE,OPTIONS,SOURCE --mountpoint {path}"
    return node.machine.run(script, check=False).stdout.splitlines()


def disk_of(node: Node, volume: Volume) -> str:
    """Return the device of a volume."""
    script = f"grep -lx naa.{volume.naa} /sys/class/block/sd*/device/wwid | cut -d/ -f5"
    return "/dev/" + node.machine.run(script).stdout.strip()


def start_driver(node: Node, *flags: str) -> None:
    """Start it anew, logging all it can: what it logs is searched for secrets."""
    node.start_driver("--log-level=debug", *flags)


def until_done(call: Callable[[], object]) -> None:
    """Repeat a call as kubelet does while its answer says that it may be tried again."""
    retryable = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED}

    def done() -> bool:
        try:
            call()
        except grpc.RpcError as error:
            if error.code() not in retryable:
                raise
            return False
        return True

    wait_until(done, 300)
