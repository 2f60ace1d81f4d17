"""A volume that a pod writes to all the time, and that is taken from its node without a word to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.pods import Writer, refused_logins, wait_for_refused_logins, written
from lab.site import Node, Site
from tests.realnode.volumes import Volume, session_state
from tests.support.driver import wait_until

_POD, _NEXT_POD = "pod-1", "pod-2"
_FAR = 512  # MiB into a device, where no writer gets to


@dataclass
class Held:
    """The volume, and what was seen of it.

    Attributes:
        target: Where the pod has it.
        contents: Checksums of all of it, as the array has it, in the order they were taken.
        refusals: How many logins of the pod's node had been refused at moments since.
        found: How many of the pod's writes were there when the next node began to use it.
        theirs: Checksums of what the next node wrote, likewise.
    """

    volume: Volume
    target: str
    writer: Writer
    contents: list[str] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    found: int = -1
    theirs: list[str] = field(default_factory=list)

    @classmethod
    def by(cls, node: Node, volume: Volume) -> Held:
        """Let a pod on a node write to a volume."""
        volume.publish(node)
        volume.stage(node)
        target = volume.show(node, _POD)
        held = cls(volume, target, Writer.start(node, target, block=_is_block(volume)))
        held.wait_for_writes()
        return held

    def wait_for_writes(self, more: int = 20) -> None:
        """Wait until so many more writes of the pod have been acknowledged."""
        wanted = self.writer.notes().acknowledged + more
        self.writer.wait_for_attempts(more)
        wait_until(lambda: self.writer.notes().acknowledged >= wanted, 120)

    def wait_for_attempts(self) -> None:
        """Wait until the pod has tried some more times to write, and its node to log in, in vain or not."""
        self.writer.wait_for_attempts(20)
        wait_for_refused_logins(self.writer.node, self.volume.iqn, 2)

    def look(self) -> None:
        self.contents.append(self.volume.digest())
        self.refusals.append(self.refused_logins())

    def begin_on(self, node: Node) -> None:
        """Stage it on the next node, count what the pod wrote, and write something else."""
        self.volume.stage(node)
        self.found = self._written_on(node)
        path, at = self._theirs(node)
        node.machine.run(f"head -c 4M /dev/urandom | dd of={path} seek={at} bs=1M iflag=fullblock conv=notrunc,fsync")
        self.theirs.append(self.theirs_on(node))

    def found_on(self, node: Node) -> tuple[int, str]:
        """Return how many of the pod's writes are there, and a checksum of what the next node wrote."""
        return self._written_on(node), self.theirs_on(node)

    def _written_on(self, node: Node) -> int:
        return written(node, self.volume.show(node, _NEXT_POD), block=_is_block(self.volume))

    def theirs_on(self, node: Node) -> str:
        """Return that checksum, read from the disk and not from memory."""
        path, at = self._theirs(node)
        node.machine.run("sync; echo 3 > /proc/sys/vm/drop_caches")
        return node.machine.run(f"dd if={path} skip={at} bs=1M count=4 status=none | sha256sum").stdout.split()[0]

    def _theirs(self, node: Node) -> tuple[str, int]:
        target = self.volume.target(node, _NEXT_POD)
        return (target, _FAR) if _is_block(self.volume) else (f"{target}/theirs", 0)

    def end_on(self, node: Node) -> None:
        """Let the next node go of it in good order."""
        self.volume.hide(node, self.volume.target(node, _NEXT_POD))
        self.volume.unstage(node)
        self.volume.unpublish(node)

    def refused_logins(self) -> int:
        return refused_logins(self.writer.node, self.volume.iqn)

    def session(self) -> str:
        """Return the state of the session of the pod's node."""
        return session_state(self.writer.node, self.volume)


def _is_block(volume: Volume) -> bool:
    return volume.capability.HasField("block")


def initiators(site: Site, volume: Volume) -> list[str]:
    """Return who is logged in to a volume, as the array says."""
    sessions = site.call("ListISCSISessions")["sessions"]
    return [session["initiatorName"] for session in sessions if session["volumeID"] == volume.number]


def initiator(node: Node) -> str:
    return node.id.partition("/")[2]
