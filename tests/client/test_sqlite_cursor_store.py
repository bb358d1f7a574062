from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from yoi_runtime.client.sqlite_cursor_store import SqliteCursorStore
from yoi_runtime.errors import CursorStoreError


def test_one_database_holds_many_scopes_and_other_tables(tmp_path: Path):
    path = tmp_path / "backend.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE mine (x)")
    store, other = SqliteCursorStore(path), SqliteCursorStore(path)
    store.save("worker:a", "wo1a")
    other.save("worker:b", "wo1b")
    assert (other.load("worker:a"), store.load("worker:b"), store.load("everything")) == ("wo1a", "wo1b", None)


def test_a_file_that_is_no_database_is_told_and_stays(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, but long enough to be taken for one" * 50)
    before = path.read_bytes()
    store = SqliteCursorStore(path)
    with pytest.raises(CursorStoreError, match="cannot be read"):
        store.load("everything")
    with pytest.raises(CursorStoreError, match="cannot be written"):
        store.save("everything", "wo1a")
    assert path.read_bytes() == before


def test_a_database_that_somebody_else_holds_keeps_its_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yoi_runtime.client.sqlite_cursor_store._BUSY_SECONDS", 0.05)
    store = SqliteCursorStore(tmp_path / "backend.db")
    store.save("everything", "wo1a")
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(CursorStoreError, match="locked"):
            store.save("everything", "wo1b")
        database.execute("ROLLBACK")
    assert store.load("everything") == "wo1a"
