"""A volume that comes back to a node after another one had it.

The first node may have lost it with data not yet written, and may still be trying to log in. Nothing it was given
before may open the volume again: what it would write is out of date.
"""

from __future__ import annotations

from csi_solidfire.handles import Chap
from lab.array import Array
from tests.support import ask
from tests.support.ask import NODE_1, NODE_2, accounts, create, publish, unpublish
from tests.support.driver import Driver, wait_until


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
    """Another volume keeps the node's account alive, so that it cannot simply be made anew."""
    handle, other = create(driver), create(driver, "pvc-2")
    publish(driver, other, NODE_1)
    given = [_moved(driver, handle, node) for node in (NODE_1, NODE_2, NODE_1, NODE_2, NODE_1)]
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
