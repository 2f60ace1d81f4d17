"""ValidateVolumeCapabilities."""

from __future__ import annotations

import grpc
import pytest

from csi_solidfire.pb import csi_pb2
from lab.array import Array
from lab.csi import block, mount
from tests.support import ask
from tests.support.ask import Mode, create, refused
from tests.support.driver import Driver

Request = csi_pb2.ValidateVolumeCapabilitiesRequest
Response = csi_pb2.ValidateVolumeCapabilitiesResponse


def _validate(driver: Driver, volume_id: str, *asked: csi_pb2.VolumeCapability, **more: dict[str, str]) -> Response:
    request = Request(volume_id=volume_id, volume_capabilities=asked, **more)
    return driver.controller.ValidateVolumeCapabilities(request)


def test_what_is_confirmed_is_what_was_asked(array: Array, driver: Driver) -> None:
    handle = create(driver)
    before = ask.snapshot(array)
    context = {"storage.kubernetes.io/csiProvisionerIdentity": "x"}
    answer = _validate(driver, handle, mount(), block(), volume_context=context, parameters={"minIOPS": "60"})
    assert list(answer.confirmed.volume_capabilities) == [mount(), block()]
    assert dict(answer.confirmed.volume_context) == context
    assert dict(answer.confirmed.parameters) == {"minIOPS": "60"}
    assert not answer.message
    assert ask.snapshot(array) == before


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ([mount("ntfs")], "ext4, xfs, btrfs"),
        ([mount(), mount(mode=Mode.MULTI_NODE_MULTI_WRITER)], "raw block"),
        ([block(mode=Mode.MULTI_NODE_SINGLE_WRITER)], "MULTI_NODE_SINGLE_WRITER"),
    ],
)
def test_what_is_not_served_is_not_confirmed(driver: Driver, asked: list[csi_pb2.VolumeCapability], word: str) -> None:
    answer = _validate(driver, create(driver), *asked)
    assert not answer.HasField("confirmed")
    assert word in answer.message


def test_parameters_it_does_not_know_are_not_confirmed(driver: Driver) -> None:
    answer = _validate(driver, create(driver), mount(), parameters={"colour": "red"})
    assert not answer.HasField("confirmed")
    assert "'colour' is not known" in answer.message


@pytest.mark.parametrize("volume_id", ["lab1.999", "non-existing-volume-id", "lab1.", "é" * 100])
def test_a_volume_that_is_not_there(driver: Driver, volume_id: str) -> None:
    with refused(grpc.StatusCode.NOT_FOUND):
        _validate(driver, volume_id, mount())


def test_missing_fields(driver: Driver) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "volume_id"):
        _validate(driver, "", mount())
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "volume_capabilities"):
        _validate(driver, create(driver))
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "access_type"):
        _validate(driver, create(driver), csi_pb2.VolumeCapability())
