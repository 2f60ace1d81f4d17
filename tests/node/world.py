"""One array, one node, and short ways to ask for things."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from csi_solidfire.handles import Chap, VolumeHandle
from csi_solidfire.node.host import Host
from csi_solidfire.node.plugin import Plugin
from csi_solidfire.node.specs import Access, Block, Filesystem, PublishSpec, StageSpec
from tests.node.fake_array import Array, Lun
from tests.node.fake_host import FakeHost
from tests.node.fake_kernel import NODES

HANDLE = VolumeHandle("jyay", 1)
OTHER = VolumeHandle("jyay", 2)
CHAP = Chap("node-1-shop", "initiatorpw1", "targetsecret1")
KUBELET = Path("/kubelet")
STAGING = Path("/kubelet/staging")
OTHER_STAGING = Path("/kubelet/other-staging")
POD = Path("/kubelet/pods/pod-1")
SECOND_POD = Path("/kubelet/pods/pod-2")
EXT4 = Filesystem("ext4")
BLOCK = Block()


class World:
    """See the module."""

    def __init__(self) -> None:
        self.array = Array()
        self.host = FakeHost(self.array)
        self.host.dirs |= {STAGING, OTHER_STAGING}
        self.target = self.array.add(HANDLE)
        self.other_target = self.array.add(OTHER)

    @property
    def lun(self) -> Lun:
        return self.array.lun(HANDLE)

    def plugin(self, host: Host | None = None) -> Plugin:
        """Return a freshly started driver."""
        return Plugin(
            host=host or self.host,
            hostname="node-1",
            driver_name="csi.example.com",
            max_volumes=200,
            kubelet_dir=KUBELET,
        )

    def stage_spec(self, access: Access = EXT4, **changes: Any) -> StageSpec:
        spec = StageSpec(HANDLE, str(STAGING), access, read_only=False, target=self.target, chap=CHAP)
        return replace(spec, **changes)

    def publish_spec(self, access: Access = EXT4, **changes: Any) -> PublishSpec:
        spec = PublishSpec(HANDLE, str(STAGING), str(POD), access, read_only=False, sole=False)
        return replace(spec, **changes)

    def stage(self, access: Access = EXT4, **changes: Any) -> None:
        self.plugin().stage(self.stage_spec(access, **changes))

    def unstage(self) -> None:
        self.plugin().unstage(HANDLE, str(STAGING))

    def publish(self, access: Access = EXT4, **changes: Any) -> None:
        self.plugin().publish(self.publish_spec(access, **changes))

    def unpublish(self, path: Path = POD) -> None:
        self.plugin().unpublish(HANDLE, str(path))

    def records(self) -> list[Path]:
        return [path for path in self.host.files if path.is_relative_to(NODES)]

    def leftovers(self) -> list[str]:
        """Return what of any volume is on the node, in words; nothing for a node as it was at first."""
        found = [f"session {session.iqn}" for session in self.host.sessions.values()]
        found += [f"disk {name}" for name in self.host.disks]
        found += [f"mount {mount.point}" for mount in self.host.mounts if mount.id > 2]
        found += [
            f"file {path}" for path in self.host.files if path.is_relative_to(NODES) or path.is_relative_to(KUBELET)
        ]
        return found + [f"directory {path}" for path in self.host.dirs if path in (POD, SECOND_POD)]
