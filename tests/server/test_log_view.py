from __future__ import annotations

import asyncio
import errno
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ExpectLog
from tests.faults.failing_files import FailingFiles
from tests.runtime.emitting import emit
from tests.server.serving import SMALL, rotate_out_all_before_now, serving
from tests.server.viewing import Viewing, read_on, seqs_between, shown, viewing, viewing_only
from tests.support.damage import damage
from tests.support.deadline import wait_until_async
from yoi_runtime.catalog.catalog import CATALOG, Snapshot, read_snapshot
from yoi_runtime.errors import LogNotFoundError, LogUnavailableError, RecordCorruptError
from yoi_runtime.events import Status, TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import LOG_DIRECTORY, Runtime
from yoi_runtime.runtime.worker import Worker
from yoi_runtime.segment_log.cursor import NO_WORKER, decode_token, worker_tag
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.server.log_view import CHUNK_BYTES, LogView

# Reading about a burst of this size takes the view several turns.
BURST_BYTES = 8 * CHUNK_BYTES


async def test_what_is_committed_is_shown_and_the_ledger_is_as_new(tmp_path: Path):
    async with viewing(tmp_path) as log:
        start = log.view.end
        worker = log.runtime.create_worker("a")
        emit(worker, 3)
        await log.shown(worker.emit(Status(status="running")))
        seqs, end = await read_on(log.view, start)
        assert seqs == seqs_between(start, end)
        state = log.view.worker("a")
        assert state is not None
        assert (state.status, state.worker_seq, state.run) == ("running", 4, 1)
        assert log.view.worker("b") is None


async def test_nothing_is_shown_before_it_is_committed(tmp_path: Path):
    async with viewing(tmp_path) as log:
        with log.runtime._log._writer._commit._sync_mutex:  # the disk takes its time
            (cursor,) = emit(log.runtime.create_worker("a"), 1)
            for _ in range(20):
                await asyncio.sleep(0)
            assert log.view.end.seq < decode_token(cursor).seq
            assert log.view.worker("a") is None
        await log.shown(cursor)


async def test_readers_at_the_same_place_get_the_same_object(tmp_path: Path):
    async with viewing(tmp_path) as log:
        start = log.view.end
        await log.shown(emit(log.runtime.create_worker("a"), 5)[-1])
        first = log.view.read(start)
        assert first is not None
        assert log.view.read(start) is first


async def test_a_segment_rolled_without_an_event_ends_no_reader_and_wakes_nobody_for_nothing(tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        position = log.view.end
        log.runtime._log.roll()
        await wait_until_async(lambda: log.view.end.segment > position.segment)
        assert log.view.read(position) is None
        waiting = asyncio.ensure_future(log.view.beyond(position))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        (cursor,) = emit(worker, 1)
        async with asyncio.timeout(10):
            await waiting
        assert (await read_on(log.view, position))[0] == [decode_token(cursor).seq]


async def test_a_reader_in_the_middle_of_the_log_goes_on_while_a_burst_is_taken_in(tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        # Places that no read of the view itself begins at.
        cursors = emit(worker, 3)
        await log.shown(cursors[-1])
        position = log.view.reader.resolve(decode_token(cursors[0]))
        last = emit(worker, BURST_BYTES // 600, size=300)[-1]
        log.runtime.wait_durable(last, 10)
        seqs: list[int] = []
        async with asyncio.timeout(10):
            while position.seq < decode_token(last).seq:
                await log.view.beyond(position)
                more, position = await read_on(log.view, position)
                seqs += more
        assert seqs == seqs_between(cursors[0], last)


async def test_what_is_not_folded_is_not_shown(tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        position = log.view.end
        # The reader is ahead of the view, as it is while a burst is taken in.
        last = emit(worker, 5)[-1]
        log.runtime.wait_durable(last, 10)
        assert log.view.reader.refresh()
        assert log.view.read(position) is None
        log.view._end = position._replace(seq=position.seq + 2, offset=_offset_after(log.view, position, 2))
        chunk = log.view.read(position)
        assert chunk is not None
        assert (chunk.records, chunk.end) == (2, log.view.end)
        assert chunk.data.count(b"\n") == 2
        assert chunk.data.endswith(b"\n")
        await log.shown(last)


def _offset_after(view: LogView, position, records: int) -> int:
    chunk = view.reader.read(position, 1 << 20)
    assert chunk is not None
    return position.offset + len(b"".join(chunk.data.splitlines(keepends=True)[:records]))


async def test_what_the_reader_was_made_to_see_by_a_cursor_is_shown_all_the_same(tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        (cursor,) = emit(worker, 1)
        log.runtime.wait_durable(cursor, 10)
        log.view.reader.resolve(decode_token(cursor))
        assert log.view.reader.end.seq == decode_token(cursor).seq
        assert not log.view.reader.refresh()
        await log.shown(cursor)


async def test_records_rotated_out_before_they_were_read_are_taken_from_the_catalog(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        noisy = log.runtime.create_worker("noisy")
        quiet = log.runtime.create_worker("quiet")
        quiet.emit(Status(status="paused"))
        # All in one turn of the event loop: the view reads nothing of it in time.
        rotate_out_all_before_now(log.runtime, noisy)
        rotate_out_all_before_now(log.runtime, noisy)
        await log.shown(emit(noisy, 1)[0])
        state = log.view.worker("quiet")
        assert state is not None
        assert (state.status, state.worker_seq, state.run) == ("paused", 1, 1)
        assert state.rotated_out is not None
        assert state.rotated_out.events == 1


async def test_every_view_accounts_for_what_was_rotated_out_before_its_start_and_since(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        worker = log.runtime.create_worker("a")
        for _ in range(5):
            rotate_out_all_before_now(log.runtime, worker)
            last = emit(worker, 1)[0]
            await log.shown(last)
            await log.view.relist()
            async with viewing_only(tmp_path) as late:
                for view in (log.view, late):
                    state = view.worker("a")
                    assert state is not None
                    gone = state.rotated_out
                    assert gone is not None
                    assert gone.last_seq == view.ledger.rotated_out.last_seq == view.floor().seq
                    assert gone.last_worker_seq == gone.events
                    assert view.ledger.unaccounted_seq == 0


async def test_a_view_that_starts_in_the_middle_of_a_roll_takes_the_newer_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The catalog moves on between the view's look at it and its look at the log, five times over."""
    with Runtime.open(tmp_path, SMALL) as runtime:
        quiet, noisy = runtime.create_worker("quiet"), runtime.create_worker("noisy")
        emit(quiet, 1)
        look = LogView._snapshot_and_floor
        moves: list[int] = []

        async def look_late(view: LogView):
            if len(moves) < 5:
                moves.append(1)
                refresh = view._reader.refresh

                def refresh_late() -> bool:
                    rotate_out_all_before_now(runtime, noisy)
                    return refresh()

                monkeypatch.setattr(view._reader, "refresh", refresh_late)
                try:
                    return await look(view)
                finally:
                    monkeypatch.setattr(view._reader, "refresh", refresh)
            return await look(view)

        monkeypatch.setattr(LogView, "_snapshot_and_floor", look_late)
        async with viewing_only(tmp_path) as view:
            assert len(moves) == 5
            assert view.ledger.unaccounted_seq == 0
            assert view.ledger.rotated_out.last_seq >= view.floor().seq
            state = view.worker("quiet")
            assert state is not None
            assert (state.worker_seq, state.rotated_out and state.rotated_out.events) == (1, 1)


async def test_without_a_catalog_the_ledger_is_made_from_the_log_and_admits_what_it_does_not_know(tmp_path: Path):
    with Runtime.open(tmp_path, SMALL) as runtime:
        worker = runtime.create_worker("a")
        rotate_out_all_before_now(runtime, worker)
    (tmp_path / CATALOG).unlink()
    async with viewing_only(tmp_path) as view:
        state = view.worker("a")
        assert state is not None
        assert state.worker_seq > 0
        assert view.ledger.unaccounted_seq == view.floor().seq > 0


async def test_a_catalog_that_does_not_account_for_what_is_gone_is_not_trusted_below_the_floor(tmp_path: Path):
    with Runtime.open(tmp_path, SMALL) as runtime:
        worker = runtime.create_worker("a")
        rotate_out_all_before_now(runtime, worker)
        runtime.wait_durable(emit(worker, 1)[0])
        old = (tmp_path / CATALOG).read_bytes()
        rotate_out_all_before_now(runtime, worker)
        rotate_out_all_before_now(runtime, worker)
    (tmp_path / CATALOG).write_bytes(old)
    async with viewing_only(tmp_path) as view:
        assert view.ledger.unaccounted_seq == view.floor().seq
        assert view.worker("a") is not None


async def test_a_catalog_lost_while_the_view_runs_costs_exactness_and_is_admitted(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        rotate_out_all_before_now(log.runtime, worker)
        (tmp_path / CATALOG).unlink()
        await log.view.relist()
        assert log.view.ledger.unaccounted_seq == log.view.floor().seq > 0


async def test_while_the_catalog_is_read_after_a_rotation_the_event_loop_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """However long that takes: new events are shown, and whoever needs to know what went waits for it alone."""
    go_on = threading.Event()
    reads: list[str] = []

    def read_in_its_own_time(*arguments: Any) -> Snapshot | None:
        reads.append(threading.current_thread().name)
        assert go_on.wait(20)
        return read_snapshot(*arguments)

    async with viewing(tmp_path, SMALL) as log:
        a, b = log.runtime.create_worker("a"), log.runtime.create_worker("b")
        cursor = emit(a, 2)[0]
        await log.shown(emit(b, 1)[0])
        monkeypatch.setattr("yoi_runtime.server.log_view.read_snapshot", read_in_its_own_time)
        await rotate_under(log, b)
        waiting = [asyncio.ensure_future(log.view.relist()) for _ in range(20)]
        for _ in range(5):
            await log.shown(emit(b, 1)[0])
        assert not any(task.done() for task in waiting)
        assert len(reads) == 1, "one look serves all who wait"
        waiting[0].cancel()
        go_on.set()
        await asyncio.gather(*waiting[1:])
        assert waiting[0].cancelled()
        assert threading.main_thread().name not in reads
        floor = log.view.floor()
        assert log.view.ledger.rotated_out.last_seq >= floor.seq > decode_token(cursor).seq
        state = log.view.worker("a")
        assert state is not None
        assert state.rotated_out is not None
        assert state.rotated_out.events == 2


async def rotate_under(log: Viewing, noisy: Worker) -> None:
    """Let ``noisy`` write until the oldest segment is gone, no faster than the view follows."""
    oldest = min(log.runtime.log_directory.glob("*.jsonl"))
    while oldest.exists():
        await log.shown(noisy.emit(TextDelta(text="x" * 300)))


async def test_a_catalog_that_cannot_be_read_is_told_to_who_waits_and_read_again_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*arguments: Any) -> Snapshot | None:
        raise OSError(errno.EIO, "the disk refused")

    async with viewing(tmp_path, SMALL) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        await rotate_under(log, worker)
        with monkeypatch.context() as broken:
            broken.setattr("yoi_runtime.server.log_view.read_snapshot", fail)
            for _ in range(2):
                with pytest.raises(OSError, match="the disk refused"):
                    await log.view.relist()
        await log.view.relist()
        assert log.view.ledger.unaccounted_seq == 0
        assert log.view.ledger.rotated_out.last_seq >= log.view.floor().seq > 0


async def test_a_token_is_tagged_only_when_the_workers_number_is_known(tmp_path: Path):
    async with viewing(tmp_path) as log:
        end = log.view.end
        assert decode_token(log.view.token(end)).worker == NO_WORKER
        assert decode_token(log.view.token(end, "a")).worker == NO_WORKER
        tagged = decode_token(log.view.token(end, "a", 7))
        assert (tagged.worker, tagged.worker_seq, tagged.seq) == (worker_tag("a"), 7, end.seq)


async def test_waiting_ends_when_the_view_has_finished_after_the_last_event(tmp_path: Path):
    async with viewing(tmp_path) as log:
        start = log.view.end
        waiting = asyncio.ensure_future(log.view.beyond(start._replace(seq=1 << 40)))
        await asyncio.sleep(0)
        cursor = emit(log.runtime.create_worker("a"), 1)[0]
        log.runtime.wait_durable(cursor)
        log.view.begin_closing()
        assert not log.view.ready
        async with asyncio.timeout(10):
            await waiting
        assert log.view.finished
        assert (await read_on(log.view, start))[0] == seqs_between(start, cursor)


async def test_a_view_of_nothing_cannot_be_opened(tmp_path: Path):
    with pytest.raises(LogNotFoundError):
        LogView(tmp_path, tmp_path / LOG_DIRECTORY)


async def test_a_disk_that_refuses_for_a_while_makes_the_view_unavailable_for_that_while(
    tmp_path: Path, expect_log: ExpectLog
):
    expect_log("yoi_runtime.server", "cannot be followed")
    files = FailingFiles()
    with Runtime.open(tmp_path) as runtime:
        worker = runtime.create_worker("a")
        async with viewing_only(tmp_path, Platform(files=files)) as view:
            await wait_until_async(lambda: view.worker("a") is not None)
            start = view.end
            # The watermark can be read, the segment cannot.
            name = next(runtime.log_directory.glob("*.jsonl")).name
            files.fail(errno.EIO, "pread", name=name, for_ever=True)
            cursors = emit(worker, 3)
            await wait_until_async(lambda: view.failure is not None)
            assert not view.ready
            with pytest.raises(LogUnavailableError):
                view.check_available()
            async with asyncio.timeout(10):
                await view.beyond(start)
            files.heal()
            await wait_until_async(lambda: view.ready)
            view.check_available()
            assert (await read_on(view, start))[0] == seqs_between(start, cursors[-1])


async def test_a_replaced_log_is_noticed_and_the_new_one_shown(
    tmp_path: Path, expect_log: ExpectLog, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("yoi_runtime.server.log_view._RELIST_SECONDS", 0.05)
    expect_log("yoi_runtime.server", "replaced")
    expect_log("yoi_runtime.server", "cannot be followed")
    with Runtime.open(tmp_path) as runtime:
        first_log_id = runtime.log_id
        emit(runtime.create_worker("old"), 3)
    async with viewing_only(tmp_path) as view:
        epoch = view.epoch
        waiting = asyncio.ensure_future(view.beyond(view.end))
        shutil.rmtree(tmp_path / LOG_DIRECTORY)
        (tmp_path / CATALOG).unlink()
        await wait_until_async(lambda: view.epoch != epoch)
        async with asyncio.timeout(10):
            await waiting
        assert not view.ready
        with pytest.raises(LogUnavailableError):
            view.check_available()
        with Runtime.open(tmp_path) as runtime:
            cursors = emit(runtime.create_worker("new"), 1)
            await wait_until_async(lambda: view.ready and view.worker("new") is not None)
            assert view.log_id == runtime.log_id != first_log_id
            assert view.worker("old") is None
            await wait_until_async(lambda: view.end.seq >= decode_token(cursors[0]).seq)
            assert (await read_on(view, view.floor()))[0][-1] == decode_token(cursors[0]).seq


async def test_damage_is_logged_once_and_passed_by_in_the_books_but_not_for_readers(
    tmp_path: Path, expect_log: ExpectLog
):
    expect_log("yoi_runtime.server", "damaged record")
    with Runtime.open(tmp_path) as runtime:
        worker = runtime.create_worker("a")
        emit(worker, 10)
        worker.emit(Status(status="paused"))
    segment = max((tmp_path / LOG_DIRECTORY).glob("*.jsonl"))
    (tmp_path / CATALOG).unlink()
    marker = b"xxxx"
    damage(segment, lambda data: data.__setitem__(data.index(marker), ord("y")))
    async with viewing_only(tmp_path) as view:
        state = view.worker("a")
        assert state is not None
        assert state.worker_seq == 11
        before = view.read(view.floor())
        assert before is not None
        with pytest.raises(RecordCorruptError) as error:
            view.read(before.end)
        assert error.value.seq == before.end.seq + 1


async def test_missing_files_are_an_error_and_not_an_end(tmp_path: Path):
    """Whoever asks for records that are shown gets them or an error: "nothing" would be asked for again at once."""
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        start = log.view.end
        await log.shown(emit(worker, 1)[0])
        log.view._cache.clear()
        log.view._reader.read = lambda position, max_bytes: None  # type: ignore[method-assign]
        with pytest.raises(LogUnavailableError):
            log.view.read(start)


async def test_what_is_no_longer_in_the_cache_is_read_from_the_file(tmp_path: Path):
    with Runtime.open(tmp_path, RuntimeOptions(durability="written")) as runtime:
        async with viewing_only(tmp_path, cache_bytes=64 << 10) as view:
            worker = runtime.create_worker("a")
            for _ in range(30):
                await shown(view, emit(worker, 20, size=300)[-1])
            assert 0 < view._cache.held_bytes <= 64 << 10
            assert (await read_on(view, view.floor()))[0] == list(range(1, view.end.seq + 1))


async def test_readers_that_began_at_unrelated_places_share_chunks_from_the_second_on(tmp_path: Path):
    with Runtime.open(tmp_path) as runtime:
        cursors = emit(runtime.create_worker("a"), 3000, size=300)
        runtime.wait_durable(cursors[-1])
    async with viewing_only(tmp_path) as view:
        seen: list[set[int]] = []
        for cursor in (None, cursors[100], cursors[257]):
            position = view.floor() if cursor is None else view.reader.resolve(decode_token(cursor))
            chunks = set()
            while (chunk := view.read(position)) is not None:
                chunks.add(id(chunk))
                position = chunk.end
            seen.append(chunks)
        assert len(seen[0]) > 8
        assert all(len(one & seen[0]) >= len(one) - 1 for one in seen)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at the descriptors as Linux shows them")
async def test_deleted_segments_are_let_go_of_within_five_seconds(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        worker = log.runtime.create_worker("a")
        for _ in range(40):
            worker.emit(TextDelta(text="x" * 600))
            log.runtime.wait_durable(emit(worker, 1)[0])
            await read_on(log.view, log.view.floor())
        await wait_until_async(lambda: not _deleted_but_open(tmp_path / LOG_DIRECTORY), 5)


def _deleted_but_open(directory: Path) -> list[str]:
    names = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(link.readlink()))
        except OSError:
            continue
    return [name for name in names if name.startswith(str(directory)) and name.endswith("(deleted)")]


async def test_a_thousand_who_wait_for_a_rotation_to_be_counted_list_the_segments_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with serving(tmp_path, SMALL) as served:
        worker, view, listings = await served.worker("a"), served.view, 0
        relist = view._reader.relist

        def counted() -> None:
            nonlocal listings
            listings += 1
            relist()

        counted_out = asyncio.Event()
        monkeypatch.setattr(view._reader, "relist", counted)
        read = view._read_snapshot

        async def slowly() -> Snapshot | None:
            await counted_out.wait()
            return await read()

        monkeypatch.setattr(view, "_read_snapshot", slowly)
        served.rotate_out_all_before_now(worker)
        waiting = [asyncio.create_task(view.relist()) for _ in range(1000)]
        await wait_until_async(lambda: listings >= 1000)
        assert not any(task.done() for task in waiting)
        counted_out.set()
        async with asyncio.timeout(20):
            await asyncio.gather(*waiting)
        assert view._accounting is None
        assert view.ledger.accounted_seq >= view.floor().seq
        assert listings < 1200, "not once more each when the wait is over"


async def test_a_look_that_finds_no_readable_segment_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expect_log: ExpectLog
):
    """So it looks in the middle of a rotation, too."""
    expect_log("yoi_runtime.server", "cannot be looked at")
    async with viewing(tmp_path) as log:

        def no_floor() -> None:
            raise LogUnavailableError(log.view.reader.directory, "no readable segment")

        monkeypatch.setattr(log.view._reader, "floor", no_floor)
        log.view._look_around()
        monkeypatch.undo()
        assert log.view.ready
