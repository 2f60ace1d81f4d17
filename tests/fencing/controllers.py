"""Controllers to be killed, beside the site's own, and the array's way of losing answers to them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from lab.csi import Client
from lab.site import ADMIN, DRIVER, Site
from tests.realnode.volumes import PATIENCE, Volume
from tests.support import ask
from tests.support.driver import sweepable, wait_until


@contextmanager
def controller(site: Site, name: str) -> Iterator[Client]:
    """Run one more controller for the same array; leave by killing it.

    It has had its first look at the accounts when this begins, so that all further array calls are those of its
    caller.
    """
    socket = site.run.directory / f"{name}.sock"
    socket.unlink(missing_ok=True)
    faults = Faults(site)
    faults.forget_calls()
    command = [
        *(sys.executable, "-m", "csi_solidfire", "controller", f"--endpoint=unix://{socket}"),
        *(f"--clusters-dir={site.clusters}", "--hostname=lab-host", f"--driver-name={DRIVER}"),
        *("--metrics-address=off", "--chap-in-publish-context"),
    ]
    site.run.spawn(name, command, site.run.directory / f"{name}.log")
    try:
        with Client(f"unix:{socket}") as client:
            client.wait_ready()
            wait_until(lambda: "ListAccounts" in faults.calls(), 60)
            wait_until(lambda: not sweepable(site.call("ListAccounts")["accounts"]), 60)
            yield client
    finally:
        site.run.kill(name)


class Faults:
    """The array's faults, over HTTP: see `lab.array.lab_api`."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def arm(self, kind: str, nth: int = 1, *, onwards: bool = False, **more: object) -> None:
        """Let it do something to the n-th call from now, or to all from there on; the rest is a fault's members."""
        self._ask("POST", "faults", {"kind": kind, "nth": nth, "times": None if onwards else 1, **more})

    def clear(self) -> None:
        self._ask("DELETE", "faults")

    def armed(self) -> list[str]:
        """Return the kinds that have not hit yet, or hit still."""
        return [fault["kind"] for fault in self._ask("GET", "faults")]

    def delay_all(self, seconds: float) -> None:
        self._ask("POST", "latency", {"seconds": seconds})

    def calls(self) -> list[str]:
        return [call["method"] for call in self._ask("GET", "calls")]

    def forget_calls(self) -> None:
        self._ask("DELETE", "calls")

    def _ask(self, verb: str, topic: str, body: dict[str, Any] | None = None) -> Any:
        directory = self._site.clusters / "lab"
        response = requests.request(
            verb,
            f"{self._site.endpoint}/lab/{topic}",
            json=body or {},
            auth=(ADMIN, (directory / "password").read_text()),
            verify=str(directory / "caCert"),
            timeout=PATIENCE,
        )
        response.raise_for_status()
        return response.json()


def publish(client: Client, volume: Volume, node_id: str) -> dict[str, str]:
    return ask.publish(client, volume.handle, node_id, capability=volume.capability, timeout=PATIENCE)


def unpublish(client: Client, volume: Volume, node_id: str) -> None:
    ask.unpublish(client, volume.handle, node_id, timeout=PATIENCE)
