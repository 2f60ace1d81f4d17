"""What lies behind the array's API: the bytes of its volumes and the way to them.

The API part of the array (`lab.array`) knows accounts, volumes and snapshots as records. A `Data` keeps what they stand
for. `NoData` keeps nothing and suffices for tests of the API; `lab.array.lio` serves real iSCSI targets.

Rules of the protocol:

* The array calls one method at a time, under its own lock, and answers its client only when the method has returned:
  what a client is told is true on the wire by then. Only `sessions` may be called while another method runs.
* An exception means that nothing was changed; the client sees an error and the array's records stay as they were.
* Ids of volumes and of snapshots are never used twice, with one exception: when the array was killed in the middle of a
  call, the id of that call comes again. So `create`, `clone` and `snapshot` replace whatever they find under a new id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

READ_WRITE = "readWrite"
READ_ONLY = "readOnly"
LOCKED = "locked"


@dataclass(frozen=True)
class Export:
    """How one volume is to be reached over iSCSI, in full: everything a target needs.

    Attributes:
        volume_id: The volume.
        iqn: The target's name; its only LUN is 0. Never changes for a volume.
        naa: 32 hex digits, what SCSI inquiry page 0x83 says.
        eui: 32 hex digits, Element's other device id.
        size: Bytes, a multiple of 1 MiB.
        enable512e: Whether the disk has logical sectors of 512 instead of 4096 bytes. Never changes for a volume.
        access: Element's word: `readWrite`, `readOnly`, `locked`, or another, which lets nobody in.
        account_id: The owning account.
        username: The owning account's name, which is the CHAP user's name.
        initiator_secret: What the initiator proves to the target. 12 to 16 characters.
        target_secret: What the target proves to an initiator that asks for mutual CHAP; the user is `username` there
            too.
        chap: Whether the account lets anybody log in: it is active, and its `enableChap` is on.
        initiators: IQNs that get in without CHAP, through volume access groups. May be left unserved.
    """

    volume_id: int
    iqn: str
    naa: str
    eui: str
    size: int
    enable512e: bool
    access: str
    account_id: int
    username: str
    initiator_secret: str
    target_secret: str
    chap: bool
    initiators: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Show no secret."""
        return (
            f"Export({self.iqn}, size={self.size}, access={self.access}, username={self.username!r}, chap={self.chap})"
        )

    @property
    def is_open(self) -> bool:
        """Whether anybody can log in with CHAP now. If not, the target exists and refuses every login."""
        return self.chap and self.access in (READ_WRITE, READ_ONLY)

    def ends_sessions_of(self, before: Export) -> bool:
        """Tell whether live sessions made under `before` must end.

        They end when the volume is locked, when the account is locked or its CHAP is off, when the volume moved to
        another account, and when it changed between writable and read-only (an initiator reads the write-protect bit at
        login). They outlive a new secret, a renamed account, growth and a change of access groups.
        """
        if not self.is_open:
            return before.is_open
        return before.account_id != self.account_id or before.access != self.access


@dataclass(frozen=True)
class Session:
    """One live iSCSI session.

    Attributes:
        volume_id: The volume whose target it is.
        initiator: The initiator's IQN.
        initiator_address: `ip:port` of the initiator, as the target sees it.
        target_address: `ip:port` that serves the session, the storage node's and not the SVIP's.
        username: The account whose CHAP credentials were used; empty for a login without CHAP.
        isid: The initiator's part of the session id; 0 if unknown.
        mutual: Whether the target proved itself too, if known.
        created: Seconds since 1970; 0 if unknown.
    """

    volume_id: int
    initiator: str
    initiator_address: str
    target_address: str
    username: str
    isid: int = 0
    mutual: bool = False
    created: float = 0.0


class Data(Protocol):
    """Keeper of the volumes' bytes and targets."""

    def create(self, volume_id: int, size: int) -> None:
        """Make a blank, thin volume of `size` bytes: it reads as zeros. It is not reachable before `export`."""

    def resize(self, volume_id: int, size: int) -> None:
        """Set the volume's size to `size` bytes.

        Growth happens under live sessions and an initiator that rescans sees it at once. A volume shrinks only as part
        of `rollback`.
        """

    def delete(self, volume_id: int) -> None:
        """Forget the volume and its bytes, not its snapshots. Comes after `unexport`. Doing it twice is fine."""

    def snapshot(self, volume_id: int, snapshot_id: int) -> None:
        """Keep the volume's present bytes as a snapshot: everything an initiator was told is written, at one moment."""

    def copy_snapshot(self, source_snapshot_id: int, snapshot_id: int) -> None:
        """Keep a snapshot's bytes as one more snapshot of the same volume."""

    def delete_snapshot(self, snapshot_id: int) -> None:
        """Forget the snapshot. Doing it twice is fine."""

    def rollback(self, volume_id: int, snapshot_id: int, size: int) -> None:
        """Give the volume the snapshot's bytes and size. Live sessions stay, or come back by themselves."""

    def clone(self, source_volume_id: int, snapshot_id: int | None, volume_id: int, size: int) -> None:
        """Make a new volume of `size` bytes out of a snapshot, or of the source's present bytes if None.

        A larger size adds zeros, a smaller one cuts the tail. It is not reachable before `export`, which comes when the
        clone is done.
        """

    def copy(self, source_volume_id: int, snapshot_id: int | None, volume_id: int) -> None:
        """Overwrite an existing volume of the same size with a snapshot or with the source's present bytes."""

    def export(self, export: Export) -> None:
        """Make the target as `export` says, or change the one that is there to it.

        Comes after each creation and each change; `export.size` is what `create`, `resize`, `rollback` or `clone` set
        before. Sessions end if and only if `Export.ends_sessions_of` says so, and by the return of this call they have
        ended: nothing sent over them later reaches the data. New logins follow the new state from then on.
        """

    def unexport(self, volume_id: int) -> None:
        """Take the target away: sessions end as with a locked volume. The bytes stay. Doing it twice is fine."""

    def sessions(self) -> list[Session]:
        """List the live sessions of all volumes."""

    def restore(self, exports: Iterable[Export]) -> None:
        """Bring all targets up when the array's program starts, from whatever state an earlier run or a reboot left.

        What is exported already stays untouched where it matches, with its sessions. Targets of other volumes are taken
        away.
        """

    def close(self) -> None:
        """End this program's part. What the kernel serves goes on: a restart of the array's program disturbs nobody."""


class NoData:
    """Keeps nothing: volumes without bytes that nobody can log in to."""

    def create(self, volume_id: int, size: int) -> None:
        """Do nothing."""

    def resize(self, volume_id: int, size: int) -> None:
        """Do nothing."""

    def delete(self, volume_id: int) -> None:
        """Do nothing."""

    def snapshot(self, volume_id: int, snapshot_id: int) -> None:
        """Do nothing."""

    def copy_snapshot(self, source_snapshot_id: int, snapshot_id: int) -> None:
        """Do nothing."""

    def delete_snapshot(self, snapshot_id: int) -> None:
        """Do nothing."""

    def rollback(self, volume_id: int, snapshot_id: int, size: int) -> None:
        """Do nothing."""

    def clone(self, source_volume_id: int, snapshot_id: int | None, volume_id: int, size: int) -> None:
        """Do nothing."""

    def copy(self, source_volume_id: int, snapshot_id: int | None, volume_id: int) -> None:
        """Do nothing."""

    def export(self, export: Export) -> None:
        """Do nothing."""

    def unexport(self, volume_id: int) -> None:
        """Do nothing."""

    def sessions(self) -> list[Session]:
        """Return no session."""
        return []

    def restore(self, exports: Iterable[Export]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
