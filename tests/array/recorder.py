"""Data whose volumes are short texts, and which writes down what it is told: what real data would be asked."""

from __future__ import annotations

from collections.abc import Iterable

from lab.array import Export, Session


class Recorder:
    """`lab.array.Data` in memory.

    Attributes:
        done: What was asked, in order, as words.
        bytes: A volume's or snapshot's contents by `v1` or `s1`.
        exports: What can be reached now.
        live: Volumes with a session.
        failing: Words of steps that are to fail.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.done: list[str] = []
        self.bytes: dict[str, str] = {}
        self.exports: dict[int, Export] = {}
        self.live: set[int] = set()
        self.failing: set[str] = set()

    def _do(self, *words: object) -> None:
        step = " ".join(map(str, words))
        if step in self.failing or str(words[0]) in self.failing:
            raise OSError("no space left")
        self.done.append(step)

    def create(self, volume_id: int, size: int) -> None:
        self._do("create", volume_id, size)
        self.bytes[f"v{volume_id}"] = ""

    def resize(self, volume_id: int, size: int) -> None:
        self._do("resize", volume_id, size)

    def delete(self, volume_id: int) -> None:
        self._do("delete", volume_id)
        self.bytes.pop(f"v{volume_id}", None)

    def snapshot(self, volume_id: int, snapshot_id: int) -> None:
        self._do("snapshot", volume_id, snapshot_id)
        self.bytes[f"s{snapshot_id}"] = self.bytes[f"v{volume_id}"]

    def copy_snapshot(self, source_snapshot_id: int, snapshot_id: int) -> None:
        self._do("copy_snapshot", source_snapshot_id, snapshot_id)
        self.bytes[f"s{snapshot_id}"] = self.bytes[f"s{source_snapshot_id}"]

    def delete_snapshot(self, snapshot_id: int) -> None:
        self._do("delete_snapshot", snapshot_id)
        self.bytes.pop(f"s{snapshot_id}", None)

    def rollback(self, volume_id: int, snapshot_id: int, size: int) -> None:
        self._do("rollback", volume_id, snapshot_id, size)
        self.bytes[f"v{volume_id}"] = self.bytes[f"s{snapshot_id}"]

    def clone(self, source_volume_id: int, snapshot_id: int | None, volume_id: int, size: int) -> None:
        self._do("clone", source_volume_id, snapshot_id, volume_id, size)
        self.bytes[f"v{volume_id}"] = self.bytes[f"s{snapshot_id}" if snapshot_id else f"v{source_volume_id}"]

    def copy(self, source_volume_id: int, snapshot_id: int | None, volume_id: int) -> None:
        self._do("copy", source_volume_id, snapshot_id, volume_id)
        self.bytes[f"v{volume_id}"] = self.bytes[f"s{snapshot_id}" if snapshot_id else f"v{source_volume_id}"]

    def export(self, export: Export) -> None:
        self._do("export", export.volume_id)
        before = self.exports.get(export.volume_id)
        if before is not None and export.ends_sessions_of(before):
            self.live.discard(export.volume_id)
        self.exports[export.volume_id] = export

    def unexport(self, volume_id: int) -> None:
        self._do("unexport", volume_id)
        self.exports.pop(volume_id, None)
        self.live.discard(volume_id)

    def sessions(self) -> list[Session]:
        return [
            Session(one, "iqn.x:host", "192.0.2.7:40000", "192.0.2.11:3260", self.exports[one].username, isid=5)
            for one in sorted(self.live)
        ]

    def restore(self, exports: Iterable[Export]) -> None:
        self.exports = {export.volume_id: export for export in exports}
        self._do("restore", *sorted(self.exports))

    def close(self) -> None:
        self._do("close")
