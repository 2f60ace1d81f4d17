"""CreateVolume: what is on the array afterwards, and what the caller is told."""

from __future__ import annotations

import contextlib
from typing import Any

import grpc
import pytest

from csi_solidfire.pb import csi_pb2
from lab.array import Array
from lab.csi import GIB, block, claim, mount
from tests.support import ask
from tests.support.ask import KEY, MIB, Mode, accounts, create, refused
from tests.support.driver import HOSTNAME, Driver

SMALLEST = 954 * MIB  # Element's minimum of 1,000,000,000 bytes, in its granule.
LARGEST = 16384 * GIB


def test_a_volume_is_born_into_the_account_of_its_node_and_namespace(array: Array, driver: Driver) -> None:
    handle = create(driver, "pvc-1", host="node-1", namespace="shop")
    assert handle == "lab1.1"
    made = ask.volume(array, handle)
    assert (made["name"], made["status"], made["totalSize"]) == ("pvc-1", "active", GIB)
    assert made["enable512e"] is True
    assert ask.owner(array, handle) == "node-1-shop"
    assert made["attributes"][KEY] == {"name": "pvc-1", "namespace": "shop", "claim": "data"}


def test_the_answer_tells_the_size_the_array_gave_and_ties_the_volume_to_no_node(driver: Driver) -> None:
    made = driver.controller.CreateVolume(ask.create_request(size=GIB + 1)).volume
    assert made.capacity_bytes == GIB + MIB
    assert not made.accessible_topology
    assert not made.volume_context


def test_without_topology_and_claim_the_configuration_decides(array: Array, driver: Driver) -> None:
    handle = create(driver, host="", namespace="")
    assert ask.owner(array, handle) == f"{HOSTNAME}-default"


def test_the_first_preferred_node_wins_over_the_requisite_ones(array: Array, driver: Driver) -> None:
    request = ask.create_request(host="")
    for key, hostname in (("preferred", "node-7"), ("preferred", "node-8"), ("requisite", "node-9")):
        segments = {"topology.csi-solidfire.io/hostname": hostname}
        getattr(request.accessibility_requirements, key).add(segments=segments)
    handle = driver.controller.CreateVolume(request).volume.volume_id
    assert ask.owner(array, handle) == "node-7-shop"


def test_a_topology_that_names_no_node_cannot_be_met(array: Array, driver: Driver) -> None:
    request = ask.create_request(host="")
    request.accessibility_requirements.requisite.add(segments={"topology.kubernetes.io/zone": "a"})
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "topology.csi-solidfire.io/hostname"):
        driver.controller.CreateVolume(request)
    assert not ask.volumes(array)


@pytest.mark.parametrize(
    ("required", "limit", "size"),
    [
        (0, 0, GIB),
        (1, 0, SMALLEST),
        (1_000_000_000, 0, SMALLEST),
        (SMALLEST, SMALLEST, SMALLEST),
        (GIB + 1, 0, GIB + MIB),
        (GIB + 1, GIB + MIB, GIB + MIB),
        (0, SMALLEST, SMALLEST),
        (0, SMALLEST + MIB + 5, SMALLEST + MIB),
        (0, 5 * GIB, GIB),
        (LARGEST, LARGEST, LARGEST),
    ],
)
def test_sizes_are_rounded_up_to_what_the_array_has(
    array: Array, driver: Driver, required: int, limit: int, size: int
) -> None:
    made = driver.controller.CreateVolume(ask.create_request(size=required, limit=limit)).volume
    assert made.capacity_bytes == size
    assert ask.volume(array, made.volume_id)["totalSize"] == size


@pytest.mark.parametrize(
    ("required", "limit"),
    [(GIB + 1, GIB + MIB - 1), (0, 1_000_000_000), (1, 1), (LARGEST + 1, 0), (2**62, 0), (2**63 - 1, 2**63 - 1)],
)
def test_a_size_nobody_can_have_is_out_of_range(array: Array, driver: Driver, required: int, limit: int) -> None:
    with refused(grpc.StatusCode.OUT_OF_RANGE, "capacity_range"):
        create(driver, size=required, limit=limit)
    assert not ask.volumes(array)
    assert not accounts(array)


@pytest.mark.parametrize(("required", "limit"), [(-1, 0), (0, -1), (2 * GIB, GIB)])
def test_a_contradictory_size_is_invalid(array: Array, driver: Driver, required: int, limit: int) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "capacity_range"):
        create(driver, size=required, limit=limit)
    assert not ask.volumes(array)


@pytest.mark.parametrize(
    "capability",
    [
        mount("ext4"),
        mount("xfs"),
        mount("btrfs"),
        mount(""),
        mount(mode=Mode.SINGLE_NODE_WRITER),
        mount(mode=Mode.SINGLE_NODE_READER_ONLY),
        mount(mode=Mode.SINGLE_NODE_SINGLE_WRITER),
        mount(mode=Mode.MULTI_NODE_READER_ONLY),
        block(),
        block(mode=Mode.MULTI_NODE_MULTI_WRITER),
    ],
    ids=lambda capability: str(capability).replace("\n", " "),
)
def test_capabilities_it_serves(driver: Driver, capability: csi_pb2.VolumeCapability) -> None:
    assert create(driver, capability=capability) == "lab1.1"


@pytest.mark.parametrize(
    ("capability", "word"),
    [
        (mount("ntfs"), "ext4, xfs, btrfs"),
        (mount(mode=Mode.MULTI_NODE_MULTI_WRITER), "raw block"),
        (mount(mode=Mode.MULTI_NODE_SINGLE_WRITER), "MULTI_NODE_SINGLE_WRITER"),
        (block(mode=Mode.MULTI_NODE_SINGLE_WRITER), "MULTI_NODE_SINGLE_WRITER"),
        (mount(mode=Mode.UNKNOWN), "access_mode"),
        (csi_pb2.VolumeCapability(mount=mount().mount, access_mode=Mode(mode=77)), "access_mode 77"),  # type: ignore[arg-type]
        (csi_pb2.VolumeCapability(access_mode=Mode(mode=Mode.SINGLE_NODE_WRITER)), "access_type"),
        (csi_pb2.VolumeCapability(mount=mount().mount), "access_mode"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_capabilities_it_refuses(array: Array, driver: Driver, capability: csi_pb2.VolumeCapability, word: str) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "volume_capabilities", word):
        create(driver, capability=capability)
    assert not ask.volumes(array)


def test_every_capability_has_to_be_served(array: Array, driver: Driver) -> None:
    for others in ([block(), mount("vfat")], [mount("ext4"), mount("xfs")], []):
        request = ask.create_request()
        del request.volume_capabilities[:]
        request.volume_capabilities.extend(others)
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "volume_capabilities"):
            driver.controller.CreateVolume(request)
    assert not ask.volumes(array)


def test_a_mount_group_and_a_source_are_not_offered(array: Array, driver: Driver) -> None:
    grouped = mount()
    grouped.mount.volume_mount_group = "1000"
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "volume_mount_group"):
        create(driver, capability=grouped)
    request = ask.create_request()
    request.volume_content_source.volume.volume_id = "lab1.9"
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "volume_content_source"):
        driver.controller.CreateVolume(request)
    assert not ask.volumes(array)


def test_an_ext4_claim_repeated_finds_its_volume(array: Array, driver: Driver) -> None:
    first = driver.controller.CreateVolume(ask.create_request(size=GIB + 1))
    before = ask.snapshot(array)
    assert driver.controller.CreateVolume(ask.create_request(size=GIB + 1)) == first
    assert driver.controller.CreateVolume(ask.create_request(size=1, limit=2 * GIB)) == first
    assert ask.snapshot(array) == before


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"size": GIB + 1}, "size"),
        ({"size": SMALLEST, "limit": GIB - 1}, "size"),
        ({"parameters": {"enable512e": "false"}}, "enable512e"),
        ({"parameters": {"deletePolicy": "recycle"}}, "deletePolicy"),
        ({"parameters": {"fencing": "false"}}, "fencing"),
        ({"parameters": {"minIOPS": "60"}}, "minIOPS"),
        ({"parameters": {"qosPolicy": "gold"}}, "qosPolicy"),
        ({"namespace": "payments"}, "namespace"),
    ],
    ids=str,
)
def test_a_name_that_belongs_to_another_kind_of_volume(
    array: Array, driver: Driver, changes: dict[str, Any], word: str
) -> None:
    array.call("CreateQoSPolicy", {"name": "gold", "qos": {"minIOPS": 100}})
    create(driver)
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.ALREADY_EXISTS, "pvc-1", word):
        create(driver, **changes)
    assert ask.snapshot(array) == before


def test_the_node_the_scheduler_chooses_next_does_not_make_it_another_volume(array: Array, driver: Driver) -> None:
    assert create(driver, host="node-1") == create(driver, host="node-2")
    assert list(accounts(array)) == ["node-1-shop"]


def test_all_namespaces_and_nodes_have_accounts_of_their_own(array: Array, driver: Driver) -> None:
    for number, (host, namespace) in enumerate([("n1", "a"), ("n1", "b"), ("n2", "a"), ("n1", "a")]):
        create(driver, f"pvc-{number}", host=host, namespace=namespace)
    owned = {name: len(account["volumes"]) for name, account in accounts(array).items()}
    assert owned == {"n1-a": 2, "n1-b": 1, "n2-a": 1}


def test_new_accounts_have_two_random_secrets_of_the_length_element_takes(array: Array, driver: Driver) -> None:
    create(driver, "pvc-1", namespace="a")
    create(driver, "pvc-2", namespace="b")
    found = [account[key] for account in accounts(array).values() for key in ("initiatorSecret", "targetSecret")]
    assert len(set(found)) == 4
    assert all(len(secret) == 16 and secret.isalnum() for secret in found)


@pytest.mark.parametrize("field", ["name", "volume_capabilities"])
def test_missing_fields(array: Array, driver: Driver, field: str) -> None:
    request = ask.create_request()
    request.ClearField(field)  # type: ignore[arg-type]
    with refused(grpc.StatusCode.INVALID_ARGUMENT, field):
        driver.controller.CreateVolume(request)
    assert not ask.volumes(array)


def test_maps_beyond_the_specification_are_refused(driver: Driver) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "parameters", "4096"):
        create(driver, parameters={"csi.storage.k8s.io/x": "x" * 4100})


def test_mutable_parameters_win(array: Array, driver: Driver) -> None:
    request = ask.create_request(parameters={"minIOPS": "60"})
    request.mutable_parameters["minIOPS"] = "70"
    driver.controller.CreateVolume(request)
    assert ask.volumes(array)[0]["qos"]["minIOPS"] == 70


def test_what_the_provisioner_adds_is_taken(driver: Driver) -> None:
    create(driver, parameters=claim("shop", "data") | {"csi.storage.k8s.io/pv/name": "pvc-1"})


@pytest.mark.parametrize("same", [True, False], ids=["the same controller", "another controller"])
def test_a_volume_that_is_not_active_yet_is_not_made_twice(array: Array, driver: Driver, same: bool) -> None:
    """The first call's answer may be lost while the array is still at work on the volume."""
    array.settings.create_seconds = 3600.0
    handle = create(driver)
    with contextlib.nullcontext(driver) if same else Driver(array) as again:
        for _ in range(2):
            with refused(grpc.StatusCode.UNAVAILABLE, handle, "is in state init"):
                create(again)
        assert len(ask.volumes(array)) == 1
        array.clock.advance(3600.0)
        assert create(again) == handle
        ask.publish(again, handle)


def test_a_foreign_volume_of_that_name_in_any_state_is_not_waited_for(array: Array, driver: Driver) -> None:
    account = array.call("AddAccount", {"username": "cinder"})["accountID"]
    array.settings.create_seconds = 3600.0
    array.call("CreateVolume", {"name": "pvc-1", "accountID": account, "totalSize": 10**9})
    array.settings.create_seconds = 0.0
    assert create(driver) == "lab1.2"
