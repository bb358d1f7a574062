"""Many events in one call: each an event like any other, in one order, and a prefix of them when the disk refuses."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.event_log.memory_books import MemoryBooks
from tests.event_log.sample_event_log import BIG, KEEP_ALL, SMALL, fill, filling, open_event_log, run_threads
from tests.event_log.test_turn import Interrupted, envelopes
from tests.event_log.written_events import by_worker, check_numbers, envelopes_in, events_of, lines_in
from tests.faults.failing_files import FailingFiles
from yoi_runtime import Runtime, RuntimeOptions
from yoi_runtime.errors import (
    EventInvalidError,
    LogBrokenError,
    LogFullError,
    LogReentryError,
    LogStoppedError,
    RecordTooLargeError,
    WorkerEndedError,
)
from yoi_runtime.event_log.author import Author
from yoi_runtime.events import (
    Alert,
    Event,
    EventsLost,
    RuntimeStarted,
    Status,
    TextDelta,
    TextDone,
    UnknownEvent,
    keyed_records,
)
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.retention import RetentionPolicy


def deltas(count: int, size: int = 10, mark: str = "") -> list[Event]:
    return [TextDelta(text=f"{mark}{number} {'x' * size}") for number in range(count)]


@pytest.mark.parametrize("options", [SMALL, BIG], ids=["rolls", "one segment"])
def test_the_books_and_the_records_are_those_of_single_appends(tmp_path: Path, options):
    books = MemoryBooks(), MemoryBooks()
    together = open_event_log(tmp_path / "a", books[0], options=options)
    singly = open_event_log(tmp_path / "b", books[1], options=options)
    tokens = []
    for count in (0, 1, 700, 40):
        for worker_id in ("w", None):
            events = deltas(count, 100) if worker_id else [RuntimeStarted(version="1", pid=count)] * (count % 50)
            found = together.append_many(events, worker_id)
            assert len(found) == len(events)
            tokens += found
            for event in events:
                singly.append(event, worker_id)
    together.close()
    singly.close()
    written = envelopes_in(tmp_path / "a")
    check_numbers(written)
    assert [envelope.cursor for envelope in written] == tokens
    assert [(e.seq, e.worker_id, e.worker_seq, e.payload, e.time) for e in written] == [
        (e.seq, e.worker_id, e.worker_seq, e.payload, e.time) for e in envelopes_in(tmp_path / "b")
    ]
    assert books[0].calls == books[1].calls


def test_retention_follows_within_one_call(tmp_path: Path):
    log = open_event_log(tmp_path / "log", retention=RetentionPolicy(20_000, None, None))
    log.append_many(deltas(500, 100), "w")
    log.close()
    written = envelopes_in(tmp_path / "log")
    check_numbers(written, first_seq=None)
    assert written[-1].seq == 500
    assert written[0].seq > 400


def test_several_threads_do_not_come_between_the_events_of_one_call(tmp_path: Path):
    log = open_event_log(tmp_path / "log", options=BIG)

    def work(number: int) -> None:
        for turn in range(10):
            log.append_many(deltas(30, mark=f"{turn} "), f"w{number}")
            log.append(TextDelta(text="alone"), "other")

    run_threads(4, work)
    log.close()
    written = envelopes_in(tmp_path / "log")
    check_numbers(written)
    for worker_id, own in by_worker(written).items():
        if worker_id != "other":
            assert len(own) == 300
            for first in range(0, 300, 30):
                assert own[first + 29].seq - own[first].seq == 29


def test_an_event_that_cannot_be_encoded_keeps_all_of_them_out(tmp_path: Path):
    log = open_event_log(tmp_path / "log")
    bad: list[tuple[Event, type[Exception]]] = [
        (TextDelta(text="\ud800"), EventInvalidError),
        (UnknownEvent(name="numbers", data=list(range(100_000))), RecordTooLargeError),
    ]
    for event, error in bad:
        with pytest.raises(error):
            log.append_many([*deltas(3), event, *deltas(3)], "w")
    log.append_many(deltas(2), "w")
    log.close()
    assert events_of(envelopes_in(tmp_path / "log"), "w") == deltas(2)


def test_an_event_that_is_cut_has_its_alert_after_it(tmp_path: Path):
    log = open_event_log(tmp_path / "log", options=BIG)
    tokens = log.append_many([*deltas(2), TextDone(text="x" * 300_000), *deltas(3)], "w")
    log.close()
    written = envelopes_in(tmp_path / "log")
    check_numbers(written)
    kinds = [type(envelope.payload) for envelope in written]
    assert kinds == [TextDelta, TextDelta, TextDone, Alert, TextDelta, TextDelta, TextDelta]
    assert tokens == [e.cursor for e in written if not isinstance(e.payload, Alert)]


def test_a_status_among_many_counts(tmp_path: Path):
    with Runtime.open(tmp_path) as runtime:
        runtime.create_worker("a").emit_many([*deltas(2), Status(status="paused"), *deltas(2)])
        assert runtime._ledger.workers["a"].status == "paused"
        assert runtime._ledger.workers["a"].worker_seq == 5


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("kept", [False, True], ids=["appended", "offered"])
@pytest.mark.parametrize("segment", range(1, 6))
@pytest.mark.parametrize("ending", ["jsonl", "tmp"], ids=["records", "header"])
def test_whatever_write_the_disk_refuses_a_prefix_is_there_and_the_rest_is_told(
    tmp_path: Path, error: int, kept: bool, segment: int, ending: str
):
    """Sixty events go into six segments; the one write of records, or of the header, of a segment is refused."""
    files, platform = filling()
    log = open_event_log(tmp_path / "log", platform=platform)
    events = deltas(60, 100)
    files.fail(error, "pwrite", name=f"{segment if ending == 'jsonl' else segment + 1:020d}.{ending}")
    append = log.offer_many if kept else log.append_many
    taken = 0
    if segment == 1 and ending == "jsonl":
        with pytest.raises(OSError if error == errno.EIO else LogFullError):
            append(events, "w")
    else:
        with pytest.raises(LogStoppedError) as caught:
            append(events, "w")
        cause = caught.value.cause
        assert isinstance(cause, OSError if error == errno.EIO else LogFullError)
        assert caught.value.__cause__ is cause
        taken = len(caught.value.cursors)
        assert 0 < taken < 60
        assert log.append(TextDelta(text="other"), "other") not in caught.value.cursors
    assert files.struck == 1
    log.append_many(events[taken:] if kept else [TextDelta(text="after")], "w")
    log.close()
    written = envelopes_in(tmp_path / "log")
    check_numbers(written)
    own = events_of(written, "w")
    if kept:
        assert own == events
        return
    assert own[:taken] == events[:taken]
    lost = own[taken]
    assert isinstance(lost, EventsLost)
    assert lost.count == 60 - taken
    assert own[taken + 1 :] == [TextDelta(text="after")]


def test_what_many_lost_is_told_with_what_single_ones_lost(tmp_path: Path):
    files, platform = filling()
    log = open_event_log(tmp_path / "log", options=BIG, platform=platform)
    fill(files)
    with pytest.raises(LogFullError):
        log.append(TextDelta(text="one"), "w")
    for _ in range(2):
        with pytest.raises(LogFullError):
            log.append_many(deltas(5), "w")
    files.heal()
    log.append_many(deltas(2), "w")
    log.close()
    own = events_of(envelopes_in(tmp_path / "log"), "w")
    assert [getattr(event, "count", 0) for event in own] == [11, 0, 0]


@pytest.mark.parametrize("segment_bytes", [4096, 1 << 20], ids=["rolls", "one-segment"])
def test_ctrl_c_at_any_point_leaves_numbers_without_a_hole_or_a_double(
    tmp_path: Path, segment_bytes: int, expect_log: ExpectLog
):
    if segment_bytes == 4096:
        expect_log("yoi_runtime.event_log", "could not be mended, the next start does it")
        expect_log("yoi_runtime.runtime", "the end of Worker a could not be written")
        expect_log("yoi_runtime.runtime", "the end of the Runtime could not be written")
    points, interrupted = 0, True
    while interrupted:
        points += 1
        data_dir, files = tmp_path / str(points), Interrupted()
        runtime = Runtime.open(data_dir, RuntimeOptions(segment_bytes=segment_bytes), Platform(files=files))
        worker = runtime.create_worker("a")
        files.interrupt_after(points)
        emitted = 0
        try:
            for _ in range(3):
                emitted += len(worker.emit_many(deltas(20, 100)))
        except KeyboardInterrupt:
            pass
        interrupted = files.hook is None
        files.hook = None
        try:
            worker.emit(TextDelta(text="after"))
            runtime.close()
        except LogBrokenError:
            with pytest.raises(LogBrokenError):
                runtime.close()
            Runtime.open(data_dir).close()
        found = envelopes(data_dir)
        assert [envelope["seq"] for envelope in found] == list(range(1, len(found) + 1))
        own = [envelope["worker_seq"] for envelope in found if envelope["worker_id"] == "a"]
        assert own == list(range(1, len(own) + 1))
        assert emitted <= len(own) <= emitted + 21
        texts = [envelope["payload"]["data"]["text"] for envelope in found if envelope["worker_id"] == "a"]
        expected = [event.text for event in deltas(20, 100) * 3 if isinstance(event, TextDelta)]
        assert [text for text in texts if text != "after"] == expected[: len([t for t in texts if t != "after"])]
    print(f"{points - 1} points")  # noqa: T201 - what was exercised
    assert points > 3


def test_an_author_that_ended_and_a_handler_within_an_append_are_refused(tmp_path: Path):
    files = Interrupted()
    runtime = Runtime.open(tmp_path, platform=Platform(files=files))
    worker = runtime.create_worker("a")
    refused: list[Exception] = []

    def within() -> None:
        with pytest.raises(LogReentryError) as caught:
            worker.emit_many(deltas(2))
        refused.append(caught.value)

    files.left, files.hook = 1, within
    worker.emit_many(deltas(3))
    assert len(refused) == 1
    worker.end()
    for call in (worker.emit_many, worker.offer_many):
        with pytest.raises(WorkerEndedError):
            call(deltas(1))
    runtime.close()
    assert len([found for found in envelopes(tmp_path) if found["worker_id"] == "a"]) == 3


def test_the_same_author_object_is_asked_each_time(tmp_path: Path):
    log = open_event_log(tmp_path / "log", retention=KEEP_ALL)
    author = Author("w")
    events: Sequence[Event] = deltas(3)
    log.append_many(events, "w", author)
    author.ended = True
    with pytest.raises(WorkerEndedError):
        log.append_many(events, "w", author)
    log.close()
    assert len(envelopes_in(tmp_path / "log")) == 3


def test_more_than_one_run_of_many_small_events(tmp_path: Path):
    files = FailingFiles()
    log = open_event_log(tmp_path / "log", options=BIG, platform=Platform(files=files))
    before = files.count("pwrite")
    log.append_many(deltas(1500), "w")
    writes = files.count("pwrite") - before
    log.close()
    assert 3 <= writes < 20, "runs of 512, and what the commit thread wrote"
    assert len(envelopes_in(tmp_path / "log")) == 1500


@pytest.mark.parametrize("options", [SMALL, BIG], ids=["rolls", "one segment"])
def test_each_event_bears_its_own_key_also_one_that_is_cut(tmp_path: Path, options):
    log = open_event_log(tmp_path / "log", options=options)
    events = [*deltas(5), TextDone(text="x" * 300_000), *deltas(3)]
    keys = [None, "a", "b", None, "c", "long", None, "d", "e"]
    cursors = log.offer_many(events, "w", keys=keys)
    log.close()
    found = keyed_records(b"".join(line + b"\n" for line in lines_in(tmp_path / "log")))
    assert [record.key for record in found] == ["a", "b", "c", "long", "d", "e"]
    assert [record.cursor for record in found] == [
        cursor for cursor, key in zip(cursors, keys, strict=True) if key is not None
    ]


async def test_settled_is_when_everything_before_is_on_the_disk(tmp_path: Path):
    log = open_event_log(tmp_path / "log")
    log.append_many(deltas(50), "w")
    await log.settled()
    assert log._writer.synced == log._writer.end
    log.close()
    await log.settled()
