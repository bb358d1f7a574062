"""What every stream has: its stored cursor, its changes of state, its lag. Against a scripted Runtime of v1."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.client.client_tasks import client_tasks
from tests.client.scripted_runtime import (
    FakeTime,
    Refusal,
    Script,
    ScriptedRuntime,
    batch,
    bookmark,
    caught_up,
    drop,
    end,
    event,
    hello,
    until,
)
from tests.support.deadline import wait_until_async
from yoi_runtime.client.cursor_store import FileCursorStore, MemoryCursorStore
from yoi_runtime.client.observe import EventStream, observe
from yoi_runtime.client.stream_state import StateChange
from yoi_runtime.errors import CursorStoreError, StreamRefusedError


def of_v1(*scripts: Script) -> ScriptedRuntime:
    return ScriptedRuntime(*scripts, version="yoi.events.v1")


def follow(runtime: ScriptedRuntime, **options: Any) -> EventStream[Any]:
    return observe(runtime.url, "a", **{"settings": FakeTime().settings(save_interval_seconds=0.001)} | options)


# The stored cursor.


async def test_the_next_run_goes_on_where_the_last_one_stopped(tmp_path: Path):
    store = FileCursorStore(tmp_path / "cursor")
    async with of_v1([hello("c0"), batch(event(1), event(2))], [hello("c1"), event(2), event(3)]) as runtime:
        async with follow(runtime, cursor_store=store, start="oldest") as stream:
            assert (await anext(stream)).cursor == "c1"
            stream.ack()
            assert (await anext(stream)).cursor == "c2"  # taken, and not dealt with
        async with follow(runtime, cursor_store=store, start="oldest") as stream:
            assert [(await anext(stream)).cursor for _ in range(2)] == ["c2", "c3"]
        assert runtime.queries == [{"from": "oldest"}, {"cursor": "c1"}]


async def test_a_cursor_that_is_given_goes_before_the_stored_one():
    store = MemoryCursorStore()
    store.save("worker:a", "c1")
    async with of_v1([hello("c5"), event(6)]) as runtime:
        async with follow(runtime, cursor_store=store, cursor="c5") as stream:
            await anext(stream)
            stream.ack()
        assert runtime.queries == [{"cursor": "c5"}]
    assert store.load("worker:a") == "c6"


async def test_it_is_stored_when_the_next_event_is_asked_for_and_not_before():
    store = MemoryCursorStore()
    async with (
        of_v1([hello("c0"), batch(event(1), event(2))]) as runtime,
        follow(runtime, cursor_store=store) as stream,
    ):
        await anext(stream)
        await stream.save()
        assert store.load("worker:a") == "c0"
        await anext(stream)
        await wait_until_async(lambda: store.load("worker:a") == "c1")
        stream.ack()
        await stream.save()
        assert store.load("worker:a") == "c2"


async def test_a_bookmark_moves_the_stored_cursor_though_nobody_gets_an_event():
    store = MemoryCursorStore()
    async with of_v1([hello("c0"), caught_up("c0"), bookmark("c7")]) as runtime, follow(runtime, cursor_store=store):
        await wait_until_async(lambda: store.load("worker:a") == "c7")


async def test_a_bookmark_behind_an_event_in_hand_is_not_stored_yet():
    store = MemoryCursorStore()
    async with (
        of_v1([hello("c0"), event(1), bookmark("c7")]) as runtime,
        follow(runtime, cursor_store=store) as stream,
    ):
        await anext(stream)
        await stream.save()
        assert store.load("worker:a") == "c0"
        stream.ack()
        await wait_until_async(lambda: store.load("worker:a") == "c7")


async def test_an_error_in_the_block_stores_what_was_done_before_it():
    store = MemoryCursorStore()

    async def fail(runtime: ScriptedRuntime) -> None:
        async with follow(runtime, cursor_store=store) as stream:
            async for item in stream:
                if item.cursor == "c2":
                    raise KeyError

    async with of_v1([hello("c0"), batch(event(1), event(2), event(3))]) as runtime:
        with pytest.raises(KeyError):
            await fail(runtime)
    assert store.load("worker:a") == "c1"


class Full(MemoryCursorStore):
    def save(self, scope: str, cursor: str) -> None:
        raise CursorStoreError("somewhere", "no room")


async def test_a_store_that_fails_ends_the_stream_which_would_lie_otherwise():
    async with of_v1([hello("c0"), event(1)]) as runtime:
        stream = follow(runtime, cursor_store=Full())
        with pytest.raises(CursorStoreError, match="no room"):  # noqa: PT012  also the closing of the block raises
            async with stream:
                with pytest.raises(CursorStoreError, match="no room"):
                    async for _ in stream:
                        pass
                await wait_until_async(lambda: stream.state == "ended")
        assert client_tasks() == set()


async def test_an_error_in_the_block_is_not_hidden_by_one_of_the_store():
    async def fail(runtime: ScriptedRuntime) -> None:
        async with follow(runtime, cursor_store=Full(), settings=FakeTime().settings()) as stream:
            await anext(stream)
            raise KeyError

    async with of_v1([hello("c0"), event(1)]) as runtime:
        with pytest.raises(KeyError) as caught:
            await fail(runtime)
    assert "no room" in caught.value.__notes__[0]


async def test_a_store_that_cannot_be_read_is_told_before_anything_is_asked_for(tmp_path: Path):
    store = FileCursorStore(tmp_path / "cursor")
    store.save("worker:b", "c1")
    async with of_v1() as runtime:
        with pytest.raises(CursorStoreError, match="worker:b"):
            await follow(runtime, cursor_store=store).__aenter__()
        assert runtime.asked == []


async def test_saving_needs_a_store():
    async with of_v1([hello("c0")]) as runtime, follow(runtime) as stream:
        with pytest.raises(RuntimeError, match="no cursor store"):
            await stream.save()


# What it is doing.


async def test_changes_of_state_can_be_followed():
    scripts: list[Script] = [Refusal(503), [hello("c0"), event(1), caught_up("c1", 1), drop], [hello("c1"), end("c1")]]
    async with of_v1(*scripts) as runtime:
        stream = follow(runtime)
        changes = stream.changes()
        async with stream, asyncio.timeout(20):
            items = [item.cursor async for item in stream]
            seen = [change async for change in changes]
            assert [change.state.value async for change in stream.changes()] == ["ended"]
    assert items == ["c1"]
    assert [(change.state.value, change.detail.code) for change in seen] == [
        ("connecting", ""),
        ("waiting", "http.503"),
        ("connecting", ""),
        ("replaying", ""),
        ("live", ""),
        ("waiting", "connection.broken"),
        ("connecting", ""),
        ("replaying", ""),
        ("ended", "worker.ended"),
    ]
    assert all(isinstance(change, StateChange) for change in seen)


async def test_changes_that_nobody_keeps_are_not_collected():
    async with of_v1([hello("c0")]) as runtime, follow(runtime) as stream:
        changes = stream.changes()
        assert len(stream._changes) == 1
        del changes
        assert len(stream._changes) == 0


async def test_the_end_of_the_worker_ends_the_stream():
    async with of_v1([hello("c0"), batch(event(1), event(2)), end("c2", "crashed")]) as runtime:
        async with follow(runtime) as stream:
            assert [item.cursor async for item in stream] == ["c1", "c2"]
            assert (stream.outcome, stream.state, stream.cursor) == ("crashed", "ended", "c2")
        assert len(runtime.asked) == 1


async def test_a_worker_that_runs_again_is_followed_on_when_chosen():
    time = FakeTime()
    scripts: list[Script] = [
        [hello("c0"), event(1), end("c1", "lost")],
        [hello("c1"), end("c1")],
        [hello("c1"), event(2)],
    ]
    async with of_v1(*scripts) as runtime:
        async with follow(runtime, after_end="wait", settings=time.settings()) as stream:
            changes = stream.changes()
            assert [(await anext(stream)).cursor for _ in range(2)] == ["c1", "c2"]
            assert stream.outcome is None
        codes = [change.detail.code async for change in changes if change.state == "waiting"]
        assert codes == ["worker.ended"] * 2
        assert runtime.queries == [{}, {"cursor": "c1"}, {"cursor": "c1"}]
    assert time.waits_seconds == [1, 1]


async def test_lag_is_what_the_runtime_said_and_what_waits_here():
    script = [hello("c0"), event(1), bookmark("c1", behind={"events": 5, "bytes": 99}), event(2)]
    async with of_v1(script) as runtime, follow(runtime) as stream:
        assert (stream.lag.events, stream.lag.bytes, stream.lag.read_ahead_bytes) == (None, None, 0)
        await wait_until_async(lambda: stream.lag.read_ahead_bytes > 2 * len(event(1)))
        assert (stream.lag.events, stream.lag.bytes) == (5, 99)
        await anext(stream)
        await anext(stream)
        assert stream.lag.read_ahead_bytes == 0


async def test_a_heartbeat_that_stays_away_shows_and_brings_it_back():
    stalled = asyncio.Event()

    def on_state(state: str, detail: object) -> None:
        if state == "stalled":
            stalled.set()

    async with of_v1([hello("c0", heartbeat_ms=40), event(1)], [hello("c1"), event(2)]) as runtime:
        async with follow(runtime, on_state=on_state) as stream, asyncio.timeout(20):
            changes = stream.changes()
            assert [(await anext(stream)).cursor for _ in range(2)] == ["c1", "c2"]
            assert stalled.is_set()
        codes = [change.detail.code async for change in changes if change.state == "waiting"]
        assert codes == ["connection.no_heartbeat"]


async def test_what_comes_after_a_stall_takes_it_back():
    gate = asyncio.Event()
    script = [hello("c0", heartbeat_ms=1000), caught_up("c0"), until(gate), event(1)]
    async with of_v1(script) as runtime, follow(runtime) as stream, asyncio.timeout(20):
        await wait_until_async(lambda: stream.state == "stalled")
        gate.set()
        await anext(stream)
        assert stream.state == "live"


async def test_an_on_state_that_raises_at_a_stall_ends_the_stream_with_what_it_raised():
    def on_state(state: str, detail: object) -> None:
        if state == "stalled":
            raise KeyError("mine")

    async with of_v1([hello("c0", heartbeat_ms=40)]) as runtime:
        async with follow(runtime, on_state=on_state) as stream, asyncio.timeout(20):
            with pytest.raises(KeyError, match="mine"):
                await anext(stream)
        assert client_tasks() == set()


# Which version.


async def test_v1_with_batches_is_asked_for_and_shown():
    async with of_v1([hello("c0"), event(1)]) as runtime, follow(runtime, events={"text_delta", "status"}) as stream:
        assert stream.protocol is None
        await anext(stream)
        assert stream.protocol == "v1"
        assert runtime.asked[0].query == {"batch": "1", "events": "status,text_delta"}


async def test_a_runtime_that_knows_only_v0_is_asked_again_in_its_own_words():
    async with ScriptedRuntime(Refusal(400), [event(1), drop], Refusal(400), [event(2)]) as runtime:
        async with follow(runtime) as stream:
            assert [(await anext(stream)).cursor for _ in range(2)] == ["c1", "c2"]
            assert stream.protocol == "v0"
        assert [asked.query for asked in runtime.asked] == [
            {"batch": "1"},
            {},
            {"batch": "1", "cursor": "c1"},
            {"cursor": "c1"},
        ]


@pytest.mark.parametrize(("protocol", "refusals"), [("v1", 1), ("v0", 1), ("auto", 2)])
async def test_a_request_that_no_version_mends_is_refused(protocol: Any, refusals: int):
    async with ScriptedRuntime(*[Refusal(400)] * refusals) as runtime:
        async with follow(runtime, settings=FakeTime().settings(protocol=protocol)) as stream:
            with pytest.raises(StreamRefusedError, match=r"http\.400"):
                await anext(stream)
        assert len(runtime.asked) == refusals


# Waits.


async def test_having_caught_up_is_health():
    time = FakeTime()
    scripts: list[Script] = [[drop], [drop], [hello("c0"), caught_up("c0"), drop], [hello("c0"), event(1)]]
    async with of_v1(*scripts) as runtime, follow(runtime, settings=time.settings()) as stream:
        await anext(stream)
    assert time.waits_seconds == [0.25, 0.5, 0.25]


async def test_a_hello_alone_is_no_health():
    time = FakeTime()
    scripts: list[Script] = [[hello("c0"), drop]] * 3
    async with of_v1(*scripts, [hello("c0"), event(1)]) as runtime, follow(runtime, settings=time.settings()) as stream:
        await anext(stream)
    assert time.waits_seconds == [0.25, 0.5, 1]
