from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.transcript.projecting import QUICK, database_path, follow, project, read_all, store_in, whole_transcript
from tests.transcript.stories import fold_lines
from yoi_runtime.errors import TranscriptDamagedError
from yoi_runtime.events import Event, Status, TextDelta, TextDone, ThinkingStart, ToolCallStart
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.runtime.worker import Worker
from yoi_runtime.transcript.options import MIN_BYTES, TranscriptOptions
from yoi_runtime.transcript.saved_place import SavedPlace
from yoi_runtime.transcript.store import TranscriptStore, first_index_after_loss


def emit_many(worker: Worker, count: int, size: int = 100) -> None:
    for number in range(count):
        worker.emit(TextDone(text=f"{number} ".ljust(size, "x")))


def rows_in(data_dir: Path, table: str) -> int:
    with closing(sqlite3.connect(database_path(data_dir))) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def alter(data_dir: Path, statement: str) -> None:
    with closing(sqlite3.connect(database_path(data_dir), isolation_level=None)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("at_once", [True, False])
def test_exactly_the_newest_items_are_kept_however_they_came(tmp_path: Path, at_once: bool):
    options = TranscriptOptions(max_items=25)
    with Runtime.open(tmp_path, QUICK) as runtime:
        a, b = runtime.create_worker("a"), runtime.create_worker("b")
        for _ in range(10):
            emit_many(a, 7)
            if not at_once:
                project(tmp_path, options)
        emit_many(b, 3)
    project(tmp_path, options)
    items, answer = whole_transcript(tmp_path, "a", limit=10)
    assert [item.index for item in items] == list(range(45, 70))
    assert (answer.oldest_start, answer.total_items) == (45, 70)
    assert len(whole_transcript(tmp_path, "b")[0]) == 3
    assert rows_in(tmp_path, "item") == 28


@pytest.mark.parametrize("at_once", [True, False])
def test_exactly_what_fits_into_the_bytes_is_kept(tmp_path: Path, at_once: bool):
    options = TranscriptOptions(max_bytes=MIN_BYTES)
    with Runtime.open(tmp_path, QUICK) as runtime:
        a = runtime.create_worker("a")
        for _ in range(5):
            emit_many(a, 60, size=10_000)
            if not at_once:
                project(tmp_path, options)
    project(tmp_path, options)
    items, answer = whole_transcript(tmp_path, "a")
    sizes = [len(item.model_dump_json().encode()) for item in fold_lines(read_all(tmp_path)).items["a"]]
    kept = next(count for count in range(len(sizes)) if sum(sizes[-count - 1 :]) > MIN_BYTES)
    assert [item.index for item in items] == list(range(300 - kept, 300))
    assert answer.oldest_start == 300 - kept


def test_in_all_the_oldest_go_first_whose_they_are(tmp_path: Path):
    options = TranscriptOptions(max_total_bytes=MIN_BYTES)
    with Runtime.open(tmp_path, QUICK) as runtime:
        quiet, noisy, other = (runtime.create_worker(worker_id) for worker_id in ("quiet", "noisy", "other"))
        emit_many(quiet, 5)
        project(tmp_path, options)
        emit_many(other, 2)
        emit_many(noisy, 150, size=10_000)
        project(tmp_path, options)
        emit_many(quiet, 1)
        project(tmp_path, options)
    items, answer = whole_transcript(tmp_path, "quiet")
    assert ([item.index for item in items], answer.oldest_start) == ([5], 5)
    items, answer = whole_transcript(tmp_path, "other")
    assert (items, answer.oldest_start, answer.total_items) == ([], 2, 2)
    items, _ = whole_transcript(tmp_path, "noisy")
    assert [item.index for item in items] == list(range(150 - len(items), 150))
    with closing(sqlite3.connect(database_path(tmp_path))) as connection:
        (size,) = connection.execute("SELECT sum(size) FROM item").fetchone()
    assert MIN_BYTES - 11_000 < size <= MIN_BYTES


def test_the_file_does_not_grow_with_what_has_gone(tmp_path: Path):
    options = TranscriptOptions(max_bytes=MIN_BYTES)
    sizes = []
    with Runtime.open(tmp_path, QUICK) as runtime:
        a = runtime.create_worker("a")
        for _ in range(6):
            emit_many(a, 200, size=10_000)
            project(tmp_path, options)
            sizes.append(database_path(tmp_path).stat().st_size)
    assert max(sizes) < 4 * MIN_BYTES
    assert sizes[-1] <= sizes[1] * 1.25


def test_of_a_text_in_progress_only_what_is_new_is_written(tmp_path: Path):
    with Runtime.open(tmp_path, QUICK) as runtime:
        a = runtime.create_worker("a")
        a.emit(ThinkingStart())
        a.emit(ToolCallStart(id="1", name="sh"))
        for number in range(4):
            a.emit(TextDelta(text=f"{number}," * 10))
            project(tmp_path)
        assert (rows_in(tmp_path, "block"), rows_in(tmp_path, "piece")) == (3, 4)
        _, answer = whole_transcript(tmp_path, "a")
        assert [block.kind for block in answer.in_progress] == ["thinking", "tool_call", "text"]
        assert answer.in_progress[2].data["text"] == "".join(f"{number}," * 10 for number in range(4))
        a.emit(TextDone(text="all"))
        # Another one of the same kind, between two transactions.
        a.emit(TextDelta(text="new"))
        project(tmp_path)
    _, answer = whole_transcript(tmp_path, "a")
    assert [block.data.get("text") for block in answer.in_progress] == ["", None, "new"]
    assert (rows_in(tmp_path, "block"), rows_in(tmp_path, "piece")) == (3, 1)


def test_events_with_a_key_are_folded_like_any_other(tmp_path: Path):
    events: list[Event] = [ThinkingStart(), TextDelta(text="a"), TextDone(text='ab","key":"c"}'), Status(status="idle")]
    for worker_id, keys in (("plain", None), ("keyed", ["k1", "k2", "k3", "k4"])):
        with Runtime.open(tmp_path, QUICK) as runtime, runtime.create_worker(worker_id) as worker:
            worker.offer_many(events, keys)
    project(tmp_path, TranscriptOptions())
    plain, keyed = (whole_transcript(tmp_path, worker_id)[0] for worker_id in ("plain", "keyed"))
    assert len(plain) == len(keyed) > 0
    assert [(item.kind, getattr(item, "text", None)) for item in plain] == [
        (item.kind, getattr(item, "text", None)) for item in keyed
    ]


def test_events_that_make_no_item_move_the_place(tmp_path: Path):
    with Runtime.open(tmp_path, QUICK) as runtime:
        a = runtime.create_worker("a")
        project(tmp_path)
        cursor = a.emit(Status(status="running"))
        project(tmp_path)
    items, answer = whole_transcript(tmp_path, "a")
    assert (items, answer.as_of_cursor, answer.worker_seq) == ([], cursor, 1)


EVENTS: list[Event] = [TextDone(text="one"), TextDelta(text="un"), TextDelta(text="fin"), TextDone(text="two")]


@pytest.mark.parametrize("failing", ["item", "block", "piece", "worker", "place", "COMMIT"])
def test_a_transaction_that_fails_stores_nothing_of_it_and_the_next_store_everything(tmp_path: Path, failing: str):
    with Runtime.open(tmp_path, QUICK) as runtime:
        a = runtime.create_worker("a")
        for event in EVENTS[:3]:
            a.emit(event)
        project(tmp_path)
        before = whole_transcript(tmp_path, "a")
        for event in (*EVENTS, TextDelta(text="more")):
            a.emit(event)
        if failing == "COMMIT":
            # Whatever was written meets a constraint at the end alone.
            alter(tmp_path, "CREATE TABLE parent(id INTEGER PRIMARY KEY)")
            alter(tmp_path, "CREATE TABLE child(id REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)")
            action = "INSERT INTO child VALUES (1)"
            table = "item"
        else:
            action, table = "SELECT RAISE(ABORT, 'no')", failing
        alter(tmp_path, f"CREATE TRIGGER fails BEFORE INSERT ON {table} BEGIN {action}; END")
        with store_in(tmp_path) as store:
            store._connection.execute("PRAGMA foreign_keys=ON")
            with pytest.raises(sqlite3.IntegrityError):
                follow(tmp_path, store)
        assert whole_transcript(tmp_path, "a") == before
        alter(tmp_path, "DROP TRIGGER fails")
        project(tmp_path)
    items, answer = whole_transcript(tmp_path, "a")
    expected = fold_lines(read_all(tmp_path))
    assert items == expected.items["a"]
    assert answer.in_progress == expected.folds["a"].in_progress()


DAMAGE = {
    "a Worker's number": "UPDATE worker SET next_index = 7",
    "a Worker's name": "UPDATE worker SET worker_id = 'b'",
    "a block": "UPDATE block SET ordinal = 9",
    "a piece": "UPDATE piece SET text = 'other'",
    "the place": "UPDATE place SET seq = seq + 1",
    "a block that is nobody's": "DELETE FROM worker",
    "nonsense in a block": "UPDATE block SET shown = CAST('x' AS BLOB)",
}


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_was_changed_behind_its_back_is_not_loaded(tmp_path: Path, statement: str):
    with Runtime.open(tmp_path, QUICK) as runtime:
        a = runtime.create_worker("a")
        a.emit(TextDelta(text="x"))
    project(tmp_path)
    alter(tmp_path, statement)
    with pytest.raises(TranscriptDamagedError):
        TranscriptStore(database_path(tmp_path), TranscriptOptions(), lambda: 0.0)


@pytest.mark.parametrize("bounds", [{"max_items": 2}, {"max_total_bytes": MIN_BYTES}])
def test_items_that_went_behind_its_back_are_damage_and_no_endless_loop(tmp_path: Path, bounds: dict[str, int]):
    with Runtime.open(tmp_path, QUICK) as runtime:
        a = runtime.create_worker("a")
        emit_many(a, 200, size=6_000)
        project(tmp_path)
        alter(tmp_path, "DELETE FROM item")
        a.emit(Status(status="idle"))
        with store_in(tmp_path, TranscriptOptions(**bounds)) as store, pytest.raises(TranscriptDamagedError):
            follow(tmp_path, store)


def test_a_smaller_bound_holds_from_the_next_event_on(tmp_path: Path):
    with Runtime.open(tmp_path, QUICK) as runtime:
        a = runtime.create_worker("a")
        emit_many(a, 20)
        project(tmp_path)
        emit_many(a, 1)
        project(tmp_path, TranscriptOptions(max_items=5))
    assert [item.index for item in whole_transcript(tmp_path, "a")[0]] == list(range(16, 21))


def test_forgetting_leaves_nothing_of_a_worker(tmp_path: Path):
    with Runtime.open(tmp_path, QUICK) as runtime:
        for worker_id in "ab":
            worker = runtime.create_worker(worker_id)
            emit_many(worker, 3)
            worker.emit(TextDelta(text="x"))
    project(tmp_path)
    with store_in(tmp_path) as store:
        assert dict(store.last_seqs()).keys() == {"a", "b"}
        store.forget({"a"})
        assert dict(store.last_seqs()).keys() == {"b"}
    assert [rows_in(tmp_path, table) for table in ("worker", "item", "block", "piece")] == [1, 3, 1, 1]
    assert whole_transcript(tmp_path, "a")[0] == []
    assert len(whole_transcript(tmp_path, "b")[0]) == 3


def test_an_index_after_a_loss_is_above_all_that_were_given_and_exact_in_every_json():
    now = 1_800_000_000.0
    assert first_index_after_loss(now + 1) - first_index_after_loss(now) > 1_000_000
    assert first_index_after_loss(now + 200 * 365 * 86_400) < 2**53


def test_the_place_is_kept_with_what_is_folded(tmp_path: Path):
    with Runtime.open(tmp_path, QUICK) as runtime:
        emit_many(runtime.create_worker("a"), 3)
    with store_in(tmp_path) as store:
        follow(tmp_path, store)
        place = store.place
        assert isinstance(place, SavedPlace)
        assert store.worker_seq("a") == 3
        assert store.worker_seq("nobody") == 0
    copy = tmp_path.parent / "copy"
    shutil.copytree(tmp_path, copy)
    with store_in(copy) as store:
        assert store.place == place


LINES: dict[str, Callable[[Worker], object]] = {
    "unit events": lambda worker: worker.emit(ThinkingStart()),
    "text with what JSON escapes": lambda worker: worker.emit(TextDone(text='"}}\\ \n\t\u2028\x00 {"crc":"')),
    "nothing but an empty text": lambda worker: worker.emit(TextDone(text="")),
}


@pytest.mark.parametrize("emit", LINES.values(), ids=LINES.keys())
def test_records_are_read_as_the_codec_reads_them(tmp_path: Path, emit: Callable[[Worker], object]):
    with Runtime.open(tmp_path, QUICK) as runtime:
        emit(runtime.create_worker("a"))
    project(tmp_path)
    items, answer = whole_transcript(tmp_path, "a")
    expected = fold_lines(read_all(tmp_path))
    assert items == expected.items["a"]
    assert answer.in_progress == expected.folds["a"].in_progress()
