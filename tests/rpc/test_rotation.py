"""`rotate-chap`: new secrets for accounts without ending a session of theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from csi_solidfire.handles import Chap
from lab.array import Array
from tests.support import ask
from tests.support.ask import KEY, NODE_1, NODE_2, accounts, create, delete, publish, unpublish
from tests.support.driver import Driver, wait_until, write_cluster
from tests.support.scenes import SHARED

Rotate = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def rotate(driver: Driver) -> Rotate:
    """Runs the command as an operator would."""

    def run(*flags: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run(
            [sys.executable, "-m", "csi_solidfire", "rotate-chap", f"--clusters-dir={driver.clusters}", *flags],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": os.environ["PATH"]},
            cwd=Path(__file__).parents[2],
        )
        assert ran.returncode == status, ran.stderr + ran.stdout
        return ran

    return run


def secrets(array: Array, name: str) -> tuple[str, str]:
    account = accounts(array)[name]
    return account["initiatorSecret"], account["targetSecret"]


def test_a_volume_in_use_keeps_what_its_node_logs_in_with(array: Array, driver: Driver, rotate: Rotate) -> None:
    handle = create(driver)
    context = publish(driver, handle)
    before = secrets(array, "node-1-shop")
    told = rotate("--all").stdout
    assert "account node-1-shop: new secrets for whatever is attached from now on" in told
    assert "account node-1-shop: claim shop/data is attached to node-1: moves once its pods have been" in told
    assert ask.owner(array, handle) == "node-1-shop"
    assert secrets(array, "node-1-shop") == before
    # kubelet and the attacher may ask again at any time, and nothing may change under the pod.
    assert publish(driver, handle) == context


def test_it_has_new_secrets_when_it_is_next_attached(array: Array, driver: Driver, rotate: Rotate) -> None:
    handle = create(driver)
    old = publish(driver, handle)
    rotate("--account=node-1-shop")
    unpublish(driver, handle)
    assert "claim shop/data is not attached: moves when it is next" in rotate().stdout
    new = publish(driver, handle)
    assert ask.owner(array, handle) != "node-1-shop"
    assert ask.owner(array, handle).startswith("node-1-shop-")
    assert {old[key] for key in Chap.SECRET_KEYS}.isdisjoint(new[key] for key in Chap.SECRET_KEYS)
    wait_until(lambda: "node-1-shop" not in accounts(array))
    assert rotate().stdout == "nothing waits: no account has old secrets\n"


def test_new_volumes_go_to_the_successor_at_once(array: Array, driver: Driver, rotate: Rotate) -> None:
    publish(driver, create(driver))
    rotate("--all")
    second = create(driver, "pvc-2")
    publish(driver, second)
    assert ask.owner(array, second).startswith("node-1-shop-")


def test_an_account_that_owns_nothing_goes_at_once_and_the_next_has_its_name(
    array: Array, driver: Driver, rotate: Rotate
) -> None:
    handle = create(driver)
    before = secrets(array, "node-1-shop")
    array.call("DeleteVolume", {"volumeID": 1})
    array.call("PurgeDeletedVolume", {"volumeID": 1})
    assert rotate("--all").stdout.endswith("nothing waits: no account has old secrets\n")
    assert not accounts(array)
    again = create(driver)
    assert again != handle
    assert ask.owner(array, again) == "node-1-shop"
    assert secrets(array, "node-1-shop") != before


def test_run_again_it_goes_on_and_ends(array: Array, driver: Driver, rotate: Rotate) -> None:
    """The second run finds an old account, its successor, and one that the first did not get to."""
    first = create(driver)
    publish(driver, first)
    rotate("--all")
    second = create(driver, "pvc-2")
    publish(driver, second)
    publish(driver, create(driver, "pvc-3", host="node-2"), NODE_2)
    told = rotate("--all").stdout
    assert "account node-2-shop: new secrets" in told
    assert told.count("new secrets") == 1
    assert "new secrets" not in rotate("--all").stdout
    assert len(accounts(array)) == 3


def test_a_shared_volume_moves_when_no_node_has_it(array: Array, driver: Driver, rotate: Rotate) -> None:
    handle = create(driver, capability=SHARED)
    old = publish(driver, handle, NODE_1, capability=SHARED)
    rotate("--all")
    assert publish(driver, handle, NODE_2, capability=SHARED) == old
    for node in (NODE_1, NODE_2):
        unpublish(driver, handle, node)
    assert publish(driver, handle, NODE_1, capability=SHARED) != old


def test_other_peoples_accounts_are_not_touched(array: Array, driver: Driver, rotate: Rotate) -> None:
    array.call("AddAccount", {"username": "backup", "attributes": {"tool": "x"}})
    array.call("AddAccount", {"username": "mine", "attributes": {KEY: {"node": "n", "namespace": "s"}, "note": 1}})
    theirs = accounts(array)["backup"]
    publish(driver, create(driver))
    refusal = rotate("--account=backup,node-1-shop", status=1).stderr
    assert "account backup is not one of this driver's" in refusal
    assert "retired" not in accounts(array)["node-1-shop"]["attributes"][KEY]
    rotate("--all")
    assert accounts(array)["backup"] == theirs


def test_other_peoples_attributes_of_an_account_stay(array: Array, driver: Driver, rotate: Rotate) -> None:
    publish(driver, create(driver))
    account = accounts(array)["node-1-shop"]
    attributes = account["attributes"] | {"note": "ask the shop"}
    array.call("ModifyAccount", {"accountID": account["accountID"], "attributes": attributes})
    rotate("--all")
    assert accounts(array)["node-1-shop"]["attributes"]["note"] == "ask the shop"


@pytest.mark.parametrize("error", ["xPermissionDenied", "xUnknownAPIMethod"])
def test_cut_short_it_leaves_all_usable_and_can_be_run_again(
    array: Array, driver: Driver, rotate: Rotate, error: str
) -> None:
    contexts = {}
    for number, node in enumerate((NODE_1, NODE_2), 1):
        handle = create(driver, f"pvc-{number}", host=node.split("/")[0])
        contexts[handle] = (node, publish(driver, handle, node))
    array.faults.fail("ModifyAccount", error, nth=2)
    assert error in rotate("--all", status=1).stderr
    array.faults.clear()
    for handle, (node, context) in contexts.items():
        assert publish(driver, handle, node) == context
    assert "new secrets" in rotate("--all").stdout
    marks: list[dict[str, Any]] = [account["attributes"][KEY] for account in accounts(array).values()]
    assert all(mark["retired"] for mark in marks)


def test_killed_it_leaves_all_usable_and_can_be_run_again(array: Array, driver: Driver, rotate: Rotate) -> None:
    one, two = create(driver), create(driver, "pvc-2", host="node-2")
    contexts = publish(driver, one), publish(driver, two, NODE_2)
    running: list[subprocess.Popen[bytes]] = []

    def kill(_: object) -> None:
        running[0].kill()

    array.faults.hook("ModifyAccount", after=kill)
    command = [sys.executable, "-m", "csi_solidfire", "rotate-chap", f"--clusters-dir={driver.clusters}", "--all"]
    with subprocess.Popen(command) as process:
        running.append(process)
    assert process.returncode < 0
    assert (publish(driver, one), publish(driver, two, NODE_2)) == contexts
    assert rotate("--all").stdout.count("new secrets") == 1


def test_a_lost_answer_is_no_loss(array: Array, driver: Driver, rotate: Rotate) -> None:
    publish(driver, create(driver))
    array.faults.lose_answer("ModifyAccount")
    rotate("--all")
    assert accounts(array)["node-1-shop"]["attributes"][KEY]["retired"] is True


def test_an_unknown_cluster_or_none_named_of_several_is_refused(array: Array, driver: Driver, rotate: Rotate) -> None:
    assert "--cluster c9 is not one; configured are: c1" in rotate("--cluster=c9", "--all", status=1).stderr


def test_one_cluster_is_served_whatever_is_wrong_with_another(array: Array, driver: Driver, rotate: Rotate) -> None:
    publish(driver, create(driver))
    write_cluster(driver.clusters / "c2", array, password=None)
    told = rotate("--cluster=c1", "--all").stdout
    assert "c1: account node-1-shop: new secrets" in told
    problem = "csi-solidfire: cluster c2: password is missing or empty\n"
    assert rotate("--cluster=c2", status=1).stderr == problem
    assert rotate("--all", status=1).stderr == problem
    assert "--cluster c9 is not one; configured are: c1, c2" in rotate("--cluster=c9", "--all", status=1).stderr


def test_secrets_are_not_told(array: Array, driver: Driver, rotate: Rotate) -> None:
    publish(driver, create(driver))
    ran = rotate("--all", "--log-level=debug")
    for secret in (*secrets(array, "node-1-shop"), array.password):
        assert secret not in ran.stdout + ran.stderr
    delete_me = create(driver, "pvc-2")
    delete(driver, delete_me)
