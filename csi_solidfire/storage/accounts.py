"""The accounts of one cluster that are for a node and a namespace each."""

from __future__ import annotations

import secrets
import string
import threading
from collections.abc import Callable

import cachetools

from csi_solidfire import errors
from csi_solidfire.element.client import Client
from csi_solidfire.element.errors import DuplicateUsername, ElementError, UnknownAccount
from csi_solidfire.element.types import Account
from csi_solidfire.handles import Chap
from csi_solidfire.storage import names
from csi_solidfire.storage.marks import AccountMark

_REMEMBER_SECONDS = 300.0
_NAMES_TRIED = 2  # as many names of other people's accounts are too many to be chance
_SECRET_LENGTH = 16  # Element takes 12 to 16 characters.
# Letters and digits: what every initiator, record file and shell passes on unharmed; 95 bits in 16 of them.
_ALPHABET = string.ascii_letters + string.digits
Avoid = Callable[[int], bool]
_Ids = cachetools.TTLCache[AccountMark, int]


class Foreign(errors.Unavailable):
    """An account that is not this driver's for that namespace: none of its secrets may reach anybody."""


class Accounts:
    """Finds and makes accounts. Keeps only which id belongs to which pair, never a secret."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._ids: _Ids = _new_ids()
        self._made = threading.local()

    def ensure_id(self, owner: AccountMark) -> int:
        """Return the id of the pair's account, making the account if there is none.

        The id may be a few minutes old: a call that then meets `UnknownAccount` forgets it and asks again.

        Raises:
            errors.Refused: The names it could have belong to other people's accounts.
        """
        return self._known_id(owner) or self._look_up(owner, None).account_id

    def ensure(self, owner: AccountMark, avoid: Avoid | None = None) -> Account:
        """Return an account of the pair as the array has it now, secrets included; one array call if it is known.

        Args:
            avoid: Tells by its id whether an account will not do: its secrets are known where they must not be of use.
        """
        known = self._known_id(owner)
        if known and not (avoid and avoid(known)):
            try:
                account = self._client.get_account_by_id(known)
            except UnknownAccount:
                self.forget(owner)
            else:
                if AccountMark.of(account) == owner:
                    return account
                self.forget(owner)
        return self._look_up(owner, avoid)

    def get(self, account_id: int, namespace: str) -> Account:
        """Return an account of ours for a namespace as the array has it now, retired or not.

        Raises:
            Foreign: It is somebody else's.
        """
        try:
            account = self._client.get_account_by_id(account_id)
        except UnknownAccount:
            self.forget_id(account_id)
            raise
        mark = AccountMark.of(account)
        if mark is None or mark.namespace != namespace:
            self.forget_id(account_id)
            raise Foreign(f"account {account.username} is not this driver's for namespace {namespace}")
        return account

    def is_ours(self, account_id: int, namespace: str) -> bool:
        """Tell whether an account is ours for a namespace; no array call if it is remembered."""
        with self._lock:
            if any(known == account_id and owner.namespace == namespace for owner, known in self._ids.items()):
                return True
        try:
            self.get(account_id, namespace)
        except Foreign:
            return False
        return True

    def forget_all(self) -> None:
        """Forget every id: they are those of another array. What is being looked up there just now is not kept."""
        with self._lock:
            self._ids = _new_ids()

    def forget(self, owner: AccountMark) -> None:
        with self._lock:
            self._ids.pop(owner, None)

    def forget_id(self, account_id: int | None) -> None:
        """Forget whatever pair an account that turned out not to exist was remembered for."""
        with self._lock:
            for owner in [owner for owner, known in self._ids.items() if known == account_id]:
                del self._ids[owner]

    def made(self) -> list[int]:
        """Return, once, the ids of the accounts that the calling thread has made."""
        ids: list[int] = getattr(self._made, "ids", [])
        self._made.ids = []
        return ids

    def _is_new(self, account: Account) -> bool:
        """Whether the call at hand has made it: its secrets are known to nobody yet, whatever its id."""
        return account.account_id in getattr(self._made, "ids", [])

    def _known_id(self, owner: AccountMark) -> int | None:
        with self._lock:
            return self._ids.get(owner)

    def _look_up(self, owner: AccountMark, avoid: Avoid | None) -> Account:
        ids, foreign = self._ids, list[str]()
        for username in names.account_names(owner.hostname, owner.namespace):
            account = self._get_or_add(username, owner)
            mark = AccountMark.of(account)
            if mark is None or mark.in_service != owner:
                foreign.append(username)
            elif not mark.retired and (self._is_new(account) or not (avoid and avoid(account.account_id))):
                if not avoid:
                    with self._lock:
                        ids[owner] = account.account_id
                return account
            elif renewed := self._renew(account, owner):
                return renewed
            if len(foreign) == _NAMES_TRIED:
                break
        raise errors.Refused(
            f"accounts {' and '.join(foreign)} exist and are not this driver's for {owner};"
            " rename or remove one of them"
        )

    def _renew(self, account: Account, owner: AccountMark) -> Account | None:
        """Replace an account that owns nothing by one with other secrets; None if it owns something."""
        if account.volumes:
            return None
        self.forget(owner)
        try:
            self._client.remove_account(account.account_id)
        except UnknownAccount:
            pass
        except ElementError:  # It got a volume meanwhile.
            return None
        fresh = self._get_or_add(account.username, owner)
        return fresh if AccountMark.of(fresh) == owner and fresh.account_id != account.account_id else None

    def _get_or_add(self, username: str, owner: AccountMark) -> Account:
        try:
            return self._client.get_account_by_name(username)
        except UnknownAccount:
            pass
        try:
            account = self._client.add_account(username, _new_secret(), _new_secret(), owner.attributes())
        except DuplicateUsername:
            # Somebody was quicker, or the answer to our own first try got lost.
            return self._client.get_account_by_name(username)
        self._made.ids = [*getattr(self._made, "ids", []), account.account_id]
        return account


def chap_of(account: Account, *, mutual: bool) -> Chap:
    """Return the credentials a node logs in with, those by which it knows the array among them if `mutual`.

    Raises:
        errors.Refused: The account cannot log anybody in at present.
    """
    if account.status != "active":
        raise errors.Refused(
            f"account {account.username} is {account.status} on the array: unlock it to publish its volumes"
        )
    password, password_in = account.initiator_secret, account.target_secret
    if not password or (mutual and password_in in ("", password)):
        raise errors.Refused(f"account {account.username} has no usable CHAP secrets on the array")
    return Chap(account.username, password, password_in if mutual else None)


def _new_ids() -> _Ids:
    return cachetools.TTLCache(10_000, _REMEMBER_SECONDS)


def _new_secret() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
