"""Accounts of ours that own no volume any more are removed, in the background.

An account is worth a look when a volume left it. That it is ours is read from its mark, that it is empty from
the array, which would refuse otherwise; a call that was about to use it makes a new one. What is
missed, because the process ended or the volume waits in the recycle bin, a look at all accounts finds later.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import traceback
from collections.abc import Iterator

from csi_solidfire import deadline, errors, logs
from csi_solidfire.element.errors import ElementError, UnknownAccount
from csi_solidfire.element.types import Account
from csi_solidfire.storage.cluster import Cluster
from csi_solidfire.storage.clusters import Clusters
from csi_solidfire.storage.marks import AccountMark

log = logs.get(__name__)

_LOOK_SECONDS = 30.0
_CLOSE_SECONDS = 3.0


class Janitor:
    """One thread, begun by `start` and ended by `close`."""

    def __init__(self, clusters: Clusters, interval: float) -> None:
        self._clusters = clusters
        self._interval = interval
        self._left: queue.SimpleQueue[tuple[Cluster, int] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="janitor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End it; what it waits for on an array that does not answer is left behind, the next sweep finds it."""
        self._closing.set()
        if self._thread.is_alive():
            self._left.put(None)
            self._thread.join(_CLOSE_SECONDS)

    def note(self, cluster: Cluster, account_id: int | None) -> None:
        """Have an account looked at that a volume has just left."""
        if account_id is not None:
            self._left.put((cluster, account_id))

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            try:
                left = self._left.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                self._sweep()
                due = time.monotonic() + self._interval
                continue
            if left is None or self._closing.is_set():
                return
            self._look(*left)

    def _look(self, cluster: Cluster, account_id: int) -> None:
        with deadline.until(_LOOK_SECONDS), _tolerant(cluster.host):
            try:
                account = cluster.client.get_account_by_id(account_id)
            except UnknownAccount:
                return
            _remove_if_empty(cluster, account)

    def _sweep(self) -> None:
        """Look at every account of every configured cluster: one call each."""
        if not self._clusters.are_configured:
            return
        clusters: dict[str, Cluster] = {}
        with _tolerant("each"):
            clusters, _ = self._clusters.usable()
        for cluster in clusters.values():
            with deadline.until(_LOOK_SECONDS), _tolerant(cluster.host):
                for account in cluster.client.list_accounts():
                    if self._closing.is_set():
                        return
                    _remove_if_empty(cluster, account)


def _remove_if_empty(cluster: Cluster, account: Account) -> None:
    mark = AccountMark.of(account)
    if mark is None or account.volumes:
        return
    cluster.accounts.forget(mark)
    with contextlib.suppress(ElementError):  # It got a volume meanwhile, or another replica was quicker.
        cluster.client.remove_account(account.account_id)
        log.info("removed an empty account", account=account.username, cluster=cluster.host)


@contextlib.contextmanager
def _tolerant(where: str) -> Iterator[None]:
    """Survive whatever happens: the next account, cluster or sweep may fare better."""
    try:
        yield
    except errors.DriverError as error:
        log.info("cannot look at accounts", cluster=where, reason=str(error))
    except Exception as error:  # noqa: BLE001 - without its thread, accounts and their secrets would stay for good
        # The line of code, and not what the error says: that may be part of an answer.
        line = traceback.extract_tb(error.__traceback__)[-1]
        log.error("broke off", cluster=where, error=type(error).__name__, at=f"{line.filename}:{line.lineno}")
