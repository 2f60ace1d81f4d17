"""How often each CSI call asks the array, held against the table in docs/reference/rpcs.md."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from csi_solidfire.pb import csi_pb2
from lab.array import Array
from lab.csi import mount
from tests.support import ask
from tests.support.ask import KEY, NODE_1, create, delete, get, listed, publish, unpublish
from tests.support.driver import Driver, quiet

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "rpcs.md"
RECYCLE = {"deletePolicy": "recycle"}
Ask = Callable[[Driver, str], object]


def _table() -> dict[str, tuple[str, str, list[str]]]:
    rows = re.findall(r"^\| (.+?) \| (\d|once) \| (\d) \| (.*?) ?\|$", PAGE.read_text(), re.MULTILINE)
    return {call: (done, to_do, [word for word in methods.split(", ") if word]) for call, done, to_do, methods in rows}


def _validate(driver: Driver, handle: str) -> object:
    request = csi_pb2.ValidateVolumeCapabilitiesRequest(volume_id=handle, volume_capabilities=[mount()])
    return driver.controller.ValidateVolumeCapabilities(request)


# Each takes the handle of a volume that is there, unpublished.
CALLS: dict[str, Ask] = {
    "CreateVolume": lambda driver, handle: create(driver, "new"),
    "DeleteVolume": delete,
    "DeleteVolume, `deletePolicy: recycle`": delete,
    "ControllerPublishVolume": publish,
    "ControllerUnpublishVolume": unpublish,
    "ValidateVolumeCapabilities": _validate,
    "ControllerGetVolume": get,
    "ListVolumes": lambda driver, handle: listed(driver),
    "GetCapacity": lambda driver, handle: driver.controller.GetCapacity(csi_pb2.GetCapacityRequest()),
    "Probe": lambda driver, handle: driver.identity.Probe(csi_pb2.ProbeRequest()),
    "ControllerGetCapabilities": lambda driver, handle: driver.controller.ControllerGetCapabilities(
        csi_pb2.ControllerGetCapabilitiesRequest()
    ),
    "GetPluginInfo": lambda driver, handle: driver.identity.GetPluginInfo(csi_pb2.GetPluginInfoRequest()),
    "GetPluginCapabilities": lambda driver, handle: driver.identity.GetPluginCapabilities(
        csi_pb2.GetPluginCapabilitiesRequest()
    ),
}
ONCE = [call for call, (done, _, _) in _table().items() if done == "once"]


@pytest.fixture(scope="module", params=[1, 300], ids=["1 volume", "300 volumes"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of an array with so many volumes, half of them the driver's."""
    folder = tmp_path_factory.mktemp("filled")
    with Array.start(unique_id="lab1", state=folder) as array:
        account = array.call("AddAccount", {"username": "many"})["accountID"]
        for number in range(request.param):
            attributes = {KEY: {"name": f"v{number}", "namespace": "many"}} if number % 2 else {}
            made = {"name": f"v{number}", "accountID": account, "totalSize": 10**9, "attributes": attributes}
            array.call("CreateVolume", made)
    return folder


@pytest.fixture
def array(filled: Path, tmp_path: Path) -> Iterator[Array]:
    state = shutil.copytree(filled, tmp_path / "state")
    with Array.start(unique_id="lab1", state=state) as array:
        yield array


@pytest.fixture
def driver(array: Array) -> Iterator[Driver]:
    """A driver that knows the cluster, whose sweep at the start is over, so that its calls are not counted."""
    with quiet(array) as driver:
        publish(driver, create(driver, "warm"))
        driver.controller.GetCapacity(csi_pb2.GetCapacityRequest())
        yield driver


def _count(array: Array, call: Ask, driver: Driver, handle: str) -> list[str]:
    array.calls.clear()
    call(driver, handle)
    # The page tells of these two: a volume's account is looked at in the background when it is deleted.
    background = ("GetAccountByID", "RemoveAccount") if call is delete else ()
    return [method for method in array.calls.methods() if method not in background]


def test_the_table_has_every_call_there_is() -> None:
    assert list(_table()) == list(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_the_calls_are_those_of_the_table(array: Array, driver: Driver, name: str) -> None:
    done, to_do, methods = _table()[name]
    handle = create(driver, "subject", parameters=RECYCLE if "recycle" in name else {})
    if name == "ControllerUnpublishVolume":
        publish(driver, handle)
    assert _count(array, CALLS[name], driver, handle) == methods
    assert len(methods) == int(to_do)
    if name not in ONCE:
        assert len(_count(array, CALLS[name], driver, handle)) == int(done)


def test_publishing_goes_on_costing_the_same(array: Array, driver: Driver) -> None:
    handle = create(driver, "subject")
    publish(driver, handle, NODE_1)
    unpublish(driver, handle, NODE_1)
    assert len(_count(array, CALLS["ControllerPublishVolume"], driver, handle)) == 3
    assert ask.volume(array, handle)["access"] == "readWrite"
