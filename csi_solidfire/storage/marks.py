"""What the driver writes into the attributes of its volumes and accounts.

An array's attributes are one JSON object of less than 1000 bytes, replaced whole by every change. The
driver's part is one member, `csi-solidfire`; other people's members are kept as they are.
A volume or account without it is not the driver's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from csi_solidfire import errors
from csi_solidfire.element.types import Account, Malformed, Volume
from csi_solidfire.handles import NodeId
from csi_solidfire.storage.access import Attachment

KEY = "csi-solidfire"
# Accounts remembered one by one; an array counts its accounts' ids upwards and uses none twice.
_GIVEN_KEPT = 12
_LIMIT = 1000  # bytes, exclusive: docs of the `attributes` object


@dataclass(frozen=True)
class VolumeMark:
    """The driver's mark on a volume.

    Attributes:
        name: CSI's name for it, in full.
        namespace: The namespace its accounts are for.
        claim: Name of the PersistentVolumeClaim, for people who look at the array; may be missing.
        recycle: Deleting leaves it in the array's recycle bin.
        fencing: Publishing moves it to an account of the node, unpublishing locks it.
        mutual_chap: Nodes are given what proves the array to them, too.
        nodes: Where it is published, and how.
        last: The node it was last published to alone, as its id is written; in marks of old its hostname only, which
            no machine can be told from another by.
        given: Ids of the accounts whose credentials opened it so far, the latest last; of many the last ones.
        older: The highest id that there was no room for in `given`.
    """

    name: str
    namespace: str
    claim: str = ""
    recycle: bool = False
    fencing: bool = True
    mutual_chap: bool = True
    nodes: Mapping[NodeId, Attachment] = field(default_factory=dict)
    last: str = ""
    given: tuple[int, ...] = ()
    older: int = 0

    @classmethod
    def of(cls, volume: Volume) -> VolumeMark | None:
        """Read a volume's mark; None if it has none.

        Raises:
            Malformed: It has one that cannot be understood. Whose it is must not be guessed.
        """
        mark = volume.attributes.get(KEY)
        if mark is None:
            return None
        try:
            nodes = {NodeId.parse(node): Attachment.parse(how) for node, how in mark.get("nodes", {}).items()}
            return cls(
                name=_text(mark["name"]),
                namespace=_text(mark["namespace"]),
                claim=_text(mark.get("claim", "")),
                recycle=_flag(mark.get("recycle", False)),
                fencing=_flag(mark.get("fencing", True)),
                mutual_chap=_flag(mark.get("mutual", True)),
                nodes=nodes,
                last=_text(mark.get("last", "")),
                given=tuple(_number(account_id) for account_id in mark.get("given", [])),
                older=_number(mark.get("older", 0)),
            )
        except (AttributeError, KeyError, TypeError, ValueError, errors.NotFound) as error:
            raise Malformed(f"volume {volume.volume_id}: its attribute {KEY!r} cannot be understood") from error

    @property
    def full_claim(self) -> str:
        """`<namespace>/<name>` of the PersistentVolumeClaim; empty if it is not known."""
        return f"{self.namespace}/{self.claim}" if self.claim else ""

    def with_nodes(self, nodes: Mapping[NodeId, Attachment]) -> VolumeMark:
        return replace(self, nodes=nodes)

    def given_to(self, node: NodeId, account_id: int) -> VolumeMark:
        """Note that a node alone has it from now on, with the credentials of an account."""
        if node in self.nodes and self.given[-1:] == (account_id,):
            return self  # It has: whatever an older mark says of it, a volume in use is left as it is.
        given = (*(known for known in self.given if known != account_id), account_id)
        older = max(self.older, *given[:-_GIVEN_KEPT], 0)
        return replace(self, last=str(node), given=given[-_GIVEN_KEPT:], older=older)

    def was_given(self, account_id: int) -> bool:
        """Whether the credentials of an account may have opened it before: nobody who has them may get it by them."""
        return account_id in self.given or account_id <= self.older

    def attributes(self, others: Mapping[str, Any]) -> dict[str, Any]:
        """Return the whole attributes object: `others` with this mark in it.

        The claim's name is left out where there is no room for it.

        Raises:
            errors.Exhausted: There is no room even so.
        """
        for mark in (self, replace(self, claim="")):
            whole = {**others, KEY: mark._to_json()}
            if _size(whole) < _LIMIT:
                return whole
        raise errors.Exhausted(
            f"the attributes of volume {self.name} would need {_size(whole)} bytes with {len(self.nodes)} nodes"
            f" and Element takes less than {_LIMIT}"
        )

    def _to_json(self) -> dict[str, Any]:
        optional: dict[str, Any] = {
            "claim": self.claim,
            "recycle": self.recycle,
            "nodes": {str(node): str(how) for node, how in self.nodes.items()},
            "last": self.last,
            "given": list(self.given),
            "older": self.older,
        }
        mark = {"name": self.name, "namespace": self.namespace}
        return (
            mark
            | {key: value for key, value in optional.items() if value}
            | ({} if self.fencing else {"fencing": False})
            | ({} if self.mutual_chap else {"mutual": False})
        )


@dataclass(frozen=True)
class AccountMark:
    """The driver's mark on an account: whom it is for, whatever its name.

    Attributes:
        hostname: The one node that logs in with it; empty if nodes share it.
        namespace: The namespace of all its volumes.
        retired: It gets no further volumes, and goes when the last one has left it.
    """

    hostname: str
    namespace: str
    retired: bool = False

    @classmethod
    def of(cls, account: Account) -> AccountMark | None:
        """Read an account's mark; None if it has none, or none that can be understood."""
        mark = account.attributes.get(KEY)
        try:
            if not mark:
                return None
            return cls(_text(mark["node"]), _text(mark["namespace"]), _flag(mark.get("retired", False)))
        except (KeyError, TypeError):
            return None

    def attributes(self) -> dict[str, Any]:
        mark: dict[str, Any] = {"node": self.hostname, "namespace": self.namespace}
        return {KEY: mark | ({"retired": True} if self.retired else {})}

    @property
    def in_service(self) -> AccountMark:
        """Whom it is for, retired or not."""
        return replace(self, retired=False)

    def __str__(self) -> str:
        return f"node {self.hostname or '(shared)'} and namespace {self.namespace}"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _size(attributes: Mapping[str, Any]) -> int:
    """Bytes, counted the longest way JSON can be written: the array does not say how it counts."""
    return len(json.dumps(attributes))
