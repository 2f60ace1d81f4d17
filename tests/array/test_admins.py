"""Who may call what."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.array import Array
from tests.array.client import Client, Refused

Connect = Callable[..., Client]


@pytest.mark.parametrize(
    ("access", "allowed", "denied"),
    [
        (["read"], "ListVolumes", "CreateVolume"),
        (["accounts"], "AddAccount", "ListVolumes"),
        (["volumes"], "CreateSnapshot", "AddAccount"),
        (["reporting"], "ListISCSISessions", "ListVolumes"),
        (["read", "accounts"], "AddAccount", "DeleteVolume"),
        (["volumes", "write"], "CreateVolumeAccessGroup", "AddClusterAdmin"),
        (["administrator"], "AddClusterAdmin", ""),
    ],
)
def test_an_admin_may_what_the_access_allows(
    array: Array, connect: Connect, access: list[str], allowed: str, denied: str
) -> None:
    """A denial is an ordinary error whose message has the name, whatever the parameters."""
    array.call("AddClusterAdmin", {"username": "bob", "password": "bobspassword", "access": access})
    bob = connect(array, username="bob", password="bobspassword")
    answer = bob.post({"method": allowed}).json
    assert answer.get("error", {}).get("name") in (None, "xMissingParameter")
    if denied:
        with pytest.raises(Refused, match="xPermissionDenied: xPermissionDenied"):
            bob.call(denied)
    assert bob.call("GetCurrentClusterAdmin")["clusterAdmin"]["access"] == access


def test_a_removed_admin_is_locked_out(array: Array, connect: Connect) -> None:
    """So is one whose password changed, until it is used."""
    admin = array.call("AddClusterAdmin", {"username": "bob", "password": "first", "access": ["read"]})[
        "clusterAdminID"
    ]
    old = connect(array, username="bob", password="first")
    assert old.post({"method": "GetAPI"}).status == 200
    array.call("ModifyClusterAdmin", {"clusterAdminID": admin, "password": "second"})
    assert old.post({"method": "GetAPI"}).status == 401
    new = connect(array, username="bob", password="second")
    assert new.post({"method": "GetAPI"}).status == 200
    array.call("RemoveClusterAdmin", {"clusterAdminID": admin})
    assert new.post({"method": "GetAPI"}).status == 401


def test_passwords_are_never_shown(client: Client, array: Array) -> None:
    """Not in the list and not among the recorded calls."""
    client.call("AddClusterAdmin", username="bob", password="bobspassword", access=["read"])
    assert "bobspassword" not in str(client.call("ListClusterAdmins"))
    assert "bobspassword" not in str(list(array.calls))
