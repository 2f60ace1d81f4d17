"""Kubernetes' API for the Secrets of one namespace: as much of it as the driver uses, over HTTP, and as strict.

What a real API server does with the driver's Secrets is seen in `tests/kube`; this one starts in no time.
"""

from __future__ import annotations

import itertools
import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from csi_solidfire.kube.client import connect
from csi_solidfire.kube.secrets import ChapSecrets

NAMESPACE = "storage"
DRIVER = "csi-solidfire.io"
_PATH = f"/api/v1/namespaces/{NAMESPACE}/secrets"
_Answer = tuple[int, dict[str, Any]]


class SecretsApi:
    """What is there, by name. Change it as people would with kubectl.

    Attributes:
        kept: The driver's way to it, while it is served.
    """

    kept: ChapSecrets

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)
        self._lock = Lock()

    def content(self, name: str) -> dict[str, str]:
        """What kubelet would hand to NodeStageVolume."""
        return {key: b64decode(value).decode() for key, value in self.secrets[name]["data"].items()}

    def volume(self, name: str) -> str:
        """The handle that a Secret is labelled for."""
        handle: str = self.secrets[name]["metadata"]["labels"][f"{DRIVER}/volume"]
        return handle

    def answer(self, verb: str, url: str, body: dict[str, Any]) -> _Answer:
        parts = urlsplit(url)
        assert parts.path.startswith(_PATH), url
        name = parts.path.removeprefix(_PATH).removeprefix("/")
        with self._lock:
            if verb == "GET" and not name:
                wanted = dict(each.split("=") for each in parse_qs(parts.query)["labelSelector"][0].split(","))
                found = self.secrets.values()
                return 200, {"items": [each for each in found if wanted.items() <= each["metadata"]["labels"].items()]}
            if verb == "POST":
                return self._create(body)
            there = self.secrets.get(name)
            return self._named(verb, there, body) if there else (404, {})

    def _create(self, body: dict[str, Any]) -> _Answer:
        name = body["metadata"]["name"]
        if name in self.secrets:
            return 409, {}
        body["metadata"]["uid"] = f"uid-{next(self._numbers)}"
        return 201, self._keep(body)

    def _named(self, verb: str, there: dict[str, Any], body: dict[str, Any]) -> _Answer:
        metadata = there["metadata"]
        if verb == "PUT":
            return (
                (200, self._keep(body)) if body["metadata"] | {"labels": 0} == metadata | {"labels": 0} else (409, {})
            )
        if verb == "DELETE":
            if body["preconditions"]["uid"] != metadata["uid"]:
                return 409, {}
            del self.secrets[metadata["name"]]
        return 200, there

    def _keep(self, body: dict[str, Any]) -> dict[str, Any]:
        body["metadata"]["resourceVersion"] = str(next(self._numbers))
        self.secrets[body["metadata"]["name"]] = body
        return body


@contextmanager
def serving(directory: Path) -> Iterator[SecretsApi]:
    """An API with no Secrets in it."""
    api = SecretsApi()

    def answer(verb: str, url: str, body: bytes) -> tuple[int, bytes]:
        status, content = api.answer(verb, url, json.loads(body or b"{}"))
        return status, json.dumps(content).encode()

    with answering(directory, answer) as api.kept:
        yield api


@contextmanager
def answering(directory: Path, answer: Callable[[str, str, bytes], tuple[int, bytes]]) -> Iterator[ChapSecrets]:
    """The driver's way to its Secrets, in an API that gives these answers to verb, URL and body."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815, as http.server calls them

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002, as http.server calls it
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            kubeconfig = directory / "kubeconfig"
            kubeconfig.write_text(json.dumps(kubeconfig_of(f"http://127.0.0.1:{server.server_port}")))
            yield ChapSecrets(connect(kubeconfig), NAMESPACE, DRIVER)
        finally:
            server.shutdown()


def kubeconfig_of(server: str, **cluster: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "it", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }
