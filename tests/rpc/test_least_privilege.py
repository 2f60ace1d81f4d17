"""The access types that docs/reference/credentials.md gives the driver's cluster admin are enough, and none is idle."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import grpc
import pytest

from csi_solidfire import errors
from csi_solidfire.pb import csi_pb2
from csi_solidfire.storage import rotation
from csi_solidfire.storage.clusters import Clusters
from lab.array import Array
from lab.csi import mount
from tests.support import ask
from tests.support.ask import NODE_1, NODE_2, accounts, create, delete, get, listed, publish, unpublish
from tests.support.driver import Driver, wait_until, write_cluster

DOCS = Path("docs/reference")
NEEDED = ["accounts", "reporting", "volumes"]
# For the real array only: NetApp's lists are silent about some methods that read, and the lab lets everybody use those.
READ = "read"
ADMIN = {"username": "csi", "password": "password-of-csi"}


def _live(array: Array, admin: dict[str, Any]) -> None:
    """Take a volume through all that a controller does with it, as an admin made for it."""
    array.call("CreateQoSPolicy", {"name": "gold", "qos": {"minIOPS": 100}})
    array.call("AddClusterAdmin", admin)
    with Driver() as driver:
        write_cluster(driver.clusters / "c1", array, username=admin["username"], password=admin["password"])
        cluster = Clusters(driver.clusters, verify_tls=True, parallel=4).configured()["c1"]
        handle = create(driver, parameters={"qosPolicy": "gold"})
        publish(driver, handle, NODE_1)
        assert [entry.volume.volume_id for entry in listed(driver).entries] == [handle]
        assert list(get(driver, handle).status.published_node_ids) == [NODE_1]
        validate = csi_pb2.ValidateVolumeCapabilitiesRequest(volume_id=handle, volume_capabilities=[mount()])
        assert driver.controller.ValidateVolumeCapabilities(validate).confirmed.volume_capabilities
        assert rotation.retire(cluster, ()) == ["node-1-shop"]
        assert len(rotation.waiting(cluster)) == 1
        unpublish(driver, handle, NODE_1)
        publish(driver, handle, NODE_2)
        wait_until(lambda: "node-1-shop" not in accounts(array))
        assert not rotation.waiting(cluster)
        unpublish(driver, handle, NODE_2)
        delete(driver, handle)
        wait_until(lambda: not accounts(array))
        assert driver.identity.Probe(csi_pb2.ProbeRequest()).ready.value
        cluster.close()
    assert not ask.volumes(array)
    assert {call.username for call in array.calls} == {admin["username"]}


@pytest.mark.parametrize("access", [[*NEEDED, READ], NEEDED], ids=str)
def test_a_volumes_whole_life(array: Array, access: list[str]) -> None:
    _live(array, ADMIN | {"access": access})
    assert "xPermissionDenied" not in {call.outcome for call in array.calls}
    assert {"ModifyAccount", "RemoveAccount", "PurgeDeletedVolume"} <= set(array.calls.methods())


@pytest.mark.parametrize("missing", NEEDED)
def test_not_with_one_fewer(array: Array, missing: str) -> None:
    left = [access for access in (*NEEDED, READ) if access != missing]
    with pytest.raises((grpc.RpcError, errors.DriverError), match="xPermissionDenied"):
        _live(array, ADMIN | {"access": left})


def test_capacity_without_being_allowed_to_ask_how_full_it_is(array: Array) -> None:
    """Then the provisioner is told what may still be promised, and the array itself refuses when it is full."""
    array.call("AddClusterAdmin", ADMIN | {"access": [*NEEDED, READ]})
    with Driver() as driver:
        write_cluster(driver.clusters / "c1", array, **ADMIN)
        assert driver.controller.GetCapacity(csi_pb2.GetCapacityRequest()).available_capacity > 0


def test_the_documented_admin_is_enough_and_every_method_documented(array: Array) -> None:
    """Made by the very call that operators copy."""
    body = re.search(r"-d '(\{\n.*?\n\})'", (DOCS / "credentials.md").read_text(), re.DOTALL)
    assert body
    request = json.loads(body[1])
    assert sorted(request["params"]["access"]) == sorted([*NEEDED, READ])
    assert request["method"] == "AddClusterAdmin"
    _live(array, request["params"])
    known = (DOCS / "element.md").read_text()
    assert not [method for method in set(array.calls.methods()) if f"`{method}`" not in known]
