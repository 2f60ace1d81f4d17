"""A check of a filesystem that takes longer than kubelet waits: it goes on, and the calls meanwhile answer in time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from csi_solidfire.node.host import CommandFailed
from csi_solidfire.node.specs import StageSpec
from csi_solidfire.pb import csi_pb2
from csi_solidfire.rpc.node import Node
from csi_solidfire.rpc.server import Server
from lab.csi import Client, mount
from tests.node.world import HANDLE, OTHER, OTHER_STAGING, STAGING, World
from tests.support.ask import refused
from tests.support.driver import wait_until

_BRIEF = 2.0  # seconds; kubelet's are two minutes


class Kubelet:
    """Calls of a node that has a volume with an ext4 which was used before; its check ends when `gate` is opened."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.world = World()
        self.world.stage()
        self.world.unstage()
        self.gate = self.world.host.gates["e2fsck"] = threading.Event()

    def stage(self, timeout: float = _BRIEF, spec: StageSpec | None = None) -> None:
        spec = spec or self.world.stage_spec()
        request = csi_pb2.NodeStageVolumeRequest(
            volume_id=str(spec.handle),
            publish_context=spec.target.to_map(),
            staging_target_path=spec.path,
            volume_capability=mount("ext4"),
            secrets=spec.chap.to_map(),
        )
        self._client.node.NodeStageVolume(request, timeout=timeout)

    def unstage(self) -> None:
        request = csi_pb2.NodeUnstageVolumeRequest(volume_id=str(HANDLE), staging_target_path=str(STAGING))
        self._client.node.NodeUnstageVolume(request, timeout=30)

    def unstaged(self) -> bool:
        """Try it, and tell whether it is done."""
        with suppress(grpc.RpcError):
            self.unstage()
        return not self.world.host.sessions

    def checks(self) -> int:
        return sum(argv[0] == "e2fsck" for argv in self.world.host.argvs)


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[Kubelet]:
    address = f"unix://{tmp_path}/csi.sock"
    client = Client(address)
    calls = Kubelet(client)
    server = Server(address, [Node(calls.world.plugin())], threads=2)
    server.start()
    yield calls
    calls.gate.set()
    client.close()
    server.stop(0)


def begin(kubelet: Kubelet) -> None:
    with refused(grpc.StatusCode.UNAVAILABLE, "e2fsck is at work"):
        kubelet.stage()
    assert kubelet.checks() == 1


def test_it_goes_on_and_is_waited_for_by_the_next_call(kubelet: Kubelet) -> None:
    begin(kubelet)
    begin(kubelet)

    kubelet.gate.set()
    kubelet.stage(timeout=30)

    assert kubelet.world.host.mounts_at(STAGING)


def test_its_disk_is_not_taken_away(kubelet: Kubelet) -> None:
    begin(kubelet)

    with refused(grpc.StatusCode.UNAVAILABLE, "e2fsck"):
        kubelet.unstage()

    assert kubelet.world.host.disks
    assert kubelet.world.host.sessions


def test_other_volumes_do_not_wait_for_it(kubelet: Kubelet) -> None:
    begin(kubelet)
    world = kubelet.world

    kubelet.stage(30, world.stage_spec(handle=OTHER, target=world.other_target, path=str(OTHER_STAGING)))

    assert world.host.mounts_at(OTHER_STAGING)


def test_what_it_found_is_told_to_the_next_call(kubelet: Kubelet, caplog: pytest.LogCaptureFixture) -> None:
    """That call would not live to see the end of a second check either."""
    assert kubelet.world.lun.filesystem is not None
    kubelet.world.lun.filesystem.errors = True
    begin(kubelet)
    kubelet.gate.set()

    with refused(grpc.StatusCode.FAILED_PRECONDITION, "errors that need a person"):
        kubelet.stage(timeout=30)

    assert kubelet.checks() == 1
    assert kubelet.world.leftovers() == []
    assert "RUN fsck MANUALLY" in caplog.text


def test_what_it_found_is_not_told_of_a_volume_that_was_away(kubelet: Kubelet) -> None:
    """A person may have repaired it elsewhere meanwhile."""
    filesystem = kubelet.world.lun.filesystem
    assert filesystem is not None
    filesystem.errors = True
    begin(kubelet)
    kubelet.gate.set()
    wait_until(kubelet.unstaged)
    assert kubelet.world.leftovers() == []
    filesystem.errors = False

    kubelet.stage(timeout=30)

    assert kubelet.world.host.mounts_at(STAGING)


def test_one_that_could_not_be_done_is_done_again(kubelet: Kubelet) -> None:
    kubelet.world.host.failing["e2fsck"] = CommandFailed("e2fsck", 8, "Input/output error")
    with refused(grpc.StatusCode.UNAVAILABLE, "Input/output error"):
        kubelet.stage()
    kubelet.world.host.failing.clear()
    kubelet.gate.set()

    kubelet.stage(timeout=30)

    assert kubelet.world.host.mounts_at(STAGING)
