"""One cluster: its API, what is known of it for a while, and how to be sure a volume is the one meant."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable
from typing import TypeVar

import cachetools

from csi_solidfire import errors
from csi_solidfire.element.client import Client
from csi_solidfire.element.transport import Credentials, Transport
from csi_solidfire.element.types import ClusterInfo, Limits, QosPolicy, Volume
from csi_solidfire.handles import VolumeHandle, shorten
from csi_solidfire.storage.accounts import Accounts

_REMEMBER_SECONDS = 300.0
_ISCSI_PORT = 3260
T = TypeVar("T")


class Cluster:
    """A cluster as one of its admins reaches it.

    Attributes:
        client: Its API.
        accounts: Its accounts of ours.
        last_known_id: The unique id it last gave; empty before.
    """

    def __init__(self, credentials: Credentials, svip: str, parallel: int) -> None:
        self.client = Client(Transport(credentials, parallel))
        self.accounts = Accounts(self.client)
        self.host = credentials.host
        self.last_known_id = ""
        self._svip = svip
        self._lock = threading.Lock()
        self._facts: cachetools.TTLCache[str, object] = cachetools.TTLCache(8, _REMEMBER_SECONDS)

    def close(self) -> None:
        self.client.close()

    def info(self) -> ClusterInfo:
        info = self._fact("info", self.client.get_cluster_info)
        if info.unique_id != self.last_known_id:
            # Another array behind the address has accounts of the same numbers, and they are other people's.
            self.accounts.forget_all()
            self.last_known_id = info.unique_id
        return info

    def limits(self) -> Limits:
        return self._fact("limits", self.client.get_limits)

    def portal(self) -> str:
        """Return `<address>:3260` of the storage address: the configured one, else the cluster's own.

        Raises:
            errors.Unavailable: What the cluster names is no address. A node could not log in there.
        """
        address = self._svip or self.info().svip
        if not self._svip and not _is_address(address):
            self.forget()
            raise errors.Unavailable(f"{self.host}: its storage address (svip) is {shorten(address)}; asking again")
        return f"[{address}]:{_ISCSI_PORT}" if ":" in address else f"{address}:{_ISCSI_PORT}"

    def qos_policy_id(self, wanted: str) -> int:
        """Return the id of a QoS policy given by name or number.

        Raises:
            errors.InvalidRequest: There is none, or several of that name.
        """
        policies = self._fact("policies", self.client.list_qos_policies)
        found = _matching(policies, wanted)
        if len(found) != 1:
            self.forget()  # Perhaps it was made a moment ago.
            policies = self._fact("policies", self.client.list_qos_policies)
            found = _matching(policies, wanted)
        if not found:
            known = ", ".join(sorted({policy.name for policy in policies})) or "none"
            raise errors.InvalidRequest(
                f"parameters: qosPolicy {shorten(wanted)} does not exist on the array (it has: {known})"
            )
        if len(found) > 1:
            ids = ", ".join(str(policy.qos_policy_id) for policy in found)
            raise errors.InvalidRequest(
                f"parameters: qosPolicy {shorten(wanted)} is the name of several: use one of the ids {ids}"
            )
        return found[0].qos_policy_id

    def handle_of(self, volume: Volume) -> VolumeHandle:
        """Return a volume's handle, taken from the volume's own SCSI identity.

        Raises:
            errors.Unavailable: The identity contradicts the volume's id, its target name or this cluster.
        """
        spelt = VolumeHandle.of_naa(volume.naa)
        if spelt is None or spelt.volume_id != volume.volume_id or spelt != VolumeHandle.of_iqn(volume.iqn):
            raise errors.Unavailable(
                f"{self.host}: volume {volume.volume_id} has device id {volume.naa} and target {volume.iqn},"
                " which contradict each other; nothing was done"
            )
        if spelt.cluster_id != self.info().unique_id:
            self.forget()
            self.accounts.forget_all()  # Some may have been looked up on the other array.
            raise errors.Unavailable(
                f"{self.host}: volume {volume.volume_id} belongs to cluster {spelt.cluster_id}; asking anew"
            )
        return spelt

    def find(self, handle: VolumeHandle) -> Volume | None:
        """Return the volume a handle means, deleted and not yet purged ones included; None if it is gone.

        Raises:
            errors.Refused: These credentials lead to another cluster than the handle's.
        """
        volume = self.client.find_volume(handle.volume_id)
        if volume is not None and volume.naa == handle.naa and VolumeHandle.of_iqn(volume.iqn) == handle:
            return volume
        # Before "gone" is believed, or another cluster's volume of the same number met: who is this?
        self.forget()
        if self.info().unique_id != handle.cluster_id:
            raise errors.Refused(
                f"volume {handle} is on cluster {handle.cluster_id}, but {self.host} is cluster"
                f" {self.info().unique_id}: nothing was done"
            )
        if volume is not None:
            self.handle_of(volume)
        return None

    def forget(self) -> None:
        """Drop what was remembered: an answer contradicted it."""
        with self._lock:
            self._facts.clear()

    def _fact(self, name: str, ask: Callable[[], T]) -> T:
        """Return a remembered answer or ask. No lock is held while asking, so it may be asked twice."""
        with self._lock:
            known = self._facts.get(name)
        if known is None:
            known = ask()
            with self._lock:
                self._facts[name] = known
        return known  # type: ignore[return-value]  # Each name is stored by one caller with one type.


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _matching(policies: list[QosPolicy], wanted: str) -> list[QosPolicy]:
    """Return the policies of that name, else the one of that number."""
    named = [policy for policy in policies if policy.name == wanted]
    return named or [policy for policy in policies if str(policy.qos_policy_id) == wanted]
