"""Arbitrary requests to every Node RPC, over a real socket, with the strict fake host behind it.

Whatever comes: a code that the specification knows for it, never INTERNAL, UNKNOWN or something unforeseen, and no
change of the node unless the call succeeds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csi_solidfire.handles import Chap
from csi_solidfire.pb import csi_pb2
from csi_solidfire.rpc.node import Node
from csi_solidfire.rpc.server import Server
from lab.csi import Client
from tests.node.fake_kernel import NODES
from tests.node.world import CHAP, HANDLE, KUBELET, OTHER, POD, STAGING, World

_Mode = csi_pb2.VolumeCapability.AccessMode
# What the specification has for a Node RPC that does not succeed.
_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
}
# The answers that gRPC itself gives when it can't even send a string.
_words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def _or_anything(*sensible: str) -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(sensible), st.sampled_from(sensible), _words)


_ids = _or_anything(str(OTHER), "abcd.1", "jyay.0", "jyay.99999999999", "")
_paths = st.one_of(
    _or_anything(
        *(str(path) for path in (STAGING, POD, KUBELET, KUBELET / "pods", KUBELET / "missing" / "x")),
        *("", "/", "relative", "/etc", f"{KUBELET}/../etc", f"{STAGING}/", f"/{STAGING}", f"{STAGING}/device"),
        *(f"{KUBELET}/{'x' * 300}", f"{KUBELET}/{'x/' * 3000}x", f"{KUBELET}/pods/../../etc"),
    ),
    _words.map(lambda name: f"{KUBELET}/{name}"),
)
_types = _or_anything("xfs", "", "ext3", "EXT4", "../ext4", "vfat", "xfs ", "ext4,btrfs")
_flags = _or_anything("noatime", "ro", "rw", "bind", "", "remount,rw", "x-mount.mkdir", "a b", "context=\n", "loop=")
_modes = st.one_of(st.sampled_from(_Mode.Mode.values()), st.integers(0, 99))


def _mount(fs_type: str = "ext4", flags: list[str] | None = None, mode: int = _Mode.SINGLE_NODE_WRITER) -> Any:
    volume = csi_pb2.VolumeCapability.MountVolume(fs_type=fs_type, mount_flags=flags or [])
    return csi_pb2.VolumeCapability(mount=volume, access_mode={"mode": mode})  # type: ignore[arg-type]


_capabilities = st.one_of(
    st.builds(_mount, fs_type=_types),
    st.builds(_mount, flags=st.lists(_flags, max_size=3)),
    st.builds(_mount, mode=_modes),
    st.builds(
        csi_pb2.VolumeCapability,
        block=st.just(csi_pb2.VolumeCapability.BlockVolume()),
        access_mode=st.builds(_Mode, mode=_modes),
    ),
    st.just(csi_pb2.VolumeCapability()),
    st.none(),
)
_GOOD = {**World().target.to_map(), **CHAP.to_map()}


@st.composite
def _contexts(draw: st.DrawFn) -> dict[str, str]:
    """Return a publish context with one or two things wrong."""
    context = dict(_GOOD)
    for key in {draw(st.sampled_from(sorted(context))), draw(st.sampled_from(sorted(context)))}:
        if draw(st.booleans()):
            del context[key]
            continue
        other = ["", "0", "-1", "1" * 30, "10.0.0.10:99999", "[::1]:3260", "host.example:3260", "two words", "é" * 14]
        context[key] = draw(_or_anything(*other))
    return context | draw(st.dictionaries(_words, _words, max_size=2))


_secrets: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just(CHAP.to_map()), st.dictionaries(_or_anything(*sorted(Chap.KEYS)), _words, min_size=1, max_size=4)
)


@dataclass(frozen=True)
class Kind:
    """A request that succeeds, and what its fields may be instead."""

    message: type[Message]
    good: dict[str, Any]
    other: dict[str, st.SearchStrategy[Any]]

    @property
    def requests(self) -> st.SearchStrategy[Message]:
        """One that has one field changed, or two: the first wrong one hides the others."""
        if not self.other:
            return st.just(self.message(**self.good))
        name = st.sampled_from(sorted(self.other))
        names = st.one_of(st.tuples(name), st.tuples(name), st.tuples(name, name))
        changes = names.flatmap(lambda chosen: st.fixed_dictionaries({name: self.other[name] for name in chosen}))
        return changes.map(lambda changed: self.message(**(self.good | changed)))


_VOLUME = {"volume_id": str(HANDLE)}
_KINDS = {
    "NodeStageVolume": Kind(
        csi_pb2.NodeStageVolumeRequest,
        _VOLUME | {"publish_context": _GOOD, "staging_target_path": str(STAGING), "volume_capability": _mount()},
        {
            "volume_id": _ids,
            "publish_context": _contexts(),
            "staging_target_path": _paths,
            "volume_capability": _capabilities,
            "secrets": _secrets,
            "volume_context": st.dictionaries(_words, _words, max_size=2),
        },
    ),
    "NodeUnstageVolume": Kind(
        csi_pb2.NodeUnstageVolumeRequest,
        _VOLUME | {"staging_target_path": str(STAGING)},
        {"volume_id": _ids, "staging_target_path": _paths},
    ),
    "NodePublishVolume": Kind(
        csi_pb2.NodePublishVolumeRequest,
        _VOLUME | {"staging_target_path": str(STAGING), "target_path": str(POD), "volume_capability": _mount()},
        {
            "volume_id": _ids,
            "publish_context": _contexts(),
            "staging_target_path": _paths,
            "target_path": _paths,
            "volume_capability": _capabilities,
            "readonly": st.booleans(),
            "secrets": _secrets,
        },
    ),
    "NodeUnpublishVolume": Kind(
        csi_pb2.NodeUnpublishVolumeRequest,
        _VOLUME | {"target_path": str(POD)},
        {"volume_id": _ids, "target_path": _paths},
    ),
    "NodeGetVolumeStats": Kind(
        csi_pb2.NodeGetVolumeStatsRequest,
        _VOLUME | {"volume_path": str(POD)},
        {"volume_id": _ids, "volume_path": _paths, "staging_target_path": _paths},
    ),
    "NodeGetCapabilities": Kind(csi_pb2.NodeGetCapabilitiesRequest, {}, {}),
    "NodeGetInfo": Kind(csi_pb2.NodeGetInfoRequest, {}, {}),
}
_STATES = ["nothing", "staged", "published"]
_BEFORE = {"NodeStageVolume": "nothing", "NodePublishVolume": "staged", "NodeUnstageVolume": "staged"}


class Service:
    """A node service behind a socket; each `reset` gives it another node."""

    def __init__(self, directory: Path) -> None:
        self.world = World()
        self.node = Node(self.world.plugin())
        self.server = Server(f"unix://{directory}/csi.sock", [self.node])
        self.server.start()
        self.client = Client(self.server.address)

    def reset(self, state: str) -> None:
        """Begin with an untouched node, or one that has the volume staged, or published as well."""
        self.world = World()
        self.node._plugin = self.world.plugin()
        if state != "nothing":
            self.world.stage()
        if state == "published":
            self.world.publish()

    def look(self) -> object:
        """Return everything of the node that a call could have changed."""
        host = self.world.host
        disks = {name: (disk.lun.formatted, dict(disk.lun.blocks)) for name, disk in host.disks.items()}
        mounts = [(mount.point, mount.root, frozenset(mount.options)) for mount in host.mounts]
        # iscsiadm makes the directory of all records with the first one, and leaves it there.
        directories = set(host.dirs) - {NODES}
        return mounts, set(host.sessions), set(host.files), directories, disks, self.world.lun.formatted

    def ask(self, method: str, request: Message) -> grpc.StatusCode:
        """Return the code that the call ended with."""
        try:
            getattr(self.client.node, method)(request, timeout=30)
        except grpc.RpcError as error:
            failure = error
        else:
            return grpc.StatusCode.OK
        code, details = failure.code(), failure.details() or ""
        assert code in _CODES, f"{code}: {details}"
        assert "unforeseen" not in details, details
        assert details.strip(), "no word about what is wrong"
        assert CHAP.password not in details
        return code


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="csi-") as directory:
        running = Service(Path(directory))
        yield running
        running.client.close()
        running.server.stop(5.0)


@pytest.mark.parametrize("method", _KINDS)
def test_any_request_gets_a_sensible_answer(service: Service, method: str) -> None:
    """And a final refusal changes nothing."""

    @settings(suppress_health_check=list(HealthCheck))
    @given(state=st.sampled_from([_BEFORE.get(method, "published")] * 3 + _STATES), request=_KINDS[method].requests)
    def check(state: str, request: Message) -> None:
        service.reset(state)
        before = service.look()
        code = service.ask(method, request)
        if code not in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE):
            assert service.look() == before

    check()


@pytest.mark.parametrize("method", _KINDS)
def test_the_unchanged_requests_succeed(service: Service, method: str) -> None:
    """Or the test above would try little."""
    kind = _KINDS[method]
    service.reset(_BEFORE.get(method, "published"))

    assert service.ask(method, kind.message(**kind.good)) is grpc.StatusCode.OK
