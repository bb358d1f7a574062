from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.codebase.tree import ROOT
from tests.conftest import ExpectLog
from tests.transcript.projecting import QUICK, database_path, follow, page, project, store_in, whole_transcript
from yoi_runtime.errors import TranscriptExpiredError, TranscriptUnavailableError
from yoi_runtime.events import Status, TextDelta, TextDone, ThinkingDelta, ThinkingDone
from yoi_runtime.protocol.transcript_items import TranscriptAnswer
from yoi_runtime.protocol.transcript_query import TranscriptPage, TranscriptQuery
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.transcript.options import MIN_BYTES, TranscriptOptions
from yoi_runtime.transcript.reader import TranscriptReader


def nothing_known(etag: str) -> bool:
    return False


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path, QUICK) as runtime:
        yield runtime


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[TranscriptReader]:
    with closing(TranscriptReader(tmp_path)) as reader:
        yield reader


def test_pages_follow_each_other_and_the_last_one_says_so(tmp_path: Path, runtime: Runtime):
    worker = runtime.create_worker("a")
    for number in range(25):
        worker.emit(TextDone(text=f"{number}"))
    project(tmp_path)
    first = page(tmp_path, "a", TranscriptQuery(limit=10))
    assert (first.start, first.limit, first.total_items, first.next_start) == (0, 10, 25, 10)
    last = page(tmp_path, "a", TranscriptQuery(20, 10))
    assert ([item.index for item in last.items], last.next_start) == ([20, 21, 22, 23, 24], 25)
    # A full page is not taken for one with more behind it.
    assert page(tmp_path, "a", TranscriptQuery(15, 10)).next_start == 25
    end = page(tmp_path, "a", TranscriptQuery(25, 10))
    assert (end.items, end.next_start) == ((), 25)
    # Whoever is ahead, because the file lost its last moments, stays where he is until they are folded again.
    beyond = page(tmp_path, "a", TranscriptQuery(30, 10))
    assert (beyond.items, beyond.next_start, beyond.total_items) == ((), 30, 25)


def test_a_page_is_of_one_moment_though_there_is_a_commit_in_the_middle_of_it(
    tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
):
    worker = runtime.create_worker("a")
    worker.emit(TextDone(text="1"))
    worker.emit(TextDelta(text="2"))
    project(tmp_path)
    before = page(tmp_path, "a")
    read_items = TranscriptReader._items

    def with_a_commit_before(*arguments: Any) -> Any:
        monkeypatch.undo()
        worker.emit(TextDone(text="2"))
        project(tmp_path)
        return read_items(*arguments)

    monkeypatch.setattr(TranscriptReader, "_items", with_a_commit_before)
    assert page(tmp_path, "a") == before
    assert page(tmp_path, "a").total_items == 2


def test_thinking_is_left_out_unless_it_is_asked_for(tmp_path: Path, runtime: Runtime):
    worker = runtime.create_worker("a")
    for number in range(5):
        worker.emit(ThinkingDone(text=f"t{number}"))
        worker.emit(TextDone(text=f"{number}"))
    worker.emit(ThinkingDelta(text="secret"))
    project(tmp_path)
    shown = page(tmp_path, "a", TranscriptQuery(limit=2))
    assert [item.index for item in shown.items] == [1, 3]
    assert shown.next_start == 5
    assert [(block.kind, block.data) for block in shown.in_progress] == [("thinking", {"text": ""})]
    assert not shown.thinking
    everything = page(tmp_path, "a", TranscriptQuery(limit=2, thinking=True))
    assert [item.kind for item in everything.items] == ["thinking", "text"]
    assert everything.in_progress[0].data == {"text": "secret"}
    # Nothing but thinking behind it: the end all the same.
    worker.emit(ThinkingDone(text="secret"))
    project(tmp_path)
    end = page(tmp_path, "a", TranscriptQuery(10))
    assert (end.items, end.next_start, end.total_items) == ((), 11, 11)


def test_a_page_of_large_items_ends_early_and_says_where_to_go_on(tmp_path: Path, runtime: Runtime):
    worker = runtime.create_worker("a")
    for _ in range(30):
        worker.emit(TextDone(text="x" * 200_000))
    project(tmp_path)
    first = page(tmp_path, "a", TranscriptQuery(limit=1000))
    assert 20 <= len(first.items) < 25
    assert first.next_start == len(first.items)
    assert [item.index for item in whole_transcript(tmp_path, "a")[0]] == list(range(30))


def test_what_is_gone_is_told_and_what_is_kept_is_answered(tmp_path: Path, runtime: Runtime, reader: TranscriptReader):
    worker = runtime.create_worker("a")
    for number in range(25):
        worker.emit(TextDone(text=f"{number}"))
    project(tmp_path, TranscriptOptions(max_items=5))
    with pytest.raises(TranscriptExpiredError) as caught:
        reader.page(runtime.log_id, "a", TranscriptQuery(19), nothing_known)
    assert (caught.value.start, caught.value.oldest_start) == (19, 20)
    assert page(tmp_path, "a", TranscriptQuery(20)).items == page(tmp_path, "a").items
    assert page(tmp_path, "a").start == 20


def test_a_tag_changes_when_the_answer_does_and_only_then(tmp_path: Path, runtime: Runtime, reader: TranscriptReader):
    a, b = runtime.create_worker("a"), runtime.create_worker("b")
    queries = [
        TranscriptQuery(),
        TranscriptQuery(0),
        TranscriptQuery(1),
        TranscriptQuery(limit=1),
        TranscriptQuery(thinking=True),
    ]
    answers: dict[str, dict[str, bytes]] = {"a": {}, "b": {}}

    def look() -> None:
        for worker_id in "ab":
            for query in queries:
                found = reader.page(runtime.log_id, worker_id, query, nothing_known)
                assert found.body is not None
                # Same tag, same answer; and no two tags for one answer.
                assert answers[worker_id].setdefault(found.etag, found.body) == found.body
        for known in answers.values():
            assert len(set(known.values())) == len(known)

    for step, event in enumerate(
        (TextDone(text="1"), TextDelta(text="2"), TextDelta(text=""), Status(status="idle"), ThinkingDelta(text="t"))
    ):
        project(tmp_path)
        look()
        look()
        (a if step % 2 else b).emit(event)
    before = len(answers["a"])
    for _ in range(3):
        b.emit(TextDone(text="other"))
        project(tmp_path)
        look()
    assert len(answers["a"]) <= before + len(queries)
    # Made again from the log, it is the same answer and so the same tag.
    known = {worker_id: set(found) for worker_id, found in answers.items()}
    database_path(tmp_path).unlink()
    project(tmp_path)
    look()
    assert {worker_id: set(found) for worker_id, found in answers.items()} == known
    # Items that go for want of room change it too.
    a.emit(TextDone(text="new"))
    a.emit(TextDone(text="newer"))
    project(tmp_path, TranscriptOptions(max_items=1))
    found = reader.page(runtime.log_id, "a", TranscriptQuery(), nothing_known)
    assert found.etag not in answers["a"]


def test_a_tag_changes_when_others_take_the_room(tmp_path: Path, runtime: Runtime, reader: TranscriptReader):
    quiet, noisy = runtime.create_worker("quiet"), runtime.create_worker("noisy")
    for number in range(5):
        quiet.emit(TextDone(text=f"{number}"))
    project(tmp_path)
    before = reader.page(runtime.log_id, "quiet", TranscriptQuery(5), nothing_known)
    for _ in range(200):
        noisy.emit(TextDone(text="x" * 6_000))
    project(tmp_path, TranscriptOptions(max_total_bytes=MIN_BYTES))
    after = reader.page(runtime.log_id, "quiet", TranscriptQuery(5), nothing_known)
    # Nothing but this tells that its items are gone.
    assert before.body != after.body
    assert before.etag != after.etag


def test_a_known_tag_is_answered_without_reading_an_item(tmp_path: Path, runtime: Runtime, reader: TranscriptReader):
    runtime.create_worker("a").emit(TextDone(text="1"))
    project(tmp_path)
    etag = reader.page(runtime.log_id, "a", TranscriptQuery(), nothing_known).etag
    with closing(sqlite3.connect(database_path(tmp_path), isolation_level=None)) as connection:
        connection.execute("UPDATE item SET crc = 0")
    assert reader.page(runtime.log_id, "a", TranscriptQuery(), lambda tag: tag == etag) == TranscriptPage(etag, None)


def test_nothing_is_answered_of_another_log_or_before_there_is_a_file(
    tmp_path: Path, runtime: Runtime, reader: TranscriptReader, expect_log: ExpectLog
):
    expect_log("yoi_runtime.transcript", "cannot be answered")
    with pytest.raises(TranscriptUnavailableError, match="none yet"):
        reader.page(runtime.log_id, "a", TranscriptQuery(), nothing_known)
    assert not database_path(tmp_path).parent.exists()
    with store_in(tmp_path), pytest.raises(TranscriptUnavailableError, match="still being made"):
        reader.page(runtime.log_id, "a", TranscriptQuery(), nothing_known)
    project(tmp_path)
    reader.page(runtime.log_id, "a", TranscriptQuery(), nothing_known)
    with pytest.raises(TranscriptUnavailableError):
        reader.page("0" * 16, "a", TranscriptQuery(), nothing_known)


DAMAGE = {
    "an item": "UPDATE item SET body = CAST('{}' AS BLOB)",
    "an item of another number": "UPDATE item SET number = 1",
    "the Worker": "UPDATE worker SET next_index = 9",
    "the place": "UPDATE place SET seq = 0",
    "a block": "UPDATE block SET ordinal = 9",
    "a piece": "UPDATE piece SET text = 'x'",
}


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_is_damaged_is_not_answered_and_its_keeper_is_told(tmp_path: Path, runtime: Runtime, statement: str):
    worker = runtime.create_worker("a")
    worker.emit(TextDone(text="1"))
    worker.emit(TextDelta(text="2"))
    project(tmp_path)
    with closing(sqlite3.connect(database_path(tmp_path), isolation_level=None)) as connection:
        connection.execute(statement)
    told: list[bool] = []
    with closing(TranscriptReader(tmp_path, lambda: told.append(True))) as reader:
        for _ in range(2):
            with pytest.raises(TranscriptUnavailableError):
                reader.page(runtime.log_id, "a", TranscriptQuery(), nothing_known)
    assert told == [True, True]


def test_a_file_that_took_the_place_of_another_is_read(tmp_path: Path, runtime: Runtime, reader: TranscriptReader):
    worker = runtime.create_worker("a")
    worker.emit(TextDone(text="1"))
    project(tmp_path)
    reader.page(runtime.log_id, "a", TranscriptQuery(), nothing_known)
    database_path(tmp_path).rename(tmp_path / "aside")
    worker.emit(TextDone(text="2"))
    project(tmp_path)
    found = reader.page(runtime.log_id, "a", TranscriptQuery(), nothing_known)
    assert found.body is not None
    assert TranscriptAnswer.model_validate_json(found.body).total_items == 2


def test_a_closed_reader_answers_nothing(tmp_path: Path, runtime: Runtime, reader: TranscriptReader):
    project(tmp_path)
    reader.close()
    reader.close()
    with pytest.raises(TranscriptUnavailableError, match="closed"):
        reader.page(runtime.log_id, "a", TranscriptQuery(), nothing_known)


_READ_AS_ANOTHER = """
import os, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from yoi_runtime.errors import TranscriptUnavailableError
from yoi_runtime.protocol.transcript_query import TranscriptQuery
from yoi_runtime.transcript.reader import TranscriptReader
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
data_dir = Path(sys.argv[1])
assert not os.access(data_dir / "transcript", os.W_OK)
reader = TranscriptReader(data_dir)
for _ in range(2):
    try:
        print(len(reader.page(sys.argv[2], "a", TranscriptQuery(), lambda etag: False).body))
    except TranscriptUnavailableError as error:
        print("unavailable:", error)
"""


def read_as_another(data_dir: Path, log_id: str) -> list[str]:
    """Read a page, twice, as somebody who may write nothing there."""
    data_dir.chmod(0o755)
    for path in (data_dir / "transcript").iterdir():
        path.chmod(0o444)
    (data_dir / "transcript").chmod(0o555)
    result = subprocess.run(
        [sys.executable, "-c", _READ_AS_ANOTHER, str(data_dir), log_id, str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    (data_dir / "transcript").chmod(0o755)
    for path in (data_dir / "transcript").iterdir():
        path.chmod(0o644)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """Return a directory that others can reach; pytest's own are their owner's alone."""
    with tempfile.TemporaryDirectory() as directory:
        yield Path(directory)


def written_in(data_dir: Path) -> str:
    """Make a log with one event; returns its id."""
    with Runtime.open(data_dir, QUICK) as runtime:
        runtime.create_worker("a").emit(TextDone(text="1"))
        return runtime.log_id


def test_without_permission_to_write_it_reads_whether_a_writer_is_there_or_not(open_dir: Path):
    log_id = written_in(open_dir)
    project(open_dir)
    # Nobody has it open: there is no WAL.
    first, again = read_as_another(open_dir, log_id)
    assert first == again
    assert int(first) > 300
    with store_in(open_dir):
        assert read_as_another(open_dir, log_id) == [first, first]


def test_what_a_killed_writer_left_is_answered_or_called_unavailable_to_whom_may_not_write(open_dir: Path):
    log_id = written_in(open_dir)
    directory = database_path(open_dir).parent
    with store_in(open_dir) as store:
        follow(open_dir, store)
        left = {path.name: path.read_bytes() for path in directory.iterdir() if path.name.startswith("transcript.db")}
    for name, data in left.items():
        (directory / name).write_bytes(data)
    for line in read_as_another(open_dir, log_id):
        assert line.startswith("unavailable:") or int(line) > 300
    assert page(open_dir, "a").total_items == 1
