"""New CHAP secrets without endangering a volume in use.

To change the secrets of an account would be a trap: sessions that are up stay, and the first that has to log in again,
after a failover or a cut link, comes with the secrets its initiator still holds and is refused for good. So an account
is not changed but retired: it keeps its secrets and gets no further volumes. Each volume leaves it for a successor with
new secrets when it is next attached, and the empty account is removed. That an account is retired is written on the
array, so a rotation that is cut short, or done by two at once, goes on where it was.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from csi_solidfire import errors, logs
from csi_solidfire.element.errors import ElementError, UnknownAccount
from csi_solidfire.element.types import Account
from csi_solidfire.storage import listing
from csi_solidfire.storage.cluster import Cluster
from csi_solidfire.storage.listing import Listed
from csi_solidfire.storage.marks import KEY, AccountMark

log = logs.get(__name__)


@dataclass(frozen=True)
class Retired:
    """An account whose secrets go when the last volume has left it.

    Attributes:
        volumes: Those it still owns; ones in the array's recycle bin are not among them.
        deleted: How many it owns besides: deleted and not purged.
    """

    username: str
    volumes: tuple[Listed, ...]
    deleted: int


@dataclass(frozen=True)
class _Own:
    """An account of the driver's."""

    account: Account
    mark: AccountMark

    @classmethod
    def all(cls, cluster: Cluster) -> list[_Own]:
        marked = [(account, AccountMark.of(account)) for account in cluster.client.list_accounts()]
        return [cls(account, mark) for account, mark in marked if mark]


def retire(cluster: Cluster, usernames: Collection[str]) -> list[str]:
    """Begin to rotate accounts, or go on.

    Args:
        cluster: The cluster they are on.
        usernames: Their names. Empty for all of the driver's, but for successors of accounts that are not empty yet:
            so that a rotation of all which is run again ends.

    Returns:
        The names of the accounts retired by this call.

    Raises:
        errors.InvalidRequest: A name is none of the driver's accounts; nothing was done.
    """
    own = {one.account.username: one for one in _Own.all(cluster)}
    if unknown := sorted(set(usernames) - own.keys()):
        raise errors.InvalidRequest(
            f"account {', '.join(unknown)} is not one of this driver's on {cluster.host}; nothing was done"
        )
    rotating = {one.mark.in_service for one in own.values() if one.mark.retired}
    chosen = [own[name] for name in sorted(usernames)] if usernames else own.values()
    return [
        one.account.username
        for one in chosen
        if not one.mark.retired and (usernames or one.mark not in rotating) and _retire(cluster, one)
    ]


def waiting(cluster: Cluster) -> list[Retired]:
    """Return the retired accounts and what each waits for; those that wait for nothing are removed first."""
    left = [one.account for one in _Own.all(cluster) if one.mark.retired]
    left = [account for account in left if account.volumes or not _remove(cluster, account)]
    owned: dict[int, list[Listed]] = {account.account_id: [] for account in left}
    for listed in listing.everything(cluster) if left else ():
        if listed.volume.account_id in owned:
            owned[listed.volume.account_id].append(listed)
    return [
        Retired(account.username, tuple(volumes), max(0, len(account.volumes) - len(volumes)))
        for account in left
        for volumes in [owned[account.account_id]]
    ]


def _retire(cluster: Cluster, one: _Own) -> bool:
    """Write it down; False if the account is gone."""
    account = one.account
    cluster.accounts.forget(one.mark)
    wanted = {**account.attributes, **replace(one.mark, retired=True).attributes()}
    try:
        after = cluster.client.modify_account(account.account_id, attributes=wanted)
    except UnknownAccount:
        return False
    if (after.account_id, after.attributes.get(KEY)) != (account.account_id, wanted[KEY]):
        raise errors.Unavailable(f"ModifyAccount: account {account.username} is not as it was asked for; run it again")
    log.info("retired an account", account=account.username, cluster=cluster.host)
    return True


def _remove(cluster: Cluster, account: Account) -> bool:
    try:
        cluster.client.remove_account(account.account_id)
    except UnknownAccount:
        return True
    except ElementError as error:
        log.info("could not remove an account", account=account.username, reason=str(error))
        return False
    return True
