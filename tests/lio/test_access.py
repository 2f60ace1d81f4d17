"""Who gets to a volume of the lab's array, seen from nodes with the real kernel and open-iscsi."""

from __future__ import annotations

from typing import Any

import pytest

from lab.site import SIP, SVIP, Site
from tests.lio.initiator import Account, Initiator, Volume, wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("lio")]

AUTHORIZATION_FAILURE = 24  # ISCSI_ERR_LOGIN_AUTH_FAILED in open-iscsi's iscsi_err.h
FATAL_LOGIN = 19  # ISCSI_ERR_FATAL_LOGIN, a target that can't prove itself


def test_a_login_at_the_storage_address_is_served_by_a_storage_node(
    node: Initiator, volume: Volume, account: Account
) -> None:
    """The initiator keeps the SVIP as the portal it knows and talks to the node that it was sent to."""
    assert node.log_in(volume, account) == 0

    assert node.attribute(volume, "persistent_address") == SVIP
    assert node.attribute(volume, "address") == SIP


def test_the_disk_is_a_solidfire_volume(node: Initiator, volume: Volume, account: Account) -> None:
    """Vendor, product and NAA are those that the array's API and the real thing have."""
    node.log_in(volume, account)
    node.disk(volume)

    assert node.attribute(volume, "vendor") == "SolidFir"
    assert node.attribute(volume, "model") == "SSD SAN"
    assert node.attribute(volume, "wwid") == f"naa.{volume.naa}"


@pytest.mark.parametrize("mutual", [False, True])
def test_chap_is_one_way_or_mutual_as_the_initiator_asks(
    node: Initiator, volume: Volume, account: Account, mutual: bool
) -> None:
    """One target serves both."""
    assert node.log_in(volume, account, mutual=mutual) == 0
    assert node.state(volume) == "LOGGED_IN"


def test_a_wrong_initiator_secret_is_refused(node: Initiator, volume: Volume, account: Account) -> None:
    """The array lets nobody in who can't prove the account."""
    wrong = account.knowing(initiator_secret="wrong-secret-1")

    assert node.log_in(volume, wrong) == AUTHORIZATION_FAILURE
    assert node.state(volume) == ""


def test_a_wrong_target_secret_is_noticed(node: Initiator, volume: Volume, account: Account) -> None:
    """An initiator that asks for mutual CHAP refuses an array that proves another secret."""
    wrong = account.knowing(target_secret="wrong-secret-1")

    assert node.log_in(volume, wrong, mutual=True) == FATAL_LOGIN


def test_locking_a_volume_ends_its_sessions(site: Site, node: Initiator, volume: Volume, account: Account) -> None:
    """A locked volume's disk takes no write, and nobody logs in until it is unlocked."""
    node.log_in(volume, account)
    disk = node.disk(volume)
    assert node.write(disk, "before")

    site.call("ModifyVolume", {"volumeID": volume.volume_id, "access": "locked"})

    assert not node.write(disk, "after")
    node.log_out(volume)
    assert node.log_in(volume, account) == AUTHORIZATION_FAILURE
    site.call("ModifyVolume", {"volumeID": volume.volume_id, "access": "readWrite"})
    assert node.log_in(volume, account) == 0
    assert node.read(node.disk(volume)) == "before"


def test_locking_an_account_ends_the_sessions_of_its_volumes(
    site: Site, node: Initiator, volume: Volume, account: Account
) -> None:
    """As if each volume were locked."""
    node.log_in(volume, account)
    disk = node.disk(volume)

    site.call("ModifyAccount", {"accountID": account.account_id, "status": "locked"})

    assert not node.write(disk, "after")
    node.log_out(volume)
    assert node.log_in(volume, account) == AUTHORIZATION_FAILURE


def test_a_volume_that_changes_its_account_changes_its_node(
    site: Site, node: Initiator, other_node: Initiator, volume: Volume, account: Account, name: str
) -> None:
    """The old node is out for good, the new account's gets in and finds the bytes."""
    successor = Account.make(site, f"{name}-2")
    node.log_in(volume, account)
    disk = node.disk(volume)
    assert node.write(disk, "from the first node")

    site.call("ModifyVolume", {"volumeID": volume.volume_id, "accountID": successor.account_id})

    assert not node.write(disk, "too late")
    node.log_out(volume)
    assert node.log_in(volume, account) == AUTHORIZATION_FAILURE
    assert other_node.log_in(volume, successor) == 0
    assert other_node.read(other_node.disk(volume)) == "from the first node"


def test_a_new_secret_is_for_new_logins(site: Site, node: Initiator, volume: Volume, account: Account) -> None:
    """The live session goes on as the same session; the next login needs the new secret."""
    node.log_in(volume, account)
    disk = node.disk(volume)
    before = node.interruptions()
    renewed = account.knowing(initiator_secret="another-secret")

    site.call("ModifyAccount", {"accountID": account.account_id, "initiatorSecret": renewed.initiator_secret})

    assert node.write(disk, "goes on")
    assert node.interruptions() == before
    assert node.log_out(volume) == 0
    assert node.log_in(volume, account) == AUTHORIZATION_FAILURE
    assert node.log_in(volume, renewed) == 0


def test_a_read_only_volume_takes_no_write(site: Site, node: Initiator, volume: Volume, account: Account) -> None:
    """Not from the session that was there, which comes back by itself, and not from a new one; reading works."""
    node.log_in(volume, account)
    disk = node.disk(volume)
    assert node.write(disk, "kept")

    site.call("ModifyVolume", {"volumeID": volume.volume_id, "access": "readOnly"})

    wait_until(lambda: node.state(volume) == "LOGGED_IN")
    assert not node.write(disk, "lost")
    node.log_out(volume)
    assert node.log_in(volume, account) == 0
    disk = node.disk(volume)
    assert not node.write(disk, "lost")
    assert node.read(disk) == "kept"


def test_a_volume_is_writable_again(site: Site, node: Initiator, volume: Volume, account: Account) -> None:
    """Write protection ends with the access that it came from, also for an initiator that has met it."""
    node.log_in(volume, account)
    node.disk(volume)
    for access in ("readOnly", "readWrite"):
        node.log_out(volume)
        site.call("ModifyVolume", {"volumeID": volume.volume_id, "access": access})
        node.log_in(volume, account)

    assert node.write(node.disk(volume), "again")


def test_the_array_lists_who_is_logged_in(site: Site, node: Initiator, volume: Volume, account: Account) -> None:
    """By initiator, volume and account, with the addresses at both ends; a session that ended is not listed."""
    node.log_in(volume, account)

    (session,) = _sessions(site, volume)

    assert session["initiatorName"] == node.says("sed -n s/^InitiatorName=//p /etc/iscsi/initiatorname.iscsi")
    assert session["initiatorIP"].startswith("192.0.2.101:")
    assert session["targetIP"] == f"{SIP}:3260"
    assert (session["accountID"], session["accountName"]) == (account.account_id, account.username)
    node.log_out(volume)
    wait_until(lambda: _sessions(site, volume) == [])


def test_a_deleted_volume_is_gone(site: Site, node: Initiator, volume: Volume, account: Account) -> None:
    """Its session ends, nobody logs in, and the array keeps no device, target or file of it once it is purged."""
    node.log_in(volume, account)
    disk = node.disk(volume)

    site.call("DeleteVolume", {"volumeID": volume.volume_id})
    assert not node.write(disk, "after")
    node.log_out(volume)
    assert node.log_in(volume, account) != 0

    site.call("PurgeDeletedVolume", {"volumeID": volume.volume_id})
    left = (
        "losetup -a; ls /sys/kernel/config/target/core/iblock_0 /sys/kernel/config/target/iscsi; ls /srv/array/volumes"
    )
    assert volume.iqn not in (listed := site.array.run(left).stdout)
    assert f"volume-{volume.volume_id}\n" not in listed


def _sessions(site: Site, volume: Volume) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = site.call("ListISCSISessions")["sessions"]
    return [session for session in sessions if session["volumeID"] == volume.volume_id]
