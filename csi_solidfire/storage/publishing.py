"""Which node may reach a volume: the fence.

For single-node access modes the volume belongs to the account of the node that has it, and is `locked`
while nobody has. One `ModifyVolume` changes account, access and the list of nodes together, so there is
no moment at which two nodes can log in, and a node that lost the volume has neither the session (locking
and moving end it) nor the credentials to make a new one.

A node that lost it goes on trying to log in, and holds what it had not written yet. When the volume comes back to
it, having been another node's in between, that must not reach the disk: so the volume is then put into an
account of the node whose secrets it was never given under (`VolumeMark.given`). So it is when it comes to another
machine of the same hostname, which has the same accounts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from csi_solidfire import errors
from csi_solidfire.element.errors import NoSuchVolume, UnknownAccount
from csi_solidfire.element.types import Account, Volume
from csi_solidfire.handles import Chap, NodeId, PublishContext, VolumeHandle
from csi_solidfire.storage import volumes
from csi_solidfire.storage.access import Attachment
from csi_solidfire.storage.accounts import Foreign, chap_of
from csi_solidfire.storage.cluster import Cluster
from csi_solidfire.storage.marks import KEY, AccountMark, VolumeMark

LOCKED = "locked"


@dataclass(frozen=True)
class Published:
    """A volume as a node may now log in to it.

    Attributes:
        name: CSI's name of the volume.
        claim: `<namespace>/<name>` of its PersistentVolumeClaim; empty if that is not known.
        left_account_id: The account it was moved out of, which may be empty now.
    """

    name: str
    claim: str
    chap: Chap
    context: PublishContext
    left_account_id: int | None


def publish(cluster: Cluster, handle: VolumeHandle, node: NodeId, attachment: Attachment) -> Published:
    """Let a node, and for single-node modes only that node, reach a volume. Three array calls, two if it may already.

    Raises:
        errors.NotFound: There is no such volume.
        errors.AlreadyExists: The node has it in another way.
        errors.Refused: Another node has it; nothing was done.
        errors.Exhausted: The node's account, or the list of nodes, is full; nothing was done.
    """
    volume, mark = volumes.get(cluster, handle)
    _check_free(handle, mark, node, attachment)
    portal = cluster.portal()
    try:
        account, after = _hand_over(cluster, volume, mark, node, attachment)
    except UnknownAccount:
        # It was empty and removed since it was looked up; this makes it anew.
        account, after = _hand_over(cluster, volume, mark, node, attachment)
    context = PublishContext(account.username, portal, after.iqn, after.total_size)
    left = volume.account_id if volume.account_id != account.account_id else None
    return Published(mark.name, mark.full_claim, chap_of(account, mutual=mark.mutual_chap), context, left)


def _hand_over(
    cluster: Cluster, volume: Volume, mark: VolumeMark, node: NodeId, attachment: Attachment
) -> tuple[Account, Volume]:
    """Put the volume where the node can reach it, if it is not there."""
    account = _account(cluster, volume, mark, node, attachment)
    if len(account.volumes) >= cluster.limits().volumes_per_account and volume.account_id != account.account_id:
        raise errors.Exhausted(
            f"account {account.username} owns {len(account.volumes)} volumes, the most an account may"
        )
    chap_of(account, mutual=mark.mutual_chap)  # Refuses now what could not log in afterwards.
    alone = mark.fencing and attachment.mode.is_single_node
    wanted = mark.given_to(node, account.account_id) if alone else mark
    wanted = wanted.with_nodes({**mark.nodes, node: attachment})
    access = _access(wanted.nodes)
    if (volume.account_id, volume.access, mark) == (account.account_id, access, wanted):
        return account, volume
    # The account goes with it even if it is the same: another controller may be moving the volume just now, and who
    # is written down as having it must be who can log in. Nodes that share it keep their sessions undisturbed.
    stays_shared = volume.account_id == account.account_id and not attachment.mode.is_single_node
    owner = None if stays_shared else account.account_id
    after = _modify(cluster, volume, owner, access, wanted)
    if after.account_id != account.account_id:
        raise errors.Unavailable(
            f"ModifyVolume: volume {volume.volume_id} is not in account {account.account_id}; asking again"
        )
    return account, after


def _check_free(handle: VolumeHandle, mark: VolumeMark, node: NodeId, attachment: Attachment) -> None:
    """Refuse what would let two nodes reach a volume that is for one."""
    if mark.nodes.get(node, attachment) != attachment:
        raise errors.AlreadyExists(f"volume {handle} is published to {node} as {mark.nodes[node]}, not {attachment}")
    for other, how in mark.nodes.items():
        if other != node and (how.mode.is_single_node or attachment.mode.is_single_node):
            raise errors.Refused(f"volume {handle} is published to node {other}: unpublish it there first")


def _account(cluster: Cluster, volume: Volume, mark: VolumeMark, node: NodeId, attachment: Attachment) -> Account:
    """Return the account the volume shall be in: the node's own, or the namespace's where nodes share it.

    A volume that is in use stays where it is: to move it would end the sessions to it.
    """
    fenced = mark.fencing and attachment.mode.is_single_node
    owner = AccountMark(node.hostname if fenced else "", mark.namespace)
    # A machine that was installed anew keeps its hostname and gets another initiator: the old one may be alive, and
    # go on trying with what it was given.
    if (node in mark.nodes or mark.last == str(node)) if fenced else mark.nodes:
        # In somebody else's account it does not stay: no node of ours is ever given what opens that.
        with contextlib.suppress(Foreign):
            account = cluster.accounts.get(volume.account_id, mark.namespace)
            if not fenced or _may_stay(mark, node, owner, account):
                return account
    return cluster.accounts.ensure(owner, avoid=mark.was_given if fenced else None)


def _may_stay(mark: VolumeMark, node: NodeId, owner: AccountMark, account: Account) -> bool:
    """Tell whether the account that a volume is in will do for the one node that is to have it."""
    theirs = AccountMark.of(account)
    if theirs is None or theirs.in_service != owner or mark.given[-1:] != (account.account_id,):
        return False  # Not this node's, or another node had the volume since: what this one holds is out of date.
    return node in mark.nodes or not theirs.retired


def _access(nodes: Mapping[NodeId, Attachment]) -> str:
    return "readOnly" if all(how.reads_only for how in nodes.values()) else "readWrite"


def unpublish(cluster: Cluster, handle: VolumeHandle, node: NodeId | None) -> None:
    """Take a volume from a node, or from all, and lock it when nobody has it left. Two array calls, one if it is done.

    A volume that is gone, or was never this driver's, counts as unpublished.
    """
    volume = cluster.find(handle)
    if volume is None or volume.status == "deleted":
        return
    mark = VolumeMark.of(volume)
    if mark is None:
        return
    nodes = {other: how for other, how in mark.nodes.items() if node is not None and other != node}
    access = _access(nodes) if nodes else (LOCKED if mark.fencing else volume.access)
    if (nodes, access) != (mark.nodes, volume.access):
        # Purged since we looked: nobody has it.
        with contextlib.suppress(NoSuchVolume):
            _modify(cluster, volume, None, access, mark.with_nodes(nodes))


def _modify(cluster: Cluster, volume: Volume, account_id: int | None, access: str, mark: VolumeMark) -> Volume:
    """Change all three at once and see in the answer that it was so."""
    attributes = mark.attributes(volume.attributes)
    try:
        after = cluster.client.modify_volume(
            volume.volume_id, account_id=account_id, access=access, attributes=attributes
        )
    except UnknownAccount:
        cluster.accounts.forget_id(account_id)
        raise
    same = (after.volume_id, after.naa, after.iqn) == (volume.volume_id, volume.naa, volume.iqn)
    as_asked = (after.access, after.attributes.get(KEY)) == (access, attributes[KEY])
    if not same or not as_asked or after.total_size < max(volume.total_size, 1):
        raise errors.Unavailable(f"ModifyVolume: volume {volume.volume_id} is not as it was asked for; asking again")
    return after
