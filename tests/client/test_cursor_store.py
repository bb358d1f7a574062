from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from yoi_runtime.client.cursor_store import CursorStore, FileCursorStore, MemoryCursorStore, scope_of
from yoi_runtime.client.sqlite_cursor_store import SqliteCursorStore
from yoi_runtime.errors import CursorStoreError


@pytest.fixture(params=["memory", "file", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CursorStore:
    kinds: dict[str, Callable[[], CursorStore]] = {
        "memory": MemoryCursorStore,
        "file": lambda: FileCursorStore(tmp_path / "cursor"),
        "sqlite": lambda: SqliteCursorStore(tmp_path / "cursors.db"),
    }
    return kinds[request.param]()


def test_a_scope_names_what_the_stream_shows():
    assert scope_of(None) == "everything"
    assert scope_of("coder") == "worker:coder"
    assert scope_of("coder", {"text_done", "status"}) == "worker:coder events:status,text_done"


def test_what_was_saved_last_is_loaded(store: CursorStore):
    assert store.load("everything") is None
    store.save("everything", "wo1a")
    store.save("everything", "wo1b")
    assert store.load("everything") == "wo1b"


def test_a_store_may_be_called_from_any_thread(store: CursorStore):
    threads = [threading.Thread(target=store.save, args=("everything", f"wo1{n}")) for n in range(4)]
    for thread in threads:
        thread.start()
        thread.join()
    assert store.load("everything") == "wo13"


# The file.


def test_a_file_is_json_that_only_its_owner_reads(tmp_path: Path):
    path = tmp_path / "cursor"
    FileCursorStore(path).save("worker:a", "wo1a")
    assert json.loads(path.read_text()) == {"version": 1, "scope": "worker:a", "cursor": "wo1a"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["cursor"]


def test_a_file_of_another_stream_is_not_taken(tmp_path: Path):
    """Its cursor would be good, and the events of the other Worker before it would be missing in silence."""
    store = FileCursorStore(tmp_path / "cursor")
    store.save("worker:a", "wo1a")
    with pytest.raises(CursorStoreError, match=r"'worker:a', this is 'worker:b'"):
        store.load("worker:b")


@pytest.mark.parametrize(
    "content",
    [b"", b"wo1abc", b"[]", b'{"version":1}', b'{"version":2,"scope":"everything","cursor":"x"}',
     b'{"version":1,"scope":"everything","cursor":""}', b'{"version":1,"scope":"everything","cursor":3}', b"\xff"],
)  # fmt: skip
def test_a_file_that_is_no_cursor_file_is_told(tmp_path: Path, content: bytes):
    path = tmp_path / "cursor"
    path.write_bytes(content)
    with pytest.raises(CursorStoreError, match="delete it to begin anew") as caught:
        FileCursorStore(path).load("everything")
    assert caught.value.store == str(path)


def test_a_file_that_cannot_be_written_is_told_and_the_old_one_stays(tmp_path: Path):
    store = FileCursorStore(tmp_path / "cursor")
    store.save("everything", "wo1a")
    (tmp_path / f".cursor.{os.getpid()}").mkdir()
    with pytest.raises(CursorStoreError, match="cannot be written"):
        store.save("everything", "wo1b")
    assert store.load("everything") == "wo1a"
    missing = FileCursorStore(tmp_path / "nowhere" / "cursor")
    assert missing.load("everything") is None
    with pytest.raises(CursorStoreError, match="cannot be written"):
        missing.save("everything", "wo1a")


def test_a_directory_cannot_be_read_as_a_file(tmp_path: Path):
    with pytest.raises(CursorStoreError, match="cannot be read"):
        FileCursorStore(tmp_path).load("everything")


def test_a_file_is_synced_before_it_takes_its_place_and_the_directory_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def seen_fsync(fd: int) -> None:
        calls.append("sync directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "sync file")
        fsync(fd)

    def seen_replace(self: Path, target: Path) -> Path:
        calls.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(Path, "replace", seen_replace)
    FileCursorStore(tmp_path / "cursor").save("everything", "wo1a")
    assert calls == ["sync file", "replace", "sync directory"]
