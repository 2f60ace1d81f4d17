"""The iSCSI side of volumes: names and device ids, and keeping the data's targets in step with the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.array.data import Export
from lab.array.rows import Account, Volume

if TYPE_CHECKING:
    from lab.array.cluster import Cluster


def iqn(unique_id: str, name: str, volume_id: int) -> str:
    """Spell a volume's target; the name is lower-cased, as captures show."""
    return f"iqn.2010-01.com.solidfire:{unique_id}.{name.lower()}.{volume_id}"


def naa(unique_id: str, volume_id: int) -> str:
    """Spell a volume's NAA device id (scsiNAADeviceID)."""
    return f"6f47acc100000000{unique_id.encode().hex()}{volume_id:08x}"


def eui(unique_id: str, volume_id: int) -> str:
    """Spell a volume's EUI-64 based device id (scsiEUIDeviceID)."""
    return f"{unique_id.encode().hex()}{volume_id:08x}f47acc0100000000"


def export_of(cluster: Cluster, volume: Volume) -> Export:
    """Return how the volume is to be reached, by the present records."""
    account = cluster.accounts.get(volume.account_id)
    if account is None:
        raise LookupError(f"volume {volume.id} has no account")
    unique_id = cluster.identity.unique_id
    return Export(
        volume_id=volume.id,
        iqn=iqn(unique_id, volume.name, volume.id),
        naa=naa(unique_id, volume.id),
        eui=eui(unique_id, volume.id),
        size=volume.size,
        enable512e=volume.enable512e,
        access=volume.access,
        account_id=account.id,
        username=account.username,
        initiator_secret=account.initiator_secret,
        target_secret=account.target_secret,
        chap=account.enable_chap and account.status == "active",
        initiators=_members(cluster, volume),
    )


def _members(cluster: Cluster, volume: Volume) -> tuple[str, ...]:
    groups = cluster.access_groups.find("volume", volume.id)
    ids = sorted({initiator_id for group in groups for initiator_id in group.initiator_ids})
    known = [initiator for initiator_id in ids if (initiator := cluster.initiators.get(initiator_id))]
    return tuple(initiator.name for initiator in known if not initiator.require_chap)


def publish(cluster: Cluster, volume: Volume) -> None:
    """Bring the volume's target in step with the records, if it is not."""
    old, new = cluster.exported.get(volume.id), export_of(cluster, volume)
    if old == new:
        return
    cluster.data.export(new)
    cluster.exported[volume.id] = new

    def undo() -> None:
        if old is None:
            withdraw(cluster, volume.id)
        else:
            cluster.data.export(old)
            cluster.exported[volume.id] = old

    cluster.undoable(undo)


def withdraw(cluster: Cluster, volume_id: int) -> None:
    """Take the volume's target away."""
    old = cluster.exported.pop(volume_id, None)
    cluster.data.unexport(volume_id)

    def undo() -> None:
        if old is not None:
            cluster.data.export(old)
            cluster.exported[volume_id] = old

    cluster.undoable(undo)


def publish_account(cluster: Cluster, account: Account) -> None:
    """Bring the targets of all the account's volumes in step."""
    for volume in cluster.volumes.find("account", account.id):
        if volume.status == "active":
            publish(cluster, volume)


def restore(cluster: Cluster) -> None:
    """Bring up all targets when the program starts."""
    cluster.exported = {
        volume.id: export_of(cluster, volume) for volume in cluster.volumes if volume.status == "active"
    }
    cluster.data.restore(cluster.exported.values())
