"""A Kubernetes API that answers, and not what it should: nothing is taken for done that was not."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from csi_solidfire import deadline, errors
from csi_solidfire.handles import Chap, VolumeHandle
from csi_solidfire.kube.client import connect
from csi_solidfire.kube.secrets import ChapSecrets
from tests.support.secrets_api import DRIVER, answering, kubeconfig_of
from tests.support.strange import FLOODS, TRICKLES, Strange, flooding, requests, trickling

HANDLE = VolumeHandle.parse("lab1.1")
LABELS = {"app.kubernetes.io/managed-by": DRIVER, f"{DRIVER}/volume": str(HANDLE)}


def _always(answer: bytes, asked: list[str]) -> Callable[[str, str, bytes], tuple[int, bytes]]:
    """One answer for everything."""

    def give(verb: str, _url: str, _body: bytes) -> tuple[int, bytes]:
        asked.append(verb)
        return 200, answer

    return give


def _by_nobody(_: VolumeHandle) -> bool:
    return False


def _ensure(secrets: ChapSecrets) -> None:
    secrets.ensure("pvc-1", HANDLE, "shop/data", Chap("node-1-shop", "a" * 12, "b" * 12), _by_nobody)


def _strange(directory: Path, server: Strange) -> ChapSecrets:
    """Secrets in an API that speaks strangely."""
    authority = base64.b64encode(server.ca.encode()).decode()
    written = kubeconfig_of(f"https://127.0.0.1:{server.port}", **{"certificate-authority-data": authority})
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(json.dumps(written))
    return ChapSecrets(connect(kubeconfig), "storage", DRIVER)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("what", TRICKLES)
def test_the_deadline_bounds_an_answer_that_trickles_in(tmp_path: Path, what: str) -> None:
    handshake, beginning, rest = TRICKLES[what]
    with Strange(trickling(beginning, rest), handshake=handshake) as server:
        secrets = _strange(tmp_path, server)
        with deadline.until(0.5), pytest.raises(errors.Unavailable):
            _remove(secrets)
        assert server.left.wait(10), "a connection that was not read to its end must not be used again"


@pytest.mark.parametrize("what", FLOODS)
def test_an_answer_without_end_is_none(tmp_path: Path, what: str) -> None:
    with Strange(flooding(FLOODS[what])) as server:
        secrets = _strange(tmp_path, server)
        with pytest.raises(errors.Unavailable):
            _remove(secrets)
        assert server.left.wait(10)


def test_one_connection_serves_many_calls(tmp_path: Path) -> None:
    def answer(connection: socket.socket) -> None:
        for _ in requests(connection):
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"items": []}')

    with Strange(answer) as server:
        secrets = _strange(tmp_path, server)
        for _ in range(5):
            _remove(secrets)
        assert server.connections == 1


def _remove(secrets: ChapSecrets) -> None:
    secrets.remove(HANDLE)


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        (_ensure, b""),
        (_ensure, b"<html>sign in here</html>"),
        (_ensure, b"[]"),
        (_ensure, b"{}"),
        (_ensure, json.dumps({"metadata": {"labels": LABELS}}).encode()),
        (_ensure, json.dumps({"metadata": {"name": "pvc-1", "labels": LABELS}}).encode()),
        (_remove, b""),
        (_remove, b"{}"),
        (_remove, b'{"items": [{}]}'),
        (_remove, json.dumps({"items": [{"metadata": {"name": "pvc-1", "labels": LABELS}}]}).encode()),
    ],
    ids=[
        "nothing read",
        "a page",
        "a list for an object",
        "an empty Secret",
        "a Secret without a name",
        "a Secret without a type and uid",
        "nothing listed",
        "a list without items",
        "a list with an empty Secret",
        "a list with a Secret without a uid",
    ],
)
def test_it_is_asked_again_and_nothing_is_written(
    tmp_path: Path, step: Callable[[ChapSecrets], None], answer: bytes
) -> None:
    asked: list[str] = []
    with answering(tmp_path, _always(answer, asked)) as secrets, pytest.raises(errors.Unavailable):
        step(secrets)
    assert asked == ["GET"]


@pytest.mark.parametrize("name", ["../../../default/secrets/theirs", "..", "pvc-1/status", "PVC_1", "pvc-1?force", ""])
def test_a_name_from_the_array_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    asked: list[str] = []
    chap = Chap("node-1-shop", "a" * 12, "b" * 12)
    with (
        answering(tmp_path, _always(b"{}", asked)) as secrets,
        pytest.raises(errors.Unavailable, match="no Secret can have"),
    ):
        secrets.ensure(name, HANDLE, "shop/data", chap, _by_nobody)
    assert not asked
