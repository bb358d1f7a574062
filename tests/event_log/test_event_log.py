"""yoi_runtime.event_log.event_log: numbers, records, refusals and bounds, with books in memory."""

from __future__ import annotations

import errno
import json
import threading
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.event_log.memory_books import MemoryBooks
from tests.event_log.sample_event_log import (
    BIG,
    SMALL,
    open_event_log,
    run_threads,
)
from tests.event_log.written_events import by_worker, check_numbers, envelopes_in, events_of, lines_in
from tests.faults.clocks import ManualClock
from tests.faults.failing_files import FailingFiles
from yoi_runtime.errors import (
    CursorAheadError,
    CursorForeignError,
    CursorMalformedError,
    EventInvalidError,
    LogBrokenError,
    LogBusyError,
    LogClosedError,
    LogError,
    RecordTooLargeError,
)
from yoi_runtime.event_log.event_log import EventLog
from yoi_runtime.events import (
    Alert,
    Event,
    LogRecovered,
    RuntimeStarted,
    TextDelta,
    TextDone,
    ToolResult,
    UnknownEvent,
    encode_payload,
)
from yoi_runtime.segment_log.cursor import CursorToken, decode_token, worker_tag
from yoi_runtime.segment_log.platform import Platform, RealFileOps
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.timestamp import TimestampFormat
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

MAX_RECORD_BYTES = 256 << 10


def text_of_payload_size(size: int) -> TextDelta:
    return TextDelta(text="x" * (size - len(encode_payload(TextDelta(text="")))))


def payload_limit(tmp_path: Path) -> int:
    """Return the largest payload that goes through uncut, found by asking."""
    log = open_event_log(tmp_path / "probe", options=BIG)
    try:
        with pytest.raises(RecordTooLargeError) as refused:
            log.append(UnknownEvent(name="numbers", data=list(range(100_000))))
    finally:
        log.close()
    return refused.value.limit_bytes


# Numbers and records.


def test_an_event_becomes_a_record_with_its_numbers(tmp_path: Path):
    clock = ManualClock()
    log = open_event_log(tmp_path / "log", platform=Platform(clock=clock))
    started = log.append(RuntimeStarted(version="1", pid=7))
    clock.pass_seconds(1.25)
    first = log.append(TextDelta(text="hé"), "a")
    second = log.append(TextDelta(text="b"), "b")
    log.close()
    one, two, three = envelopes_in(tmp_path / "log")
    assert (one.seq, one.worker_id, one.worker_seq, one.payload) == (1, None, None, RuntimeStarted(version="1", pid=7))
    assert (two.seq, two.worker_id, two.worker_seq, two.payload) == (2, "a", 1, TextDelta(text="hé"))
    assert (three.seq, three.worker_id, three.worker_seq) == (3, "b", 1)
    assert [one.cursor, two.cursor, three.cursor] == [started, first, second]
    assert two.time == TimestampFormat()(clock.now_us())
    assert one.time < two.time


def test_a_token_names_the_place_after_its_event_and_its_worker(tmp_path: Path):
    log = open_event_log(tmp_path / "log")
    tokens = [log.append(TextDelta(text=str(number)), "ab"[number % 2]) for number in range(40)]
    log.close()
    reader = LogReader(tmp_path / "log")
    for number, token in enumerate(tokens):
        cursor = decode_token(token)
        assert (cursor.log_id, cursor.seq, cursor.worker_seq) == (log.log_id, number + 1, number // 2 + 1)
        assert cursor.worker == worker_tag("ab"[number % 2])
        chunk = reader.read(reader.resolve(cursor), 1)
        if number < 39:
            assert chunk is not None
            assert json.loads(chunk.data.partition(b"\n")[0])["envelope"]["cursor"] == tokens[number + 1]
        else:
            assert chunk is None
    reader.close()


def test_numbers_go_on_after_a_restart(tmp_path: Path):
    books = MemoryBooks()
    for run in range(4):
        log = open_event_log(tmp_path / "log", books)
        for number in range(15):
            log.append(TextDelta(text=f"{run}.{number}" + "x" * 300), f"w{number % 2}")
        log.close()
    envelopes = envelopes_in(tmp_path / "log")
    assert len(envelopes) == 60
    check_numbers(envelopes)


def test_eight_threads_at_once_leave_no_gap_and_keep_each_ones_order(tmp_path: Path):
    log = open_event_log(tmp_path / "log", options=LogOptions(segment_bytes=256 << 10))

    def emit(worker: int) -> None:
        for number in range(2000):
            log.append(TextDelta(text=str(number)), f"w{worker}")

    run_threads(8, emit)
    log.close()
    envelopes = envelopes_in(tmp_path / "log")
    check_numbers(envelopes)
    assert len(list((tmp_path / "log").glob("*.jsonl"))) > 10, "it rolled meanwhile"
    found = by_worker(envelopes)
    assert sorted(found) == [f"w{worker}" for worker in range(8)]
    for envelopes_of_one in found.values():
        assert [e.payload for e in envelopes_of_one] == [TextDelta(text=str(n)) for n in range(2000)]


def test_an_event_that_breaks_the_rules_leaves_no_trace(tmp_path: Path):
    books = MemoryBooks()
    log = open_event_log(tmp_path / "log", books)
    with pytest.raises(EventInvalidError):
        log.append(TextDelta(text="\ud800"), "w")
    assert books.calls == []
    log.append(TextDelta(text="fine"), "w")
    log.close()
    check_numbers(envelopes_in(tmp_path / "log"))


# Too large.


@pytest.mark.parametrize(("over", "is_cut"), [(-1, False), (0, False), (1, True), (9 * MAX_RECORD_BYTES, True)])
@pytest.mark.parametrize("worker_id", ["w" * 64, None], ids=["a Worker", "the Runtime"])
def test_what_is_larger_than_a_record_is_cut_and_an_alert_says_so(
    tmp_path: Path, worker_id: str | None, over: int, is_cut: bool
):
    limit = payload_limit(tmp_path)
    event = text_of_payload_size(limit + over)
    log = open_event_log(tmp_path / "log", MemoryBooks(worker_seqs={"w" * 64: 10**16}), options=BIG)
    token = log.append(event, worker_id)
    log.append(TextDelta(text="next"), worker_id)
    log.close()
    lines = lines_in(tmp_path / "log")
    # Room for a seq of 17 digits in the event id and as itself, where this one has one digit.
    assert max(len(line) for line in lines) + 1 + 13 + 16 <= MAX_RECORD_BYTES
    envelopes = envelopes_in(tmp_path / "log")
    assert envelopes[0].cursor == token
    written, *alerts, last = events_of(envelopes, worker_id)
    assert isinstance(written, TextDelta)
    assert last == TextDelta(text="next")
    assert event.text.startswith(written.text)
    assert len(event.text) - len(written.text) == (over if is_cut else 0)
    messages = [alert.message for alert in alerts if isinstance(alert, Alert)]
    if is_cut:
        size = limit + over
        expected = (
            f"text_delta of {size} bytes was too large for the log: {over} bytes were cut from the end of data.text"
        )
        assert messages == [expected]
    else:
        assert alerts == []


def test_the_alert_counts_the_strings_that_were_cut(tmp_path: Path):
    log = open_event_log(tmp_path / "log", options=BIG)
    log.append(ToolResult(id="1", summary="s" * 290_000, output="o" * 300_000), "w")
    log.close()
    result, alert = events_of(envelopes_in(tmp_path / "log"), "w")
    assert isinstance(result, ToolResult)
    assert isinstance(alert, Alert)
    assert result.output == ""
    cut_bytes = 590_000 - len(result.summary)
    assert f"{cut_bytes} bytes were cut from the end of data.output and of 1 more strings" in alert.message
    assert (alert.level, alert.source) == ("warn", "worker")


@pytest.mark.parametrize("unit", ["😀", "e\u0301", '"'])
def test_every_record_of_any_text_is_within_the_limit_and_whole(tmp_path: Path, unit: str):
    log = open_event_log(tmp_path / "log", options=BIG)
    text = unit * 200_000
    log.append(TextDone(text=text), "w")
    log.close()
    assert all(len(line) < MAX_RECORD_BYTES for line in lines_in(tmp_path / "log"))
    event = events_of(envelopes_in(tmp_path / "log"), "w")[0]
    assert isinstance(event, TextDone)
    assert text.startswith(event.text)
    assert len(event.text) > 60_000


def test_where_nothing_can_be_cut_nothing_is_written(tmp_path: Path):
    books = MemoryBooks()
    log = open_event_log(tmp_path / "log", books, options=BIG)
    with pytest.raises(RecordTooLargeError) as refused:
        log.append(UnknownEvent(name="numbers", data=list(range(100_000))), "w")
    assert refused.value.size_bytes > refused.value.limit_bytes
    assert refused.value.directory == tmp_path / "log"
    assert books.calls == []
    log.append(TextDelta(text="next"), "w")
    log.close()
    assert events_of(envelopes_in(tmp_path / "log"), "w") == [TextDelta(text="next")]


def test_long_names_do_not_make_the_alert_too_large(tmp_path: Path):
    log = open_event_log(tmp_path / "log", options=BIG)
    log.append(UnknownEvent(name="n" * 100_000, data={"k" * 100_000: "x" * 200_000}), "w")
    log.close()
    event, alert = events_of(envelopes_in(tmp_path / "log"), "w")
    assert isinstance(event, UnknownEvent)
    assert isinstance(alert, Alert)
    assert len(alert.message) < 400
    assert '"kkk' in alert.message


# Durable.


class HeldFiles(RealFileOps):
    """A disk whose syncs of segments last until they are let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def fdatasync(self, fd: int) -> None:
        if not self.go.wait(30):
            raise OSError(errno.ETIMEDOUT, "the test forgot to let go")
        super().fdatasync(fd)


def open_held(tmp_path: Path, **options: float) -> tuple[HeldFiles, EventLog]:
    files = HeldFiles()
    files.go.set()
    log = open_event_log(
        tmp_path / "log",
        options=LogOptions(segment_bytes=1 << 20, **options),  # type: ignore[arg-type]
        platform=Platform(files=files),
    )
    files.go.clear()
    return files, log


def test_durable_waits_for_the_disk_and_not_longer(tmp_path: Path):
    files, log = open_held(tmp_path)
    token = log.append(TextDelta(text="x"), "w")
    with pytest.raises(LogBusyError):
        log.wait_durable(token, deadline_seconds=0.01)
    assert lines_in(tmp_path / "log") == [], "not shown before it is durable"
    files.go.set()
    log.wait_durable(token, deadline_seconds=30)
    assert len(lines_in(tmp_path / "log")) == 1
    log.close()
    log.wait_durable(token)


async def test_a_coroutine_waits_for_the_disk_too(tmp_path: Path):
    files, log = open_held(tmp_path)
    token = log.append(TextDelta(text="x"), "w")
    files.go.set()
    await log.durable(token)
    assert len(lines_in(tmp_path / "log")) == 1
    log.close()


async def test_room_comes_back_when_the_disk_has_caught_up(tmp_path: Path):
    files, log = open_held(tmp_path, max_unsynced_bytes=1000, append_deadline_seconds=0.01)
    await log.room()
    log.append(TextDelta(text="x" * 800), "w")
    with pytest.raises(LogBusyError):
        log.append(TextDelta(text="x" * 800), "w")
    files.go.set()
    await log.room()
    log.append(TextDelta(text="y"), "w")
    log.close()
    assert len(events_of(envelopes_in(tmp_path / "log"), "w")) == 2, "busy is no loss: the caller was told to try again"


def test_an_event_of_a_sealed_segment_is_durable(tmp_path: Path):
    log = open_event_log(tmp_path / "log")
    token = log.append(TextDelta(text="x"), "w")
    log.roll()
    log.wait_durable(token, deadline_seconds=0)
    log.close()


def test_a_token_that_is_none_of_an_event_here_is_refused_at_once(tmp_path: Path):
    log = open_event_log(tmp_path / "log")
    other = open_event_log(tmp_path / "other")
    foreign = other.append(TextDelta(text="x"), "w")
    with pytest.raises(CursorForeignError):
        log.wait_durable(foreign)
    with pytest.raises(CursorMalformedError):
        log.wait_durable(CursorToken("wo1"))
    other.close()
    copy = tmp_path / "copy"
    log.close()
    copy.mkdir()
    for path in (tmp_path / "log").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    longer = open_event_log(tmp_path / "log")
    ahead = longer.append(TextDelta(text="x" * 1000), "w")
    longer.close()
    shorter = open_event_log(copy)
    with pytest.raises(CursorAheadError):
        shorter.wait_durable(ahead)
    shorter.close()


async def test_after_a_failed_sync_nobody_is_told_that_anything_is_durable(tmp_path: Path):
    files = FailingFiles()
    log = open_event_log(tmp_path / "log", options=BIG, platform=Platform(files=files))
    files.fail(errno.EIO, "fdatasync")
    token = log.append(TextDelta(text="x"), "w")
    with pytest.raises(LogBrokenError):
        log.wait_durable(token)
    with pytest.raises(LogBrokenError):
        await log.durable(token)
    with pytest.raises(LogBrokenError):
        log.append(TextDelta(text="y"), "w")
    with pytest.raises(LogBrokenError):
        log.close()
    log.close()
    assert files.open_files == []
    assert lines_in(tmp_path / "log") == []


# Closing.


def test_after_the_close_nothing_is_taken(tmp_path: Path):
    log = open_event_log(tmp_path / "log")
    log.close()
    log.close()
    for call in (lambda: log.append(TextDelta(text="x"), "w"), lambda: log.offer(TextDelta(text="x"), "w"), log.roll):
        with pytest.raises(LogClosedError):
            call()


def test_many_threads_may_close_at_once_and_each_returns_when_it_is_done(tmp_path: Path):
    for attempt in range(10):
        books = MemoryBooks()
        log = open_event_log(tmp_path / str(attempt), books)
        log.start_maintenance(3600)
        log.append(TextDelta(text="x"), "w")
        unfinished: list[int] = []

        def close(number: int, log: EventLog = log, books: MemoryBooks = books, unfinished=unfinished) -> None:
            log.close()
            if not books.of("save"):
                unfinished.append(number)

        run_threads(4, close)
        assert unfinished == []
        assert len(books.of("save")) == 1
        open_event_log(tmp_path / str(attempt)).close()


def test_the_books_are_saved_before_the_next_writer_is_let_in(tmp_path: Path):
    def before(call: str) -> None:
        if call == "save":
            with pytest.raises(LogError, match="held"):
                LogWriter(tmp_path / "log", SMALL, Platform())

    books = MemoryBooks(before)
    log = open_event_log(tmp_path / "log", books)
    log.append(TextDelta(text="x"), "w")
    log.close()
    assert books.of("save") == [(1,)]


def test_books_that_cannot_be_saved_do_not_keep_the_log_open(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.event_log", "the catalog could not be saved at close")

    def before(call: str) -> None:
        if call == "save":
            raise OSError(errno.ENOSPC, "no room")

    log = open_event_log(tmp_path / "log", MemoryBooks(before))
    log.append(TextDelta(text="x"), "w")
    log.close()
    log = open_event_log(tmp_path / "log")
    assert events_of(envelopes_in(tmp_path / "log"), "w") == [TextDelta(text="x")]
    assert not [event for event in events_of(envelopes_in(tmp_path / "log"), None) if isinstance(event, LogRecovered)]
    log.close()


def test_an_event_of_somebodys_own_is_carried_through(tmp_path: Path):
    log = open_event_log(tmp_path / "log")
    events: list[Event] = [UnknownEvent(name="made_up", data={"a": [1, None]}), UnknownEvent(name="bare")]
    for event in events:
        log.append(event, "w")
    log.close()
    assert events_of(envelopes_in(tmp_path / "log"), "w") == events
