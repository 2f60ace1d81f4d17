"""Which cluster a call goes to, with whose credentials, and what happens when they are wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import grpc
import pytest

from csi_solidfire.pb import csi_pb2
from lab.array import Array
from lab.csi import mount
from tests.support import ask
from tests.support.ask import NODE_1, accounts, create, delete, get, listed, publish, refused, unpublish
from tests.support.driver import Driver, secrets_of, wait_until, write_cluster


@pytest.fixture
def other() -> Iterator[Array]:
    with Array.start(unique_id="lab2", password="another-password") as other:
        yield other


@pytest.fixture
def both(array: Array, other: Array) -> Iterator[Driver]:
    with Driver(array, other) as driver:
        yield driver


def test_a_class_names_one_of_several(array: Array, other: Array, both: Driver) -> None:
    assert create(both, parameters={"cluster": "c2"}) == "lab2.1"
    assert create(both, parameters={"cluster": "c1"}) == "lab1.1"
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "cluster is missing", "c1, c2"):
        create(both, "pvc-2")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "'c3'", "c1, c2"):
        create(both, "pvc-2", parameters={"cluster": "c3"})
    assert len(ask.volumes(array)) == len(ask.volumes(other)) == 1


def test_a_handle_finds_its_cluster(array: Array, other: Array, both: Driver) -> None:
    for cluster, there, elsewhere in (("c1", array, other), ("c2", other, array)):
        before = ask.snapshot(elsewhere)
        handle = create(both, parameters={"cluster": cluster})
        publish(both, handle)
        assert list(get(both, handle).status.published_node_ids) == [NODE_1]
        unpublish(both, handle)
        delete(both, handle)
        assert not ask.volumes(there)
        assert ask.snapshot(elsewhere) == before
        wait_until(lambda there=there: not accounts(there))  # type: ignore[misc]


def test_all_clusters_are_listed_each_once(both: Driver, array: Array) -> None:
    write_cluster(both.clusters / "again", array)
    handles = [
        create(both, f"pvc-{number}", parameters={"cluster": cluster})
        for number, cluster in enumerate(("c2", "c1", "c2", "c1"))
    ]
    assert [entry.volume.volume_id for entry in listed(both).entries] == sorted(handles)
    found, token = [], ""
    for _ in handles:
        page = listed(both, 1, token)
        found += [entry.volume.volume_id for entry in page.entries]
        token = page.next_token
    assert found == sorted(handles)
    assert not token


def test_a_handle_of_no_known_cluster(array: Array, driver: Driver) -> None:
    create(driver)
    before = ask.snapshot(array)
    calls: list[Callable[[], object]] = [
        lambda: delete(driver, "lab9.1"),
        lambda: publish(driver, "lab9.1"),
        lambda: unpublish(driver, "lab9.1"),
        lambda: get(driver, "lab9.1"),
        lambda: driver.controller.ValidateVolumeCapabilities(
            csi_pb2.ValidateVolumeCapabilitiesRequest(volume_id="lab9.1", volume_capabilities=[mount()])
        ),
    ]
    for call in calls:
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "lab9.1", "lab1", "nothing was done"):
            call()
    assert ask.snapshot(array) == before


def test_credentials_of_another_cluster_touch_nothing(array: Array, other: Array, driver: Driver) -> None:
    """Both clusters have a volume of that number, as clusters do."""
    handle = create(driver)
    with Driver(other) as elsewhere:
        create(elsewhere)
    before = ask.snapshot(array), ask.snapshot(other)
    wrong = secrets_of(other)
    for call in (delete, publish, unpublish):
        with refused(grpc.StatusCode.FAILED_PRECONDITION, handle, "lab2"):
            call(driver, handle, secrets=wrong)
    assert (ask.snapshot(array), ask.snapshot(other)) == before


def test_another_cluster_behind_a_known_address_is_noticed(array: Array, other: Array, driver: Driver) -> None:
    """An address was given to another cluster while the controller remembers the first one there."""
    handle = create(driver)
    with Driver(other) as elsewhere:
        create(elsewhere)
        publish(elsewhere, "lab2.1")
    before = ask.snapshot(other)
    array.cluster, other.cluster = other.cluster, array.cluster
    for call in (delete, publish, unpublish, get):
        with refused(grpc.StatusCode.FAILED_PRECONDITION, handle):
            call(driver, handle)
    with refused(grpc.StatusCode.FAILED_PRECONDITION):
        delete(driver, "lab1.77")
    array.cluster, other.cluster = other.cluster, array.cluster
    assert ask.snapshot(other) == before


def test_a_cluster_that_is_down_does_not_hold_up_the_others(array: Array, other: Array) -> None:
    with Driver(array, other) as driver:
        array.faults.refuse(None, onwards=True)
        handle = create(driver, parameters={"cluster": "c2"})
        publish(driver, handle, timeout=8)
        unpublish(driver, handle, timeout=8)
        delete(driver, handle, timeout=8)
        with refused(grpc.StatusCode.UNAVAILABLE):
            get(driver, "lab1.1", timeout=1)
        with refused(grpc.StatusCode.UNAVAILABLE):
            get(driver, "lab3.1", timeout=1)
        array.faults.clear()


def test_a_cluster_that_was_down_all_the_time_does_not_either(array: Array, other: Array) -> None:
    with Driver(other) as driver:
        handle = create(driver)
    array.faults.refuse(None, onwards=True)
    with Driver(array, other) as driver:
        publish(driver, handle, timeout=6)
    array.faults.clear()


def test_a_cluster_whose_secret_is_malformed_does_not_either(array: Array, other: Array) -> None:
    """Somebody adds a cluster and mistypes its Secret: the volumes of the others must not notice."""
    with Driver(array, other) as driver:
        write_cluster(driver.clusters / "c1", array, endpoint="10.0.0.1")
        handle = create(driver, parameters={"cluster": "c2"})
        publish(driver, handle)
        unpublish(driver, handle)
        delete(driver, handle)
        assert driver.storage.trouble() == ""
        for call in (
            lambda: get(driver, "lab1.1"),
            lambda: create(driver, parameters={"cluster": "c1"}),
            lambda: listed(driver),
        ):
            with refused(grpc.StatusCode.UNAVAILABLE, "cluster c1", "endpoint must begin with https://"):
                call()


def test_secrets_of_a_request_win(array: Array, other: Array, driver: Driver) -> None:
    handle = create(driver, secrets=secrets_of(other))
    assert handle == "lab2.1"
    publish(driver, handle, secrets=secrets_of(other))
    unpublish(driver, handle, secrets=secrets_of(other))
    delete(driver, handle, secrets=secrets_of(other))
    assert not ask.volumes(array)
    assert not ask.volumes(other)
    assert not array.calls.methods().count("CreateVolume")


def test_a_tenants_own_admin_is_used(array: Array, driver: Driver) -> None:
    array.call("AddClusterAdmin", {"username": "tenant", "password": "tenants-own", "access": ["administrator"]})
    array.calls.clear()
    create(driver, secrets=secrets_of(array) | {"username": "tenant", "password": "tenants-own"})
    assert {call.username for call in array.calls if call.method == "CreateVolume"} == {"tenant"}


def test_without_clusters_every_call_needs_secrets(array: Array) -> None:
    with Driver(configured=False) as driver:
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "--clusters-dir", "no secrets"):
            create(driver)
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "--clusters-dir"):
            listed(driver)
        handle = create(driver, secrets=secrets_of(array))
        delete(driver, handle, secrets=secrets_of(array))
        assert driver.storage.trouble() == ""
    assert not ask.volumes(array)


def test_what_needs_clusters_is_offered_only_with_some(both: Driver) -> None:
    """The attacher would ask for a list again and again, each time in vain."""

    def offered(driver: Driver) -> set[int]:
        answer = driver.controller.ControllerGetCapabilities(csi_pb2.ControllerGetCapabilitiesRequest())
        return {each.rpc.type for each in answer.capabilities}

    rpc = csi_pb2.ControllerServiceCapability.RPC
    with Driver(configured=False) as without:
        missing = offered(both) - offered(without)
    assert missing == {rpc.LIST_VOLUMES, rpc.LIST_VOLUMES_PUBLISHED_NODES, rpc.GET_CAPACITY}


def test_an_array_that_takes_its_time_does_not_delay_the_question_to_another(
    array: Array, other: Array, both: Driver
) -> None:
    """Readiness has some seconds for all of them together, and one is enough."""
    array.faults.delay("GetClusterInfo", 1.0, onwards=True)
    assert both.storage.trouble() == ""
    wait_until(lambda: "GetClusterInfo" in other.calls.methods())
    array.faults.clear()


def test_each_array_that_does_not_answer_is_named(array: Array, other: Array, both: Driver) -> None:
    array.faults.refuse(None, onwards=True)
    write_cluster(both.clusters / "c2", other, password="not-the-password")
    write_cluster(both.clusters / "c3", other, password=None)
    trouble = both.storage.trouble()
    for each in ("no answer from", "refuses username and password", "cluster c3: password is missing"):
        assert each in trouble
    array.faults.clear()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": None}, ["password is missing"]),
        ({"endpoint": None, "username": ""}, ["endpoint is missing", "username is missing"]),
        ({"password": "hunter2hunter2\n"}, ["password ends with a newline", "echo -n"]),
        ({"username": "hunter2\u00a0"}, ["username begins or ends with white space"]),
        ({"endpoint": "http://admin:hunter2hunter2@10.0.0.1:0/json-rpc"}, ["https://", "user name", "path", "65535"]),
        ({"endpoint": "https://2001:db8::10"}, ["endpoint must have its IPv6 address in brackets"]),
        ({"svip": "10.0.0.1:3260"}, ["svip must have", "without https://, port or brackets"]),
        ({"caCert": "hunter2hunter2 é"}, ["caCert", "PEM"]),
        ({"caCert": "-----BEGIN PRIVATE KEY-----\nhunter2hunter2\n"}, ["caCert holds a private key"]),
    ],
    ids=str,
)
def test_malformed_secrets_are_told_key_by_key_and_never_shown(
    array: Array, driver: Driver, changes: dict[str, str | None], words: list[str]
) -> None:
    given = {key: value for key, value in (secrets_of(array) | changes).items() if value is not None}
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "secrets", *words) as refusal:
        create(driver, secrets=given)
    assert "hunter2" not in refusal.message
    write_cluster(driver.clusters / "c1", array, **changes)
    with refused(grpc.StatusCode.UNAVAILABLE, "cluster c1", *words) as refusal:
        create(driver)
    assert "hunter2" not in refusal.message
    assert not ask.volumes(array)


def test_a_mounted_secret_that_is_not_text(array: Array, driver: Driver) -> None:
    (driver.clusters / "c1" / "password").write_bytes(b"\xff\xfe")
    with refused(grpc.StatusCode.UNAVAILABLE, "cluster c1", "password is not text in UTF-8"):
        create(driver)


def test_a_directory_with_nothing_in_it_yet(array: Array, driver: Driver) -> None:
    shutil.rmtree(driver.clusters / "c1")
    with refused(grpc.StatusCode.UNAVAILABLE, "empty"):
        create(driver)
    shutil.rmtree(driver.clusters)
    with refused(grpc.StatusCode.UNAVAILABLE, "cannot be read"):
        create(driver)


def test_what_kubelet_keeps_beside_the_keys_is_no_cluster(array: Array, driver: Driver) -> None:
    (driver.clusters / "..2026_11_23").mkdir()
    (driver.clusters / "README").write_text("not a cluster")
    assert create(driver) == "lab1.1"


def test_a_rotated_password_counts_at_once(array: Array, driver: Driver) -> None:
    admin = array.call("AddClusterAdmin", {"username": "csi", "password": "before-it", "access": ["administrator"]})
    write_cluster(driver.clusters / "c1", array, username="csi", password="before-it")
    handle = create(driver)
    array.call("ModifyClusterAdmin", {"clusterAdminID": admin["clusterAdminID"], "password": "after-it"})
    with refused(grpc.StatusCode.UNAUTHENTICATED, "refuses username and password") as refusal:
        publish(driver, handle)
    assert "before-it" not in refusal.message
    with refused(grpc.StatusCode.UNAVAILABLE, "refuses username and password") as refusal:
        create(driver)
    assert refusal.message.endswith("check both (HTTP 401)")
    write_cluster(driver.clusters / "c1", array, username="csi", password="after-it")
    publish(driver, handle)


def test_an_admin_who_may_only_read(array: Array, driver: Driver) -> None:
    handle = create(driver)
    array.call("AddClusterAdmin", {"username": "reader", "password": "read-only", "access": ["read"]})
    before = ask.snapshot(array)
    secrets = secrets_of(array) | {"username": "reader", "password": "read-only"}
    with refused(grpc.StatusCode.UNAVAILABLE, "xPermissionDenied"):
        create(driver, "pvc-2", secrets=secrets)
    for call in (delete, publish):
        with refused(grpc.StatusCode.PERMISSION_DENIED, "xPermissionDenied"):
            call(driver, handle, secrets=secrets)
    wait_until(lambda: ask.snapshot(array) == before)


def test_a_certificate_nobody_vouches_for(array: Array, driver: Driver) -> None:
    foreign = _another_ca()
    with refused(grpc.StatusCode.UNAVAILABLE, "certificate verify failed", "self-signed"):
        create(driver, secrets=secrets_of(array) | {"caCert": foreign})
    without = {key: value for key, value in secrets_of(array).items() if key != "caCert"}
    with refused(grpc.StatusCode.UNAVAILABLE, "certificate verify failed"):
        create(driver, secrets=without)
    assert not ask.volumes(array)
    assert not accounts(array)


def _another_ca() -> str:
    with Array.start(unique_id="lab8", addresses=["10.99.0.1"]) as stranger:
        return stranger.ca


def test_an_array_too_old(driver: Driver) -> None:
    """It may be an array that is found at the address of another one since."""
    with (
        Array.start(unique_id="old1", version="9.6.0.1") as old,
        refused(grpc.StatusCode.UNAVAILABLE, "9.x", "10.0 or newer"),
    ):
        create(driver, secrets=secrets_of(old))


def test_the_svip_of_the_secret_wins_over_the_clusters_own(array: Array, driver: Driver) -> None:
    handle = create(driver)
    for svip, portal in (("10.1.2.3", "10.1.2.3:3260"), ("fd00::1", "[fd00::1]:3260")):
        assert publish(driver, handle, secrets=secrets_of(array) | {"svip": svip})["portal"] == portal


def test_the_log_says_once_why_no_array_can_be_used(
    array: Array, driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    """docs/how-to/troubleshooting.md sends people with a controller that is not ready there."""

    def probe() -> list[str]:
        caplog.clear()
        driver.storage.trouble()
        told = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
        return [line["reason"] for line in told if line["event"] == "no array can be used"]

    assert probe() == []
    write_cluster(driver.clusters / "c1", array, password=None)
    assert probe() == ["cluster c1: password is missing or empty"]
    assert probe() == []
    write_cluster(driver.clusters / "c1", array, password="not-the-password")
    (reason,) = probe()
    assert "refuses username and password" in reason
    assert "not-the-password" not in reason
    write_cluster(driver.clusters / "c1", array)
    assert probe() == []
    write_cluster(driver.clusters / "c1", array, password=None)
    assert len(probe()) == 1
