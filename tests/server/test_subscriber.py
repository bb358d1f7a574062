from __future__ import annotations

import asyncio
import errno
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ExpectLog
from tests.faults.failing_files import FailingFiles
from tests.runtime.emitting import emit
from tests.server.recording_outlet import RecordingOutlet
from tests.server.serving import SMALL, records_of, rotate_out_all_before_now
from tests.server.viewing import viewing, viewing_only
from tests.support.damage import damage
from tests.support.deadline import wait_until_async
from yoi_runtime.catalog.catalog import read_snapshot
from yoi_runtime.errors import LogUnavailableError
from yoi_runtime.events import Status, TextDelta, UnknownEvent
from yoi_runtime.protocol.stream_request import FromCursor, FromEventId, FromNow, FromOldest, Start, StreamRequest
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import LOG_DIRECTORY, Runtime
from yoi_runtime.segment_log.cursor import CursorToken, decode_token
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.starting_place import Place, after_rotation
from yoi_runtime.server.subscriber import ConsumerTooSlowError, Subscriber


@asynccontextmanager
async def subscribed(
    view: LogView, worker_id: str | None, start: Start, outlet: RecordingOutlet | None = None
) -> AsyncIterator[RecordingOutlet]:
    """Let a subscriber run while the block does; what it raises, the block raises at its end."""
    outlet = outlet if outlet is not None else RecordingOutlet()
    task = asyncio.ensure_future(Subscriber(view, StreamRequest(worker_id=worker_id, start=start), outlet).run())
    try:
        yield outlet
    finally:
        outlet.unblock()
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(ended, Exception):
        raise ended


# What is sent.


async def test_everything_is_sent_as_it_stands_in_the_file_after_a_frame_that_opens_the_stream(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        worker = log.runtime.create_worker("a")
        worker.emit(UnknownEvent(name="x_new", data={"é": [1, None]}))
        cursors = emit(worker, 30, size=300)
        await log.shown(cursors[-1])
        await log.view.relist()
        floor = log.view.floor()
        async with subscribed(log.view, None, FromOldest()) as outlet:
            opened, *raw = await outlet.wait_for(1 + log.view.end.seq - floor.seq)
        lines = b"".join(path.read_bytes() for path in sorted(log.runtime.log_directory.glob("*.jsonl")))
        assert raw == [line for line in lines.split(b"\n") if line.startswith(b'{"kind":"event"')]
        problem = json.loads(opened)["diagnostic"]
        assert (problem["code"], problem["severity"]) == ("runtime.stream_opened", "info")
        assert problem["resume_cursor"] == log.view.token(floor)
        assert problem["latest_cursor"] == log.view.token(log.view.end)


async def test_a_workers_stream_is_its_own_events_after_a_snapshot(tmp_path: Path):
    async with viewing(tmp_path) as log:
        a, b = log.runtime.create_worker("a"), log.runtime.create_worker("b")
        for _ in range(5):
            a.emit(TextDelta(text="mine"))
            b.emit(TextDelta(text="not mine"))
        await log.shown(a.emit(Status(status="paused")))
        async with subscribed(log.view, "a", FromOldest()) as outlet:
            await outlet.wait_for(7)
            await log.shown(emit(b, 3)[-1])
            await log.shown(emit(a, 1)[0])
            await outlet.wait_for(8)
        snapshot = outlet.frames[0]["envelope"]
        assert set(snapshot) == {"cursor", "event_id", "worker_id", "payload"}
        assert snapshot["event_id"] == f"snapshot:{snapshot['cursor']}"
        assert decode_token(snapshot["cursor"]).seq == 0
        data = snapshot["payload"]["data"]
        assert (data["entries"], data["greeting"]["worker_name"], data["status"]) == ([], "a", "paused")
        assert [event["worker_id"] for event in outlet.events] == ["a"] * 7
        assert [event["worker_seq"] for event in outlet.events] == list(range(1, 8))
        assert b"not mine" not in b"".join(outlet.messages)


async def test_what_upstream_does_not_know_is_wrapped_for_a_worker_and_raw_for_everything(tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        cursor = worker.emit(UnknownEvent(name="x_new", data={"n": 1}))
        await log.shown(cursor)
        record = records_of(tmp_path)[-1]
        async with subscribed(log.view, "a", FromOldest()) as scoped, subscribed(log.view, None, FromOldest()) as all_:
            wrapped = json.loads((await scoped.wait_for(2))[1])
            raw = json.loads((await all_.wait_for(1 + record["seq"]))[-1])
        item = {"kind": "yoi.event", "event": "x_new", "data": {"n": 1}}
        assert wrapped["envelope"] == {**record, "payload": {"event": "system_item", "data": {"item": item}}}
        assert "crc" not in wrapped
        assert raw["envelope"] == record
        assert raw["envelope"]["payload"] == {"event": "x_new", "data": {"n": 1}}
        assert "crc" in raw


async def test_the_snapshot_is_not_older_than_its_cursor(tmp_path: Path):
    """The reader may be ahead of the ledger while a burst is taken in; the status told must not be."""
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(worker.emit(Status(status="idle")))
        cursor = worker.emit(Status(status="running"))
        log.runtime.wait_durable(cursor, 10)
        assert log.view.reader.refresh()  # the reader has seen it, the ledger has not
        async with subscribed(log.view, "a", FromCursor(cursor)) as outlet:
            await outlet.wait_for(1)
        assert outlet.frames[0]["envelope"]["payload"]["data"]["status"] == "running"


async def test_events_of_others_cost_no_write(tmp_path: Path):
    async with viewing(tmp_path) as log:
        a, b = log.runtime.create_worker("a"), log.runtime.create_worker("b")
        await log.shown(emit(a, 1)[0])
        async with subscribed(log.view, "a", FromNow()) as outlet:
            await outlet.wait_for(1)
            for _ in range(5):
                await log.shown(emit(b, 10)[-1])
            await log.shown(emit(a, 1)[0])
            await outlet.wait_for(2)
            assert outlet.sends == 2


async def test_many_ready_events_are_one_send(tmp_path: Path):
    with Runtime.open(tmp_path) as runtime:
        runtime.wait_durable(emit(runtime.create_worker("a"), 100)[-1])
        async with viewing_only(tmp_path) as view, subscribed(view, None, FromOldest()) as outlet:
            await outlet.wait_for(1 + view.end.seq)
            assert outlet.sends == 2


# Where it starts.


async def test_each_start_gives_what_comes_after_it_and_nothing_else(tmp_path: Path):
    async with viewing(tmp_path) as log:
        cursors = emit(log.runtime.create_worker("a"), 4)
        await log.shown(cursors[-1])
        records = records_of(tmp_path)
        last = records[-1]["seq"]
        starts: list[tuple[Start, int]] = [
            (FromOldest(), 0),
            (FromNow(), last),
            (FromCursor(cursors[1]), decode_token(cursors[1]).seq),
            (FromCursor(cursors[-1]), last),
            (FromEventId(records[-3]["event_id"]), last - 2),
        ]
        for worker_id in (None, "a"):
            for start, seq in starts:
                expected = [record["seq"] for record in records if record["seq"] > seq]
                if worker_id:
                    expected = [number for number in expected if records[number - 1]["worker_id"] == "a"]
                async with subscribed(log.view, worker_id, start) as outlet:
                    await outlet.wait_for(1 + len(expected))
                    (marker,) = emit(log.runtime.create_worker(f"m{log.view.end.seq}"), 1)
                    await log.shown(marker)
                assert [seq for seq in outlet.seqs if seq <= last] == expected


async def test_a_cursor_handed_out_before_its_event_is_committed_waits_for_the_disk(tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        with log.runtime._log._writer._commit._sync_mutex:  # the disk takes its time
            (cursor,) = emit(worker, 1)
            async with subscribed(log.view, "a", FromCursor(cursor)) as outlet:
                for _ in range(20):
                    await asyncio.sleep(0)
                assert not outlet.messages
                log.runtime._log._writer._commit._sync_mutex.release()
                try:
                    await outlet.wait_for(1)
                finally:
                    log.runtime._log._writer._commit._sync_mutex.acquire()
        assert outlet.frames[0]["envelope"]["cursor"] == cursor


async def test_a_cursor_whose_event_is_never_committed_is_unavailable_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("yoi_runtime.server.subscriber._COMMIT_WAIT_SECONDS", 0.05)
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        with log.runtime._log._writer._commit._sync_mutex:
            (cursor,) = emit(worker, 1)
            async with subscribed(log.view, "a", FromCursor(cursor)) as outlet:
                problem = await outlet.refusal()
    assert (problem["code"], problem["close_code"]) == ("runtime.unavailable", 4503)
    assert (problem["requested_cursor"], problem["recovery"]) == (cursor, "reconnect")


async def test_a_cursor_that_cannot_be_read_for_is_unavailable_and_no_fault_of_the_peer(
    tmp_path: Path, expect_log: ExpectLog, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("yoi_runtime.server.subscriber._COMMIT_WAIT_SECONDS", 0.05)
    expect_log("yoi_runtime.server", "no place for a subscriber to start from")
    files = FailingFiles()
    with Runtime.open(tmp_path) as runtime:
        cursors = emit(runtime.create_worker("a"), 2)
        runtime.wait_durable(cursors[-1])
        async with viewing_only(tmp_path, Platform(files=files)) as view:
            name = next(runtime.log_directory.glob("*.jsonl")).name
            files.fail(errno.EIO, "pread", name=name, for_ever=True)
            async with subscribed(view, "a", FromCursor(cursors[0])) as outlet:
                problem = await outlet.refusal()
            files.heal()
    assert files.struck
    assert (problem["code"], problem["close_code"]) == ("runtime.unavailable", 4503)


# What ends it.


async def test_rotation_under_a_slow_subscriber_is_told_with_the_right_number_and_nothing_is_skipped(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        worker, other = log.runtime.create_worker("a"), log.runtime.create_worker("b")
        await log.shown(emit(worker, 1)[0])
        outlets = {worker_id: RecordingOutlet() for worker_id in ("a", None)}
        async with (
            subscribed(log.view, "a", FromOldest(), outlets["a"]),
            subscribed(log.view, None, FromOldest(), outlets[None]),
        ):
            for outlet in outlets.values():
                await outlet.wait_for(2)
                outlet.block()
            seq = decode_token(emit(worker, 1)[0]).seq
            await wait_until_async(lambda: all(outlet.seqs[-1:] == [seq] for outlet in outlets.values()))
            # Both hold the write that the peer does not take.
            emit(worker, 7)
            rotate_out_all_before_now(log.runtime, other)
            await log.shown(emit(worker, 3)[-1])
            log.view._cache.clear()
            for outlet in outlets.values():
                outlet.unblock()
            problems = {worker_id: await outlet.refusal() for worker_id, outlet in outlets.items()}
        for worker_id, problem in problems.items():
            seqs = outlets[worker_id].seqs
            assert (problem["code"], problem["close_code"]) == ("runtime.cursor_expired", 4410)
            # The requested cursor of an expiry in mid-stream is where the peer stands.
            assert decode_token(problem["requested_cursor"]).seq == seqs[-1]
            if worker_id is None:
                assert seqs == list(range(1, seqs[-1] + 1))
                lost = log.view.floor().seq - seqs[-1]
            else:
                assert [event["worker_seq"] for event in outlets["a"].events] == [1, 2]
                lost = 7
            assert problem["lost"]["events"] == lost
            assert problem["lost"]["exact"] is True
            assert decode_token(problem["oldest_cursor"]).seq == log.view.floor().seq
            assert problem["worker_id" if worker_id else "code"] == (worker_id or "runtime.cursor_expired")


async def test_a_worker_that_is_forgotten_ends_its_streams(tmp_path: Path):
    """Long after its end, when nothing of it is left; a stream of v0 may have stayed open until then."""
    async with viewing(tmp_path, SMALL) as log:
        worker, other = log.runtime.create_worker("a"), log.runtime.create_worker("b")
        await log.shown(emit(worker, 1)[0])
        async with subscribed(log.view, "a", FromNow()) as outlet:
            await outlet.wait_for(1)
            worker.end()
            rotate_out_all_before_now(log.runtime, other)
            await log.shown(emit(other, 1)[0])
            await log.view.relist()
            # The catalog of thirty days later.
            later = read_snapshot(tmp_path, log.view.platform)
            assert later is not None
            del later.ledger.workers["a"]
            # Newer than what the view knows, and not ahead of the floor: nothing is being rotated out.
            log.view.ledger.rotated_out.last_seq = later.ledger.rotated_out.last_seq - 1
            log.view.ledger.unaccounted_seq = 0
            log.view._take_over(later)
            await log.shown(emit(other, 1)[0])
            problem = await outlet.refusal()
    assert (problem["code"], problem["close_code"]) == ("runtime.worker_not_found", 4404)
    assert (problem["worker_id"], problem["recovery"]) == ("a", "reconnect")


async def test_a_slow_subscriber_of_a_quiet_worker_goes_on_at_the_floor(tmp_path: Path):
    async with viewing(tmp_path, SMALL) as log:
        quiet, noisy = log.runtime.create_worker("quiet"), log.runtime.create_worker("noisy")
        await log.shown(emit(quiet, 1)[0])
        async with subscribed(log.view, "quiet", FromOldest()) as outlet:
            await outlet.wait_for(2)
            outlet.block()
            await log.shown(emit(quiet, 1)[0])
            await wait_until_async(lambda: outlet.sends == 3)
            for _ in range(3):
                rotate_out_all_before_now(log.runtime, noisy)
            await log.shown(emit(noisy, 1)[0])
            log.view._cache.clear()
            outlet.unblock()
            await log.shown(emit(quiet, 1)[0])
            await outlet.wait_for(4)
        assert [event["worker_seq"] for event in outlet.events] == [1, 2, 3]
        assert outlet.closed is None


async def test_a_rotation_that_is_under_way_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Counted as gone and not deleted yet: what of whom is lost can be said in a moment."""
    asked: list[int] = []

    def after_rotation_in_a_moment(*arguments: Any) -> Place:
        asked.append(1)
        if len(asked) < 4:
            raise LogUnavailableError(tmp_path, "segments are being rotated out")
        return after_rotation(*arguments)

    monkeypatch.setattr("yoi_runtime.server.subscriber.after_rotation", after_rotation_in_a_moment)
    async with viewing(tmp_path, SMALL) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        outlet = RecordingOutlet()
        async with subscribed(log.view, "a", FromOldest(), outlet):
            await outlet.wait_for(2)
            outlet.block()
            await log.shown(emit(worker, 1)[0])
            await outlet.wait_for(3)
            emit(worker, 7)
            rotate_out_all_before_now(log.runtime, log.runtime.create_worker("b"))
            log.view._cache.clear()
            outlet.unblock()
            problem = await outlet.refusal()
    assert len(asked) == 4
    assert (problem["code"], problem["lost"]["events"]) == ("runtime.cursor_expired", 7)


async def test_damage_ends_the_stream_after_all_before_it_and_the_rest_is_read_from_there(
    tmp_path: Path, expect_log: ExpectLog
):
    expect_log("yoi_runtime.server", "damaged record")
    with Runtime.open(tmp_path) as runtime:
        worker = runtime.create_worker("a")
        cursors = [worker.emit(TextDelta(text=f"number {number:03}")) for number in range(20)]
        other = runtime.create_worker("b")
        emit(other, 1)
        with_damage = decode_token(cursors[10]).seq
    damage(
        min((tmp_path / LOG_DIRECTORY).glob("*.jsonl")),
        lambda data: data.__setitem__(data.index(b"number 010"), ord("N")),
    )
    async with viewing_only(tmp_path) as view:
        for worker_id in ("a", None):
            async with subscribed(view, worker_id, FromOldest()) as outlet:
                problem = await outlet.refusal()
            assert (problem["code"], problem["close_code"]) == ("runtime.record_corrupt", 4413)
            assert outlet.seqs[-1] == with_damage - 1
            assert f"event {with_damage} is damaged" in problem["message"]
            async with subscribed(view, worker_id, FromCursor(problem["resume_cursor"])) as rest:
                await rest.wait_for(10)
            assert rest.seqs[:9] == list(range(with_damage + 1, with_damage + 10))
        # Whose the damaged record was nobody can say, so a Worker with nothing before it is told as well.
        async with subscribed(view, "b", FromOldest()) as outlet:
            assert (await outlet.refusal())["code"] == "runtime.record_corrupt"
        assert not outlet.events


async def test_a_disk_that_refuses_to_read_ends_the_stream_as_unavailable(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "the log failed a subscriber")
    files = FailingFiles()
    with Runtime.open(tmp_path) as runtime:
        cursors = emit(runtime.create_worker("a"), 2)
        runtime.wait_durable(cursors[-1])
        async with viewing_only(tmp_path, Platform(files=files)) as view:
            view._cache.clear()
            outlet = RecordingOutlet()
            outlet.block()
            async with subscribed(view, "a", FromOldest(), outlet):
                await outlet.wait_for(1)
                name = next(runtime.log_directory.glob("*.jsonl")).name
                files.fail(errno.EIO, "pread", name=name, for_ever=True)
                outlet.unblock()
                problem = await outlet.refusal()
            files.heal()
    assert files.struck
    assert (problem["code"], problem["close_code"], problem["recovery"]) == ("runtime.unavailable", 4503, "reconnect")


async def test_a_log_that_can_no_longer_be_followed_ends_the_stream_as_unavailable(
    tmp_path: Path, expect_log: ExpectLog
):
    expect_log("yoi_runtime.server", "cannot be followed")
    files = FailingFiles()
    with Runtime.open(tmp_path) as runtime:
        worker = runtime.create_worker("a")
        runtime.wait_durable(emit(worker, 1)[0])
        async with viewing_only(tmp_path, Platform(files=files)) as view:
            async with subscribed(view, "a", FromNow()) as outlet:
                await outlet.wait_for(1)
                files.fail(errno.EIO, "pread", name="COMMITTED", for_ever=True)
                problem = await outlet.refusal()
            files.heal()
    assert (problem["code"], problem["close_code"]) == ("runtime.unavailable", 4503)


async def test_a_replaced_log_ends_the_stream_as_unavailable(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "replaced")
    async with viewing(tmp_path) as log:
        await log.shown(emit(log.runtime.create_worker("a"), 1)[0])
        async with subscribed(log.view, "a", FromNow()) as outlet:
            await outlet.wait_for(1)
            log.view._let_go()
            problem = await outlet.refusal()
    assert (problem["code"], problem["close_code"]) == ("runtime.unavailable", 4503)


async def test_at_the_end_every_subscriber_gets_the_last_events_and_a_goodbye(tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        outlets = [RecordingOutlet() for _ in range(4)]
        async with (
            subscribed(log.view, "a", FromNow(), outlets[0]),
            subscribed(log.view, "a", FromOldest(), outlets[1]),
            subscribed(log.view, None, FromNow(), outlets[2]),
            subscribed(log.view, None, FromOldest(), outlets[3]),
        ):
            for outlet in outlets:
                await outlet.wait_for(1)
            last = emit(worker, 2000)[-1]
            log.runtime.wait_durable(last, 10)
            log.view.begin_closing()
            problems = [await outlet.refusal() for outlet in outlets]
        for outlet, problem in zip(outlets, problems, strict=True):
            assert (problem["code"], problem["close_code"]) == ("runtime.shutting_down", 1001)
            assert problem["recovery"] == "reconnect"
            assert outlet.events[-1]["cursor"] == last


async def test_in_a_hurry_a_subscriber_says_goodbye_where_it_is(tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 2000, size=400)[-1])
        outlet = RecordingOutlet()
        outlet.block()
        async with subscribed(log.view, None, FromOldest(), outlet):
            await outlet.wait_for(1)
            log.view.begin_closing()
            log.view.hurry()
            outlet.unblock()
            problem = await outlet.refusal()
    assert problem["code"] == "runtime.shutting_down"
    assert not outlet.events


async def test_a_peer_that_is_gone_ends_its_subscriber_in_silence(tmp_path: Path):
    async with viewing(tmp_path) as log:
        outlet = RecordingOutlet()
        outlet.gone = True
        subscriber = Subscriber(log.view, StreamRequest(), outlet)
        async with asyncio.timeout(10):
            await subscriber.run()
        assert outlet.closed is None


async def test_a_peer_that_takes_nothing_is_told_to_the_operator_and_left_to_the_caller(
    tmp_path: Path, expect_log: ExpectLog
):
    expect_log("yoi_runtime.server", "4508")

    class StalledOutlet(RecordingOutlet):
        async def send(self, messages: list[bytes]) -> None:
            raise ConsumerTooSlowError

    async with viewing(tmp_path) as log:
        with pytest.raises(ConsumerTooSlowError):
            await Subscriber(log.view, StreamRequest(), StalledOutlet()).run()


# Without the task: in the turn of the loop that shows an event.


@pytest.mark.parametrize("worker_id", [None, "a"])
async def test_what_comes_while_the_subscriber_sleeps_is_sent_without_waking_it(worker_id: str | None, tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        async with subscribed(log.view, worker_id, FromNow()) as outlet:
            await outlet.wait_for(1)
            for number in range(1, 21):
                await log.shown(emit(worker, 1)[0])
                await outlet.wait_for(1 + number)
        assert outlet.in_place >= 15, "else it was awake for most of them"
        numbers = [event["worker_seq"] for event in outlet.events]
        assert numbers == list(range(numbers[0], numbers[0] + 20))


async def test_a_peer_that_does_not_take_all_in_place_gets_the_rest_before_anything_else(tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        outlet = RecordingOutlet()
        subscriber = Subscriber(log.view, StreamRequest(worker_id="a"), outlet)
        task = asyncio.ensure_future(subscriber.run())
        await outlet.wait_for(1)
        await log.shown(emit(worker, 1)[0])
        await outlet.wait_for(2)
        before = subscriber.resume_cursor
        outlet.block()
        await log.shown(emit(worker, 1)[0])
        await outlet.wait_for(3)
        assert outlet.in_place >= 1
        last = emit(worker, 5)[-1]
        await log.shown(last)
        assert len(outlet.messages) == 3, "one write is under way, and no more"
        assert subscriber.resume_cursor == before, "what is under way may never arrive"
        outlet.unblock()
        await outlet.wait_for(8)
        assert outlet.seqs == list(range(outlet.seqs[0], outlet.seqs[0] + 7))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("times", [1, 2])
async def test_what_was_handed_over_in_place_is_not_sent_again_when_something_fails_after_it(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        outlet = RecordingOutlet()
        subscriber = Subscriber(log.view, StreamRequest(worker_id="a"), outlet)
        task = asyncio.ensure_future(subscriber.run())
        await outlet.wait_for(1)
        await wait_until_async(lambda: log.view.wake_ups._of_worker["a"], message="asleep")
        failures = [ZeroDivisionError()] * times

        def failing(sent_bytes: int, seconds: float) -> None:
            if failures and outlet.in_place:
                raise failures.pop()

        monkeypatch.setattr(subscriber._dialect, "wrote", failing)
        first = emit(worker, 1)[0]
        await log.shown(first)
        await wait_until_async(lambda: not failures, message="failed after it was sent")
        if times == 1:
            await log.shown(emit(worker, 1)[0])
            await outlet.wait_for(3)
            task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError if times == 1 else ZeroDivisionError), "seen, unless it passed"
        assert outlet.seqs == list(range(decode_token(first).seq, decode_token(first).seq + len(outlet.seqs)))
        assert len(outlet.seqs) == 3 - times


async def test_who_was_served_in_place_is_behind_since_the_last_time(tmp_path: Path):
    async with viewing(tmp_path) as log:
        worker = log.runtime.create_worker("a")
        await log.shown(emit(worker, 1)[0])
        outlet = RecordingOutlet()
        subscriber = Subscriber(log.view, StreamRequest(), outlet)
        task = asyncio.ensure_future(subscriber.run())
        await outlet.wait_for(1)
        for number in range(1, 6):
            before = asyncio.get_running_loop().time()
            await log.shown(emit(worker, 1)[0])
            await outlet.wait_for(1 + number)
            assert subscriber.standing is not None
            assert subscriber.standing.behind_since >= before
        assert outlet.in_place >= 3
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# Live and catch-up are one loop: no seam between them.


class Truth:
    """How many records of whom there are up to each seq, read straight from the files."""

    def __init__(self, view: LogView) -> None:
        self.view = view
        self._position = view.floor()
        self._counts = [Counter[str]()]

    def events_up_to(self, worker_id: str, seq: int) -> int:
        while len(self._counts) <= seq:
            chunk = self.view.reader.read(self._position, 64 << 10)
            assert chunk is not None
            for line in chunk.data.split(b"\n")[:-1]:
                self._counts.append(self._counts[-1] + Counter([str(json.loads(line)["envelope"]["worker_id"])]))
            self._position = chunk.end
        return self._counts[seq][worker_id]


@pytest.mark.parametrize("seed", [1, 2])
async def test_ten_thousand_interleavings_of_append_and_subscribe_have_no_gap_and_no_duplicate(
    seed: int, tmp_path: Path
):
    """Subscribers come, from anywhere in the log, at any point of appends, commits, rolls and folds; and leave."""
    chance = random.Random(seed)
    count = 5_000
    options = RuntimeOptions(segment_bytes=64 << 10, retain_segments=None, durability="written")
    async with viewing(tmp_path, options) as log:
        truth = Truth(log.view)
        workers = [log.runtime.create_worker(name) for name in "ab"]
        cursors = [emit(worker, 1)[0] for worker in workers]
        await log.shown(cursors[-1])
        running: set[asyncio.Task[None]] = set()
        done = 0
        while done < count:
            cursors += emit(chance.choice(workers), chance.randrange(3))
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
            while len(running) < 40:
                start: Start = chance.choice((FromNow(), FromCursor(chance.choice(cursors[-200:]))))
                scope = chance.choice((None, "a", "b"))
                running.add(asyncio.ensure_future(_follow_for_a_while(truth, scope, start, chance.randrange(1, 12))))
                if chance.random() < 0.5:
                    break
            await asyncio.sleep(0)
            finished = {task for task in running if task.done()}
            for task in finished:
                task.result()
            running -= finished
            done += len(finished)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class LeavingOutlet(RecordingOutlet):
    """A peer that leaves after so many messages."""

    def __init__(self, messages: int) -> None:
        super().__init__()
        self._leave_after = messages

    def take(self, messages: list[bytes]) -> None:
        super().take(messages)
        self.gone = len(self.messages) > self._leave_after


async def _follow_for_a_while(truth: Truth, worker_id: str | None, start: Start, events: int) -> None:
    outlet = LeavingOutlet(events)
    async with asyncio.timeout(30):
        await Subscriber(truth.view, StreamRequest(worker_id=worker_id, start=start), outlet).run()
    assert outlet.closed is None
    first = outlet.frames[0]
    if worker_id is None:
        after = decode_token(CursorToken(first["diagnostic"]["resume_cursor"])).seq
        assert outlet.seqs == list(range(after + 1, after + 1 + len(outlet.seqs)))
        return
    after = decode_token(first["envelope"]["cursor"]).seq
    numbers = [event["worker_seq"] for event in outlet.events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert outlet.seqs[0] > after
    # The first one is the Worker's next after the start: of the Worker's events before, none is left out.
    assert numbers[0] == 1 + truth.events_up_to(worker_id, after)
    if isinstance(start, FromCursor):
        assert first["envelope"]["cursor"] == start.token
