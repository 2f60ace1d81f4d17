"""A Secret for each volume in a real Kubernetes API, written under exactly the role that the chart gives."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from csi_solidfire import errors
from csi_solidfire.handles import Chap, VolumeHandle
from csi_solidfire.kube.client import connect
from csi_solidfire.kube.secrets import ChapSecrets
from lab.array import Array
from lab.kube import Api, ApiException, ControlPlane
from tests.kube import driver_role
from tests.kube.driver_role import ACCOUNT, NAMESPACE
from tests.support import ask
from tests.support.ask import NODE_1, NODE_2, create, delete, publish, refused, unpublish
from tests.support.driver import Driver, quiet, wait_until

pytestmark = pytest.mark.timeout(1200)  # building kube-apiserver, where the cache does not have it, takes minutes

DRIVER = "csi-solidfire.io"


@pytest.fixture(scope="module")
def chap_secrets(plane: ControlPlane, admin: Api) -> ChapSecrets:
    driver_role.install(admin)
    return ChapSecrets(connect(plane.service_account_kubeconfig(NAMESPACE, ACCOUNT)), NAMESPACE, DRIVER)


@pytest.fixture
def array(admin: Api) -> Iterator[Array]:
    """A new array, and a namespace without Secrets."""
    with Array.start(unique_id="lab1") as array:
        yield array
    for secret in admin.list("Secret", NAMESPACE):
        admin.delete("Secret", secret["metadata"]["name"], NAMESPACE)


@pytest.fixture
def driver(array: Array, chap_secrets: ChapSecrets) -> Iterator[Driver]:
    with Driver(array, chap=False, chap_secrets=chap_secrets) as driver:
        yield driver


def secret(admin: Api, name: str = "pvc-1") -> dict[str, Any] | None:
    return admin.find("Secret", name, NAMESPACE)


def content(admin: Api, name: str = "pvc-1") -> dict[str, str]:
    """What kubelet would hand to NodeStageVolume."""
    found = secret(admin, name)
    assert found
    return {key: b64decode(value).decode() for key, value in found["data"].items()}


def credentials(array: Array, handle: str, *, mutual: bool = True) -> dict[str, str]:
    """What opens a volume, as the array has it."""
    account = ask.accounts(array)[ask.owner(array, handle)]
    target = account["targetSecret"] if mutual else None
    return Chap(account["username"], account["initiatorSecret"], target).to_map()


def test_it_comes_with_the_volume_and_goes_with_it(array: Array, driver: Driver, admin: Api) -> None:
    handle = create(driver)
    assert content(admin) == credentials(array, handle)
    made = secret(admin)
    assert made
    assert made["type"] == "kubernetes.io/iscsi-chap"
    assert made["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": DRIVER,
        "app.kubernetes.io/component": "chap",
        f"{DRIVER}/volume": handle,
    }
    assert made["metadata"]["annotations"] == {f"{DRIVER}/claim": "shop/data"}
    delete(driver, handle)
    assert secret(admin) is None


def test_it_follows_the_volume_to_the_account_of_another_node(array: Array, driver: Driver, admin: Api) -> None:
    handle = create(driver)
    for node in (NODE_1, NODE_2):
        context = publish(driver, handle, node)
        assert not Chap.KEYS & context.keys()
        assert content(admin) == credentials(array, handle)
        unpublish(driver, handle, node)


def test_with_one_way_chap_it_lacks_what_proves_the_array(array: Array, driver: Driver, admin: Api) -> None:
    handle = create(driver, parameters={"chap": "one-way"})
    assert content(admin) == credentials(array, handle, mutual=False)
    publish(driver, handle)
    assert content(admin) == credentials(array, handle, mutual=False)


def test_asked_twice_it_is_written_once(array: Array, driver: Driver, admin: Api) -> None:
    handle = create(driver)
    publish(driver, handle)
    before = secret(admin)
    create(driver)
    publish(driver, handle)
    assert secret(admin) == before
    delete_twice = [unpublish, delete, delete]
    for call in delete_twice:
        call(driver, handle)
    assert secret(admin) is None


def test_one_deleted_behind_our_back_comes_back(array: Array, driver: Driver, admin: Api) -> None:
    handle = create(driver)
    for again in (lambda: create(driver), lambda: publish(driver, handle)):
        admin.delete("Secret", "pvc-1", NAMESPACE)
        again()
        assert content(admin) == credentials(array, handle)


@pytest.mark.parametrize(
    "change",
    [
        {"data": {Chap.PASSWORD: b64encode(b"edited-by-hand").decode()}},
        {"data": {Chap.PASSWORD_IN: None}},
        {"data": {"more": b64encode(b"of something").decode()}},
        {"data": None},
        {"immutable": True, "data": {Chap.PASSWORD: b64encode(b"edited-by-hand").decode()}},
        {"metadata": {"labels": {f"{DRIVER}/volume": "lab1.77"}}},
    ],
    ids=["changed", "key removed", "key added", "emptied", "made immutable", "of another volume"],
)
def test_one_edited_by_hand_is_corrected_when_published(
    array: Array, driver: Driver, admin: Api, change: dict[str, Any]
) -> None:
    handle = create(driver)
    admin.patch("Secret", "pvc-1", change, NAMESPACE)
    publish(driver, handle)
    assert content(admin) == credentials(array, handle)
    unpublish(driver, handle)
    delete(driver, handle)
    assert secret(admin) is None


def test_what_people_add_to_one_stays(driver: Driver, admin: Api) -> None:
    handle = create(driver)
    admin.patch("Secret", "pvc-1", {"metadata": {"labels": {"team": "shop"}, "annotations": {"why": "x"}}}, NAMESPACE)
    publish(driver, handle, NODE_2)
    kept = secret(admin)
    assert kept
    assert kept["metadata"]["labels"]["team"] == "shop"
    assert kept["metadata"]["annotations"]["why"] == "x"


def test_one_of_other_people_is_left_alone_until_they_remove_it(array: Array, driver: Driver, admin: Api) -> None:
    theirs = admin.create(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pvc-1"}, "stringData": {"a": "b"}}, NAMESPACE
    )
    for _ in range(2):
        with refused(grpc.StatusCode.UNAVAILABLE, f"Secret {NAMESPACE}/pvc-1 exists", "remove it"):
            create(driver)
    assert secret(admin) == theirs
    admin.delete("Secret", "pvc-1", NAMESPACE)
    handle = create(driver)
    assert len(ask.volumes(array)) == 1
    assert content(admin) == credentials(array, handle)


def test_a_name_that_no_secret_can_have_is_refused_before_anything_is_made(array: Array, driver: Driver) -> None:
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "name 'PVC_1'", "a-z"):
        create(driver, "PVC_1")
    assert not ask.volumes(array)
    assert not ask.accounts(array)


def test_without_the_right_to_write_the_message_says_which(array: Array, driver: Driver, admin: Api) -> None:
    handle = create(driver, "pvc-0")
    driver_role.unbind(admin)
    try:
        wait_until(lambda: _refusal(driver, handle))
        with refused(grpc.StatusCode.UNAVAILABLE, "Role needs the verbs get, list, create, update and delete"):
            publish(driver, handle)
        with refused(grpc.StatusCode.UNAVAILABLE, "forbids"):
            create(driver)
    finally:
        driver_role.bind(admin)
    wait_until(lambda: not _refusal(driver, handle))
    assert create(driver) != handle
    assert len(ask.volumes(array)) == 2
    assert content(admin) == credentials(array, "lab1.2")


def _refusal(driver: Driver, handle: str) -> bool:
    """Whether the API server has noticed by now that the role is not bound."""
    try:
        publish(driver, handle)
    except grpc.RpcError:
        return True
    return False


def test_while_the_api_is_down_everything_can_be_tried_again(
    array: Array, driver: Driver, admin: Api, plane: ControlPlane
) -> None:
    handle = create(driver, "pvc-0")
    plane.stop_api()
    try:
        for call in (
            lambda: create(driver),
            lambda: publish(driver, handle, NODE_2),
            lambda: delete(driver, handle),
        ):
            with refused(grpc.StatusCode.UNAVAILABLE, "Kubernetes' API did not answer"):
                call()
            unpublish(driver, handle, NODE_2)  # needs no Kubernetes
    finally:
        plane.start_api()
    assert content(admin, "pvc-0") != {}
    other = create(driver)
    delete(driver, handle)
    assert [found["name"] for found in ask.volumes(array)] == ["pvc-1"]
    assert content(admin) == credentials(array, other)
    assert secret(admin, "pvc-0") is None


def test_an_api_that_hangs_does_not_hold_a_call_past_its_deadline(
    array: Array, driver: Driver, admin: Api, plane: ControlPlane
) -> None:
    plane.pause()
    try:
        with pytest.raises(grpc.RpcError) as caught:
            create(driver, timeout=3)
    finally:
        plane.resume()
    assert caught.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    wait_until(lambda: not _busy(driver))
    assert len(ask.volumes(array)) == 1
    assert content(admin) == credentials(array, "lab1.1")


def _busy(driver: Driver) -> bool:
    try:
        create(driver)
    except grpc.RpcError:
        return True
    return False


def test_two_controllers_at_once_leave_one_right_secret(array: Array, chap_secrets: ChapSecrets, admin: Api) -> None:
    with quiet(array, chap_secrets=chap_secrets) as one, quiet(array, chap_secrets=chap_secrets) as other:
        handle = create(one)
        with ThreadPoolExecutor(2) as pool:
            for _ in range(20):
                admin.delete("Secret", "pvc-1", NAMESPACE)
                list(pool.map(lambda driver: publish(driver, handle), (one, other)))
                assert content(admin) == credentials(array, handle)


def _by_nobody(_: VolumeHandle) -> bool:
    return False


def test_one_that_somebody_makes_meanwhile_is_taken(chap_secrets: ChapSecrets, array: Array, admin: Api) -> None:
    """409 for the creation."""
    chap, handle = Chap("node-1-shop", "a" * 12, "b" * 12), VolumeHandle.parse("lab1.1")

    def slowly() -> Chap:
        chap_secrets.ensure("pvc-1", handle, "", chap, _by_nobody)
        return chap

    chap_secrets.ensure("pvc-1", handle, "", slowly, _by_nobody)
    assert content(admin) == chap.to_map()


def test_one_that_somebody_changes_meanwhile_is_read_again(chap_secrets: ChapSecrets, array: Array, admin: Api) -> None:
    """409 for the change, as often as others change it, and not for ever."""
    chap, handle = Chap("node-1-shop", "a" * 12, "b" * 12), VolumeHandle.parse("lab1.1")
    chap_secrets.ensure("pvc-1", VolumeHandle.parse("lab1.2"), "", Chap("node-1-shop", "c" * 12), _by_nobody)
    changes = iter(range(100))

    def changing(times: int) -> Chap:
        if next(changes) < times:
            admin.patch("Secret", "pvc-1", {"metadata": {"labels": {"by": f"others-{next(changes)}"}}}, NAMESPACE)
        return chap

    with pytest.raises(errors.Unavailable, match="being changed by others"):
        chap_secrets.ensure("pvc-1", handle, "", lambda: changing(100), _by_nobody)
    assert content(admin)[Chap.PASSWORD] == "c" * 12
    changes = iter(range(100))
    chap_secrets.ensure("pvc-1", handle, "", lambda: changing(3), _by_nobody)
    assert content(admin) == chap.to_map()


def test_the_role_reaches_no_other_namespace(plane: ControlPlane, chap_secrets: ChapSecrets) -> None:
    with plane.api(plane.service_account_kubeconfig(NAMESPACE, ACCOUNT)) as api:
        for namespace in ("default", "kube-system"):
            with pytest.raises(ApiException) as caught:
                api.list("Secret", namespace)
            assert caught.value.status == 403
        for kind in ("ConfigMap", "Pod"):
            with pytest.raises(ApiException) as caught:
                api.list(kind, NAMESPACE)
            assert caught.value.status == 403
