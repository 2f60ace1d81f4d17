"""No CHAP secret and no admin password in any log line or error message, whatever goes wrong."""

from __future__ import annotations

import io
import itertools
import logging
import sys
from collections.abc import Callable, Iterator

import grpc
import pytest

from csi_solidfire import logs
from csi_solidfire.pb import csi_pb2
from lab.array import Array
from lab.array.faults import GARBAGE, Fault
from tests.support import ask
from tests.support.driver import Driver, quiet, secrets_of, write_cluster
from tests.support.scenes import SCENES, Scene

TENANTS = "password-of-a-tenant"
MISTYPED = "mistyped-password"
BRIEF = 0.25


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """All that the driver logs, at its most talkative."""
    root, ours = logging.getLogger(), logging.getLogger("csi_solidfire")
    before = root.handlers[:], root.level, ours.level
    stream = io.StringIO()
    logs.configure("debug", request.param, stream)
    yield stream
    logs.configure("info", "text", sys.stderr)
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    logging.captureWarnings(capture=False)


class Run:
    """Makes calls and keeps what is said about them, and every secret there was."""

    def __init__(self) -> None:
        self.said = ""
        self.secrets = {TENANTS, MISTYPED, "secret-in-a-url", "secret-in-a-key"}

    def call(self, array: Array, call: Callable[[], object]) -> None:
        try:
            call()
        except grpc.RpcError as error:
            self.said += f"{error.details()}\n{error.debug_error_string()}\n"  # type: ignore[attr-defined]
        self.remember(array)

    def remember(self, array: Array) -> None:
        self.secrets.add(array.password)
        for account in array.call("ListAccounts")["accounts"]:
            self.secrets |= {account["initiatorSecret"], account["targetSecret"]}


def _faults(array: Array, number: int) -> list[Callable[[], Fault]]:
    kinds = sorted(GARBAGE)
    return [
        lambda: array.faults.fail(None, "xPermissionDenied", nth=number),
        lambda: array.faults.fail(None, "xDBConnectionLoss", nth=number),
        lambda: array.faults.lose_answer(None, number),
        lambda: array.faults.refuse(None, number, onwards=True),
        lambda: array.faults.garbage(None, kinds[number % len(kinds)], nth=number, onwards=True, carried_out=True),
    ]


def _with_faults(run: Run, scene: Scene, number: int, turn: int) -> None:
    """Play a scene with one kind of fault at one of its calls."""
    with Array.start(unique_id="lab1") as array, Driver(array) as driver:
        scene.prepare(driver, array)
        run.remember(array)
        _faults(array, number)[turn]()
        run.call(array, lambda: scene.call(driver, BRIEF))
        array.faults.clear()


def _with_wrong_credentials(run: Run, array: Array) -> None:
    array.call("AddClusterAdmin", {"username": "tenant", "password": TENANTS, "access": ["read"]})
    wrong = [
        {"password": MISTYPED},
        {"username": "tenant", "password": TENANTS},
        {"password": MISTYPED + "\n"},
        {"password": "\u0394" + MISTYPED},
        {"endpoint": "https://admin:secret-in-a-url@127.0.0.1"},
        {"endpoint": "https://127.0.0.1:1/secret-in-a-url"},
        {"endpoint": "https://127.0.0.1:1", "password": MISTYPED},
        {"caCert": "secret-in-a-key"},
        {"caCert": ""},
    ]
    with Driver(array) as driver:
        handle = ask.create(driver, "kept")
        run.remember(array)
        for changes in wrong:
            given = secrets_of(array) | changes
            run.call(array, lambda given=given: ask.create(driver, "pvc-9", secrets=given, timeout=BRIEF))  # type: ignore[misc]
            run.call(array, lambda given=given: ask.publish(driver, handle, secrets=given, timeout=BRIEF))  # type: ignore[misc]
            run.call(array, lambda given=given: ask.unpublish(driver, handle, secrets=given, timeout=BRIEF))  # type: ignore[misc]
            write_cluster(driver.clusters / "c1", array, **changes)
            run.call(array, lambda: driver.controller.ListVolumes(csi_pb2.ListVolumesRequest(), timeout=BRIEF))
            write_cluster(driver.clusters / "c1", array)


def test_no_secret_is_told_to_anybody(array: Array, log: io.StringIO) -> None:
    run = Run()
    for scene in SCENES:
        if scene.name in ("create", "publish elsewhere"):
            for number, turn in itertools.product((1, 4), range(5)):
                _with_faults(run, scene, number, turn)
    _with_wrong_credentials(run, array)
    with quiet(array) as driver:
        ask.publish(driver, ask.create(driver, "last"))
        run.remember(array)
    text = log.getvalue()
    for proof in ("asking the array again", "failed", "publish_context", "node.session.auth.password", "Traceback"):
        assert proof in text, "the log says less than this test is about"
    assert len(run.secrets) > 20
    assert "refuses user" in run.said
    told = [secret for secret in run.secrets if secret in text or secret in run.said]
    assert not told
