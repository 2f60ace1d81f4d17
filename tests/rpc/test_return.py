"""A volume that comes back to a node after another one had it.

The first node may have lost it with data not yet written, and may still be trying to log in. Nothing it was given
before may open the volume again: what it would write is out of date.
"""

from __future__ import annotations

from csi_solidfire.handles import Chap
from lab.array import Array
from tests.support import ask
from tests.support.ask import KEY, NODE_1, NODE_2, accounts, create, publish, unpublish
from tests.support.driver import Driver, wait_until

REINSTALLED = "node-1/iqn.1993-08.org.debian:01:ffffffffffff"  # NODE_1's hostname on another machine


def _moved(driver: Driver, handle: str, node: str) -> dict[str, str]:
    """Take the volume from wherever it is and give it to a node; return what opens it there."""
    unpublish(driver, handle, "")
    context = publish(driver, handle, node)
    return {key: context[key] for key in (Chap.USERNAME, Chap.PASSWORD, Chap.PASSWORD_IN)}


def test_a_node_gets_its_own_credentials_again_if_nobody_else_had_the_volume(array: Array, driver: Driver) -> None:
    handle = create(driver)
    assert _moved(driver, handle, NODE_1) == _moved(driver, handle, NODE_1)
    assert list(accounts(array)) == ["node-1-shop"]


def test_what_opened_a_volume_before_another_node_had_it_never_opens_it_again(array: Array, driver: Driver) -> None:
    """However often it moves. Another volume keeps the node's account alive, so that it cannot simply be made anew."""
    handle, other = create(driver), create(driver, "pvc-2")
    publish(driver, other, NODE_1)
    given = [_moved(driver, handle, node) for node in (NODE_1, NODE_2) * 10]
    assert len({credentials[Chap.PASSWORD] for credentials in given}) == len(given)
    assert len({credentials[Chap.PASSWORD_IN] for credentials in given}) == len(given)
    assert all(credentials[Chap.USERNAME].startswith("node-1-shop") for credentials in given[::2])
    assert ask.owner(array, other) == "node-1-shop"


def test_an_account_that_owns_nothing_is_made_anew_under_its_name(array: Array, driver: Driver) -> None:
    handle = create(driver)
    first = _moved(driver, handle, NODE_1)
    _moved(driver, handle, NODE_2)
    again = _moved(driver, handle, NODE_1)
    assert again[Chap.USERNAME] == first[Chap.USERNAME] == "node-1-shop"
    assert again[Chap.PASSWORD] != first[Chap.PASSWORD]
    wait_until(lambda: list(accounts(array)) == ["node-1-shop"])


def test_publishing_again_never_moves_a_volume_in_use(array: Array, driver: Driver) -> None:
    """Whatever names became free since: a move would end the session."""
    handle, other = create(driver), create(driver, "pvc-2")
    publish(driver, other, NODE_1)
    for node in (NODE_1, NODE_2, NODE_1):
        context = _moved(driver, handle, node)
    assert context[Chap.USERNAME] != "node-1-shop"
    unpublish(driver, other, "")
    ask.delete(driver, other)
    wait_until(lambda: "node-1-shop" not in accounts(array))
    before = ask.volume(array, handle)
    again = publish(driver, handle, NODE_1)
    assert again[Chap.PASSWORD] == context[Chap.PASSWORD]
    assert ask.volume(array, handle) == before


def test_another_controller_knows_it_too(array: Array, driver: Driver) -> None:
    """What was given is remembered on the array, not in a process."""
    handle, other = create(driver), create(driver, "pvc-2")
    publish(driver, other, NODE_1)
    first = _moved(driver, handle, NODE_1)
    with Driver(array) as second:
        _moved(second, handle, NODE_2)
    with Driver(array) as third:
        assert _moved(third, handle, NODE_1)[Chap.PASSWORD] != first[Chap.PASSWORD]


def test_another_machine_of_the_same_hostname_gets_what_the_first_one_never_had(array: Array, driver: Driver) -> None:
    """The first was believed dead; its hostname is another machine's now, and it goes on trying to log in."""
    handle, other, new = create(driver), create(driver, "pvc-2"), create(driver, "pvc-3")
    old = [_moved(driver, each, NODE_1) for each in (handle, other)]
    unpublish(driver, other, NODE_1)
    attached = _moved(driver, new, REINSTALLED)
    before = ask.volume(array, new)
    given = [_moved(driver, each, REINSTALLED) for each in (handle, other)]
    assert {each[Chap.PASSWORD] for each in old}.isdisjoint(each[Chap.PASSWORD] for each in given)
    assert {each[Chap.PASSWORD_IN] for each in old}.isdisjoint(each[Chap.PASSWORD_IN] for each in given)
    assert given[0] == given[1], "they are for one node and namespace"
    assert given[0][Chap.USERNAME].startswith("node-1-shop-")
    assert ask.volume(array, new) == before
    assert publish(driver, new, REINSTALLED)[Chap.PASSWORD] == attached[Chap.PASSWORD]


def test_nor_does_the_first_machine_get_its_own_again(array: Array, driver: Driver) -> None:
    handle = create(driver)
    given = [_moved(driver, handle, node) for node in (NODE_1, REINSTALLED, NODE_1, REINSTALLED)]
    assert len({credentials[Chap.PASSWORD] for credentials in given}) == len(given)
    assert _moved(driver, handle, REINSTALLED) == given[-1]


def test_the_account_that_the_first_machine_knows_goes_with_its_last_volume(array: Array, driver: Driver) -> None:
    handle = create(driver)
    old = _moved(driver, handle, NODE_1)
    _moved(driver, handle, REINSTALLED)
    wait_until(lambda: "node-1-shop" not in accounts(array))
    new = _moved(driver, create(driver, "pvc-2"), REINSTALLED)
    assert new[Chap.USERNAME] == old[Chap.USERNAME] == "node-1-shop"
    assert new[Chap.PASSWORD] != old[Chap.PASSWORD]


def test_a_mark_that_knows_the_hostname_only_does_not_say_which_machine_it_was(array: Array, driver: Driver) -> None:
    """Earlier releases wrote it. A volume in use is left as it is all the same."""
    handle = create(driver)
    old = _moved(driver, handle, NODE_1)
    attributes = ask.volume(array, handle)["attributes"]
    attributes[KEY]["last"] = "node-1"
    array.call("ModifyVolume", {"volumeID": 1, "attributes": attributes})
    before = ask.volume(array, handle)
    assert publish(driver, handle, NODE_1)[Chap.PASSWORD] == old[Chap.PASSWORD]
    assert ask.volume(array, handle) == before
    new = _moved(driver, handle, NODE_1)
    assert new[Chap.PASSWORD] != old[Chap.PASSWORD]
    assert _moved(driver, handle, NODE_1) == new
