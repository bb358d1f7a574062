from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from yoi_log.transcript_file import transcript_path
from yoi_log.transcript_rows import TranscriptRows, check_rows

from tests.transcript.projecting import project
from yoi_runtime.events import TextDelta, ThinkingDelta, ThinkingDone, ToolCallStart, UserMessage
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return transcripts with rows in every table."""
    data = tmp_path_factory.mktemp("log") / "data"
    with Runtime.open(data, RuntimeOptions(durability="written")) as runtime:
        for name in ("a", "b"):
            worker = runtime.create_worker(name)
            for _ in range(20):
                worker.emit(UserMessage(segments=()))
                worker.emit(ThinkingDelta(text="hm"))
                worker.emit(ThinkingDone(text="hm"))
            worker.emit(TextDelta(text="so far"))
            worker.emit(ToolCallStart(id="c", name="look"))
    project(data)
    return transcript_path(data)


@pytest.fixture
def path(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(base, tmp_path / base.name))


def rows_of(path: Path) -> TranscriptRows:
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        return check_rows(connection)


def alter(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_sound_rows_are_counted(path: Path):
    rows = rows_of(path)
    assert rows.defects == []
    assert (sorted(rows.workers), rows.items) == (["a", "b"], 80)
    assert rows.place is not None
    assert rows.place.position.seq == 2 * (62 + 3) + 2


CHANGES = {
    "an item's text": (
        "UPDATE item SET body = replace(body, 'hm', 'mh') WHERE id = 3",
        "table item, row 3: the checksum",
    ),
    "an item's size": ("UPDATE item SET size = size + 1 WHERE id = 3", "table item, row 3: item 2 has"),
    "an item's flag": ("UPDATE item SET thinking = 1 - thinking WHERE id = 3", "row 3: whether item 2 is thinking"),
    "an item's owner": ("UPDATE item SET worker = 9 WHERE id = 3", "table item, row 3: it belongs to no Worker"),
    "a missing item": ("DELETE FROM item WHERE id = 3", "table worker, row 1: it counts 40 items, and there are 39"),
    "a number": ("UPDATE item SET number = 400 WHERE id = 40", "the checksum of item 400 does not match"),
    "a Worker's row": ("UPDATE worker SET next_index = 41 WHERE id = 2", "table worker, row 2: its checksum"),
    "a missing Worker": ("DELETE FROM worker WHERE id = 2", "it belongs to no Worker"),
    "the place": ("UPDATE place SET seq = 3", "table place"),
    "a block": ("UPDATE block SET ordinal = 7 WHERE key = 'text' AND worker = 1", "table block, row (1, 'text')"),
    "a piece": ("UPDATE piece SET text = 'otherwise' WHERE id = 1", "table piece, row 1: its checksum"),
    "a lost block": (
        "DELETE FROM block WHERE key = 'text' AND worker = 1",
        "table piece, row 1: it belongs to no block",
    ),
    "another format": ("PRAGMA user_version = 7", "it is no file of format"),
    "a missing table": ("DROP TABLE piece", "it cannot be read: no such table: piece"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_row_that_is_not_as_it_was_written_is_told(path: Path, name: str):
    statement, reason = CHANGES[name]
    alter(path, statement)
    found = rows_of(path).defects
    assert found
    assert {defect.kind for defect in found} == {"transcript_damaged"}
    assert any(reason in defect.reason for defect in found), found


def test_counts_are_held_against_what_is_there(path: Path):
    """The checksums fit: it is the sums that do not."""
    from yoi_runtime.transcript.database import row_crc
    from yoi_runtime.transcript.kept_worker import WorkerRow

    row = rows_of(path).workers["b"]
    for changed, reason in (
        (row._replace(items=row.items - 1), "it counts 39 items, and there are 40"),
        (row._replace(size=row.size - 1), "bytes of items"),
        (row._replace(next_index=row.next_index + 1), "it says that the items are those from 0 up to 41"),
        (row._replace(oldest_index=1), "it says that the items are those from 1 up to 40"),
    ):
        values = WorkerRow(*changed[:-1], row_crc(*changed[:-1]))
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"REPLACE INTO worker VALUES ({','.join('?' * len(values))})", values)
        (defect,) = rows_of(path).defects
        assert reason in defect.reason
        assert defect.worker_id == "b"


def test_bytes_that_rot_anywhere_are_told_or_touch_nothing(path: Path, base: Path):
    dice, whole = Random(5), base.read_bytes()
    before, told = rows_of(base), 0
    for _ in range(150):
        content = bytearray(whole)
        at = dice.randrange(len(content))
        content[at : at + 8] = dice.randbytes(8)
        path.write_bytes(content)
        rows = rows_of(path)
        told += bool(rows.defects)
        if not rows.defects:
            assert (rows.place, rows.workers, rows.items) == (before.place, before.workers, before.items)
    sys.stdout.write(f"\ntranscript rows: 150 files with garbage, {told} told, in the others no row differed\n")
    assert told > 20


def test_a_file_that_was_never_written_or_is_none_of_ours(tmp_path: Path):
    empty = tmp_path / "transcript.db"
    empty.write_bytes(b"")
    assert rows_of(empty).defects == []
    empty.write_bytes(b"no database " * 100)
    (defect,) = rows_of(empty).defects
    assert "not a database" in defect.reason
