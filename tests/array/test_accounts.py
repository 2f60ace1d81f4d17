"""Accounts and their secrets."""

from __future__ import annotations

import pytest

from lab.array import Array
from tests.array.client import Client, Refused


def test_an_account_comes_back_whole_from_its_making(client: Client) -> None:
    """solidfire-go takes id and secrets from this answer."""
    answer = client.call("AddAccount", username="node-1-shop", attributes={"a": [1, None]})
    account = answer["account"]
    assert answer["accountID"] == account["accountID"] == 1
    assert (account["status"], account["enableChap"], account["volumes"]) == ("active", True, [])
    assert account["attributes"] == {"a": [1, None]}
    assert client.call("GetAccountByName", username="node-1-shop")["account"] == account
    assert client.call("GetAccountByID", accountID=1)["account"] == account


def test_secrets_that_are_not_given_are_made_up(client: Client) -> None:
    """16 characters, different ones; null asks for it as well."""
    made = client.call("AddAccount", username="a", initiatorSecret=None)["account"]
    assert len(made["initiatorSecret"]) == len(made["targetSecret"]) == 16
    assert made["initiatorSecret"] != made["targetSecret"]


@pytest.mark.parametrize("secret", ["a" * 11, "a" * 17, "tab\tinside-it"])
def test_a_bad_secret_is_refused(client: Client, secret: str) -> None:
    """12 to 16 printable characters."""
    with pytest.raises(Refused, match="xInvalidAPIParameter"):
        client.call("AddAccount", username="a", targetSecret=secret)
    assert client.call("ListAccounts")["accounts"] == []


def test_equal_secrets_are_taken(client: Client) -> None:
    """Every Cinder installation has them, whatever the documentation says."""
    client.call("AddAccount", username="a", initiatorSecret="samesecret12", targetSecret="samesecret12")
    client.call("AddAccount", username="b", initiatorSecret="samesecret12", targetSecret="samesecret12")


def test_usernames_are_unique(client: Client) -> None:
    """Also after a change, and free again after removal."""
    first, second = client.account("a"), client.account("b")
    with pytest.raises(Refused, match="xDuplicateUsername"):
        client.account("a")
    with pytest.raises(Refused, match="xDuplicateUsername"):
        client.call("ModifyAccount", accountID=second, username="a")
    client.call("RemoveAccount", accountID=first)
    assert client.account("a") == 3


@pytest.mark.parametrize("username", ["", "x" * 65])
def test_a_username_has_1_to_64_characters(client: Client, username: str) -> None:
    """Nothing is made otherwise."""
    with pytest.raises(Refused):
        client.account(username)
    assert client.account("x" * 64)


def test_unknown_accounts_have_the_names_that_clients_match(client: Client) -> None:
    """Two ways to be unknown."""
    for call in ({"method": "GetAccountByName", "username": "a"}, {"method": "GetAccountByID", "accountID": 9}):
        with pytest.raises(Refused, match="xUnknownAccount: xUnknownAccount"):
            client.call(**call)
    with pytest.raises(Refused, match="xAccountIDDoesNotExist: Illegal AccountID 9"):
        client.call("RemoveAccount", accountID=9)
    with pytest.raises(Refused, match="xAccountIDDoesNotExist"):
        client.call("ListVolumesForAccount", accountID=9)


def test_a_change_changes_what_it_names(client: Client) -> None:
    """An empty object clears attributes; absent ones stay."""
    before = client.call("AddAccount", username="a", attributes={"k": 1})["account"]
    locked = client.call("ModifyAccount", accountID=1, status="locked")["account"]
    assert locked == before | {"status": "locked"}
    assert client.call("ModifyAccount", accountID=1, attributes={})["account"]["attributes"] == {}


def test_an_account_with_volumes_stays_even_if_they_are_recycled(client: Client) -> None:
    """The recycle bin must be emptied first."""
    volume = client.volume(client.account())["volumeID"]
    client.call("DeleteVolume", volumeID=volume)
    assert client.call("GetAccountByID", accountID=1)["account"]["volumes"] == [volume]
    with pytest.raises(Refused, match="has volumes"):
        client.call("RemoveAccount", accountID=1)
    client.call("PurgeDeletedVolume", volumeID=volume)
    assert client.call("RemoveAccount", accountID=1) == {}
    assert client.call("ListAccounts")["accounts"] == []


def test_pages_begin_at_an_id_that_need_not_exist(client: Client) -> None:
    """Inclusive, ascending, at most `limit`."""
    for name in "abcde":
        client.account(name)
    client.call("RemoveAccount", accountID=2)
    page = client.call("ListAccounts", startAccountID=2, limit=2)["accounts"]
    assert [account["accountID"] for account in page] == [3, 4]


def test_the_number_of_accounts_is_limited(array: Array, client: Client) -> None:
    """By a limit that tests can lower."""
    array.limits["accountCountMax"] = 1
    client.account("a")
    with pytest.raises(Refused, match="xExceededLimit"):
        client.account("b")
