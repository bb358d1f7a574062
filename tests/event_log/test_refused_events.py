"""yoi_runtime.event_log.event_log on a disk that refuses: what is told, to whom, and when."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.event_log.memory_books import MemoryBooks
from tests.event_log.quick_files import QuickFiles
from tests.event_log.sample_event_log import (
    BIG,
    FIRST,
    fill,
    filling,
    open_event_log,
    run_threads,
)
from tests.event_log.written_events import check_numbers, envelopes_in, events_of
from tests.faults.clocks import ManualClock
from tests.faults.failing_files import FailingFiles
from tests.faults.small_disk import SmallDisk
from tests.support.deadline import wait_until
from yoi_runtime.errors import LogFullError
from yoi_runtime.events import (
    EventsLost,
    RuntimeStarted,
    TextDelta,
    TextDone,
)
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.timestamp import TimestampFormat


def test_an_alert_that_is_refused_does_not_bring_its_event_twice(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.event_log", "could not be told in the log")
    files = FailingFiles()
    log = open_event_log(tmp_path / "log", options=BIG, platform=Platform(files=files, clock=ManualClock()))
    files.fail(errno.ENOSPC, "pwrite", name=FIRST, at=2)
    token = log.offer(TextDone(text="x" * 300_000), "w")
    assert files.struck == 1
    log.append(TextDelta(text="next"), "w")
    log.close()
    envelopes = envelopes_in(tmp_path / "log")
    check_numbers(envelopes)
    assert envelopes[0].cursor == token
    assert [type(envelope.payload) for envelope in envelopes] == [TextDone, EventsLost, TextDelta]


def test_what_a_full_disk_refused_is_told_before_the_next_event(tmp_path: Path):
    clock = ManualClock()
    files, platform = filling(clock)
    log = open_event_log(tmp_path / "log", options=BIG, platform=platform)
    log.append(TextDelta(text="before"), "w")
    fill(files)
    times = []
    for number in range(3):
        clock.pass_seconds(1)
        times.append(TimestampFormat()(clock.now_us()))
        with pytest.raises(LogFullError):
            log.append(TextDelta(text=str(number)), "w")
    files.heal()
    clock.pass_seconds(1)
    log.append(TextDelta(text="after"), "w")
    log.append(TextDelta(text="told once"), "w")
    log.close()
    envelopes = envelopes_in(tmp_path / "log")
    check_numbers(envelopes)
    assert events_of(envelopes, "w") == [
        TextDelta(text="before"),
        EventsLost(count=3, from_time=times[0], to_time=times[2]),
        TextDelta(text="after"),
        TextDelta(text="told once"),
    ]


def test_each_worker_is_told_its_own_loss_also_one_that_says_nothing_more(tmp_path: Path):
    files, platform = filling()
    log = open_event_log(tmp_path / "log", options=BIG, platform=platform)
    fill(files)
    for worker_id in ("a", "b", "b", "c"):
        with pytest.raises(LogFullError):
            log.append(TextDelta(text="lost"), worker_id)
    with pytest.raises(LogFullError):
        log.append(RuntimeStarted(version="1", pid=1))
    files.heal()
    log.append(TextDelta(text="after"), "d")
    envelopes = wait_until(lambda: len(found := envelopes_in(tmp_path / "log")) == 4 and found)
    assert envelopes
    check_numbers(envelopes)
    lost = {e.worker_id: e.payload.count for e in envelopes if isinstance(e.payload, EventsLost)}
    assert lost == {"a": 1, "b": 2, "c": 1}
    assert envelopes[-1].payload == TextDelta(text="after")
    log.close()


def test_a_loss_that_cannot_be_told_yet_stays_noted_and_grows(tmp_path: Path):
    files, platform = filling()
    log = open_event_log(tmp_path / "log", options=BIG, platform=platform)
    fill(files)
    with pytest.raises(LogFullError):
        log.append(TextDelta(text="1"), "a")
    with pytest.raises(LogFullError):
        log.append(TextDelta(text="2"), "b")
    files.heal()
    # a's loss can be told, then the disk is full again.
    files.fail(errno.ENOSPC, "pwrite", name=FIRST, at=2)
    with pytest.raises(LogFullError):
        log.append(TextDelta(text="3"), "b")
    log.append(TextDelta(text="4"), "b")
    log.close()
    envelopes = envelopes_in(tmp_path / "log")
    check_numbers(envelopes)
    assert [(e.worker_id, getattr(e.payload, "count", None)) for e in envelopes] == [("a", 1), ("b", 2), ("b", None)]


def test_an_offer_that_is_refused_is_no_loss(tmp_path: Path):
    files, platform = filling()
    log = open_event_log(tmp_path / "log", options=BIG, platform=platform)
    fill(files)
    for _ in range(3):
        with pytest.raises(LogFullError):
            log.offer(TextDelta(text="kept"), "w")
    files.heal()
    log.offer(TextDelta(text="kept"), "w")
    log.close()
    assert events_of(envelopes_in(tmp_path / "log"), "w") == [TextDelta(text="kept")]


@pytest.mark.parametrize("error", [errno.EIO, errno.EDQUOT, errno.EFBIG], ids=errno.errorcode.__getitem__)
def test_any_refusal_of_the_disk_is_told(tmp_path: Path, error: int):
    files, platform = filling()
    log = open_event_log(tmp_path / "log", options=BIG, platform=platform)
    fill(files, error)
    with pytest.raises(OSError if error == errno.EIO else LogFullError):
        log.append(TextDelta(text="lost"), "w")
    files.heal()
    log.append(TextDelta(text="after"), "w")
    log.close()
    lost, after = events_of(envelopes_in(tmp_path / "log"), "w")
    assert isinstance(lost, EventsLost)
    assert after == TextDelta(text="after")


def test_a_write_that_ends_midway_leaves_nothing_of_its_record(tmp_path: Path):
    files, platform = filling()
    log = open_event_log(tmp_path / "log", options=BIG, platform=platform)
    log.append(TextDelta(text="before"), "w")
    files.write_short(100, name=FIRST)
    files.fail(errno.ENOSPC, "pwrite", name=FIRST, at=2)
    with pytest.raises(LogFullError) as refused:
        log.append(TextDelta(text="lost"), "w")
    assert refused.value.seq == 2
    log.append(TextDelta(text="after"), "w")
    log.close()
    envelopes = envelopes_in(tmp_path / "log")
    check_numbers(envelopes)
    assert [type(envelope.payload) for envelope in envelopes] == [TextDelta, EventsLost, TextDelta]


def test_a_loss_is_told_at_the_close_if_nothing_came_before(tmp_path: Path):
    files, platform = filling()
    log = open_event_log(tmp_path / "log", options=BIG, platform=platform)
    fill(files)
    with pytest.raises(LogFullError):
        log.append(TextDelta(text="lost"), "w")
    files.heal()
    log.close()
    (lost,) = events_of(envelopes_in(tmp_path / "log"), "w")
    assert isinstance(lost, EventsLost)


def test_a_loss_is_told_by_maintenance_if_nothing_came_before(tmp_path: Path):
    files, platform = filling()
    log = open_event_log(tmp_path / "log", options=BIG, platform=platform)
    fill(files)
    with pytest.raises(LogFullError):
        log.append(TextDelta(text="lost"), "w")
    with pytest.raises(LogFullError):
        log.maintain()
    files.heal()
    log.maintain()
    wait_until(lambda: [type(event) for event in events_of(envelopes_in(tmp_path / "log"), "w")] == [EventsLost])
    log.close()


def test_a_log_closes_also_on_a_full_disk(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.event_log", "refused events of v, w could not be told")
    files, platform = filling()
    log = open_event_log(tmp_path / "log", options=BIG, platform=platform)
    log.append(TextDelta(text="before"), "w")
    fill(files)
    for worker_id in ("v", "w"):
        with pytest.raises(LogFullError):
            log.append(TextDelta(text="lost"), worker_id)
    log.close()
    assert files.open_files == []
    assert events_of(envelopes_in(tmp_path / "log"), "w") == [TextDelta(text="before")]


def test_a_roll_without_room_refuses_the_event_and_loses_nothing(tmp_path: Path):
    files, platform = filling()
    log = open_event_log(tmp_path / "log", platform=platform)
    second = "00000000000000000002.tmp"
    files.fail(errno.ENOSPC, "pwrite", name=second, for_ever=True)
    accepted = refused = 0
    for _ in range(20):
        try:
            log.append(TextDelta(text="x" * 300), "w")
            accepted += 1
        except LogFullError:
            refused += 1
    assert accepted
    assert refused
    files.heal()
    log.append(TextDelta(text="after"), "w")
    log.close()
    envelopes = envelopes_in(tmp_path / "log")
    check_numbers(envelopes)
    # What tells of a loss is small, and may find room where the next event does not.
    lost = [e.payload.count for e in envelopes if isinstance(e.payload, EventsLost)]
    assert sum(lost) == refused
    assert len(envelopes) == accepted + len(lost) + 1


def test_what_many_threads_were_refused_is_counted_to_the_last(tmp_path: Path):
    disk = SmallDisk(60_000, QuickFiles())
    books = MemoryBooks()
    log = open_event_log(tmp_path / "log", books, platform=Platform(files=disk, clock=ManualClock()))
    refused = [0] * 4
    accepted: list[list[str]] = [[] for _ in range(4)]
    lock = threading.Lock()

    def emit(worker: int) -> None:
        for number in range(400):
            try:
                log.append(TextDelta(text=str(number)), f"w{worker}")
                accepted[worker].append(str(number))
            except LogFullError:
                refused[worker] += 1
                if refused[worker] % 5 == 0:
                    with lock:
                        disk.room_bytes += 20_000

    run_threads(4, emit)
    disk.room_bytes += 1 << 20
    log.close()
    assert sum(refused) > 20
    envelopes = envelopes_in(tmp_path / "log")
    check_numbers(envelopes)
    for worker in range(4):
        events = events_of(envelopes, f"w{worker}")
        assert [event.text for event in events if isinstance(event, TextDelta)] == accepted[worker]
        assert sum(event.count for event in events if isinstance(event, EventsLost)) == refused[worker]
