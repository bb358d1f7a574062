"""Cursors in an SQLite database, one row for each scope.

For cursors beside the data, but in transactions of their own: a crash repeats what was not yet saved. Cursor *and* data
in one transaction, each event effectively once, need no store: see docs/client.md, "Effectively once".
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from yoi_runtime.errors import CursorStoreError

__all__ = ["SqliteCursorStore"]

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS yoi_cursor (scope TEXT PRIMARY KEY, cursor TEXT NOT NULL) WITHOUT ROWID
"""
_SAVE: Final = """
INSERT INTO yoi_cursor (scope, cursor) VALUES (?, ?) ON CONFLICT (scope) DO UPDATE SET cursor = excluded.cursor
"""
# Others may hold the database for a moment.
_BUSY_SECONDS: Final = 5.0


class SqliteCursorStore:
    """The table ``yoi_cursor (scope, cursor)`` of a database file. Streams and processes may share it.

    Each call opens the database for itself: a connection of SQLite belongs to one thread.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"SqliteCursorStore({str(self.path)!r})"

    def load(self, scope: str) -> str | None:
        """Return the cursor of ``scope``.

        Raises:
            CursorStoreError: the database cannot be read.
        """
        try:
            with closing(self._open()) as database, database:
                row = database.execute("SELECT cursor FROM yoi_cursor WHERE scope = ?", (scope,)).fetchone()
        except sqlite3.Error as error:
            raise CursorStoreError(str(self.path), f"cannot be read: {error}") from error
        return None if row is None else str(row[0])

    def save(self, scope: str, cursor: str) -> None:
        """Keep the cursor of ``scope``; it survives a power cut from here on.

        Raises:
            CursorStoreError: the database cannot be written; it is as it was.
        """
        try:
            with closing(self._open()) as database, database:
                database.execute(_SAVE, (scope, cursor))
        except sqlite3.Error as error:
            raise CursorStoreError(str(self.path), f"cannot be written: {error}") from error

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=_BUSY_SECONDS)
        try:
            database.execute("PRAGMA synchronous=FULL")
            database.execute(_TABLE)
        except sqlite3.Error:
            database.close()
            raise
        return database
