"""A method for each Element method the driver uses, typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from csi_solidfire import errors
from csi_solidfire.element.errors import NoSuchVolume
from csi_solidfire.element.transport import NoSuchDialect, Transport
from csi_solidfire.element.types import (
    Account,
    Capacity,
    ClusterInfo,
    Limits,
    Malformed,
    Qos,
    QosPolicy,
    Volume,
    member,
)

# QoS policies came with 10.0; every older dialect lacks something the driver sends.
MINIMUM_VERSION = (10, 0)
# Dialects up to here have been read about; a newer array still speaks this one.
NEWEST_VERSION = (12, 9)


class Client:
    """The API of one cluster.

    Every method may raise what `Transport.call` raises; the docstrings add what else a caller may
    conclude.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._version = ""

    def close(self) -> None:
        self._transport.close()

    def _call(self, method: str, params: Mapping[str, Any], *, repeat: bool = True) -> dict[str, Any]:
        try:
            return self._transport.call(self._version or self._negotiate(), method, params, repeat=repeat)
        except NoSuchDialect:
            self._version = ""
            raise

    def _negotiate(self) -> str:
        """Choose the newest dialect that both sides know (`GetAPI`).

        Raises:
            errors.Refused: The array is older than the driver's minimum.
            Malformed: It names no version at all.
        """
        # Without a lock: who has a second left must not wait for somebody who has thirty. It may be asked twice.
        answer = self._transport.call("1.0", "GetAPI", {}, repeat=True)
        named = [_version(text) for text in member("GetAPI", answer, "supportedVersions", list)]
        known = [version for version in named if version is not None]
        if not known:
            raise Malformed(f"GetAPI: {self._transport.credentials.host} names no version of its API")
        usable = [version for version in known if MINIMUM_VERSION <= version <= NEWEST_VERSION]
        if not usable:
            raise errors.Refused(
                f"{self._transport.credentials.host} speaks Element API {max(known)[0]}.x; "
                f"the driver needs {'.'.join(map(str, MINIMUM_VERSION))} or newer"
            )
        self._version = ".".join(map(str, max(usable)))
        return self._version

    def get_cluster_info(self) -> ClusterInfo:
        """Ask who the cluster is (`GetClusterInfo`)."""
        return ClusterInfo.from_json(member("GetClusterInfo", self._call("GetClusterInfo", {}), "clusterInfo", dict))

    def get_limits(self) -> Limits:
        """Ask for the running software's limits (`GetLimits`)."""
        return Limits.from_json(self._call("GetLimits", {}))

    def get_cluster_capacity(self) -> Capacity:
        """Ask what space is promised and what may be (`GetClusterCapacity`)."""
        answer = self._call("GetClusterCapacity", {})
        return Capacity.from_json(member("GetClusterCapacity", answer, "clusterCapacity", dict))

    def get_fullness(self) -> str:
        """Ask how full the cluster is (`GetClusterFullThreshold`): `stage1Happy` to `stage5CompletelyConsumed`."""
        return member("GetClusterFullThreshold", self._call("GetClusterFullThreshold", {}), "fullness", str)

    def list_qos_policies(self) -> list[QosPolicy]:
        """List the QoS policies (`ListQoSPolicies`); an array has 500 at the most."""
        answer = member("ListQoSPolicies", self._call("ListQoSPolicies", {}), "qosPolicies", list)
        return [QosPolicy.from_json(policy) for policy in answer]

    def create_volume(
        self,
        *,
        name: str,
        account_id: int,
        total_size: int,
        enable_512e: bool,
        qos: Qos | None,
        qos_policy_id: int | None,
        attributes: Mapping[str, Any],
    ) -> Volume:
        """Create an empty volume (`CreateVolume`).

        Element lets volumes share a name, so a second call makes a second volume: look the name up first.

        Args:
            name: 1 to 64 of ASCII letters, digits and `-`.
            total_size: Bytes; the array rounds up to a MiB.
            qos: Values of its own; not together with a policy.
            attributes: Under 1000 bytes as JSON.

        Raises:
            UnknownAccount: Nothing was made.
            LimitExceeded: Nothing was made.
            Unreachable: The volume may exist all the same.
        """
        params: dict[str, Any] = {
            "name": name,
            "accountID": account_id,
            "totalSize": total_size,
            "enable512e": enable_512e,
            "attributes": dict(attributes),
        }
        if qos_policy_id is not None:
            params |= {"qosPolicyID": qos_policy_id, "associateWithQoSPolicy": True}
        elif qos is not None:
            params["qos"] = qos.to_json()
        return self._volume("CreateVolume", params, repeat=False)

    def modify_volume(
        self,
        volume_id: int,
        *,
        account_id: int | None = None,
        access: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Volume:
        """Change a volume (`ModifyVolume`); what is None stays as it is.

        `access="locked"` ends every session of the volume. The attributes are replaced as a whole.
        """
        changes = {"accountID": account_id, "access": access, "attributes": attributes}
        given = {name: value for name, value in changes.items() if value is not None}
        return self._volume("ModifyVolume", {"volumeID": volume_id, **given}, repeat=True)

    def delete_volume(self, volume_id: int) -> None:
        """Put a volume into the recycle bin (`DeleteVolume`); the array purges it eight hours later."""
        self._call("DeleteVolume", {"volumeID": volume_id})

    def purge_deleted_volume(self, volume_id: int) -> None:
        """Remove a deleted volume for good (`PurgeDeletedVolume`)."""
        self._call("PurgeDeletedVolume", {"volumeID": volume_id})

    def find_volume(self, volume_id: int) -> Volume | None:
        """Return a volume by id in whatever state it is, deleted and not yet purged included; None if there is none."""
        try:
            found = self._list(volumeIDs=[volume_id])
        except NoSuchVolume:
            # Whether an unknown id is an error or left out is not documented.
            return None
        return next((volume for volume in found if volume.volume_id == volume_id), None)

    def find_volumes_named(self, name: str) -> list[Volume]:
        """Return the volumes of a name in whatever state they are, deleted and not yet purged ones included."""
        # Filtered again: an array that ignores a filter must not make us take another volume for ours.
        return [volume for volume in self._list(volumeName=name) if volume.name == name]

    def list_active_volumes(self, start_volume_id: int, limit: int) -> list[Volume]:
        """Return a page of active volumes by ascending id, from `start_volume_id`, which need not exist, upwards."""
        page = self._list(startVolumeID=start_volume_id, limit=limit, volumeStatus="active")
        if any(volume.volume_id < start_volume_id for volume in page):
            raise Malformed(f"ListVolumes: volumes from {start_volume_id} on were asked for; others are in the answer")
        return sorted((volume for volume in page if volume.status == "active"), key=lambda volume: volume.volume_id)

    def add_account(
        self, username: str, initiator_secret: str, target_secret: str, attributes: Mapping[str, Any]
    ) -> Account:
        """Make an account (`AddAccount`). User names are unique, so a repetition cannot make a second one.

        Raises:
            DuplicateUsername: The name is taken, perhaps by an earlier call of ours whose answer was lost.
            LimitExceeded: The array has all the accounts it takes.
        """
        params = {
            "username": username,
            "initiatorSecret": initiator_secret,
            "targetSecret": target_secret,
            "attributes": dict(attributes),
        }
        return Account.from_json(member("AddAccount", self._call("AddAccount", params), "account", dict))

    def get_account_by_name(self, username: str) -> Account:
        """Return the account of a name (`GetAccountByName`).

        Raises:
            UnknownAccount: There is none.
        """
        answer = self._call("GetAccountByName", {"username": username})
        return Account.from_json(member("GetAccountByName", answer, "account", dict))

    def get_account_by_id(self, account_id: int) -> Account:
        """Return an account by id (`GetAccountByID`).

        Raises:
            UnknownAccount: There is none.
        """
        answer = self._call("GetAccountByID", {"accountID": account_id})
        account = Account.from_json(member("GetAccountByID", answer, "account", dict))
        if account.account_id != account_id:
            raise Malformed(f"GetAccountByID: account {account_id} was asked for and {account.account_id} answered")
        return account

    def list_accounts(self) -> list[Account]:
        """List all accounts (`ListAccounts`); an array has 5,000 at the most."""
        answer = member("ListAccounts", self._call("ListAccounts", {}), "accounts", list)
        return [Account.from_json(account) for account in answer]

    def modify_account(self, account_id: int, *, attributes: Mapping[str, Any]) -> Account:
        """Replace the attributes of an account, and nothing else of it (`ModifyAccount`).

        Raises:
            UnknownAccount: There is none.
        """
        params = {"accountID": account_id, "attributes": dict(attributes)}
        return Account.from_json(member("ModifyAccount", self._call("ModifyAccount", params), "account", dict))

    def remove_account(self, account_id: int) -> None:
        """Remove an account (`RemoveAccount`). The array refuses while it owns a volume, deleted ones included."""
        self._call("RemoveAccount", {"accountID": account_id})

    def _list(self, **params: Any) -> list[Volume]:
        answer = member("ListVolumes", self._call("ListVolumes", params), "volumes", list)
        return [Volume.from_json(volume) for volume in answer]

    def _volume(self, method: str, params: Mapping[str, Any], *, repeat: bool) -> Volume:
        return Volume.from_json(member(method, self._call(method, params, repeat=repeat), "volume", dict))


def _version(text: object) -> tuple[int, int] | None:
    """Read `12.5`; None for what is no version. As numbers, since "12.10" sorts before "12.9"."""
    match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", str(text), re.ASCII) if isinstance(text, str | float) else None
    return (int(match[1]), int(match[2])) if match else None
