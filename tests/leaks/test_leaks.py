"""No secret is anywhere but where it belongs, in a story of volumes in which everything goes wrong, at debug level.

Each search is shown to find: a marker is put where it looks, by the way that a secret would take.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import grpc
import pytest

from csi_solidfire.pb import csi_pb2
from tests.fencing.controllers import Faults
from tests.leaks.controller import metrics_at
from tests.leaks.needles import Secrets, middle
from tests.leaks.places import CORES, EXECS, JOURNAL, KERNEL, STARTED
from tests.leaks.story import Story

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800), pytest.mark.xdist_group("leaks")]

_NODES: Final = ("node-1", "node-2")
_RECORD: Final = "/etc/iscsi/nodes/iqn."


def _metrics(story: Story) -> bytes:
    nodes = [metrics_at(f"127.0.0.1:{node.machine.forwards[9808]}") for node in story.site.nodes.values()]
    return b"\n".join([metrics_at(story.host.metrics_address), *nodes])


def _objects(story: Story) -> bytes:
    kinds = [kind for kind in story.admin.listed_kinds() if kind != ("v1", "Secret")]
    return json.dumps([story.admin.list(kind, api_version=version) for version, kind in kinds]).encode()


def _logs_of_kubernetes(story: Story) -> bytes:
    return b"\n".join(log.read_bytes() for log in story.plane.directory.glob("*.log"))


_ON_THE_HOST: dict[str, Callable[[Story], bytes]] = {
    "the controller's log": lambda story: story.site.controller_log.read_bytes(),
    "what rotate-chap prints": lambda story: story.host.rotations.read_bytes(),
    "answers and errors": lambda story: story.tape.heard(),
    "metrics": _metrics,
    "Kubernetes objects": _objects,
    "logs of Kubernetes": _logs_of_kubernetes,
    "arguments and environments": lambda story: story.host.report.read_bytes(),
    "files that were written": lambda story: story.host.written(),
}
_ON_NODES = {"journal": JOURNAL, "kernel's log": KERNEL, "arguments and environments": STARTED}


@pytest.mark.parametrize("place", _ON_THE_HOST)
def test_no_secret_is_around_the_controller(story: Story, place: str) -> None:
    assert story.secrets.found_in(_ON_THE_HOST[place](story)) == set()


@pytest.mark.parametrize("name", _NODES)
@pytest.mark.parametrize("place", _ON_NODES)
def test_no_secret_is_around_a_node_s_driver(story: Story, place: str, name: str) -> None:
    assert story.watched[name].output(story.secrets, _ON_NODES[place]) == set()


@pytest.fixture
def marker() -> Secrets:
    """A thing to be found, which is no secret."""
    markers = Secrets()
    markers.add("marker", f"Marker{middle()}")
    return markers


def _text(marker: Secrets) -> str:
    return next(needle for needle in marker.needles() if needle.startswith(b"Marker")).decode()


def _log_it(story: Story, text: str) -> None:
    """By a volume that cannot be, which both the log and the answer name."""
    request = csi_pb2.ControllerGetVolumeRequest(volume_id=text)
    with pytest.raises(grpc.RpcError):
        story.tape.ask(story.site.controller.controller.ControllerGetVolume, request)


def _count_it(story: Story, text: str) -> None:
    """By the name of an error of the array's."""
    Faults(story.site).arm("fail", method="ListVolumes", name=text)  # The controller sweeps meanwhile.
    with pytest.raises(grpc.RpcError):
        story.tape.ask(story.site.controller.controller.ListVolumes, csi_pb2.ListVolumesRequest())


def _attach_it(story: Story, text: str) -> None:
    name = story.admin.list("VolumeAttachment")[0]["metadata"]["name"]
    story.admin.patch_status("VolumeAttachment", name, {"status": {"attachmentMetadata": {"key": text}}})


def _rotate_it(story: Story, text: str) -> None:
    assert story.host.rotate(f"--account={text}") == 1


def _append_it(story: Story, text: str) -> None:
    with (story.plane.directory / "kube-apiserver.log").open("a") as log:
        log.write(text)


def _start_with_it(story: Story, text: str) -> None:
    story.host.python("-c", "import subprocess, sys; subprocess.run(['true', sys.argv[-1][::-1]])", text[::-1])


def _write_it(story: Story, text: str) -> None:
    elsewhere = story.host.directory.parent / "elsewhere"
    story.host.python("-c", f"open({str(elsewhere)!r}, 'w').write({text!r})")


_PLANTED_ON_THE_HOST: dict[str, Callable[[Story, str], None]] = {
    "the controller's log": _log_it,
    "what rotate-chap prints": _rotate_it,
    "answers and errors": _log_it,
    "metrics": _count_it,
    "Kubernetes objects": _attach_it,
    "logs of Kubernetes": _append_it,
    "arguments and environments": _start_with_it,
    "files that were written": _write_it,
}
# iscsiadm ends at once if it has no record of the target: nothing that the driver runs is shorter.
_PLANTED_ON_NODES = {
    "journal": "logger -t iscsid {}",
    "kernel's log": "echo {} > /dev/kmsg",
    "arguments": "for i in 1 2 3 4 5; do iscsiadm -m node -T iqn.{} --login; done",
    "environments": "export MARKER={}; for i in 1 2 3 4 5; do iscsiadm --version; done",
}
_TIMES = 5
_PLANTED_AT_MOST = 4


@pytest.mark.parametrize("place", _PLANTED_ON_THE_HOST)
def test_a_marker_around_the_controller_is_found(story: Story, marker: Secrets, place: str) -> None:
    assert marker.found_in(_ON_THE_HOST[place](story)) == set()

    _PLANTED_ON_THE_HOST[place](story, _text(marker))

    assert marker.found_in(_ON_THE_HOST[place](story)) == {"marker"}


@pytest.mark.parametrize("name", _NODES)
@pytest.mark.parametrize("place", _PLANTED_ON_NODES)
def test_a_marker_around_a_node_s_driver_is_found(story: Story, marker: Secrets, place: str, name: str) -> None:
    watched, text = story.watched[name], _text(marker)
    # From a file, or else the shell that does it would be found as well.
    watched.node.machine.write_file("/run/plant", _PLANTED_ON_NODES[place].format(text).encode())

    def caught() -> int:
        watched.node.machine.run(["sh", "/run/plant"], check=False)
        return watched.node.machine.read_file(EXECS).decode(errors="replace").count(text)

    counts = [0, caught()]

    assert watched.output(marker, _ON_NODES.get(place, STARTED)) == {"marker"}
    if place not in _ON_NODES:
        # A busy host may keep the CPU of who watches from running for as long as a program lives.
        while counts[-1] - counts[-2] != _TIMES and len(counts) < _PLANTED_AT_MOST:
            counts.append(caught())
        assert counts[-1] - counts[-2] == _TIMES


def test_files_of_a_node_hold_secrets_only_while_it_logs_in(story: Story) -> None:
    """Those of the volume it logs in to, in one file that is for root alone; even if the driver dies meanwhile."""
    during = {moment for moment in story.files if moment.startswith("after the driver's death")}
    assert len(during) == 2
    for moment, files in story.files.items():
        if moment not in during:
            assert files == {}, moment
            continue
        assert len(files) == 1, moment
        for path, found in files.items():
            assert path.startswith(_RECORD)
            assert found.modes == ("f 600", "d 700")
            assert len(found.names) == 2


@pytest.mark.parametrize("name", _NODES)
def test_no_file_of_a_node_holds_a_secret_in_the_end(story: Story, name: str) -> None:
    """None at all, among them no core of the drivers that died of a signal."""
    assert story.watched[name].files(story.secrets) == {}
    assert story.site.node(name).machine.run(f"ls {CORES}").stdout == ""


_HIDDEN = ("/etc/iscsi/nodes/a/b/default", "/root/.a", "/run/lock/a", "/tmp/a", "/usr/lib/a", "/var/lib/a/b", "/a")


def test_a_marker_in_a_file_of_a_node_is_found(story: Story, marker: Secrets) -> None:
    watched = story.watched["node-1"]
    for path in _HIDDEN:
        watched.node.machine.write_file(path, f"\0\n{_text(marker)}".encode())

    found = watched.files(marker)

    assert found.keys() == set(_HIDDEN)
    watched.node.machine.run(["rm", *_HIDDEN])


@pytest.mark.parametrize("name", _NODES)
def test_a_core_would_be_found(story: Story, name: str) -> None:
    """What is killed in the same way as the driver leaves one."""
    node = story.site.node(name)
    assert "LimitCORE=infinity" in node.machine.run("systemctl show csi-solidfire --property LimitCORE").stdout
    node.machine.run("ulimit -c unlimited; sleep 100 & kill -ABRT $!; wait $!", check=False)
    assert node.machine.run(f"ls {CORES}; rm {CORES}/*").stdout.startswith("core.")


def test_the_story_was_told_at_debug_level(story: Story) -> None:
    log = story.site.controller_log.read_text()
    for words in ("CreateVolume", "ControllerPublishVolume", "DeleteVolume", "***", "Traceback", "forbids", "HTTP 401"):
        assert words in log
    assert "nothing was done" in story.host.rotations.read_text()
    for node in story.site.nodes.values():
        for words in ("NodeStageVolume", "argv='iscsiadm -m node -T", "***"):
            assert words in node.driver_log()
        assert b'method="NodeStageVolume"' in metrics_at(f"127.0.0.1:{node.machine.forwards[9808]}")
    assert len(story.secrets.names()) > 30
