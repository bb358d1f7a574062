from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.codebase.tree import ROOT
from tests.conftest import ExpectLog
from tests.support.deadline import wait_until
from tests.transcript.projecting import QUICK, database_path, read_all, store_in, whole_transcript
from tests.transcript.stories import event_of_line, fold_lines
from yoi_runtime.errors import TranscriptUnavailableError
from yoi_runtime.events import Event, TextDelta, TextDone, ToolCallArgsDelta, ToolCallDone, ToolResult, UserMessage
from yoi_runtime.protocol.transcript_fold import TranscriptFold
from yoi_runtime.protocol.transcript_items import InProgress, TranscriptAnswer, TranscriptItem
from yoi_runtime.protocol.transcript_query import TranscriptQuery
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.lock import WriterLock
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.transcript.options import TranscriptOptions
from yoi_runtime.transcript.projection import TranscriptProjection
from yoi_runtime.transcript.reader import TranscriptReader

LOGGER = "yoi_runtime.transcript"
# On a busy machine a stop that has to fold everything may take longer than a person would wait.
_STOP_SECONDS = 40.0


@contextmanager
def projecting(data_dir: Path, options: TranscriptOptions | None = None) -> Iterator[TranscriptProjection]:
    projection = TranscriptProjection(data_dir, data_dir / "log", options)
    projection.start()
    try:
        yield projection
    finally:
        projection.stop(_STOP_SECONDS)


def total_items(data_dir: Path, log_id: str, worker_id: str = "a") -> int:
    """Return how many items there are, -1 while nothing is answered."""
    with closing(TranscriptReader(data_dir, lambda: None)) as reader:
        try:
            body = reader.page(log_id, worker_id, TranscriptQuery(limit=1), lambda etag: False).body
        except TranscriptUnavailableError:
            return -1
    assert body is not None
    return TranscriptAnswer.model_validate_json(body).total_items


def _has_items(data_dir: Path, log_id: str, count: int) -> bool:
    return total_items(data_dir, log_id) == count


def test_what_is_emitted_is_in_the_transcript_a_moment_later(tmp_path: Path):
    with Runtime.open(tmp_path, QUICK) as runtime, projecting(tmp_path):
        worker = runtime.create_worker("a")
        for number in range(1, 6):
            worker.emit(TextDone(text=f"{number}"))
            wait_until(partial(_has_items, tmp_path, runtime.log_id, number))


def test_a_stop_takes_in_what_the_log_shows_by_then(tmp_path: Path):
    with Runtime.open(tmp_path, QUICK) as runtime:
        projection = TranscriptProjection(tmp_path, tmp_path / "log")
        projection.start()
        worker = runtime.create_worker("a")
        for number in range(5000):
            worker.emit(TextDone(text=f"{number}"))
    projection.stop(_STOP_SECONDS)
    projection.stop()
    items, _ = whole_transcript(tmp_path, "a")
    assert [item.data["text"] for item in items] == [f"{number}" for number in range(5000)]
    assert not any(thread.name == "yoi-transcript" for thread in threading.enumerate())


def test_a_stop_before_a_start_is_nothing(tmp_path: Path):
    TranscriptProjection(tmp_path, tmp_path / "log").stop()


def test_one_process_writes_and_the_next_one_takes_over(tmp_path: Path, expect_log: ExpectLog):
    expect_log(LOGGER, f"written by process {os.getpid()}")
    with Runtime.open(tmp_path, QUICK) as runtime:
        runtime.create_worker("a").emit(TextDone(text="1"))
        (tmp_path / "transcript").mkdir()
        lock = WriterLock(tmp_path / "transcript", REAL_PLATFORM)
        with projecting(tmp_path) as projection:
            wait_until(lambda: projection._failures > 0)
            assert not database_path(tmp_path).exists()
            lock.release()
            wait_until(lambda: total_items(tmp_path, runtime.log_id) == 1)


def test_where_it_may_not_write_it_says_so_and_tries_again(tmp_path: Path, expect_log: ExpectLog):
    expect_log(LOGGER, "will try again")
    with Runtime.open(tmp_path, QUICK) as runtime:
        runtime.create_worker("a").emit(TextDone(text="1"))
        (tmp_path / "transcript").write_bytes(b"in the way, for root too")
        with projecting(tmp_path) as projection:
            wait_until(lambda: projection._failures > 0)
            assert total_items(tmp_path, runtime.log_id) == -1
            (tmp_path / "transcript").unlink()
            wait_until(lambda: total_items(tmp_path, runtime.log_id) == 1)


def test_without_a_log_it_waits_for_one(tmp_path: Path, expect_log: ExpectLog):
    expect_log(LOGGER, "will try again")
    with projecting(tmp_path) as projection:
        wait_until(lambda: projection._failures > 0)
        with Runtime.open(tmp_path, QUICK) as runtime:
            runtime.create_worker("a").emit(TextDone(text="1"))
            wait_until(lambda: total_items(tmp_path, runtime.log_id) == 1)


@pytest.mark.parametrize("content", [b"nothing of a database" * 500, b"SQLite format 3\x00" + bytes(5000)])
def test_a_damaged_file_is_set_aside_and_made_anew(tmp_path: Path, content: bytes, expect_log: ExpectLog):
    expect_log(LOGGER, "made anew")
    with Runtime.open(tmp_path, QUICK) as runtime:
        runtime.create_worker("a").emit(TextDone(text="1"))
        database_path(tmp_path).parent.mkdir()
        database_path(tmp_path).write_bytes(content)
        with projecting(tmp_path):
            wait_until(lambda: total_items(tmp_path, runtime.log_id) == 1)
    assert database_path(tmp_path).with_name("transcript.db.damaged").read_bytes() == content


def test_what_a_reader_finds_damaged_is_made_anew_while_the_runtime_goes_on(tmp_path: Path, expect_log: ExpectLog):
    expect_log(LOGGER, "made anew")
    with Runtime.open(tmp_path, QUICK) as runtime, projecting(tmp_path) as projection:
        worker = runtime.create_worker("a")
        worker.emit(TextDone(text="1"))
        wait_until(lambda: total_items(tmp_path, runtime.log_id) == 1)
        with closing(sqlite3.connect(database_path(tmp_path), isolation_level=None)) as connection:
            connection.execute("UPDATE item SET body = CAST('{}' AS BLOB)")
        with closing(TranscriptReader(tmp_path, projection.distrust)) as reader:
            with pytest.raises(TranscriptUnavailableError):
                reader.page(runtime.log_id, "a", TranscriptQuery(), lambda etag: False)
            worker.emit(TextDone(text="2"))
            wait_until(lambda: total_items(tmp_path, runtime.log_id) == 2)
            assert reader.page(runtime.log_id, "a", TranscriptQuery(), lambda etag: False).body


def test_a_disk_that_refuses_is_tried_again_and_nothing_is_doubled(
    tmp_path: Path, expect_log: ExpectLog, caplog: pytest.LogCaptureFixture
):
    expect_log(LOGGER, "will try again")
    with Runtime.open(tmp_path, QUICK) as runtime:
        worker = runtime.create_worker("a")
        worker.emit(TextDone(text="1"))
        with store_in(tmp_path), projecting(tmp_path) as projection:
            wait_until(lambda: total_items(tmp_path, runtime.log_id) == 1)
            with closing(sqlite3.connect(database_path(tmp_path), isolation_level=None)) as connection:
                connection.execute("CREATE TRIGGER fails BEFORE INSERT ON item BEGIN SELECT RAISE(ABORT, 'no'); END")
                worker.emit(TextDone(text="2"))
                # Tried again and again, told once.
                wait_until(lambda: projection._failures > 2)
                assert sum("will try again" in record.getMessage() for record in caplog.records) == 1
                connection.execute("DROP TRIGGER fails")
            wait_until(lambda: total_items(tmp_path, runtime.log_id) == 2)
    assert [item.data["text"] for item in whole_transcript(tmp_path, "a")[0]] == ["1", "2"]


def test_a_bug_of_ours_is_told_and_survived(tmp_path: Path, expect_log: ExpectLog, monkeypatch: pytest.MonkeyPatch):
    expect_log(LOGGER, "cannot be kept")

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with Runtime.open(tmp_path, QUICK) as runtime:
        runtime.create_worker("a").emit(TextDone(text="1"))
        with monkeypatch.context() as patch:
            patch.setattr("yoi_runtime.transcript.store.TranscriptStore.fold_lines", broken)
            projection = TranscriptProjection(tmp_path, tmp_path / "log")
            projection.start()
            wait_until(lambda: projection._failures > 0)
        wait_until(lambda: total_items(tmp_path, runtime.log_id) == 1)
    projection.stop()


def test_a_forked_child_does_not_hold_the_lock(tmp_path: Path):
    with Runtime.open(tmp_path, QUICK), projecting(tmp_path) as projection:
        wait_until(lambda: projection._lock is not None)
        projection.abandon_in_child()
        WriterLock(tmp_path / "transcript", REAL_PLATFORM).release()


def test_every_answer_taken_while_it_is_written_is_of_one_moment(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """What is read beside the writing thread: state, items and what is in progress fit together, every time."""
    chance = random.Random(8)
    answers: list[TranscriptAnswer] = []
    known: set[str] = set()
    with Runtime.open(tmp_path, QUICK) as runtime, projecting(tmp_path):
        worker = runtime.create_worker("a")
        new_answer = threading.Semaphore(0)

        def write() -> None:
            for number in range(2000):
                worker.emit(STORY[chance.randrange(len(STORY))](number))
                # In bursts, so that there are moments to be seen on a fast machine too.
                if number % 100 == 99:
                    new_answer.acquire(timeout=1)

        writing = threading.Thread(target=write)
        writing.start()
        with closing(TranscriptReader(tmp_path, lambda: None)) as reader:
            start = None
            while not answers or answers[-1].worker_seq < 2000:
                query = TranscriptQuery(start, 200, thinking=True)
                try:
                    page = reader.page(runtime.log_id, "a", query, known.__contains__)
                except TranscriptUnavailableError:
                    continue
                known.add(page.etag)
                if page.body is None:
                    continue
                answers.append(TranscriptAnswer.model_validate_json(page.body))
                new_answer.release()
                start = max(0, answers[-1].next_start - 20)
        writing.join()
    fold, items = TranscriptFold(), list[TranscriptItem]()
    moments: dict[int, tuple[int, tuple[InProgress, ...]]] = {0: (0, ())}
    for line_worker, event in map(event_of_line, read_all(tmp_path)):
        if line_worker == "a":
            items += fold.apply(event)
            moments[event.worker_seq] = (len(items), fold.in_progress())
    for answer in answers:
        total, in_progress = moments[answer.worker_seq]
        assert (answer.total_items, answer.in_progress) == (total, in_progress)
        assert list(answer.items) == items[answer.start : min(total, answer.start + 200)]
    seen = {answer.worker_seq for answer in answers}
    with capsys.disabled():
        sys.stdout.write(f"\ntranscripts read while written: {len(answers)} answers of {len(seen)} moments\n")
    assert len(seen) >= 5


STORY: list[Callable[[int], Event]] = [
    lambda number: UserMessage(segments=()),
    lambda number: TextDelta(text=f"{number} "),
    lambda number: TextDelta(text="…"),
    lambda number: ToolCallArgsDelta(id=f"{number}", json="{"),
    lambda number: TextDone(text=f"{number} …"),
    lambda number: ToolCallDone(id=f"{number}", name="sh", arguments="{}"),
    lambda number: ToolResult(id=f"{number}", summary="ok"),
]


def test_killed_over_and_over_in_the_middle_of_folding_it_doubles_nothing_and_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A real process, SIGKILL at a random transaction, while the Runtime in this one emits on."""
    chance = random.Random(4)
    kills = saves = 0
    with Runtime.open(tmp_path, QUICK) as runtime:
        workers = [runtime.create_worker(worker_id) for worker_id in "ab"]
        number = 0
        for _ in range(8):
            program = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("projecting_program.py")), str(tmp_path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            try:
                assert program.stdout is not None
                for _ in range(400):
                    number += 1
                    workers[number % 2].emit(STORY[chance.randrange(len(STORY))](number))
                for _ in range(chance.randrange(1, 25)):
                    assert program.stdout.readline() == b"saving\n"
                    saves += 1
            finally:
                program.send_signal(signal.SIGKILL)
                program.wait()
                program.communicate()
            kills += 1
    with projecting(tmp_path):
        pass
    expected = fold_lines(read_all(tmp_path))
    for worker_id in "ab":
        items, answer = whole_transcript(tmp_path, worker_id)
        assert items == expected.items[worker_id]
        assert answer.in_progress == expected.folds[worker_id].in_progress()
        assert answer.worker_seq == expected.folds[worker_id].worker_seq
    with capsys.disabled():
        sys.stdout.write(f"\ntranscripts killed: {kills} times, {saves} transactions seen, {number} events\n")
    assert saves > 40
