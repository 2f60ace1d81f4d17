"""The driver's main job told in lines, each of which was checked where it happened.

A volume is created for a claim and written to from one node, which is cut off and shut out in the middle of it;
another node goes on with all that was written; and the volume is deleted without a trace.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from csi_solidfire.handles import PublishContext, VolumeHandle
from csi_solidfire.pb import csi_pb2
from lab import csi, writer
from lab.pods import Writer, refused_logins, wait_for_refused_logins, written
from lab.site import Node, Site
from lab.vm import LabError

_NAMESPACE = "shop"
_CLAIM = "orders-db"
_NAME = "pvc-6f2c1b7e-0d4a-4f5e-9c1d-0a7be2d1c0de"
_LINES = 25
_PATIENCE = 5  # seconds that a node's kernel waits for a lost session; 120 are the default
_SECONDS = 120.0


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
        self.pod: Writer | None = None

    def lines(self) -> list[Callable[[], str]]:
        first, second = self.first, self.second
        return [
            self.create,
            lambda: self.publish(first),
            lambda: self.stage(first),
            self.write,
            self.take,
            lambda: self.publish(second),
            self.shut_out,
            lambda: self.stage(second),
            self.read,
            self.come_back,
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
        self.pod = pod = Writer.start(self.first, self._pod(self.first))
        pod.wait_for_attempts(_LINES)
        check(pod.notes().failures == [], "a write failed")
        return f"a pod on {self.first.name} appends numbered lines to a file, and syncs each"

    def take(self) -> str:
        """Cut the node off from everything but the array, and take the volume away as Kubernetes does by force."""
        self.first.machine.cut("management")
        self._unpublish(self.first)
        check(self._volume()["access"] == "locked", "the volume is not locked")
        return f"{self.first.name} is cut off from all but the array, and its pod writes on: the array locks the volume"

    def shut_out(self) -> str:
        pod, node = self._writer, self.first
        wait_for_refused_logins(node, self._iqn, 2)
        pod.wait_for_attempts(2)
        _wait(lambda: "EROFS" in pod.notes().failures)
        notes, refusals = pod.notes(), self._refusals()
        check(not notes.resumed, f"the pod on {node.name} could write again")
        sessions = self.site.call("ListISCSISessions")["sessions"]
        check(sessions == [], f"the array has sessions of {[session['initiatorName'] for session in sessions]}")
        last = writer.line(notes.acknowledged).decode().strip()
        return (
            f"the last line of {node.name}'s pod was {last!r}, then: {_words(notes.failures[-1])}"
            f" ({refusals} logins of {node.name} refused so far)"
        )

    def read(self) -> str:
        found, acknowledged = written(self.second, self._pod(self.second)), self._writer.notes().acknowledged
        check(found in (acknowledged, acknowledged + 1), f"{self.second.name} finds {found} lines")
        return f"{self.second.name} finds all {acknowledged} lines that {self.first.name}'s pod knew to be written"

    def come_back(self) -> str:
        self.first.machine.restore_link("management")
        tried, refusals = len(self._writer.notes().failures), self._refusals()
        check(not self._writer.notes().resumed, f"the pod on {self.first.name} could write again")
        self._writer.stop()
        self._clean_up(self.first)
        return (
            f"{self.first.name} is back: its pod had tried {tried} more writes and iscsid {refusals} logins, all in"
            " vain; unmounted, logged out, record and secrets removed"
        )

    def release(self, node: Node) -> str:
        self._clean_up(node)
        self._unpublish(node)
        check(self._volume()["access"] == "locked", "the volume is not locked")
        return f"{node.name} lets go of it in good order, and the array locks it"

    def delete(self) -> str:
        self.site.controller.controller.DeleteVolume(
            csi_pb2.DeleteVolumeRequest(volume_id=self.handle), timeout=csi.TIMEOUT
        )
        volumes = self.site.call("ListVolumes")["volumes"]
        check(volumes == [], f"the array still lists {len(volumes)} volumes")
        return "volume deleted and purged"

    def nothing_left(self) -> str:
        _wait(lambda: self.site.call("ListAccounts")["accounts"] == [])
        check(self.site.call("ListISCSISessions")["sessions"] == [], "the array has sessions")
        check(_is_clean(self.first) and _is_clean(self.second), "a node has a session, a disk or a record")
        return "nothing is left: no volume, account or session on the array, no session, disk or record on the nodes"

    def _unpublish(self, node: Node) -> None:
        self.site.controller.controller.ControllerUnpublishVolume(
            csi_pb2.ControllerUnpublishVolumeRequest(volume_id=self.handle, node_id=node.id), timeout=csi.TIMEOUT
        )

    def _clean_up(self, node: Node) -> None:
        """Take the volume off a node, asking again as kubelet does."""
        target, path = node.target_path(f"pod-of-{node.name}", _CLAIM), node.staging_path(self.handle)
        service = node.csi.node
        unpublish = csi_pb2.NodeUnpublishVolumeRequest(volume_id=self.handle, target_path=target)
        unstage = csi_pb2.NodeUnstageVolumeRequest(volume_id=self.handle, staging_target_path=path)
        _wait(lambda: _done(lambda: service.NodeUnpublishVolume(unpublish, timeout=csi.TIMEOUT)))
        _wait(lambda: _done(lambda: service.NodeUnstageVolume(unstage, timeout=csi.TIMEOUT)))
        check(_is_clean(node), f"{node.name} still has a session, a disk or a record")

    @property
    def _writer(self) -> Writer:
        if self.pod is None:
            raise Untrue("no pod writes yet")
        return self.pod

    @property
    def _iqn(self) -> str:
        return self.contexts[self.first.name][PublishContext.IQN]

    def _refusals(self) -> int:
        return refused_logins(self.first, self._iqn)

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


def _done(call: Callable[[], object]) -> bool:
    """Tell whether a call is done; False if it is to be made again."""
    try:
        call()
    except grpc.RpcError as error:
        if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise
        return False
    return True


def _wait(happened: Callable[[], bool]) -> None:
    """Poll for what has no event.

    Raises:
        Untrue: It does not happen.
    """
    expires = time.monotonic() + _SECONDS
    while not happened():
        check(time.monotonic() < expires, f"it did not happen in {_SECONDS:.0f} seconds")
        time.sleep(0.05)


def _words(name: str) -> str:
    return f"{name}, {os.strerror(getattr(errno, name))}"


def _start_driver(node: Node) -> None:
    node.start_driver(f"--replacement-timeout={_PATIENCE}")


def main() -> int:
    began = time.monotonic()
    print("csi-solidfire: a volume's life on a real iSCSI array and two real Linux nodes, all in this machine\n")
    try:
        with Site.start(say=lambda text: print(f"  ... {text}", flush=True), drivers=False) as site:
            print("  ... starting the driver: its controller here, its node service on each node", flush=True)
            site.start_controller()
            with ThreadPoolExecutor() as pool:
                list(
                    pool.map(lambda node: node.start_driver(f"--replacement-timeout={_PATIENCE}"), site.nodes.values())
                )
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
