"""The fence holds whatever becomes of the controller, and keeps nobody out where a class switches it off."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import grpc
import pytest

from csi_solidfire.handles import Chap
from lab import csi
from lab.csi import Client
from lab.site import Node, Site
from tests.fencing.conftest import Make
from tests.fencing.controllers import Faults, controller, publish, unpublish
from tests.fencing.handover import Held, initiator, initiators
from tests.realnode.volumes import PATIENCE, Volume, session_state, until_done
from tests.support.ask import KEY, refused
from tests.support.driver import all_at_once, wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("fencing")]

_MOST_CALLS = 12
_COLLISIONS, _MOST_RACES = 2, 8


def _on_the_array(volume: Volume) -> tuple[str, str, list[str]]:
    """Return the account's name, the access, and the host names of who is written down as having the volume."""
    found = volume.site.call("ListVolumes", {"volumeIDs": [volume.number]})["volumes"][0]
    account = volume.site.call("GetAccountByID", {"accountID": found["accountID"]})["account"]
    nodes = found["attributes"][KEY].get("nodes", {})
    return account["username"], found["access"], [node.partition("/")[0] for node in nodes]


def _killed_after(site: Site, number: int, call: Callable[[Client], object]) -> bool:
    """Kill a controller with SIGKILL once the array has carried out the n-th call it makes; False if it makes fewer."""
    faults = Faults(site)
    with controller(site, "victim") as client, ThreadPoolExecutor(1) as pool:
        faults.arm("lose", number)
        faults.arm("refuse", number + 1, onwards=True)
        answer = pool.submit(call, client)
        wait_until(lambda: answer.done() or "lose" not in faults.armed(), PATIENCE)
        site.run.kill("victim")
        faults.clear()
        with suppress(grpc.RpcError):
            answer.result(PATIENCE)
            return False
    return True


def test_a_controller_killed_at_every_array_call_of_a_hand_over(
    site: Site, make: Make, node: Node, other_node: Node
) -> None:
    """Whatever it got done, node-1 writes until it is locked out and never again, and node-2 gets all it wrote."""
    held = Held.by(node, make(csi.mount("ext4")))
    volume, ids = held.volume, (node.id, other_node.id)
    steps = [lambda client: unpublish(client, volume, ids[0]), lambda client: publish(client, volume, ids[1])]
    seen: list[tuple[str, str, list[str]]] = []
    for step in steps:
        kills = 0
        while _killed_after(site, kills + 1, step):
            kills += 1
            assert kills < _MOST_CALLS
            seen.append(_on_the_array(volume))
            if seen[-1][1] == "readWrite" and seen[-1][2] == ["node-1"]:
                held.wait_for_writes(3)
            else:
                held.look()
        assert kills >= 2
    held.wait_for_attempts()
    held.look()
    volume.publish(other_node)
    held.begin_on(other_node)

    before: tuple[str, str, list[str]] = ("node-1-shop", "readWrite", ["node-1"])
    locked: tuple[str, str, list[str]] = ("node-1-shop", "locked", [])
    moved = ("node-2-shop", "readWrite", ["node-2"])
    assert [state for state in seen if state not in (before, locked, moved)] == []
    assert sorted(seen, key=[before, locked, moved].index) == seen
    assert locked in seen
    assert seen[-1] == moved
    assert held.contents[1:] == held.contents[:1] * (len(held.contents) - 1)
    notes = held.writer.notes()
    assert held.found in (notes.acknowledged, notes.acknowledged + 1)
    assert initiators(site, volume) == [initiator(other_node)]
    held.end_on(other_node)
    held.writer.stop()
    until_done(lambda: volume.hide(node, held.target))
    until_done(lambda: volume.unstage(node))


def test_two_controllers_give_a_volume_to_two_nodes_at_once(
    site: Site, make: Make, node: Node, other_node: Node
) -> None:
    """One node gets in, and it is the one that is written down; the other one's credentials open nothing.

    It is tried until both controllers said yes a few times: each had looked before the other changed anything.
    """
    volume, nodes = make(), {"node-1": node, "node-2": other_node}
    ids = [each.id for each in nodes.values()]
    faults = Faults(site)
    answers: list[int] = []
    with controller(site, "one") as one, controller(site, "two") as two:
        while answers.count(2) < _COLLISIONS:
            assert len(answers) < _MOST_RACES
            faults.delay_all(0.2)
            told = all_at_once([partial(publish, one, volume, ids[0]), partial(publish, two, volume, ids[1])])
            faults.delay_all(0.0)
            account, access, having = _on_the_array(volume)
            assert len(having) == 1
            assert account.startswith(f"{having[0]}-shop")
            assert access == "readWrite"
            contexts = {name: answer for name, answer in zip(nodes, told, strict=True) if isinstance(answer, dict)}
            answers.append(len(contexts))
            volume.context = contexts[having[0]]
            volume.stage(nodes[having[0]])
            for name in contexts.keys() - having:
                with refused(grpc.StatusCode.UNAUTHENTICATED):
                    volume.stage(nodes[name], context=contexts[name])
                assert volume.left_on(nodes[name]) == []
            assert initiators(site, volume) == [initiator(nodes[having[0]])]
            volume.unstage(nodes[having[0]])
            unpublish(one, volume, "")


def test_without_fencing_nobody_is_kept_out(site: Site, make: Make, node: Node, other_node: Node) -> None:
    """A class that says so gets one account for all nodes, and a node that loses a volume goes on writing to it."""
    held = Held.by(node, make(fencing="false"))
    volume, opened_by = held.volume, held.volume.context[Chap.PASSWORD]

    volume.unpublish(node)
    held.wait_for_writes()
    volume.publish(other_node)
    volume.stage(other_node)
    held.wait_for_writes()

    assert volume.context[Chap.PASSWORD] == opened_by
    assert held.writer.notes().failures == []
    assert session_state(node, volume) == "LOGGED_IN"
    assert sorted(initiators(site, volume)) == sorted([initiator(node), initiator(other_node)])
    held.writer.stop()
    volume.hide(node, held.target)
    volume.unstage(node)
    volume.unstage(other_node)
    volume.unpublish(other_node)
    assert _on_the_array(volume)[1:] == ("readWrite", [])
