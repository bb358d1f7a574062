"""yoi_runtime.event_log.upkeep keeps the log within its bounds, and deletes nothing else."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.event_log.memory_books import MemoryBooks
from tests.event_log.quick_files import QuickFiles
from tests.event_log.sample_event_log import (
    DAY_SECONDS,
    SMALL,
    TEN_YEARS_SECONDS,
    append_segments,
    filling,
    numbers_in,
    open_event_log,
)
from tests.event_log.written_events import check_numbers, envelopes_in
from tests.faults.clocks import ManualClock
from tests.faults.small_disk import SmallDisk
from tests.support.deadline import wait_until
from yoi_runtime.errors import LogFullError
from yoi_runtime.event_log.event_log import EventLog
from yoi_runtime.events import TextDelta
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.writer import LogOptions, LogWriter


def test_without_rules_nothing_is_deleted(tmp_path: Path):
    clock = ManualClock()
    log = open_event_log(tmp_path / "log", platform=Platform(files=QuickFiles(), clock=clock))
    append_segments(log, 30)
    clock.pass_seconds(TEN_YEARS_SECONDS)
    log.maintain()
    log.close()
    assert numbers_in(tmp_path / "log") == list(range(1, 32))


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_no_more_segments_are_kept_than_asked_for(tmp_path: Path, keep: int):
    log = open_event_log(tmp_path / "log", retention=RetentionPolicy(None, None, keep))
    append_segments(log, 9)
    assert numbers_in(tmp_path / "log") == list(range(11 - keep, 11))
    log.append(TextDelta(text="here"), "w")
    log.close()
    envelopes = envelopes_in(tmp_path / "log")
    check_numbers(envelopes, first_seq=None)
    assert (len(envelopes), envelopes[-1].seq) == (keep, 10)


def test_the_disk_never_holds_more_than_it_may(tmp_path: Path):
    segment, retain = 32 << 10, 128 << 10
    # What is kept, two segments, the reserve; the watermark, the lock and the headers are the last kilobytes.
    disk = SmallDisk(retain + 2 * segment + segment + 4096, QuickFiles())
    log = open_event_log(
        tmp_path / "log",
        options=LogOptions(segment_bytes=segment),
        retention=RetentionPolicy(retain, None, None),
        platform=Platform(files=disk, clock=ManualClock()),
    )
    for number in range(3000):
        log.append(TextDelta(text="x" * (number % 700)), "w")
    log.close()
    assert disk.refused == 0
    envelopes = envelopes_in(tmp_path / "log")
    check_numbers(envelopes, first_seq=None)
    assert envelopes[-1].seq == 3000
    kept = sum(path.stat().st_size for path in (tmp_path / "log").glob("*.jsonl"))
    assert retain - segment <= kept <= retain + segment


def test_segments_go_when_they_are_older_than_asked_for(tmp_path: Path):
    clock = ManualClock()
    retention = RetentionPolicy(None, 4 * DAY_SECONDS, None)
    log = open_event_log(tmp_path / "log", retention=retention, platform=Platform(files=QuickFiles(), clock=clock))
    for _ in range(3):
        append_segments(log, 1)
        clock.pass_seconds(DAY_SECONDS)
    clock.pass_seconds(DAY_SECONDS)
    log.maintain()
    assert numbers_in(tmp_path / "log") == [1, 2, 3, 4], "the first was sealed four days ago, not longer"
    clock.pass_seconds(1)
    log.maintain()
    assert numbers_in(tmp_path / "log") == [2, 3, 4]
    clock.pass_seconds(DAY_SECONDS)
    log.maintain()
    assert numbers_in(tmp_path / "log") == [3, 4]
    clock.pass_seconds(100 * DAY_SECONDS)
    log.maintain()
    assert numbers_in(tmp_path / "log") == [4], "the active segment stays, and an empty one is not rolled"
    log.close()


def test_the_active_segment_is_rolled_at_a_quarter_of_the_age_that_is_kept(tmp_path: Path):
    clock = ManualClock()
    retention = RetentionPolicy(None, 4 * DAY_SECONDS, None)
    log = open_event_log(tmp_path / "log", retention=retention, platform=Platform(files=QuickFiles(), clock=clock))
    log.append(TextDelta(text="old"), "w")
    clock.pass_seconds(DAY_SECONDS)
    log.maintain()
    assert numbers_in(tmp_path / "log") == [1]
    clock.pass_seconds(1)
    log.maintain()
    assert numbers_in(tmp_path / "log") == [1, 2]
    clock.pass_seconds(4 * DAY_SECONDS + 1)
    log.maintain()
    assert numbers_in(tmp_path / "log") == [2]
    log.close()


@pytest.mark.parametrize("jump_seconds", [TEN_YEARS_SECONDS, -TEN_YEARS_SECONDS], ids=["forward", "back"])
@pytest.mark.parametrize("back_again", [False, True], ids=["for good", "and back again"])
def test_a_clock_that_jumps_ten_years_deletes_nothing(tmp_path: Path, jump_seconds: float, back_again: bool):
    clock = ManualClock()
    retention = RetentionPolicy(None, 7 * DAY_SECONDS, None)
    books = MemoryBooks()

    def reopen() -> EventLog:
        return open_event_log(
            tmp_path / "log", books, retention=retention, platform=Platform(files=QuickFiles(), clock=clock)
        )

    log = reopen()
    append_segments(log, 3)
    clock.jump_wall(jump_seconds)
    append_segments(log, 3)
    log.maintain()
    log.close()
    clock.pass_seconds(60)
    log = reopen()
    log.start_maintenance(3600)
    append_segments(log, 3)
    if back_again:
        clock.jump_wall(-jump_seconds)
        append_segments(log, 1)
        log.maintain()
        log.close()
        log = reopen()
        log.start_maintenance(3600)
        append_segments(log, 1)
    log.maintain()
    assert numbers_in(tmp_path / "log")[0] == 1, "nothing was deleted"
    clock.pass_seconds(7 * DAY_SECONDS + 1)
    log.maintain()
    assert len(numbers_in(tmp_path / "log")) == 1, "time that passes counts as ever"
    log.close()


def test_what_is_due_when_a_log_is_opened_goes_at_once(tmp_path: Path):
    log = open_event_log(tmp_path / "log")
    append_segments(log, 5)
    log.close()
    log = open_event_log(tmp_path / "log", retention=RetentionPolicy(None, None, 2))
    log.start_maintenance(3600)
    assert numbers_in(tmp_path / "log") == [6, 7]
    log.close()


def test_nothing_is_deleted_that_the_books_could_not_write_down(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.event_log", "retention could not follow the roll")
    failing = True

    def before(call: str) -> None:
        if call == "rotating_out" and failing:
            raise OSError(errno.EIO, "the books are wet")

    books = MemoryBooks(before)
    log = open_event_log(tmp_path / "log", books, retention=RetentionPolicy(None, None, 2))
    append_segments(log, 5)
    assert numbers_in(tmp_path / "log") == [1, 2, 3, 4, 5, 6]
    with pytest.raises(OSError, match="wet"):
        log.maintain()
    failing = False
    log.maintain()
    assert numbers_in(tmp_path / "log") == [5, 6]
    assert books.of("rotated_out") == [(1, 2, 3, 4)]
    log.close()


def test_a_roll_that_the_books_could_not_follow_stops_neither_events_nor_retention(
    tmp_path: Path, expect_log: ExpectLog
):
    expect_log("yoi_runtime.event_log", "the books could not follow the roll")

    def before(call: str) -> None:
        if call == "sealed":
            raise OSError(errno.EIO, "the books are wet")

    log = open_event_log(tmp_path / "log", MemoryBooks(before), retention=RetentionPolicy(None, None, 2))
    append_segments(log, 5)
    assert numbers_in(tmp_path / "log") == [5, 6]
    log.append(TextDelta(text="here"), "w")
    log.close()
    check_numbers(envelopes_in(tmp_path / "log"), first_seq=None)


def test_the_books_are_told_of_those_that_went_when_a_deletion_fails_midway(tmp_path: Path):
    files, platform = filling()
    log = open_event_log(tmp_path / "log", platform=platform)
    append_segments(log, 5)
    log.close()
    books = MemoryBooks()
    log = open_event_log(tmp_path / "log", books, retention=RetentionPolicy(None, None, 2), platform=platform)
    files.fail(errno.EIO, "unlink", name="00000000000000000003.jsonl")
    with pytest.raises(OSError, match="Input/output"):
        log.maintain()
    assert books.of("rotated_out") == [(1, 2)]
    assert numbers_in(tmp_path / "log") == [3, 4, 5, 6, 7]
    log.maintain()
    assert books.of("rotated_out") == [(1, 2), (3, 4, 5)]
    log.close()


@pytest.mark.parametrize("by_maintenance", [False, True], ids=["by the next roll", "by maintenance"])
def test_every_roll_is_told_also_one_whose_first_event_was_refused(tmp_path: Path, by_maintenance: bool):
    files, platform = filling()
    books = MemoryBooks()
    log = open_event_log(tmp_path / "log", books, platform=platform)
    files.fail(errno.ENOSPC, "pwrite", name="00000000000000000002.jsonl")
    while True:
        try:
            log.offer(TextDelta(text="x" * 300), "w")
        except LogFullError:
            break
    assert numbers_in(tmp_path / "log") == [1, 2]
    if by_maintenance:
        log.maintain()
    else:
        log.roll()
    assert [numbers[0] for numbers in books.of("sealed")] == ([1] if by_maintenance else [1, 2])
    log.close()


def test_old_segments_go_also_when_there_is_no_room_for_a_roll(tmp_path: Path):
    clock = ManualClock()
    files, platform = filling(clock)
    retention = RetentionPolicy(None, 4 * DAY_SECONDS, None)
    log = open_event_log(tmp_path / "log", retention=retention, platform=platform)
    append_segments(log, 2)
    log.append(TextDelta(text="x"), "w")
    clock.pass_seconds(5 * DAY_SECONDS)
    files.fail(errno.ENOSPC, "create", name="00000000000000000004.tmp")
    with pytest.raises(LogFullError):
        log.maintain()
    assert numbers_in(tmp_path / "log") == [3]
    log.close()


# The maintenance thread.


def maintenance_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "yoi-maintenance"]


def test_maintenance_goes_on_in_its_thread_until_the_close(tmp_path: Path):
    clock = ManualClock()
    retention = RetentionPolicy(None, 4 * DAY_SECONDS, None)
    log = open_event_log(tmp_path / "log", retention=retention, platform=Platform(files=QuickFiles(), clock=clock))
    log.start_maintenance(0.005)
    log.append(TextDelta(text="x"), "w")
    clock.pass_seconds(DAY_SECONDS + 1)
    wait_until(lambda: numbers_in(tmp_path / "log") == [1, 2])
    clock.pass_seconds(4 * DAY_SECONDS + 1)
    wait_until(lambda: numbers_in(tmp_path / "log") == [2])
    assert len(maintenance_threads()) == 1
    log.close()
    assert maintenance_threads() == []


def test_maintenance_survives_what_fails_in_it(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.event_log", "maintenance of the log failed, will try again.*wet")
    failures = 0

    def before(call: str) -> None:
        nonlocal failures
        if call == "rotating_out" and failures < 3:
            failures += 1
            raise OSError(errno.EIO, "the books are wet")

    log = open_event_log(tmp_path / "log", MemoryBooks(before))
    append_segments(log, 3)
    log.close()
    log = open_event_log(tmp_path / "log", MemoryBooks(before), retention=RetentionPolicy(None, None, 1))
    log.start_maintenance(0.005)
    wait_until(lambda: numbers_in(tmp_path / "log") == [5])
    assert failures == 3
    log.close()


# A rotation that did not come to its end.


def test_what_was_counted_as_gone_goes_whatever_retention_says_today(tmp_path: Path):
    log = open_event_log(tmp_path / "log")
    append_segments(log, 5)
    log.close()
    books = MemoryBooks(counted=3)
    log = open_event_log(tmp_path / "log", books)
    log.maintain()
    assert numbers_in(tmp_path / "log") == [4, 5, 6, 7]
    assert books.of("rotated_out") == [(1, 2, 3)]
    log.maintain()
    assert books.of("rotated_out") == [(1, 2, 3)]
    log.close()


def test_everything_is_synced_before_the_books_are_made_durable(tmp_path: Path):
    """A power cut would otherwise take an event that its Worker's number in the books counts."""

    def before(call: str) -> None:
        if call in ("rotating_out", "save"):
            reader = LogReader(tmp_path / "log")
            synced.append((call, reader.watermark.synced.seq))
            reader.close()

    synced: list[tuple[str, int]] = []
    platform = Platform(files=QuickFiles(), clock=ManualClock())
    writer = LogWriter(tmp_path / "log", SMALL, platform, background=False)
    log = EventLog(writer, MemoryBooks(before), RetentionPolicy(None, None, 2), platform)
    append_segments(log, 2)
    log.append(TextDelta(text="x"), "w")
    log.roll()
    log.append(TextDelta(text="x"), "w")
    log.close()
    assert synced == [("rotating_out", 2), ("rotating_out", 3), ("save", 4)]
    log = EventLog(
        LogWriter(tmp_path / "log", SMALL, platform, background=False),
        MemoryBooks(before),
        RetentionPolicy(None, None, 1),
        platform,
    )
    log.append(TextDelta(text="x"), "w")
    log.maintain()
    assert synced[3:] == [("rotating_out", 5)]
    log.close()
