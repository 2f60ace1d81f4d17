"""The driver's main job told in lines, each of which was checked where it happened.

A volume is created for a claim, reached with CHAP from one node, fenced, reached from another node with its
data intact, and deleted without a trace.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from csi_solidfire.handles import Chap, PublishContext, VolumeHandle
from csi_solidfire.node.records import Record
from csi_solidfire.pb import csi_pb2
from lab import csi
from lab.site import Node, Site
from lab.vm import LabError

_NAMESPACE = "shop"
_CLAIM = "orders-db"
_NAME = "pvc-6f2c1b7e-0d4a-4f5e-9c1d-0a7be2d1c0de"
_MEGABYTES = 8
_SECONDS = 30.0


class Untrue(Exception):
    """A line of the story that turned out not to be so."""


def check(truth: object, what: str) -> None:
    if not truth:
        raise Untrue(what)


class Story:
    """The volume's life, step by step; every method returns the line that may now be told."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.first, self.second = site.node("node-1"), site.node("node-2")
        self.handle = ""
        self.contexts: dict[str, dict[str, str]] = {}
        self.checksum = ""

    def lines(self) -> list[Callable[[], str]]:
        first, second = self.first, self.second
        return [
            self.create,
            lambda: self.publish(first),
            lambda: self.stage(first),
            self.write,
            lambda: self.release(first),
            lambda: self.refused(first, "the volume is locked"),
            lambda: self.publish(second),
            lambda: self.refused(first, "it belongs to node-2's account now"),
            lambda: self.stage(second),
            self.read,
            lambda: self.release(second),
            self.delete,
            self.nothing_left,
        ]

    def create(self) -> str:
        made = self.site.controller.controller.CreateVolume(
            csi_pb2.CreateVolumeRequest(
                name=_NAME,
                capacity_range=csi_pb2.CapacityRange(required_bytes=2 * csi.GIB),
                volume_capabilities=[csi.mount("ext4")],
                parameters=csi.claim(_NAMESPACE, _CLAIM),
                accessibility_requirements=csi.topology(self.first.name),
            ),
            timeout=csi.TIMEOUT,
        ).volume
        self.handle = made.volume_id
        account = self._account()
        check(account == f"{self.first.name}-{_NAMESPACE}", f"the account is {account}")
        check(self._volume()["totalSize"] == made.capacity_bytes >= 2 * csi.GIB, "the size is another")
        return (
            f"volume {self.handle} created: {made.capacity_bytes / csi.GIB:.0f} GiB under SolidFire account {account}"
        )

    def publish(self, node: Node) -> str:
        answer = self.site.controller.controller.ControllerPublishVolume(
            csi_pb2.ControllerPublishVolumeRequest(
                volume_id=self.handle, node_id=node.id, volume_capability=csi.mount("ext4")
            ),
            timeout=csi.TIMEOUT,
        )
        self.contexts[node.name] = dict(answer.publish_context)
        check(self._account() == f"{node.name}-{_NAMESPACE}", "the volume is in another account")
        check(self._volume()["access"] == "readWrite", "the volume is not readWrite")
        return f"published to {node.name}: the volume is in account {self._account()}, which only {node.name} may use"

    def stage(self, node: Node) -> str:
        path = node.staging_path(self.handle)
        node.csi.node.NodeStageVolume(
            csi_pb2.NodeStageVolumeRequest(
                volume_id=self.handle,
                publish_context=self.contexts[node.name],
                staging_target_path=path,
                volume_capability=csi.mount("ext4"),
            ),
            timeout=csi.TIMEOUT,
        )
        found = node.machine.run(["findmnt", "-n", "-o", "SOURCE,FSTYPE", path]).stdout.split()
        check(found[1:] == ["ext4"], f"mounted is {found}")
        disk = Path(found[0]).name
        wwid = node.machine.read_file(f"/sys/block/{disk}/device/wwid").decode().strip()
        check(wwid == f"naa.{VolumeHandle.parse(self.handle).naa}", f"the disk is {wwid}")
        sessions = self.site.call("ListISCSISessions")["sessions"]
        check([session["initiatorName"] for session in sessions] == [node.id.partition("/")[2]], "the sessions differ")
        portal = self.contexts[node.name][PublishContext.PORTAL]
        where = sessions[0]["targetIP"]
        return (
            f"{node.name} logged in with mutual CHAP at {portal} and was redirected to {where};"
            f" /dev/{disk} is {wwid}, ext4, mounted"
        )

    def write(self) -> str:
        target = self._pod(self.first)
        self.first.machine.run(f"dd if=/dev/urandom of={target}/orders bs=1M count={_MEGABYTES} conv=fsync")
        self.checksum = self._checksum(self.first, target)
        return f"a pod's directory on {self.first.name} holds {_MEGABYTES} MiB of data, SHA-256 {self.checksum[:16]}..."

    def read(self) -> str:
        found = self._checksum(self.second, self._pod(self.second))
        check(found == self.checksum, f"the data is {found}")
        return f"the data on {self.second.name} is intact, SHA-256 {found[:16]}..."

    def release(self, node: Node) -> str:
        target, path = node.target_path(f"pod-of-{node.name}", _CLAIM), node.staging_path(self.handle)
        node.csi.node.NodeUnpublishVolume(
            csi_pb2.NodeUnpublishVolumeRequest(volume_id=self.handle, target_path=target), timeout=csi.TIMEOUT
        )
        node.csi.node.NodeUnstageVolume(
            csi_pb2.NodeUnstageVolumeRequest(volume_id=self.handle, staging_target_path=path), timeout=csi.TIMEOUT
        )
        check(_is_clean(node), f"{node.name} still has a session, a disk or a record")
        self.site.controller.controller.ControllerUnpublishVolume(
            csi_pb2.ControllerUnpublishVolumeRequest(volume_id=self.handle, node_id=node.id), timeout=csi.TIMEOUT
        )
        check(self._volume()["access"] == "locked", "the volume is not locked")
        return (
            f"{node.name} let go of it: unmounted, logged out, record and secrets removed; the array locked the volume"
        )

    def refused(self, node: Node, why: str) -> str:
        """Log in by hand with the credentials the node was given earlier."""
        context = self.contexts[node.name]
        target = PublishContext.from_map(context, VolumeHandle.parse(self.handle))
        record = Record(target, Chap.from_map(context, "context"), replacement_timeout=120, scan="manual")
        directory = f"/etc/iscsi/nodes/{target.iqn}"
        path = f"{directory}/{target.portal.replace(':', ',')},1/default"
        node.machine.write_file(path, record.render().encode(), mode=0o600)
        attempt = node.machine.run(f"iscsiadm -m node -T {target.iqn} -p {target.portal} --login", check=False)
        node.machine.run(["rm", "-r", directory])
        check(attempt.exit_code != 0, f"{node.name} could log in")
        check(_is_clean(node), f"{node.name} has a session or a disk")
        return f"{node.name} tries to log in again and is refused (iscsiadm ends with {attempt.exit_code}): {why}"

    def delete(self) -> str:
        self.site.controller.controller.DeleteVolume(
            csi_pb2.DeleteVolumeRequest(volume_id=self.handle), timeout=csi.TIMEOUT
        )
        volumes = self.site.call("ListVolumes")["volumes"]
        check(volumes == [], f"the array still lists {len(volumes)} volumes")
        return "volume deleted and purged"

    def nothing_left(self) -> str:
        expires = time.monotonic() + _SECONDS
        while accounts := self.site.call("ListAccounts")["accounts"]:
            check(time.monotonic() < expires, f"accounts are left: {[account['username'] for account in accounts]}")
            time.sleep(0.05)
        check(self.site.call("ListISCSISessions")["sessions"] == [], "the array has sessions")
        check(_is_clean(self.first) and _is_clean(self.second), "a node has a session, a disk or a record")
        return "nothing is left: no volume, account or session on the array, no session, disk or record on the nodes"

    def _pod(self, node: Node) -> str:
        target = node.target_path(f"pod-of-{node.name}", _CLAIM)
        node.csi.node.NodePublishVolume(
            csi_pb2.NodePublishVolumeRequest(
                volume_id=self.handle,
                publish_context=self.contexts[node.name],
                staging_target_path=node.staging_path(self.handle),
                target_path=target,
                volume_capability=csi.mount("ext4"),
            ),
            timeout=csi.TIMEOUT,
        )
        return target

    def _checksum(self, node: Node, target: str) -> str:
        return node.machine.run(["sha256sum", f"{target}/orders"]).stdout.split()[0]

    def _volume(self) -> dict[str, Any]:
        number = VolumeHandle.parse(self.handle).volume_id
        found: dict[str, Any] = self.site.call("ListVolumes", {"volumeIDs": [number]})["volumes"][0]
        return found

    def _account(self) -> str:
        account = self.site.call("GetAccountByID", {"accountID": self._volume()["accountID"]})["account"]
        return str(account["username"])


def _is_clean(node: Node) -> bool:
    """Whether a node has no iSCSI session, disk or record."""
    left = "ls -d /sys/class/iscsi_session/* /sys/block/sd* /etc/iscsi/nodes/* /var/lib/iscsi/nodes/* 2>/dev/null"
    return node.machine.run(left, check=False).stdout == ""


def main() -> int:
    began = time.monotonic()
    print("csi-solidfire: a volume's life on a real iSCSI array and two real Linux nodes, all in this machine\n")
    try:
        with Site.start(say=lambda text: print(f"  ... {text}", flush=True)) as site:
            return _tell(Story(site), began)
    except LabError as error:
        print(f"\nThe lab failed: {error}")
        return 1


def _tell(story: Story, began: float) -> int:
    print()
    lines = story.lines()
    for number, line in enumerate(lines, 1):
        step = time.monotonic()
        try:
            told = line()
        except (Untrue, grpc.RpcError, RuntimeError, LabError) as error:
            reason = error.details() if isinstance(error, grpc.RpcError) else str(error)
            print(f"{number:>3}. NOT SO: {reason}\n\nThe controller's log ends with:")
            print("\n".join(story.site.controller_log.read_text().splitlines()[-15:]))
            print("\nnode-1's log ends with:\n" + "\n".join(story.first.driver_log().splitlines()[-15:]))
            return 1
        print(f"{number:>3}. {told}  [{time.monotonic() - step:.1f} s]", flush=True)
    print(f"\nAll {len(lines)} lines were checked on the array and in the nodes' kernels.")
    print(f"It took {time.monotonic() - began:.0f} s.")
    print("Look around yourself: `make lab` leaves an array and two nodes up and says how to reach them.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
