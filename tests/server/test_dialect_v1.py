"""v1 over real sockets: hello, caught_up, bookmark, end, batch, filter, damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ExpectLog
from tests.server.serving import SMALL, Serving, serving, stream_path
from tests.server.v1_peer import v1_subscribed
from tests.support.damage import damage
from tests.support.deadline import wait_until_async
from yoi_runtime.events import Status, TextDelta, UnknownEvent
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.server import dialect_v1
from yoi_runtime.server.dialect_v1 import DialectV1


@pytest.fixture
def quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect_v1, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(DialectV1, "heartbeat_seconds", 0.05)


def has_ended(served: Serving, worker_id: str) -> bool:
    state = served.view.worker(worker_id)
    return state is not None and state.ended


async def test_hello_tells_where_the_stream_starts_of_what_and_how_the_log_is_kept(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        worker = await served.worker("a")
        cursor = worker.emit(TextDelta(text="one"))
        await served.shown(cursor)
        async with v1_subscribed(
            served.server.url, stream_path("a"), cursor=cursor, events="status,text_delta"
        ) as peer:
            hello = await peer.frame()
        log_id = served.runtime.log_id
        assert (hello["kind"], hello["protocol"]) == ("hello", "yoi.events.v1")
        assert (hello["log_id"], hello["runtime_id"]) == (log_id, f"rt-{log_id}")
        assert hello["scope"] == {"worker_id": "a"}
        assert hello["filters"] == {"events": ["status", "text_delta"]}
        assert hello["resumed_from"] == hello["latest_cursor"] == cursor
        assert hello["oldest_cursor"] != cursor
        assert (hello["heartbeat_ms"], hello["max_frame_bytes"]) == (15_000, 512 * 1024)
        assert hello["retention"] == {
            "retain_bytes": SMALL.retain_bytes,
            "retain_age_seconds": SMALL.retain_age_seconds,
            "retain_segments": 3,
        }


async def test_every_cursor_that_a_frame_carries_resumes_at_its_place(tmp_path: Path, quick_heartbeat: None):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        worker.emit(TextDelta(text="before"))
        await served.shown(worker.emit(TextDelta(text="before too")))
        async with v1_subscribed(served.server.url, stream_path("a"), from_="oldest") as peer:
            hello = await peer.frame()
            caught_up = await peer.until("caught_up")
            bookmark = await peer.until("bookmark")
        assert (caught_up["replayed"], bookmark["worker_seq"]) == (2, 2)
        assert bookmark["behind"] == {"events": 0, "bytes": 0}
        worker.emit(TextDelta(text="after"))
        expected = {
            hello["resumed_from"]: ["before", "before too", "after"],
            hello["oldest_cursor"]: ["before", "before too", "after"],
            caught_up["cursor"]: ["after"],
            bookmark["cursor"]: ["after"],
            bookmark["durable_cursor"]: ["after"],
        }
        for cursor, texts in expected.items():
            async with v1_subscribed(served.server.url, stream_path("a"), cursor=cursor) as peer:
                assert [event["payload"]["data"]["text"] for event in await peer.events(len(texts))] == texts


async def test_the_stream_of_everything_is_the_logs_own_records_in_both_ways(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        cursors = [worker.emit(TextDelta(text=f"{number} \u2028 }},\n{{")) for number in range(300)]
        await served.shown(cursors[-1])
        logs = []
        for batch in ("0", "1"):
            async with v1_subscribed(served.server.url, stream_path(None), from_="oldest", batch=batch) as peer:
                await peer.until("caught_up")
                assert (peer.batches > 0) is (batch == "1")
                logs.append([frame for frame in peer.log if frame["kind"] == "event"])
        assert logs[0] == logs[1]
        assert [frame["envelope"]["seq"] for frame in logs[0]] == list(range(1, 304))
        assert all("crc" in frame for frame in logs[0])


async def test_a_foreign_event_is_not_wrapped_in_v1(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        async with v1_subscribed(served.server.url, stream_path("a")) as peer:
            await peer.until("caught_up")
            worker.emit(UnknownEvent(name="mine", data={"a": 1}))
            assert (await peer.events(1))[0]["payload"] == {"event": "mine", "data": {"a": 1}}


async def test_a_filter_lets_only_its_events_through_and_bookmarks_go_on_moving(tmp_path: Path):
    async with serving(tmp_path) as served:
        quiet, noisy = await served.worker("quiet"), await served.worker("noisy")
        async with v1_subscribed(served.server.url, stream_path("quiet"), events="status") as peer:
            await peer.until("caught_up")
            for number in range(2500):
                noisy.emit(TextDelta(text="n"))
                if number % 500 == 0:
                    quiet.emit(TextDelta(text="not for this stream"))
            bookmark = await peer.until("bookmark")
            cursor = quiet.emit(Status(status="running"))
            event = (await peer.events(1))[0]
        assert event["payload"] == {"event": "status", "data": {"status": "running"}}
        assert event["cursor"] == cursor
        assert event["worker_seq"] == 6
        assert [frame for frame in peer.log if frame["kind"] == "event"] == [peer.log[-1]]
        assert 1 <= bookmark["worker_seq"] <= 5


async def test_a_bookmark_keeps_a_quiet_workers_place_while_everything_else_rotates(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        quiet, noisy = await served.worker("quiet"), await served.worker("noisy")
        await served.shown(quiet.emit(TextDelta(text="first")))
        async with v1_subscribed(served.server.url, stream_path("quiet"), from_="oldest") as peer:
            await peer.until("caught_up")
            for _ in range(3):
                served.rotate_out_all_before_now(noisy)
            quiet.emit(TextDelta(text="second"))
            event = (await peer.events(1))[0]
        assert (event["payload"]["data"]["text"], event["worker_seq"]) == ("second", 2)


async def test_end_comes_when_the_worker_ends_and_closes_with_1000(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        async with v1_subscribed(served.server.url, stream_path("a")) as peer:
            await peer.until("caught_up")
            worker.emit(TextDelta(text="last words"))
            worker.end("failed", 3)
            end = await peer.until("end")
            assert (end["worker_id"], end["outcome"]) == ("a", "failed")
            assert await peer.closed() == (1000, "the Worker has ended")
        assert [frame["kind"] for frame in peer.log] == ["hello", "caught_up", "event", "end"]


async def test_end_comes_to_who_connects_after_it_and_its_cursor_waits_for_the_next_run(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        worker.emit(TextDelta(text="all there is"))
        worker.end()
        await wait_until_async(lambda: has_ended(served, "a"))
        async with v1_subscribed(served.server.url, stream_path("a"), from_="oldest") as peer:
            end = await peer.until("end")
            assert [frame["kind"] for frame in peer.log] == ["hello", "event", "caught_up", "end"]
        again = served.runtime.create_worker("a")
        await wait_until_async(lambda: not has_ended(served, "a"))
        async with v1_subscribed(served.server.url, stream_path("a"), cursor=end["cursor"]) as peer:
            await peer.until("caught_up")
            again.emit(TextDelta(text="anew"))
            event = (await peer.events(1))[0]
        assert (event["payload"]["data"]["text"], event["worker_seq"]) == ("anew", 2)
        assert "end" not in [frame["kind"] for frame in peer.log], "an earlier run's end is no end"


async def test_an_end_before_a_restart_that_is_pending_is_no_end(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        async with v1_subscribed(served.server.url, stream_path("a")) as connected:
            await connected.until("caught_up")
            worker.end("crashed", 1, restart_pending=True)
            await wait_until_async(lambda: has_ended(served, "a"))
            info = (await served.get("/v1/workers/a")).json["worker"]
            assert (info["outcome"], info["restart_pending"]) == ("crashed", True)
            async with v1_subscribed(served.server.url, stream_path("a"), from_="oldest") as late:
                await late.until("caught_up")
                again = served.runtime.create_worker("a")
                again.emit(TextDelta(text="here again"))
                for peer in (connected, late):
                    assert (await peer.events(1))[0]["payload"]["data"]["text"] == "here again"
                again.end("failed")
                for peer in (connected, late):
                    assert (await peer.until("end"))["outcome"] == "failed"
                    assert await peer.closed() == (1000, "the Worker has ended")
        assert "restart_pending" not in (await served.get("/v1/workers/a")).json["worker"]


async def test_a_pending_restart_outlives_a_restart_of_the_server(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        (await served.worker("a")).end("crashed", restart_pending=True)
        served.rotate_out_all_before_now(await served.worker("noisy"))
    async with (
        serving(tmp_path, SMALL) as served,
        v1_subscribed(served.server.url, stream_path("a"), from_="oldest") as peer,
    ):
        await peer.until("caught_up")
        served.runtime.create_worker("a").emit(TextDelta(text="here again"))
        assert (await peer.events(1))[0]["worker_seq"] == 1


async def test_a_worker_that_was_lost_is_given_time_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_heartbeat: None
):
    """A Runtime that comes back says ``lost`` of all before it can start anybody."""
    with monkeypatch.context() as patch:
        # As if it had been killed: nobody says how its Workers ended.
        patch.setattr(Runtime, "_end_at_close", staticmethod(lambda worker: None))
        with Runtime.open(tmp_path) as runtime:
            for worker_id in ("returns", "stays"):
                runtime.create_worker(worker_id).emit(TextDelta(text="before"))
    async with serving(tmp_path) as served:
        for worker_id in ("returns", "stays"):
            assert (await served.get(f"/v1/workers/{worker_id}")).json["worker"]["outcome"] == "lost"
        async with (
            v1_subscribed(served.server.url, stream_path("returns")) as returning,
            v1_subscribed(served.server.url, stream_path("stays")) as staying,
        ):
            for peer in (returning, staying):
                await peer.until("caught_up")
                await peer.until("bookmark")
            served.runtime.create_worker("returns").emit(TextDelta(text="after"))
            assert (await returning.events(1))[0]["worker_seq"] == 2
            assert "end" not in [frame["kind"] for frame in returning.log]
            # Its time is over.
            monkeypatch.setattr(dialect_v1, "LOST_GRACE_SECONDS", 0.0)
            assert (await staying.until("end"))["outcome"] == "lost"
            assert await staying.closed() == (1000, "the Worker has ended")


@pytest.mark.parametrize("outcome", ["completed", "failed", "cancelled", "crashed"])
async def test_end_tells_each_outcome_to_who_is_there_and_to_who_comes_with_any_cursor(outcome: Any, tmp_path: Path):
    """Its cursor is the end of the log: nothing of the Worker comes after it, and going on there ends again."""
    async with serving(tmp_path, SMALL) as served:
        worker, noisy = await served.worker("a"), await served.worker("noisy")
        cursors = [worker.emit(TextDelta(text=f"number {number}")) for number in range(3)]
        async with v1_subscribed(served.server.url, stream_path("a"), batch="1") as live:
            await live.until("caught_up")
            worker.end(outcome)
            ends = [await live.until("end")]
            assert await live.closed() == (1000, "the Worker has ended")
        for place, cursor in enumerate(cursors):
            async with v1_subscribed(served.server.url, stream_path("a"), cursor=cursor) as late:
                ends.append(await late.until("end"))
                assert sum(frame["kind"] == "event" for frame in late.log) == 2 - place
                assert await late.closed() == (1000, "the Worker has ended")
        # Also when all of it was rotated out since.
        served.rotate_out_all_before_now(noisy)
        for cursor in (cursors[-1], ends[0]["cursor"]):
            async with v1_subscribed(served.server.url, stream_path("a"), cursor=cursor) as late:
                ends.append(await late.until("end"))
                assert [frame["kind"] for frame in late.log] == ["hello", "caught_up", "end"]
        assert {(end["worker_id"], end["outcome"]) for end in ends} == {("a", outcome)}


async def test_the_stream_of_everything_has_no_end(tmp_path: Path):
    async with serving(tmp_path) as served:
        (await served.worker("a")).end()
        await wait_until_async(lambda: has_ended(served, "a"))
        async with v1_subscribed(served.server.url, stream_path(None), from_="oldest") as peer:
            await peer.until("caught_up")
            await served.worker("b")
            assert (await peer.events(1))[0]["payload"]["event"] == "worker_created"


async def test_no_message_is_over_the_bound_that_hello_states(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        cursors = [worker.emit(TextDelta(text="x" * size)) for size in (250_000, 10, 200_000, 200_000, 10)]
        await served.shown(cursors[-1])
        async with v1_subscribed(served.server.url, stream_path("a"), from_="oldest", batch="1") as peer:
            await peer.until("caught_up")
        assert max(peer.sizes) <= peer.log[0]["max_frame_bytes"]


def test_a_slow_link_gets_smaller_batches_and_a_fast_one_larger():
    dialect = DialectV1.__new__(DialectV1)
    dialect._batch_bytes = 512 << 10
    lines = [b"x" * 1000] * 500
    dialect.wrote(128 << 10, 1.0)
    slow = dialect._batches(lines)
    assert max(map(len, slow)) <= 13_200
    for _ in range(10):
        dialect.wrote(128 << 10, 0.001)
    fast = dialect._batches(lines)
    assert max(map(len, fast)) > 400_000
    dialect.wrote(100, 60.0)
    assert dialect._batch_bytes == 4 << 10, "never so small that every event travels alone"


async def test_after_damage_a_v1_stream_goes_on(tmp_path: Path, expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "damaged record")
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        for number in range(10):
            worker.emit(TextDelta(text=f"number {number}"))
        served.roll()
        await served.shown(worker.emit(TextDelta(text="later")))
        damage(served.segments()[0], lambda data: data.__setitem__(data.index(b"number 4"), ord("N")))
        served.view._cache.clear()
        async with v1_subscribed(served.server.url, stream_path("a"), from_="oldest") as peer:
            problem = (await peer.until("diagnostic"))["diagnostic"]
            await peer.until("caught_up")
        assert (problem["code"], problem["recovery"]) == ("runtime.record_corrupt", "none")
        texts = [frame["envelope"]["payload"]["data"]["text"] for frame in peer.log if frame["kind"] == "event"]
        assert texts == [*(f"number {number}" for number in range(10) if number != 4), "later"]
        async with v1_subscribed(served.server.url, stream_path("a"), cursor=problem["resume_cursor"]) as peer:
            assert (await peer.events(1))[0]["payload"]["data"]["text"] == "number 5"


async def test_a_stop_leaves_a_last_bookmark_and_says_to_come_back(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        async with v1_subscribed(served.server.url, stream_path("a")) as peer:
            await peer.until("caught_up")
            cursor = worker.emit(TextDelta(text="x"))
            await peer.events(1)
            await served.server.stop()
            bookmark = await peer.frame()
            problem = (await peer.frame())["diagnostic"]
            assert (bookmark["kind"], bookmark["cursor"]) == ("bookmark", cursor)
            assert (problem["code"], problem["recovery"]) == ("runtime.shutting_down", "reconnect")
            assert await peer.closed() == (1001, "runtime.shutting_down")


@pytest.mark.parametrize(
    "query", ["batch=2", "events=", "events=a,,b", "batch=1&batch=1", "nonsense=1", "from=now&cursor=x"]
)
async def test_what_v1_does_not_know_is_400(tmp_path: Path, query: str):
    async with serving(tmp_path) as served:
        refused = await served.refusal(stream_path(None) + "?" + query, subprotocols=["yoi.events.v1"])
        assert (refused.status, refused.code) == (400, "runtime.invalid_request")
