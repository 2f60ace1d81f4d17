"""The node service through a real socket, on the fake host: what kubelet and csi-sanity get to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csi_solidfire import errors
from csi_solidfire.handles import Chap
from csi_solidfire.pb import csi_pb2, csi_pb2_grpc
from csi_solidfire.rpc.node import Node
from csi_solidfire.rpc.server import Server
from tests.node.world import CHAP, HANDLE, POD, SECOND_POD, STAGING, World

Code = grpc.StatusCode
Mode = csi_pb2.VolumeCapability.AccessMode
Mount = csi_pb2.VolumeCapability.MountVolume
MOUNT = csi_pb2.VolumeCapability(mount=Mount(fs_type="ext4"), access_mode=Mode(mode=Mode.SINGLE_NODE_WRITER))
BLOCK = csi_pb2.VolumeCapability(
    block=csi_pb2.VolumeCapability.BlockVolume(), access_mode=Mode(mode=Mode.SINGLE_NODE_WRITER)
)


@pytest.fixture
def node(world: World, tmp_path: Path) -> Iterator[csi_pb2_grpc.NodeStub]:
    service = Node(world.plugin())
    server = Server(f"unix://{tmp_path}/csi.sock", [service], threads=2)
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        yield csi_pb2_grpc.NodeStub(channel)
    server.stop(0)


@pytest.fixture
def world() -> World:
    return World()


def stage_request(world: World, **changes: Any) -> csi_pb2.NodeStageVolumeRequest:
    fields: dict[str, Any] = {
        "volume_id": str(HANDLE),
        "publish_context": world.target.to_map(),
        "staging_target_path": str(STAGING),
        "volume_capability": MOUNT,
        "secrets": CHAP.to_map(),
    }
    return csi_pb2.NodeStageVolumeRequest(**fields | changes)


def publish_request(**changes: Any) -> csi_pb2.NodePublishVolumeRequest:
    fields: dict[str, Any] = {
        "volume_id": str(HANDLE),
        "staging_target_path": str(STAGING),
        "target_path": str(POD),
        "volume_capability": MOUNT,
    }
    return csi_pb2.NodePublishVolumeRequest(**fields | changes)


def answer(call: Callable[[], object]) -> tuple[Code, str]:
    """Return the code and the details that a call ends with."""
    try:
        call()
    except grpc.RpcError as error:
        ended: Any = error  # it is the call, too, which no type says
        return ended.code(), ended.details()
    return Code.OK, ""


@pytest.mark.parametrize("capability", [MOUNT, BLOCK], ids=["mount", "block"])
def test_a_volume_comes_and_goes(
    world: World, node: csi_pb2_grpc.NodeStub, capability: csi_pb2.VolumeCapability
) -> None:
    node.NodeStageVolume(stage_request(world, volume_capability=capability))
    node.NodePublishVolume(publish_request(volume_capability=capability))
    stats = node.NodeGetVolumeStats(csi_pb2.NodeGetVolumeStatsRequest(volume_id=str(HANDLE), volume_path=str(POD)))
    assert stats.usage[0].total == world.lun.size
    assert stats.usage[0].unit == csi_pb2.VolumeUsage.BYTES
    assert len(stats.usage) == (2 if capability is MOUNT else 1)
    node.NodeUnpublishVolume(csi_pb2.NodeUnpublishVolumeRequest(volume_id=str(HANDLE), target_path=str(POD)))
    node.NodeUnstageVolume(csi_pb2.NodeUnstageVolumeRequest(volume_id=str(HANDLE), staging_target_path=str(STAGING)))

    assert world.leftovers() == []


def test_who_the_node_is(node: csi_pb2_grpc.NodeStub) -> None:
    info = node.NodeGetInfo(csi_pb2.NodeGetInfoRequest())

    assert info.node_id == "node-1/iqn.1993-08.org.debian:01:ab"
    assert info.max_volumes_per_node == 200
    assert info.accessible_topology.segments == {"topology.csi.example.com/hostname": "node-1"}


def test_the_log_says_once_that_iscsid_is_away(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """docs/how-to/troubleshooting.md sends people with a node that is not ready there."""
    plugin = world.plugin()

    def told() -> list[bool]:
        caplog.clear()
        ready = [plugin.ready(), plugin.ready()]
        assert ready[0] == ready[1] == world.host.listening
        return ["iscsid takes no requests" in record.getMessage() for record in caplog.records]

    assert told() == []
    world.host.listening = False
    assert told() == [True]
    world.host.listening = True
    assert told() == []
    world.host.listening = False
    assert told() == [True]


def test_what_the_node_can_do(node: csi_pb2_grpc.NodeStub) -> None:
    offered = node.NodeGetCapabilities(csi_pb2.NodeGetCapabilitiesRequest()).capabilities

    kinds = csi_pb2.NodeServiceCapability.RPC
    wanted = [kinds.STAGE_UNSTAGE_VOLUME, kinds.GET_VOLUME_STATS, kinds.SINGLE_NODE_MULTI_WRITER]
    assert [each.rpc.type for each in offered] == wanted


def test_credentials_may_come_in_the_publish_context(world: World, node: csi_pb2_grpc.NodeStub) -> None:
    context = world.target.to_map() | CHAP.to_map()

    node.NodeStageVolume(stage_request(world, secrets={}, publish_context=context))

    assert world.host.mounts_at(STAGING)


def test_credentials_of_the_secret_win(world: World, node: csi_pb2_grpc.NodeStub) -> None:
    wrong = Chap("node-1-shop", "wrongpasswd1").to_map()

    node.NodeStageVolume(stage_request(world, publish_context=world.target.to_map() | wrong))

    assert world.host.mounts_at(STAGING)


OTHER_NODES = Chap("node-2-shop", "secretofnode2", "targetofnode2")


@pytest.mark.parametrize("before", ["nothing", "a session"])
def test_another_node_s_credentials_are_not_used(world: World, node: csi_pb2_grpc.NodeStub, before: str) -> None:
    """kubelet was held up after it had read the attachment; what it reads then is another node's by now."""
    if before == "a session":
        world.stage()
        world.host.mounts = [mount for mount in world.host.mounts if mount.point != STAGING]
        world.host.break_sessions()
    world.array.target(HANDLE).chap = OTHER_NODES
    done = len(world.host.argvs)

    found, details = answer(lambda: node.NodeStageVolume(stage_request(world, secrets=OTHER_NODES.to_map())))

    assert (found, "account node-1-shop" in details) == (Code.UNAVAILABLE, True), details
    assert world.host.argvs[done:] == []
    assert world.host.mounts_at(STAGING) == []


def test_the_credentials_of_the_attachment_are_used_once_both_are_read_again(
    world: World, node: csi_pb2_grpc.NodeStub
) -> None:
    world.array.target(HANDLE).chap = OTHER_NODES
    context = replace(world.target, username=OTHER_NODES.username).to_map()

    node.NodeStageVolume(stage_request(world, publish_context=context, secrets=OTHER_NODES.to_map()))

    assert world.host.mounts_at(STAGING)


def test_an_attachment_that_does_not_say_its_account(world: World, node: csi_pb2_grpc.NodeStub) -> None:
    context = world.target.to_map()
    del context["username"]

    found, details = answer(lambda: node.NodeStageVolume(stage_request(world, publish_context=context)))

    assert (found, details) == (Code.INVALID_ARGUMENT, "publish_context: username is missing or empty")
    assert world.leftovers() == []


def _capability(mode: Mode.Mode.ValueType, **access: Any) -> csi_pb2.VolumeCapability:
    return csi_pb2.VolumeCapability(**access or {"mount": Mount()}, access_mode=Mode(mode=mode))


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"volume_id": ""}, Code.INVALID_ARGUMENT, "volume_id"),
        ({"staging_target_path": ""}, Code.INVALID_ARGUMENT, "staging_target_path"),
        ({"volume_capability": None}, Code.INVALID_ARGUMENT, "volume_capability"),
        ({"volume_id": "fake-vol-id"}, Code.NOT_FOUND, "volume_id"),
        ({"secrets": {}}, Code.INVALID_ARGUMENT, "node.session.auth.password"),
        ({"secrets": {Chap.USERNAME: "a", Chap.PASSWORD: "short"}}, Code.INVALID_ARGUMENT, "12 to 16"),
        ({"publish_context": {}}, Code.INVALID_ARGUMENT, "publish_context: username is missing"),
        ({"volume_id": "abcd.1"}, Code.INVALID_ARGUMENT, "not the target of volume"),
        ({"volume_capability": _capability(Mode.UNKNOWN)}, Code.INVALID_ARGUMENT, "SINGLE_NODE_WRITER"),
        ({"volume_capability": _capability(99)}, Code.INVALID_ARGUMENT, "access_mode"),  # type: ignore[arg-type]
        ({"volume_capability": _capability(Mode.MULTI_NODE_MULTI_WRITER)}, Code.FAILED_PRECONDITION, "block volumes"),
        (
            {"volume_capability": csi_pb2.VolumeCapability(access_mode=Mode(mode=Mode.SINGLE_NODE_WRITER))},
            Code.INVALID_ARGUMENT,
            "access type",
        ),
        (
            {"volume_capability": _capability(Mode.SINGLE_NODE_WRITER, mount=Mount(fs_type="ntfs"))},
            Code.INVALID_ARGUMENT,
            "ext4, xfs, btrfs",
        ),
        ({"staging_target_path": "/etc"}, Code.INVALID_ARGUMENT, "kubelet"),
        ({"secrets": Chap("node-1-shop", "wrongpasswd1").to_map()}, Code.UNAUTHENTICATED, "CHAP"),
    ],
)
def test_bad_staging_requests(
    world: World, node: csi_pb2_grpc.NodeStub, changes: dict[str, Any], code: Code, says: str
) -> None:
    found, details = answer(lambda: node.NodeStageVolume(stage_request(world, **changes)))

    assert (found, says in details) == (code, True), details
    assert world.leftovers() == []
    assert "wrongpasswd1" not in details


_SPOILT: list[dict[str, Any]] = [
    {"secrets": {}},
    {"publish_context": {}},
    {"volume_capability": None},
    {"staging_target_path": ""},
    {"staging_target_path": "/etc"},
    {"staging_target_path": "/kubelet/missing"},
]


@pytest.mark.parametrize("changes", _SPOILT, ids=str)
def test_a_refusal_is_final_only_once_nothing_is_left_of_earlier_tries(
    world: World, node: csi_pb2_grpc.NodeStub, changes: dict[str, Any]
) -> None:
    world.host.failing["inside mkfs"] = errors.Unavailable("mkfs did not end in time and was stopped")
    assert answer(lambda: node.NodeStageVolume(stage_request(world)))[0] is Code.UNAVAILABLE
    assert world.host.sessions

    assert answer(lambda: node.NodeStageVolume(stage_request(world, **changes)))[0] is Code.INVALID_ARGUMENT

    assert world.leftovers() == []


@pytest.mark.parametrize("changes", _SPOILT, ids=str)
def test_no_refusal_is_final_while_the_volume_is_mounted(
    world: World, node: csi_pb2_grpc.NodeStub, changes: dict[str, Any]
) -> None:
    """kubelet would take it for unmounted and never unstage it."""
    node.NodeStageVolume(stage_request(world))

    found, details = answer(lambda: node.NodeStageVolume(stage_request(world, **changes)))

    assert (found, str(STAGING) in details) == (Code.UNAVAILABLE, True), details
    assert world.host.mounts_at(STAGING)
    assert world.host.sessions


@pytest.mark.parametrize("flags", [["ro,noatime"], ["noatime,ro", "rw"], ["ro", "noatime"]])
def test_mount_flags_may_be_several_in_one(world: World, node: csi_pb2_grpc.NodeStub, flags: list[str]) -> None:
    world.stage()
    world.unstage()
    capability = _capability(Mode.SINGLE_NODE_WRITER, mount=Mount(fs_type="ext4", mount_flags=flags))

    for _ in range(2):
        node.NodeStageVolume(stage_request(world, volume_capability=capability))

    assert "ro" in world.host.mounts_at(STAGING)[0].options
    assert ["mount", "-t", "ext4", "-o", "ro,noatime", "/dev/sda", str(STAGING)] in world.host.argvs


def test_a_mount_flag_s_quoted_value_stays_whole(world: World, node: csi_pb2_grpc.NodeStub) -> None:
    """SELinux' categories have commas in them."""
    label = 'context="system_u:object_r:container_file_t:s0:c1,c2"'
    capability = _capability(Mode.SINGLE_NODE_WRITER, mount=Mount(fs_type="ext4", mount_flags=[label, "rw"]))

    node.NodeStageVolume(stage_request(world, volume_capability=capability))

    assert ["mount", "-t", "ext4", "-o", label, "/dev/sda", str(STAGING)] in world.host.argvs


@pytest.mark.parametrize(
    "flag", ["", "bind", "noatime,remount", "loop=/dev/loop0", "make-rshared", "private", "x-systemd.automount", "a\nb"]
)
def test_mount_flags_that_do_more_than_mount(world: World, node: csi_pb2_grpc.NodeStub, flag: str) -> None:
    capability = _capability(Mode.SINGLE_NODE_WRITER, mount=Mount(mount_flags=["noatime", flag]))

    code, details = answer(lambda: node.NodeStageVolume(stage_request(world, volume_capability=capability)))

    assert code is Code.INVALID_ARGUMENT
    assert "mount_flags[1]" in details
    assert world.leftovers() == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"volume_id": ""}, Code.INVALID_ARGUMENT),
        ({"target_path": ""}, Code.INVALID_ARGUMENT),
        ({"volume_capability": None}, Code.INVALID_ARGUMENT),
        ({"staging_target_path": ""}, Code.FAILED_PRECONDITION),
        ({"volume_id": "fake-vol-id"}, Code.NOT_FOUND),
        ({}, Code.FAILED_PRECONDITION),
        ({"target_path": "relative"}, Code.INVALID_ARGUMENT),
    ],
)
def test_bad_publishing_requests(
    world: World, node: csi_pb2_grpc.NodeStub, changes: dict[str, Any], code: Code
) -> None:
    assert answer(lambda: node.NodePublishVolume(publish_request(**changes)))[0] is code
    assert world.leftovers() == []


def test_a_volume_for_one_pod_only(world: World, node: csi_pb2_grpc.NodeStub) -> None:
    sole = _capability(Mode.SINGLE_NODE_SINGLE_WRITER)
    node.NodeStageVolume(stage_request(world, volume_capability=sole))
    node.NodePublishVolume(publish_request(volume_capability=sole))

    again = publish_request(volume_capability=sole, target_path=str(SECOND_POD))

    assert answer(lambda: node.NodePublishVolume(again))[0] is Code.FAILED_PRECONDITION


def test_read_only_modes_are_mounted_read_only(world: World, node: csi_pb2_grpc.NodeStub) -> None:
    node.NodeStageVolume(stage_request(world))
    world.unstage()

    node.NodeStageVolume(stage_request(world, volume_capability=_capability(Mode.MULTI_NODE_READER_ONLY)))

    assert "ro" in world.host.mounts_at(STAGING)[0].options


@pytest.mark.parametrize("volume_id", ["fake-vol-id", "non-existing-volume-id", str(HANDLE)])
def test_statistics_of_what_is_not_there(node: csi_pb2_grpc.NodeStub, volume_id: str) -> None:
    request = csi_pb2.NodeGetVolumeStatsRequest(volume_id=volume_id, volume_path="some/path")

    assert answer(lambda: node.NodeGetVolumeStats(request))[0] is Code.NOT_FOUND


def test_taking_away_what_was_never_there(world: World, node: csi_pb2_grpc.NodeStub) -> None:
    node.NodeUnpublishVolume(csi_pb2.NodeUnpublishVolumeRequest(volume_id="jyay.77", target_path=str(POD)))
    node.NodeUnstageVolume(csi_pb2.NodeUnstageVolumeRequest(volume_id="jyay.77", staging_target_path=str(STAGING)))

    assert world.leftovers() == []


PATHS = st.one_of(st.text(), st.sampled_from([str(STAGING), str(POD), "/", "/etc", "/kubelet", "/kubelet/../etc/x"]))
IDS = st.one_of(st.text(), st.sampled_from([str(HANDLE), "jyay.2", "jyay.0", "abcd.1", "jyay.4294967296"]))
MAPS = st.one_of(
    st.dictionaries(st.text(), st.text(), max_size=3),
    st.just(World().target.to_map()),
    st.just(CHAP.to_map()),
    st.just(World().target.to_map() | {"totalSize": "9" * 19}),
)
CAPABILITIES = st.builds(
    csi_pb2.VolumeCapability,
    mount=st.none() | st.builds(Mount, fs_type=st.text() | st.just("xfs"), mount_flags=st.lists(st.text(), max_size=2)),
    block=st.none() | st.builds(csi_pb2.VolumeCapability.BlockVolume),
    access_mode=st.none() | st.builds(Mode, mode=st.integers(0, 9)),
)
REQUESTS = st.one_of(
    st.builds(
        csi_pb2.NodeStageVolumeRequest,
        volume_id=IDS,
        staging_target_path=PATHS,
        volume_capability=st.none() | CAPABILITIES,
        publish_context=MAPS,
        secrets=MAPS,
    ),
    st.builds(csi_pb2.NodeUnstageVolumeRequest, volume_id=IDS, staging_target_path=PATHS),
    st.builds(
        csi_pb2.NodePublishVolumeRequest,
        volume_id=IDS,
        staging_target_path=PATHS,
        target_path=PATHS,
        volume_capability=st.none() | CAPABILITIES,
        readonly=st.booleans(),
    ),
    st.builds(csi_pb2.NodeUnpublishVolumeRequest, volume_id=IDS, target_path=PATHS),
    st.builds(csi_pb2.NodeGetVolumeStatsRequest, volume_id=IDS, volume_path=PATHS),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=REQUESTS)
def test_no_request_breaks_the_driver(node: csi_pb2_grpc.NodeStub, request: Any) -> None:
    """Whatever comes, the answer is one of the specification's and no traceback."""
    method = getattr(node, type(request).__name__.removesuffix("Request"))

    code, details = answer(lambda: method(request))

    assert code not in (Code.INTERNAL, Code.UNKNOWN), details
