"""What one namespace or node has never opens what is another's, whatever happens in whatever order."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from hypothesis import Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from csi_solidfire.handles import Chap
from csi_solidfire.storage import rotation
from csi_solidfire.storage.clusters import Clusters
from lab.array import Array
from lab.array.errors import ElementError
from lab.csi import block, mount
from tests.support import ask
from tests.support.ask import KEY, NODE_1, NODE_2, Mode, accounts, create, delete, publish, refused, unpublish
from tests.support.driver import Driver, wait_until

# `a-b` with `c` and `a` with `b-c` spell the same account name; `shared` is how the one for all nodes begins.
HOSTS = st.sampled_from(["a", "a-b", "shared"])
NAMESPACES = st.sampled_from(["c", "b-c"])
CAPABILITIES = {
    "alone": mount(),
    "alone, raw": block(),
    "shared": block(mode=Mode.MULTI_NODE_MULTI_WRITER),
}
FENCED: dict[str, Any] = {"parameters": {}}
KINDS: list[dict[str, Any]] = [
    FENCED,
    FENCED,
    {"parameters": {"fencing": "false"}},
    {"parameters": {"deletePolicy": "recycle"}},
    {"parameters": {}, "capability": CAPABILITIES["shared"]},
]
# Names that the driver would choose itself, and marks that are almost its own.
FOREIGN: list[dict[str, Any]] = [
    {"username": "a-b-c"},
    {"username": "a-c", "attributes": {KEY: {"node": "a"}}},
    {"username": "a-b-b-c", "attributes": {"trident": {}}},
    {"username": "trident", "attributes": {KEY: "c"}},
]


def _node(host: str, machine: int = 0) -> str:
    return f"{host}/iqn.1993-08.org.debian:01:{host}:{machine}"


@dataclass(frozen=True)
class Given:
    """Credentials that a node was given once to open a volume, for a namespace.

    Attributes:
        turn: How many other machines had had the volume alone by then.
    """

    chap: tuple[str, ...]
    host: str
    namespace: str
    handle: str
    turn: int


@dataclass
class Known:
    """What the test knows of a volume."""

    namespace: str
    birth: str
    holder: str = ""
    turn: int = 0


class Tenants(RuleBasedStateMachine):
    """Nodes and namespaces go about their work; a rotation, other tools and restarts come between."""

    handles: Bundle[str] = Bundle("handles")

    def __init__(self) -> None:
        super().__init__()
        self.array = Array.start(unique_id="lab1")
        self.driver: Driver | None = None
        self.known: dict[str, Known] = {}
        self.given: list[Given] = []
        self.others: dict[str, Any] = {}
        self.number = 0
        self.machines: Counter[str] = Counter()

    @initialize(
        target=handles,
        foreign=st.sets(st.sampled_from(range(len(FOREIGN)))),
        born=st.lists(st.tuples(HOSTS, NAMESPACES, st.sampled_from(KINDS)), min_size=2, max_size=4),
    )
    def begin(self, foreign: set[int], born: list[tuple[str, str, dict[str, Any]]]) -> Any:
        for number in foreign:
            account = self.array.call("AddAccount", FOREIGN[number])["accountID"]
            if number % 2:
                self._add_foreign(account)
        self._remember_foreign()
        self.driver = Driver(self.array)
        return multiple(*(self._create(*volume) for volume in born))

    @rule(target=handles, host=HOSTS, namespace=NAMESPACES, kind=st.sampled_from(KINDS))
    def create(self, host: str, namespace: str, kind: dict[str, Any]) -> str:
        return self._create(host, namespace, kind)

    @rule(handle=handles, host=HOSTS, how=st.sampled_from(sorted(CAPABILITIES)))
    def publish(self, handle: str, host: str, how: str) -> None:
        """What nobody has can be had; what one node has alone, no other gets."""
        nodes = self._mark(handle).get("nodes", {})
        alone = how != "shared" or any(not mode.startswith("mn") for mode in nodes.values())
        context, code = self._try_to_publish(handle, host, how)
        if code:
            assert nodes
            assert code in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ALREADY_EXISTS)
            return
        node = self._now(host)
        assert not (alone and set(nodes) - {node}), "a second node got what one has alone"
        volume = self.known[handle]
        if how != "shared" and volume.holder != node:
            volume.turn += 1
            volume.holder = node
        chap = _chap(context)
        self.given.append(Given(chap, host, volume.namespace, handle, volume.turn))
        assert self._opens(chap, ask.volume(self.array, handle)), "what the node was given does not open it"

    @rule(handle=handles, host=HOSTS)
    def unpublish(self, handle: str, host: str) -> None:
        unpublish(self._driver, handle, self._now(host))

    @rule(handle=handles)
    def unpublish_everywhere(self, handle: str) -> None:
        unpublish(self._driver, handle, "")

    @rule(handle=handles, hosts=st.lists(st.tuples(HOSTS, st.booleans()), min_size=2, max_size=5))
    def move(self, handle: str, hosts: list[tuple[str, bool]]) -> None:
        """From node to node, as Kubernetes does when it loses one after the other; some are installed anew before."""
        for host, anew in hosts:
            unpublish(self._driver, handle, "")
            if anew:
                self.reinstall(host)
            self.publish(handle, host, "alone")

    @rule(target=handles, handle=consumes(handles))
    def delete(self, handle: str) -> Any:
        """It goes unless somebody has it."""
        if self._mark(handle).get("nodes"):
            with refused(grpc.StatusCode.FAILED_PRECONDITION, handle):
                delete(self._driver, handle)
            return handle
        delete(self._driver, handle)
        del self.known[handle]
        return multiple()

    def reinstall(self, host: str) -> None:
        """Another machine gets the hostname; the one that had it may be alive, and nothing is told to the driver."""
        self.machines[host] += 1

    @rule()
    def rotate(self) -> None:
        cluster = Clusters(self._driver.clusters, verify_tls=True, parallel=2).configured()["c1"]
        rotation.retire(cluster, ())
        rotation.waiting(cluster)
        cluster.close()

    @rule()
    def restart(self) -> None:
        self._driver.close()
        self.driver = Driver(self.array)

    @rule()
    def empty_the_bin(self) -> None:
        for volume in ask.volumes(self.array):
            if volume["status"] == "deleted":
                self.array.call("PurgeDeletedVolume", {"volumeID": volume["volumeID"]})

    @rule(name=st.sampled_from(["a-b-c", "a-c", "a-b-b-c"]))
    def somebody_else_uses_an_account_of_ours(self, name: str) -> None:
        """Puts a volume of his own into it."""
        account = accounts(self.array).get(name)
        assume(account)
        assert account
        with suppress(ElementError):  # The janitor was about to remove it.
            self._add_foreign(account["accountID"])
        self._remember_foreign()

    @invariant()
    def every_volume_is_in_an_account_of_its_namespace(self) -> None:
        owners = self._owners()
        for volume, mark in self._ours():
            owner = owners[volume["accountID"]]["attributes"][KEY]
            assert owner["namespace"] == mark["namespace"], (volume["name"], owner)
            holder = list(map(_host, mark.get("nodes", {})))
            if mark.get("fencing", True) and _alone(mark) and holder:
                assert [owner["node"]] == holder, (volume["name"], owner)

    @invariant()
    def credentials_open_their_own_namespace_only(self) -> None:
        for volume, mark in self._ours():
            for given in self.given:
                if self._opens(given.chap, volume):
                    assert given.namespace == mark["namespace"], (volume["name"], given)

    @invariant()
    def the_fence_holds(self) -> None:
        """What one node has, or had last, no other can open; nor can that one with what it was given before another."""
        for volume, mark in self._ours():
            known = self.known.get(f"lab1.{volume['volumeID']}")
            if known is None or not mark.get("fencing", True) or not _alone(mark):
                continue
            nodes = set(map(_host, mark.get("nodes", {})))
            may = nodes or ({known.birth} if known.turn == 0 else set())
            for given in self.given:
                if self._opens(given.chap, volume):
                    assert given.host in may, (volume["name"], mark, given)
                    same = given.handle == f"lab1.{volume['volumeID']}"
                    assert not (same and given.turn < known.turn), (volume["name"], mark, given)

    @invariant()
    def what_is_not_ours_is_as_it_was(self) -> None:
        assert self._foreign() == self.others

    @invariant()
    def no_two_accounts_share_a_secret(self) -> None:
        owners = self._owners().values()
        secrets = [account[key] for account in owners for key in ("initiatorSecret", "targetSecret")]
        assert len(set(secrets)) == len(secrets)

    def teardown(self) -> None:
        """The next controller's first sweep leaves no account of ours that owns nothing."""
        try:
            if self.driver:
                self.driver.close()
                with Driver(self.array):
                    wait_until(
                        lambda: all(account["volumes"] for account in self._owners().values() if _is_ours(account))
                    )
                self.what_is_not_ours_is_as_it_was()
        finally:
            self.array.close()

    @property
    def _driver(self) -> Driver:
        assert self.driver
        return self.driver

    def _now(self, host: str) -> str:
        return _node(host, self.machines[host])

    def _create(self, host: str, namespace: str, kind: dict[str, Any]) -> str:
        self.number += 1
        handle = create(self._driver, f"pvc-{self.number}", host=host, namespace=namespace, **kind)
        self.known[handle] = Known(namespace, host)
        return handle

    def _try_to_publish(self, handle: str, host: str, how: str) -> tuple[dict[str, str], grpc.StatusCode | None]:
        try:
            return publish(self._driver, handle, self._now(host), capability=CAPABILITIES[how]), None
        except grpc.RpcError as error:
            return {}, error.code()

    def _owners(self) -> dict[int, dict[str, Any]]:
        return {account["accountID"]: account for account in accounts(self.array).values()}

    def _ours(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        return [(each, each["attributes"][KEY]) for each in ask.volumes(self.array) if KEY in each["attributes"]]

    def _mark(self, handle: str) -> dict[str, Any]:
        mark: dict[str, Any] = ask.volume(self.array, handle)["attributes"][KEY]
        return mark

    def _opens(self, chap: tuple[str, ...], volume: dict[str, Any]) -> bool:
        owner = self._owners()[volume["accountID"]]
        right = (owner["username"], owner["initiatorSecret"], owner["targetSecret"])
        return volume["access"] != "locked" and volume["status"] == "active" and chap == right

    def _add_foreign(self, account_id: int) -> None:
        self.array.call("CreateVolume", {"name": "other", "accountID": account_id, "totalSize": 10**9})

    def _remember_foreign(self) -> None:
        self.others = self._foreign()

    def _foreign(self) -> dict[str, Any]:
        return {
            "volumes": [each for each in ask.volumes(self.array) if KEY not in each["attributes"]],
            "accounts": [each for each in self._owners().values() if not _is_ours(each)],
        }


def _is_ours(account: dict[str, Any]) -> bool:
    mark = account["attributes"].get(KEY)
    return isinstance(mark, dict) and {"node", "namespace"} <= set(mark)


def _host(node: str) -> str:
    return node.partition("/")[0]


def _alone(mark: dict[str, Any]) -> bool:
    return not any(how.startswith("mn") for how in mark.get("nodes", {}).values())


TestTenants = Tenants.TestCase
# Without shrinking: it would take minutes, and twenty steps are soon read.
TestTenants.settings = settings(
    max_examples=settings().max_examples // 10, stateful_step_count=20, phases=[Phase.generate], print_blob=False
)


def _chap(context: dict[str, str]) -> tuple[str, ...]:
    return tuple(context[key] for key in (Chap.USERNAME, Chap.PASSWORD, Chap.PASSWORD_IN))


def test_two_thousand_volumes_of_one_account(array: Array, driver: Driver) -> None:
    """That is the most. What is there goes on working, and one that goes makes room."""
    first = create(driver)
    account = accounts(array)["node-1-shop"]
    made = {"accountID": account["accountID"], "totalSize": 10**9}
    for number in range(1999):
        array.call("CreateVolume", made | {"name": f"other-{number}"})
    elsewhere = create(driver, "pvc-2", host="node-2")
    before = ask.snapshot(array)
    for _ in range(2):
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "2000 volumes", "node-1", "shop"):
            create(driver, "pvc-3")
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "node-1-shop", "2000 volumes"):
            publish(driver, elsewhere, NODE_1)
    assert ask.snapshot(array) == before
    publish(driver, first)
    unpublish(driver, first)
    publish(driver, elsewhere, NODE_2)
    create(driver, "pvc-4", namespace="other")
    delete(driver, first)
    assert ask.owner(array, create(driver, "pvc-3")) == "node-1-shop"


def test_all_the_accounts_that_the_array_takes(array: Array, driver: Driver) -> None:
    """Who has an account goes on; the others are told, and an account that was emptied makes room."""
    handle = create(driver)
    array.limits["accountCountMax"] = 1
    before = ask.snapshot(array)
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "AddAccount", "xExceededLimit", "accounts"):
        create(driver, "pvc-2", namespace="other")
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "AddAccount", "xExceededLimit", "accounts"):
        publish(driver, handle, NODE_2)
    assert ask.snapshot(array) == before
    publish(driver, handle, NODE_1)
    unpublish(driver, handle)
    create(driver, "pvc-3")
    for gone in (handle, "lab1.2"):
        delete(driver, gone)
    wait_until(lambda: not accounts(array))
    create(driver, "pvc-2", namespace="other")


def test_credentials_of_pairs_that_spell_one_name_stay_apart(array: Array, driver: Driver) -> None:
    """On the same node too: `a` has volumes of both namespaces, and `a-b-c` is taken by the other pair first."""
    theirs = create(driver, "pvc-1", host="a-b", namespace="c")
    opened = {}
    for number, (host, namespace) in enumerate([("a-b", "c"), ("a", "b-c"), ("a", "c")], 2):
        handle = create(driver, f"pvc-{number}", host=host, namespace=namespace)
        opened[handle] = _chap(publish(driver, handle, _node(host)))
    opened[theirs] = _chap(publish(driver, theirs, _node("a-b")))
    assert opened[theirs] == opened["lab1.2"]
    assert len(set(opened.values())) == len({chap[0] for chap in opened.values()}) == 3
    assert len({chap[1] for chap in opened.values()}) == len({chap[2] for chap in opened.values()}) == 3
