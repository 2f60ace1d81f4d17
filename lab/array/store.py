"""The array's memory: tables of rows with indexes, written through to one SQLite file.

Reads never touch SQLite. A change applies at once in memory and reaches the file in one transaction when the call ends;
if the call fails, memory is put back. So a restart of the program loses nothing, and a call is done wholly or not at
all.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from lab.array import rows

R = TypeVar("R", bound=rows.Row)
Key = str | int
Index = Callable[[R], tuple[Key, ...]]


class Table(Generic[R]):
    """All rows of one kind, by id and by further keys."""

    def __init__(self, store: Store, row_type: type[R], **indexes: Index[R]) -> None:
        """Register with the store; each index gives the keys under which `find` is to know a row."""
        self.kind = row_type.__name__
        self.row_type = row_type
        self._store = store
        self._rows: dict[int, R] = {}
        self._keys = indexes
        self._ids: dict[tuple[str, Key], set[int]] = {}
        store.tables[self.kind] = self

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._rows)

    def __iter__(self) -> Iterator[R]:
        """Go through the rows in the order of their ids."""
        return iter([self._rows[row_id] for row_id in sorted(self._rows)])

    def get(self, row_id: int) -> R | None:
        """Return the row of that id, if there is one."""
        return self._rows.get(row_id)

    def find(self, index: str, key: Key) -> list[R]:
        """Return the rows with that key, in the order of their ids."""
        return [self._rows[row_id] for row_id in sorted(self._ids.get((index, key), ()))]

    def count(self, index: str, key: Key) -> int:
        """Count the rows with that key."""
        return len(self._ids.get((index, key), ()))

    def next_id(self) -> int:
        """Hand out an id, the next after every one that was ever handed out."""
        return self._store.next_id(self.kind)

    def put(self, row: R) -> R:
        """Add the row or set it in the place of the one with its id."""
        self._store.note(self, row.id, self._rows.get(row.id))
        self.apply(row.id, row)
        return row

    def remove(self, row_id: int) -> None:
        """Take the row out."""
        self._store.note(self, row_id, self._rows[row_id])
        self.apply(row_id, None)

    def apply(self, row_id: int, row: rows.Row | None) -> None:
        """Set or take out a row, in memory only."""
        old = self._rows.pop(row_id, None)
        if old is not None:
            for key in self._keys_of(old):
                self._ids[key].discard(row_id)
        if row is not None:
            new = self._rows[row_id] = cast(R, row)
            for key in self._keys_of(new):
                self._ids.setdefault(key, set()).add(row_id)

    def _keys_of(self, row: R) -> list[tuple[str, Key]]:
        return [(name, key) for name, keys in self._keys.items() for key in keys(row)]


class Store:
    """The tables and their file.

    Not for use by several threads at once: the cluster's lock is around it.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        """Open the file or make it.

        Args:
            path: The SQLite file.
            durable: Whether the file must be sound after a power cut. What the last moments brought may be lost even
                so.

        Raises:
            sqlite3.OperationalError: Another process has the file open.
        """
        self.tables: dict[str, Table[Any]] = {}
        self._undo: list[tuple[Table[Any], int, rows.Row | None]] = []
        self._counters: dict[str, int] = {}
        # It holds CHAP secrets.
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
        # Exclusive: two programs on one state would hand out the same ids.
        self._db.executescript(
            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
            f"PRAGMA synchronous={'NORMAL' if durable else 'OFF'};"
            "CREATE TABLE IF NOT EXISTS row (kind TEXT, id INTEGER, json TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID;"
            "CREATE TABLE IF NOT EXISTS counter (kind TEXT PRIMARY KEY, last INTEGER) WITHOUT ROWID;"
        )

    def load(self) -> None:
        """Fill the tables from the file. Comes once, when all tables are registered."""
        self._counters = dict(self._db.execute("SELECT kind, last FROM counter"))
        for kind, row_id, text in self._db.execute("SELECT kind, id, json FROM row"):
            table = self.tables[kind]
            table.apply(row_id, rows.from_json(table.row_type, json.loads(text)))

    def next_id(self, name: str) -> int:
        """Count that name up. A count is kept even when the call fails, so no id comes twice."""
        self._counters[name] = self._counters.get(name, 0) + 1
        return self._counters[name]

    def note(self, table: Table[Any], row_id: int, old: rows.Row | None) -> None:
        """Remember what a row was before a change."""
        self._undo.append((table, row_id, old))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all changes made inside, or none if the inside raises."""
        try:
            yield
            self._write()
        except BaseException:
            for table, row_id, old in reversed(self._undo):
                table.apply(row_id, old)
            raise
        finally:
            self._undo.clear()

    def _write(self) -> None:
        changed = {(table.kind, row_id): table.get(row_id) for table, row_id, _ in self._undo}
        if not changed:
            return
        kept = [(kind, row_id, json.dumps(vars(row))) for (kind, row_id), row in changed.items() if row is not None]
        gone = [key for key, row in changed.items() if row is None]
        self._db.execute("BEGIN")
        try:
            self._db.executemany("INSERT OR REPLACE INTO row VALUES (?, ?, ?)", kept)
            self._db.executemany("DELETE FROM row WHERE kind = ? AND id = ?", gone)
            self._db.executemany("INSERT OR REPLACE INTO counter VALUES (?, ?)", self._counters.items())
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()
