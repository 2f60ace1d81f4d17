"""Accounts: who owns volumes and with which secrets they are opened."""

from __future__ import annotations

from dataclasses import replace

from lab.array import choices, lookup, rows, targets, views
from lab.array.cluster import Cluster
from lab.array.errors import ElementError
from lab.array.methods.stats import no_savings
from lab.array.params import BOOL, ID, INT, OBJECT, STR, Args, enum, optional, required
from lab.array.registry import method
from lab.array.rows import Json

_SECRETS = (optional(STR, "initiatorSecret"), optional(STR, "targetSecret"))


@method(
    "AddAccount",
    "1.0",
    "accounts write",
    required(STR, "username"),
    *_SECRETS,
    optional(OBJECT, "attributes"),
    optional(BOOL, "enableChap", "12.2"),
)
def add_account(cluster: Cluster, args: Args) -> Json:
    """Make an account; secrets that are not given are made up. Equal secrets are fine, as on the real array."""
    _check_name(cluster, args["username"])
    cluster.limit("accountCountMax", len(cluster.accounts) + 1, "accounts")
    row = cluster.accounts.put(
        rows.Account(
            id=cluster.accounts.next_id(),
            username=args["username"],
            initiator_secret=_secret(cluster, args, "initiatorSecret") or lookup.new_secret(),
            target_secret=_secret(cluster, args, "targetSecret") or lookup.new_secret(),
            enable_chap=args.get("enableChap", True),
            attributes=lookup.attributes(cluster, args.get("attributes")),
        )
    )
    return {"account": views.account(cluster, row), "accountID": row.id}


def _check_name(cluster: Cluster, username: str) -> None:
    lookup.check_length(cluster, "accountName", username)
    if cluster.accounts.find("username", username):
        raise ElementError("xDuplicateUsername", f"Username {username} is in use")


def _secret(cluster: Cluster, args: Args, name: str) -> str | None:
    return lookup.check_secret(cluster, name, args[name]) if name in args else None


@method("GetAccountByID", "1.0", "accounts read", required(ID, "accountID"))
def get_account_by_id(cluster: Cluster, args: Args) -> Json:
    """Return the account of that id."""
    row = cluster.accounts.get(args["accountID"])
    if row is None:
        raise ElementError(choices.ACCOUNT_BY_ID_MISSING)
    return {"account": views.account(cluster, row)}


@method("GetAccountByName", "1.0", "accounts read", required(STR, "username"))
def get_account_by_name(cluster: Cluster, args: Args) -> Json:
    """Return the account of that name; solidfire-go needs the error's name in its message."""
    for row in cluster.accounts.find("username", args["username"]):
        return {"account": views.account(cluster, row)}
    raise ElementError("xUnknownAccount")


@method(
    "ListAccounts",
    "1.0",
    "accounts read",
    optional(ID, "startAccountID"),
    optional(ID, "limit"),
    optional(BOOL, "includeStorageContainers", "9.0"),
)
def list_accounts(cluster: Cluster, args: Args) -> Json:
    """Return a page of the accounts."""
    found = [row for row in cluster.accounts if row.id >= args.get("startAccountID", 0)]
    return {"accounts": [views.account(cluster, row) for row in found[: args.get("limit")]]}


@method(
    "ModifyAccount",
    "1.0",
    "accounts write",
    required(ID, "accountID"),
    optional(STR, "username"),
    optional(enum("active", "locked"), "status"),
    *_SECRETS,
    optional(OBJECT, "attributes"),
    optional(BOOL, "enableChap", "12.2"),
)
def modify_account(cluster: Cluster, args: Args) -> Json:
    """Change what is given. A locked account loses its sessions; new secrets count from the next login."""
    old = lookup.account(cluster, args["accountID"])
    if args.get("username", old.username) != old.username:
        _check_name(cluster, args["username"])
    row = replace(
        old,
        username=args.get("username", old.username),
        status=args.get("status", old.status),
        initiator_secret=_secret(cluster, args, "initiatorSecret") or old.initiator_secret,
        target_secret=_secret(cluster, args, "targetSecret") or old.target_secret,
        enable_chap=args.get("enableChap", old.enable_chap),
        attributes=lookup.attributes(cluster, args["attributes"]) if "attributes" in args else old.attributes,
    )
    cluster.accounts.put(row)
    targets.publish_account(cluster, row)
    return {"account": views.account(cluster, row)}


@method("RemoveAccount", "1.0", "accounts write", required(ID, "accountID"))
def remove_account(cluster: Cluster, args: Args) -> Json:
    """Remove an account that owns nothing, recycled volumes included."""
    row = lookup.account(cluster, args["accountID"])
    if cluster.volumes.count("account", row.id):
        raise ElementError(choices.ACCOUNT_IN_USE, f"Account {row.id} has volumes")
    cluster.accounts.remove(row.id)
    return {}


@method("GetAccountEfficiency", "6.0", "accounts read reporting", required(ID, "accountID"), optional(INT, "force"))
def get_account_efficiency(cluster: Cluster, args: Args) -> Json:
    """Return the efficiency of volumes without data."""
    lookup.account(cluster, args["accountID"])
    return no_savings()
