from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from yoi_log.log_place import find_log
from yoi_log.transcript_file import transcript_path
from yoi_log.verification import Verification, verify_log

from tests.transcript.projecting import project
from tests.yoi_log.damage import segments_of
from tests.yoi_log.story import busy_log
from yoi_runtime.events import Event, TextDelta, TextDone, ThinkingDelta, TurnEnd, TurnStart, UserMessage
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.transcript.database import row_crc
from yoi_runtime.transcript.kept_worker import WorkerRow
from yoi_runtime.transcript.options import TranscriptOptions

EVENTS: list[Event] = [
    TurnStart(turn=1),
    UserMessage(segments=()),
    ThinkingDelta(text="hm"),
    TextDelta(text="so"),
    TextDelta(text=" far"),
    TextDone(text="so far"),
    TurnEnd(turn=1, result="finished"),
]


def write(data: Path, seed: int, count: int, options: RuntimeOptions) -> None:
    dice = Random(seed)
    with Runtime.open(data, options) as runtime:
        workers = [runtime.create_worker(name) for name in ("a", "b", "c")]
        for _ in range(count):
            dice.choice(workers).emit(dice.choice(EVENTS))


def verified(data: Path) -> Verification:
    return verify_log(find_log(data))


@pytest.mark.parametrize("retain_bytes", [None, 16_000])
@pytest.mark.parametrize("max_items", [10_000, 20])
def test_what_was_folded_agrees_whatever_was_rotated_out_or_made_room(
    tmp_path: Path, retain_bytes: int | None, max_items: int
):
    seen = Counter[str]()
    for seed in range(8):
        data = tmp_path / str(seed)
        options = RuntimeOptions(segment_bytes=4096, retain_bytes=retain_bytes, durability="written")
        for part in range(4):
            write(data, 10 * seed + part, 60, options)
            # Not every time: rotation overtakes the folding, and the transcripts are behind the log.
            if (seed + part) % 3:
                project(data, TranscriptOptions(max_items=max_items))
        verification = verified(data)
        assert verification.defects == []
        report = verification.transcripts
        assert report is not None
        seen.update(items=report.items, compared=report.compared, files=1)
    sys.stdout.write(f"\ntranscripts against the log: {dict(seen)}\n")
    assert seen["compared"] > 50
    if retain_bytes is None:
        assert seen["compared"] == seen["items"]


def test_a_log_of_real_stories_agrees(tmp_path: Path):
    data = busy_log(tmp_path / "data", 1500)
    project(data)
    report = verified(data).transcripts
    assert report is not None
    assert report.compared == report.items > 100


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("log") / "data"
    write(data, 1, 300, RuntimeOptions(segment_bytes=4096, retain_bytes=None, durability="written"))
    project(data)
    return data


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return shutil.copytree(base, tmp_path / "copy")


def reasons(data: Path) -> list[str]:
    found = verified(data).defects
    assert {defect.kind for defect in found} <= {"transcript_wrong"}
    return [defect.reason for defect in found]


def change_item(data: Path, number: int) -> None:
    """Put another item in the place of one, with a checksum that fits."""
    with closing(sqlite3.connect(transcript_path(data), isolation_level=None)) as connection:
        worker, body = connection.execute(
            "SELECT worker, body FROM item WHERE worker = 1 AND number = ?", (number,)
        ).fetchone()
        body = body.replace(b'"time":"20', b'"time":"19')
        values = (row_crc(worker, number, body), body, worker, number)
        connection.execute("UPDATE item SET crc = ?, body = ? WHERE worker = ? AND number = ?", values)


def change_worker(data: Path, name: str, value: Any) -> None:
    with closing(sqlite3.connect(transcript_path(data), isolation_level=None)) as connection:
        row = WorkerRow(
            *connection.execute(f"SELECT {', '.join(WorkerRow._fields)} FROM worker WHERE id = 1").fetchone()
        )
        changed = row._replace(**{name: value})
        connection.execute(f"UPDATE worker SET {name} = ?, crc = ? WHERE id = 1", (value, row_crc(*changed[:-1])))


@pytest.mark.parametrize("number", [0, 10, 30])
def test_an_item_that_the_log_does_not_fold_to_is_wrong(copy: Path, number: int):
    change_item(copy, number)
    assert reasons(copy) == [f"item {number} of Worker a are not what the log's events fold to"]


def test_several_are_counted(copy: Path):
    for number in (3, 5, 6):
        change_item(copy, number)
    assert reasons(copy) == ["item 3 and 2 others of Worker a are not what the log's events fold to"]


def test_a_worker_that_is_at_another_place_is_wrong(copy: Path):
    change_worker(copy, "worker_seq", 5)
    (reason,) = reasons(copy)
    assert reason.startswith("Worker a is folded up to worker_seq 5, and the log is at ")
    shutil.rmtree(copy)


def test_a_workers_cursor_is_that_of_its_event(copy: Path):
    record = json.loads(segments_of(copy)[0].read_bytes().split(b"\n")[5])
    change_worker(copy, "as_of", record["envelope"]["cursor"])
    (reason,) = reasons(copy)
    assert reason.startswith("the cursor of Worker a is not that of its event ")


def test_a_worker_of_the_log_that_is_missing_is_told(copy: Path):
    with closing(sqlite3.connect(transcript_path(copy), isolation_level=None)) as connection:
        for table in ("item", "block", "piece"):
            connection.execute(f"DELETE FROM {table} WHERE worker = 1")
        connection.execute("DELETE FROM worker WHERE id = 1")
    (reason,) = reasons(copy)
    assert reason.startswith("it does not know the Worker a, which has events up to seq ")


def test_what_is_in_progress_is_compared(copy: Path):
    with closing(sqlite3.connect(transcript_path(copy), isolation_level=None)) as connection:
        worker, key, text = connection.execute("SELECT worker, key, text FROM piece ORDER BY id LIMIT 1").fetchone()
        (name,) = connection.execute("SELECT worker_id FROM worker WHERE id = ?", (worker,)).fetchone()
        values = (text + "?", row_crc(worker, key, text + "?"))
        connection.execute("UPDATE piece SET text = ?, crc = ? WHERE id = (SELECT min(id) FROM piece)", values)
    assert reasons(copy) == [f"what is in progress of Worker {name} is not what the log's events fold to"]


def test_transcripts_of_another_log_or_of_a_lost_end_are_wrong(copy: Path, tmp_path: Path):
    write(tmp_path / "other", 2, 50, RuntimeOptions(durability="written"))
    shutil.copytree(transcript_path(copy).parent, tmp_path / "other" / "transcript")
    (reason,) = reasons(tmp_path / "other")
    assert reason.startswith("it is folded from another log, ")
    older = shutil.copytree(copy, tmp_path / "older")
    write(copy, 3, 50, RuntimeOptions(durability="written", retain_bytes=None))
    project(copy)
    shutil.copyfile(transcript_path(copy), transcript_path(older))
    (reason,) = reasons(older)
    assert "which is no place of the log" in reason


def test_a_log_that_lost_events_since_does_not_make_the_transcripts_wrong(copy: Path):
    path = segments_of(copy)[2]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    found = verified(copy)
    assert [defect.kind for defect in found.defects] == ["record_damaged"]
    assert found.transcripts is not None
    assert 0 < found.transcripts.compared < found.transcripts.items
