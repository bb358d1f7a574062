"""Commit: what is shown is on the disk first, everybody who waits is woken, and a failed sync is the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from pathlib import Path

import pytest

from tests.faults.failing_files import Call, FailingFiles
from tests.segment_log.sample_log import SMALL, append_many, body, open_log, platform_of, read_all
from tests.support.deadline import wait_until, wait_until_async
from yoi_runtime.errors import LogBrokenError, LogBusyError, LogClosedError
from yoi_runtime.segment_log import commit
from yoi_runtime.segment_log.doorbell import doorbell_of
from yoi_runtime.segment_log.platform import Platform, RealClock, RealFileOps
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.watermark import COMMITTED, read_watermark
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

ACTIVE = segment_name(1)
NEVER = Position(2**39, 0, 0, 0)


class GatedFiles(FailingFiles):
    """Holds every sync of a segment until ``gate`` is set; ``waiting`` says that one is held."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.waiting = threading.Event()
        self.gate.set()

    def fdatasync(self, fd: int) -> None:
        if not self.gate.is_set():
            self.waiting.set()
            assert self.gate.wait(30)
        super().fdatasync(fd)


@pytest.fixture
def files() -> FailingFiles:
    return FailingFiles()


@pytest.fixture
def gated() -> GatedFiles:
    return GatedFiles()


def options(**changes) -> LogOptions:
    return LogOptions(**{"segment_bytes": 1 << 20} | changes)


def test_synced_is_shown_after_the_sync(tmp_path: Path, files: FailingFiles):
    log = open_log(tmp_path / "log", platform_of(files))
    start = log.shown
    appended = log.append(body("a"))
    assert (log.end, log.shown, log.synced) == (appended.position, start, start)
    files.forget_calls()
    assert log.commit_once()
    assert files.calls == [Call("fdatasync", ACTIVE), Call("pwrite", COMMITTED)]
    assert log.shown == log.synced == appended.position
    assert read_watermark(tmp_path / "log", platform_of()).shown == appended.position
    assert not log.commit_once()
    log.close()


def test_written_is_shown_before_the_sync_and_synced_after_it(tmp_path: Path, files: FailingFiles):
    log = open_log(tmp_path / "log", platform_of(files), options(durability="written"))
    appended = log.append(body("a"))
    files.forget_calls()
    assert log.commit_once()
    assert files.calls == [Call("pwrite", COMMITTED), Call("fdatasync", ACTIVE), Call("pwrite", COMMITTED)]
    assert log.shown == log.synced == appended.position
    log.close()


def test_written_shows_records_while_the_disk_is_slow(tmp_path: Path, gated: GatedFiles):
    log = LogWriter(tmp_path / "log", options(durability="written"), platform_of(gated))
    reader = LogReader(tmp_path / "log", platform_of())
    start = log.synced
    gated.gate.clear()
    appended = log.append(body("a"))
    assert gated.waiting.wait(10)
    assert (log.shown, log.synced) == (appended.position, start)
    assert reader.refresh()
    assert read_all(reader).seqs == [1]
    assert (reader.watermark.shown.seq, reader.watermark.synced.seq) == (1, 0)
    gated.gate.set()
    log.wait_synced(appended.position, 10)
    assert log.synced == appended.position
    log.close()


def test_written_shows_what_is_appended_during_a_sync_without_waiting_for_it(tmp_path: Path, gated: GatedFiles):
    log = LogWriter(tmp_path / "log", options(durability="written"), platform_of(gated))
    reader = LogReader(tmp_path / "log", platform_of())
    start = log.synced
    gated.gate.clear()
    log.append(body("before"))
    assert gated.waiting.wait(10)
    for count in (1, 2, 300):
        append_many(log, count, commit=False)
        wait_until(lambda: log.shown == log.end, message="shown while the disk is busy")
        assert log.synced == start
        assert reader.refresh()
        assert reader.end == log.end
    gated.gate.set()
    log.wait_synced(log.end, 10)
    mark = read_watermark(tmp_path / "log", platform_of())
    assert mark.shown == mark.synced == log.shown == log.end
    log.close()


def test_written_never_takes_back_what_it_showed_under_rolls_and_many_threads(tmp_path: Path):
    log = LogWriter(tmp_path / "log", LogOptions(8192, durability="written"), platform_of())
    seen: list[tuple[Position, Position]] = []
    stop = doorbell_of(tmp_path / "log").listen(lambda: seen.append((log.shown, log.synced)))

    def append() -> None:
        for _ in range(400):
            log.append(body("x"))

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.wait_synced(log.end, 10)
    stop()
    assert len(log.sealed) >= 10
    assert log.shown == log.synced == log.end
    shown, synced = zip(*seen, strict=True)
    assert list(shown) == sorted(shown)
    assert list(synced) == sorted(synced)
    assert all(after <= before for before, after in seen)
    log.close()


def test_synced_shows_nothing_while_the_disk_is_slow(tmp_path: Path, gated: GatedFiles):
    log = LogWriter(tmp_path / "log", options(), platform_of(gated))
    reader = LogReader(tmp_path / "log", platform_of())
    gated.gate.clear()
    appended = log.append(body("a"))
    assert gated.waiting.wait(10)
    assert not reader.refresh()
    assert read_all(reader).seqs == []
    gated.gate.set()
    log.wait_synced(appended.position, 10)
    assert reader.refresh()
    assert read_all(reader).seqs == [1]
    log.close()


def test_the_thread_commits_what_is_appended_without_being_asked(tmp_path: Path):
    log = LogWriter(tmp_path / "log", SMALL, platform_of())
    append_many(log, 100, 200, commit=False)
    wait_until(lambda: log.synced == log.end)
    # And again after it has gone to sleep.
    for _ in range(20):
        append_many(log, 1, commit=False)
        wait_until(lambda: log.synced == log.end)
    assert len(log.sealed) > 5
    log.close()


def test_appends_during_one_sync_share_the_next(tmp_path: Path, gated: GatedFiles):
    log = LogWriter(tmp_path / "log", options(), platform_of(gated))
    gated.gate.clear()
    log.append(body("first"))
    assert gated.waiting.wait(10)
    before = gated.count("fdatasync", ACTIVE)
    append_many(log, 500, commit=False)
    gated.gate.set()
    log.wait_synced(log.end, 10)
    assert gated.count("fdatasync", ACTIVE) - before == 2
    log.close()


def test_the_bell_rings_after_readers_elsewhere_can_see_it(tmp_path: Path):
    directory = tmp_path / "log"
    log = open_log(directory)
    seen: list[Position] = []
    stop = doorbell_of(directory).listen(lambda: seen.append(read_watermark(directory, platform_of()).shown))
    ends = [append_many(log, 3)[-1].position, append_many(log, 1)[-1].position]
    assert seen == ends
    stop()
    log.close()


# Waiting.


async def test_one_sync_wakes_everybody_it_serves_and_nobody_else(tmp_path: Path):
    log = open_log(tmp_path / "log", options=options())
    early = append_many(log, 300, commit=False)
    waiters = [asyncio.ensure_future(log.synced_at(appended.position)) for appended in early]
    await asyncio.sleep(0)
    assert not any(waiter.done() for waiter in waiters)
    assert await asyncio.to_thread(log.commit_once)
    await asyncio.wait_for(asyncio.gather(*waiters), 10)
    late = [asyncio.ensure_future(log.synced_at(appended.position)) for appended in append_many(log, 5, commit=False)]
    await asyncio.sleep(0)
    await log.synced_at(early[-1].position)
    assert not any(waiter.done() for waiter in late)
    log.commit_once()
    await asyncio.wait_for(asyncio.gather(*late), 10)
    log.close()


async def test_waiters_of_several_loops_and_threads_are_woken_by_one_sync(tmp_path: Path, gated: GatedFiles):
    log = LogWriter(tmp_path / "log", options(), platform_of(gated))
    gated.gate.clear()
    end = append_many(log, 10, commit=False)[-1].position
    served: list[str] = []

    def wait_in_a_thread() -> None:
        log.wait_synced(end, 30)
        served.append("thread")

    def wait_in_a_loop() -> None:
        asyncio.run(log.synced_at(end))
        served.append("loop")

    threads = [threading.Thread(target=target) for target in [wait_in_a_thread, wait_in_a_loop] * 4]
    for thread in threads:
        thread.start()
    mine = asyncio.ensure_future(log.synced_at(end))
    await asyncio.sleep(0)
    assert served == []
    gated.gate.set()
    await asyncio.wait_for(mine, 10)
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert sorted(served) == ["loop"] * 4 + ["thread"] * 4
    log.close()


async def test_a_waiter_that_gave_up_and_one_whose_loop_is_gone_harm_nobody(tmp_path: Path):
    log = open_log(tmp_path / "log", options=options())
    end = append_many(log, 1, commit=False)[-1].position
    gave_up = asyncio.ensure_future(log.synced_at(end))
    other = asyncio.ensure_future(log.synced_at(end))

    def leave_a_waiter_behind() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(log.synced_at(end))
        loop.run_until_complete(asyncio.sleep(0))
        task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    await asyncio.to_thread(leave_a_waiter_behind)
    gave_up.cancel()
    await asyncio.sleep(0)
    assert log.commit_once()
    await asyncio.wait_for(other, 10)
    assert gave_up.cancelled()
    log.close()


def test_waiting_ends_at_its_deadline(tmp_path: Path):
    log = open_log(tmp_path / "log", options=options())
    appended = log.append(body("a"))
    with pytest.raises(LogBusyError) as caught:
        log.wait_synced(appended.position, 0.01)
    assert caught.value.unsynced_bytes == appended.position.offset - log.shown.offset
    assert caught.value.waited_seconds == 0.01
    log.commit_once()
    log.wait_synced(appended.position, 0.01)
    log.close()


@pytest.mark.parametrize("deadline_seconds", [0.0, -0.5, -1.0])
def test_a_deadline_that_has_passed_is_not_waited_for(tmp_path: Path, deadline_seconds: float):
    log = open_log(tmp_path / "log", options=options())
    appended = log.append(body("a"))
    with pytest.raises(LogBusyError):
        log.wait_synced(appended.position, deadline_seconds)
    log.close()


def test_a_deadline_may_be_as_far_away_as_one_likes(tmp_path: Path):
    log = LogWriter(tmp_path / "log", options(), platform_of())
    log.wait_synced(log.append(body("a")).position, 1e20)
    log.close()


async def test_closing_answers_those_who_wait_for_what_will_never_come(tmp_path: Path):
    log = LogWriter(tmp_path / "log", options(), platform_of())
    end = append_many(log, 3, commit=False)[-1].position
    good, never = asyncio.ensure_future(log.synced_at(end)), asyncio.ensure_future(log.synced_at(NEVER))
    in_thread = asyncio.ensure_future(asyncio.to_thread(log.wait_synced, NEVER, 30))
    await asyncio.sleep(0)
    await asyncio.to_thread(log.close)
    await asyncio.wait_for(good, 10)
    for waiter in (never, in_thread):
        with pytest.raises(LogClosedError):
            await asyncio.wait_for(waiter, 10)
    await log.synced_at(end)
    with pytest.raises(LogClosedError):
        await log.synced_at(NEVER)
    with pytest.raises(LogClosedError):
        log.wait_synced(NEVER)


class SlowFiles(RealFileOps):
    """A disk that takes 4 ms for a sync, and counts."""

    def __init__(self) -> None:
        self.syncs = 0

    def fdatasync(self, fd: int) -> None:
        super().fdatasync(fd)
        self.syncs += 1
        threading.Event().wait(0.004)


async def test_tasks_that_were_woken_together_are_synced_together_again(tmp_path: Path):
    """Without the pause for them the first one's record is synced alone, before the others come."""
    files = SlowFiles()
    log = LogWriter(tmp_path / "log", options(), platform_of(files, clock=RealClock()))
    loop = asyncio.get_running_loop()
    deadline, running = loop.time() + 30, 0
    while running < 3:
        await asyncio.gather(*(log.synced_at(place.position) for place in append_many(log, 5, commit=False)))
        before = files.syncs
        first = asyncio.ensure_future(log.synced_at(log.append(body("first")).position))
        await asyncio.sleep(0.0005)  # the others take their time
        others = [log.synced_at(place.position) for place in append_many(log, 4, commit=False)]
        await asyncio.gather(first, *others)
        # A busy machine may keep the others from coming in time, or the thread from being too early, but not thrice.
        running = running + 1 if files.syncs - before == 1 else 0
        assert loop.time() < deadline, f"{files.syncs - before} syncs"
    log.close()


async def test_a_waiter_ends_the_pause_of_a_thread_that_takes_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(commit, "_PAUSE_SECONDS", 60.0)
    log = LogWriter(tmp_path / "log", options(), platform_of(RealFileOps()))
    for _ in range(20):
        end = append_many(log, 200, commit=False)[-1].position
        await asyncio.wait_for(log.synced_at(end), 10)
        await asyncio.to_thread(log.wait_synced, append_many(log, 200, commit=False)[-1].position, 10)
    append_many(log, 200, commit=False)
    log.close()


# The bound on unsynced bytes.


def test_too_many_unsynced_bytes_keep_an_append_waiting_and_then_refuse_it(tmp_path: Path):
    log = open_log(tmp_path / "log", options=options(max_unsynced_bytes=2000, append_deadline_seconds=0.01))
    with pytest.raises(LogBusyError) as caught:
        append_many(log, 100, commit=False)
    accepted = log.end.seq
    size = log.end.offset - log.shown.offset
    assert caught.value.unsynced_bytes == size
    assert 2000 <= size < 2000 + size / accepted
    assert accepted > 3
    log.commit_once()
    assert log.append(body("b")).position.seq == accepted + 1, "nothing was written by the append that was refused"
    log.close()


def test_an_append_that_waits_for_the_disk_goes_on_when_it_is_there(tmp_path: Path, gated: GatedFiles):
    log = LogWriter(tmp_path / "log", options(max_unsynced_bytes=2000, append_deadline_seconds=30), platform_of(gated))
    gated.gate.clear()
    log.append(body("first"))
    assert gated.waiting.wait(10)
    done: list[int] = []

    def append() -> None:
        done.extend(log.append(body("a", 100)).position.seq for _ in range(50))

    thread = threading.Thread(target=append)
    thread.start()
    wait_until(lambda: log.end.offset - log.shown.offset >= 2000)
    assert len(done) < 50
    gated.gate.set()
    thread.join()
    assert done == list(range(2, 52))
    log.close()


async def test_a_coroutine_waits_for_room_without_blocking_its_loop(tmp_path: Path):
    log = open_log(tmp_path / "log", options=options(max_unsynced_bytes=2000, append_deadline_seconds=0))
    await log.room()
    with pytest.raises(LogBusyError):
        append_many(log, 100, commit=False)
    waiters = [asyncio.ensure_future(log.room()) for _ in range(20)]
    await asyncio.sleep(0)
    assert not any(waiter.done() for waiter in waiters)
    assert await asyncio.to_thread(log.commit_once)
    await asyncio.wait_for(asyncio.gather(*waiters), 10)
    log.append(body("a"))
    log.close()


def test_bytes_synced_in_earlier_segments_do_not_count(tmp_path: Path):
    log = open_log(tmp_path / "log", options=LogOptions(4096, max_unsynced_bytes=6000, append_deadline_seconds=0))
    for _ in range(20):
        # Each roll commits; without counting that, the bound would be reached in the second segment.
        append_many(log, 12, commit=False)
    log.close()


# A failed sync.


@pytest.mark.parametrize("durability", ["synced", "written"])
async def test_the_first_failed_sync_is_final(tmp_path: Path, files: FailingFiles, durability):
    directory = tmp_path / "log"
    log = open_log(directory, platform_of(files), options(durability=durability))
    good = append_many(log, 3)
    bad = append_many(log, 3, commit=False)
    waiting = [asyncio.ensure_future(log.synced_at(appended.position)) for appended in bad]
    threads = asyncio.gather(
        *(asyncio.to_thread(log.wait_synced, bad[0].position, 30) for _ in range(3)), return_exceptions=True
    )
    await wait_until_async(lambda: threading.active_count() > 3)
    files.fail(errno.EIO, "fdatasync", name=ACTIVE)
    assert not log.commit_once()
    for outcome in (*await asyncio.gather(*waiting, return_exceptions=True), *await threads):
        assert isinstance(outcome, LogBrokenError)
        assert (outcome.seq, outcome.offset) == (3, good[-1].position.offset)
        assert "sync failed" in outcome.reason
    synced = files.count("fdatasync")
    shown = bad[-1].position if durability == "written" else good[-1].position
    for _ in range(3):
        assert not log.commit_once()
        for refused in (lambda: log.append(body("x")), log.roll, lambda: log.wait_synced(bad[0].position, 1)):
            with pytest.raises(LogBrokenError):
                refused()
        with pytest.raises(LogBrokenError):
            await log.synced_at(bad[0].position)
    log.wait_synced(good[-1].position, 0)
    assert files.count("fdatasync") == synced, "a sync that failed is never tried again"
    assert (log.shown, log.synced) == (shown, good[-1].position)
    mark = read_watermark(directory, platform_of())
    assert (mark.shown, mark.synced, mark.clean) == (shown, good[-1].position, False)
    with pytest.raises(LogBrokenError):
        log.close()
    assert files.open_files == []
    assert not read_watermark(directory, platform_of()).clean
    # The log is not what was broken: another writer goes on, with all that was written.
    again = open_log(directory, platform_of())
    assert again.recovery is not None
    assert again.recovery.kept_records == 6
    again.append(body("after"))
    again.commit_once()
    assert read_all(LogReader(directory, platform_of())).seqs == [1, 2, 3, 4, 5, 6, 7]
    again.close()


@pytest.mark.parametrize("durability", ["synced", "written"])
def test_a_failed_sync_ends_the_threads_and_closing_is_still_in_good_order(
    tmp_path: Path, files: FailingFiles, durability
):
    log = LogWriter(tmp_path / "log", options(durability=durability), platform_of(files))
    files.fail(errno.EIO, "fdatasync", name=ACTIVE)
    appended = log.append(body("a"))
    with pytest.raises(LogBrokenError):
        log.wait_synced(appended.position, 30)
    wait_until(lambda: not any(thread.name in ("yoi-commit", "yoi-sync") for thread in threading.enumerate()))
    with pytest.raises(LogBrokenError):
        log.close()
    log.close()
    assert files.open_files == []


def test_a_watermark_that_cannot_be_written_ends_the_writer_too(tmp_path: Path, files: FailingFiles):
    directory = tmp_path / "log"
    log = open_log(directory, platform_of(files), options())
    good = append_many(log, 2)
    append_many(log, 2, commit=False)
    files.fail(errno.EIO, "pwrite", name=COMMITTED)
    assert not log.commit_once()
    with pytest.raises(LogBrokenError):
        log.append(body("x"))
    assert log.shown == good[-1].position == read_watermark(directory, platform_of()).shown
    with pytest.raises(LogBrokenError):
        log.close()
    again = open_log(directory, platform_of())
    assert read_all(LogReader(directory, platform_of())).seqs == [1, 2, 3, 4]
    again.close()


async def test_a_listener_that_fails_does_not_stop_the_commit(tmp_path: Path):
    directory = tmp_path / "log"
    loop = asyncio.new_event_loop()

    def wake_the_loop() -> None:
        loop.call_soon_threadsafe(int)

    stop = doorbell_of(directory).listen(wake_the_loop)
    loop.close()
    log = LogWriter(directory, options(), platform_of())
    end = append_many(log, 3, commit=False)[-1].position
    log.wait_synced(end, 10)
    stop()
    log.close()


def test_a_thread_that_dies_of_a_bug_takes_the_log_out_of_service_loudly(tmp_path: Path, monkeypatch):
    directory = tmp_path / "log"
    seen: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    log = LogWriter(directory, options(), platform_of())

    def buggy() -> None:
        raise ZeroDivisionError

    stop = doorbell_of(directory).listen(buggy)
    log.append(body("a"))
    with pytest.raises(LogBrokenError, match="ZeroDivisionError"):
        log.wait_synced(NEVER, 30)
    wait_until(lambda: seen)
    assert seen[0].exc_type is ZeroDivisionError
    stop()
    with pytest.raises(LogBrokenError):
        log.append(body("b"))
    with pytest.raises(LogBrokenError):
        log.close()


@pytest.mark.parametrize(("gone", "why"), [("log", "removed or replaced"), ("log/LOCK", "its file LOCK was deleted")])
def test_a_directory_that_is_taken_away_ends_the_writer_while_it_appends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str, why: str
):
    monkeypatch.setattr(commit, "_LOOK_SECONDS", 0.001)
    log = LogWriter(tmp_path / "log", options(), Platform())
    log.append(body("before"))
    (tmp_path / gone).rename(tmp_path / "taken away")

    def is_refused() -> bool:
        with contextlib.suppress(LogBrokenError):
            log.append(body("after"))
            return False
        return True

    wait_until(is_refused, 10, "it is noticed")
    with pytest.raises(LogBrokenError, match=why):
        log.append(body("after"))
    with pytest.raises(LogBrokenError):
        log.close()


def test_a_look_at_the_directory_that_fails_ends_nothing(
    tmp_path: Path, files: FailingFiles, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(commit, "_LOOK_SECONDS", 0.001)
    log = LogWriter(tmp_path / "log", options(), Platform(files=files))
    files.fail(errno.EMFILE, "open_read", name="LOCK", for_ever=True)

    def has_looked() -> bool:
        log.wait_synced(log.append(body("x")).position, 10)
        return files.struck > 2

    wait_until(has_looked, 10, "it looks")
    log.close()
