from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runtime.emitting import emit
from tests.server.serving import SMALL, records_of, rotate_out_all_before_now
from tests.server.viewing import viewing, viewing_only
from yoi_runtime.catalog.catalog import CATALOG
from yoi_runtime.errors import (
    CursorAheadError,
    CursorForeignError,
    CursorMalformedError,
    CursorUnknownError,
    LogUnavailableError,
)
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.cursor import NO_WORKER, CursorToken, decode_token, encode_token, worker_tag
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.starting_place import (
    Place,
    StreamExpiredError,
    place_of_cursor,
    place_of_event_id,
    place_of_now,
    place_of_oldest,
)


async def assert_same_place(view: LogView, worker_id: str | None, place: Place) -> None:
    """The token of a place, given back, leads to that place."""
    again = await place_of_cursor(view, worker_id, place.token)
    assert (again.position, again.worker_seq) == (place.position, place.worker_seq)


async def lost_of(view: LogView, worker_id: str | None, token: str) -> tuple[int, bool]:
    """Return how many events the answer to ``token`` says are lost, and whether that is exact."""
    with pytest.raises(StreamExpiredError) as error:
        await place_of_cursor(view, worker_id, token)
    return error.value.lost.events, error.value.lost.exact


# Now and oldest.


async def test_now_is_the_end_of_what_is_shown_with_the_workers_number(tmp_path: Path):
    async with viewing(tmp_path) as log:
        await log.shown(emit(log.runtime.create_worker("a"), 4)[-1])
        for worker_id, number in (("a", 4), (None, 0), ("nobody", 0)):
            place = place_of_now(log.view, worker_id)
            assert (place.position, place.worker_seq) == (log.view.end, number)
            await assert_same_place(log.view, worker_id, place)


async def test_oldest_is_the_floor_with_the_number_of_the_workers_last_event_below_it(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        a, b = log.runtime.create_worker("a"), log.runtime.create_worker("b")
        emit(b, 3)
        rotate_out_all_before_now(log.runtime, a)
        await log.shown(emit(a, 1)[0])
        oldest_of_a = next(record["worker_seq"] for record in records_of(tmp_path) if record["worker_id"] == "a")
        for worker_id, number in (("a", oldest_of_a - 1), ("b", 3), (None, 0)):
            place = await place_of_oldest(log.view, worker_id)
            assert (place.position, place.worker_seq) == (log.view.floor(), number)
            await assert_same_place(log.view, worker_id, place)


async def test_oldest_is_never_a_segment_that_is_gone(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        stale = log.view.floor()
        rotate_out_all_before_now(log.runtime, worker)
        place = await place_of_oldest(log.view, "a")
        assert place.position.segment > stale.segment
        assert (log.runtime.log_directory / f"{place.position.segment:020d}.jsonl").exists()


# Cursors that are good.


async def test_a_cursor_names_its_place_on_every_stream_and_comes_back_as_it_was(tmp_path: Path):
    async with viewing(tmp_path) as log:
        a, b = log.runtime.create_worker("a"), log.runtime.create_worker("b")
        cursor = emit(a, 3)[1]
        await log.shown(emit(b, 1)[0])
        # The Worker's number at the place is known only if the token was issued for that Worker.
        for worker_id, number in (("a", 2), ("b", None), (None, 0)):
            place = await place_of_cursor(log.view, worker_id, cursor)
            assert (place.position.seq, place.worker_seq) == (decode_token(cursor).seq, number)
            assert place.token == cursor


async def test_a_cursor_of_this_moment_in_a_new_segment_waits_and_is_not_ahead(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        before = log.view.end.segment
        while decode_token(cursor := emit(worker, 1, size=600)[0]).segment == before:
            pass
        log.runtime.wait_durable(cursor, 10)
        # No turn of the event loop since: the view has not seen the new segment.
        assert log.view.end.segment == before
        assert (await place_of_cursor(log.view, "a", cursor)).position.seq == decode_token(cursor).seq


async def test_a_cursor_that_is_not_committed_yet_is_unavailable(tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        with log.runtime._log._writer._commit._sync_mutex:  # the disk takes its time
            (cursor,) = emit(worker, 1)
            with pytest.raises(LogUnavailableError):
                await place_of_cursor(log.view, "a", cursor)
        await log.shown(cursor)
        assert (await place_of_cursor(log.view, "a", cursor)).worker_seq == 2


async def test_an_event_id_names_the_place_after_its_event(tmp_path: Path):
    async with viewing(tmp_path) as log:
        await log.shown(emit(log.runtime.create_worker("a"), 3)[-1])
        for record in records_of(tmp_path):
            for worker_id, number in (("a", None), (None, 0)):
                place = await place_of_event_id(log.view, worker_id, record["event_id"])
                assert (place.position.seq, place.worker_seq) == (record["seq"], number)
                await assert_same_place(log.view, worker_id, place)


# Cursors that are not.


async def test_what_is_no_token_is_malformed(tmp_path: Path):
    async with viewing(tmp_path) as log:
        for text in ("", "abc", "x" * 65, "wo1" + "A" * 60):
            with pytest.raises(CursorMalformedError):
                await place_of_cursor(log.view, None, text)
        for text in ("", "snapshot:abc", "x" * 100):
            with pytest.raises(CursorMalformedError):
                await place_of_event_id(log.view, None, text)


async def test_a_cursor_past_the_end_is_ahead_however_busy_the_writer_is(tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        ahead = encode_token(decode_token(log.view.token(log.view.end))._replace(segment=99))
        log.runtime.wait_durable(emit(worker, 1)[0], 10)
        with pytest.raises(CursorAheadError):
            await place_of_cursor(log.view, "a", ahead)


async def test_a_place_that_is_none_is_unknown(tmp_path: Path):
    async with viewing(tmp_path) as log:
        cursor = emit(log.runtime.create_worker("a"), 2)[0]
        await log.shown(cursor)
        decoded = decode_token(cursor)
        wrong = [
            decoded._replace(offset=decoded.offset - 1),
            decoded._replace(seq=decoded.seq + 1),
            decoded._replace(nonce_prefix=1),
        ]
        for place in wrong:
            with pytest.raises(CursorUnknownError):
                await place_of_cursor(log.view, "a", encode_token(place))
        with pytest.raises(CursorUnknownError):
            await place_of_event_id(log.view, "a", "AAAAAAAAAAA-1")


async def test_another_logs_cursor_is_foreign_before_it_is_anything_else(tmp_path: Path):
    async with viewing(tmp_path / "one") as one, viewing(tmp_path / "two") as two:
        cursor = emit(two.runtime.create_worker("a"), 1)[0]
        with pytest.raises(CursorForeignError):
            await place_of_cursor(one.view, None, cursor)
        with pytest.raises(CursorForeignError):
            await place_of_cursor(one.view, None, encode_token(decode_token(cursor)._replace(segment=99)))


# Expiry, exact per scope.


async def test_runtime_wide_every_event_between_the_cursor_and_the_floor_is_counted(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        worker = log.runtime.create_worker("a")
        cursors = [log.view.token(log.view.end), *emit(worker, 20)]
        rotate_out_all_before_now(log.runtime, worker)
        await log.shown(emit(worker, 1)[0])
        for cursor in cursors[:-1]:
            lost = log.view.floor().seq - decode_token(cursor).seq
            assert await lost_of(log.view, None, cursor) == (lost, True)


async def test_a_workers_lost_events_are_counted_exactly_from_a_token_of_its_own(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        a, b = log.runtime.create_worker("a"), log.runtime.create_worker("b")
        own = []
        for _ in range(10):
            own += emit(a, 1)
            emit(b, 3)
        rotate_out_all_before_now(log.runtime, b)
        await log.shown(emit(b, 1)[0])
        for number, cursor in enumerate(own[:-1], start=1):
            assert await lost_of(log.view, "a", cursor) == (10 - number, True)
        # After its newest event nothing of this Worker is gone.
        place = await place_of_cursor(log.view, "a", own[-1])
        assert (place.position, place.worker_seq) == (log.view.floor(), 10)
        await assert_same_place(log.view, "a", place)


async def test_a_token_of_another_scope_gives_an_upper_bound(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        a, b = log.runtime.create_worker("a"), log.runtime.create_worker("b")
        emit(a, 2)
        foreign = emit(b, 1)[0]
        emit(a, 5)
        rotate_out_all_before_now(log.runtime, b)
        await log.shown(emit(b, 1)[0])
        events, exact = await lost_of(log.view, "a", foreign)
        assert not exact
        assert 5 <= events <= 7


async def test_the_place_after_which_the_last_rotated_out_segment_ends_is_still_good(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        worker = log.runtime.create_worker("a")
        ends: dict[int, CursorToken] = {}
        cursors = emit(worker, 60, size=600)
        for cursor in cursors:
            ends[decode_token(cursor).segment] = cursor
        await log.shown(cursors[-1])
        await log.view.relist()
        floor = log.view.floor()
        for worker_id in ("a", None):
            assert (await place_of_cursor(log.view, worker_id, ends[floor.segment - 1])).position == floor
            assert (await lost_of(log.view, worker_id, ends[floor.segment - 2]))[1]


async def test_every_token_the_server_issues_leads_to_an_exact_receipt_or_claims_none(tmp_path: Path):
    """Tokens of places: of now, of the floor, after a rotation, after an event by its id."""
    async with viewing(tmp_path, SMALL) as log:
        a, b = log.runtime.create_worker("a"), log.runtime.create_worker("b")
        issued: list[tuple[str, int, bool]] = []
        event_id = ""
        for _ in range(3):
            emit(a, 7)
            rotate_out_all_before_now(log.runtime, b)
            await log.shown(emit(b, 1)[0])
            seen = log.view.worker("a")
            assert seen is not None
            for place in (place_of_now(log.view, "a"), await place_of_oldest(log.view, "a")):
                assert place.worker_seq == seen.worker_seq
                issued.append((place.token, seen.worker_seq, True))
            if event_id:
                with pytest.raises(CursorUnknownError):
                    await place_of_event_id(log.view, "a", event_id)
            event_id = records_of(tmp_path)[-1]["event_id"]
            issued.append(((await place_of_event_id(log.view, "a", event_id)).token, seen.worker_seq, False))
        emit(a, 1)
        rotate_out_all_before_now(log.runtime, b)
        await log.shown(emit(b, 1)[0])
        for token, worker_seq, exact in issued:
            events, says_exact = await lost_of(log.view, "a", token)
            assert says_exact is exact
            assert events == 22 - worker_seq if exact else events >= 22 - worker_seq


async def test_without_the_old_catalog_a_scoped_cursor_below_the_floor_expires_with_an_upper_bound(tmp_path: Path):
    with Runtime.open(tmp_path, SMALL) as runtime:
        a, b = runtime.create_worker("a"), runtime.create_worker("b")
        cursors = emit(a, 3)
        rotate_out_all_before_now(runtime, b)
        emit(a, 1)
    (tmp_path / CATALOG).unlink()
    async with viewing_only(tmp_path) as view:
        for number, cursor in enumerate(cursors, start=1):
            events, exact = await lost_of(view, "a", cursor)
            assert not exact
            assert events >= 3 - number
        # Nobody knows the Worker's number at the floor: the token must not claim one.
        oldest = await place_of_oldest(view, "a")
        assert oldest.worker_seq is None
        assert decode_token(oldest.token).worker == NO_WORKER
        assert decode_token(place_of_now(view, "a").token).worker == worker_tag("a")
        lost = view.floor().seq - decode_token(cursors[0]).seq
        assert await lost_of(view, None, cursors[0]) == (lost, True)


async def test_the_receipt_tells_when_the_last_lost_event_was(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        a, b = log.runtime.create_worker("a"), log.runtime.create_worker("b")
        cursor = emit(a, 2)[0]
        lines = b"".join(path.read_bytes() for path in sorted(log.runtime.log_directory.glob("*.jsonl")))
        last_of_a = [json.loads(line)["envelope"] for line in lines.split(b"\n")[:-1] if b'"worker_id":"a","w' in line]
        rotate_out_all_before_now(log.runtime, b)
        await log.shown(emit(b, 1)[0])
        with pytest.raises(StreamExpiredError) as error:
            await place_of_cursor(log.view, "a", cursor)
        assert error.value.lost.to_time == last_of_a[-1]["time"]
        with pytest.raises(StreamExpiredError) as error:
            await place_of_cursor(log.view, None, cursor)
        to_time = error.value.lost.to_time
        assert to_time is not None
        assert last_of_a[-1]["time"] < to_time < records_of(tmp_path)[0]["time"]
