from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from tests.client.client_tasks import client_tasks
from tests.client.scripted_runtime import (
    FakeTime,
    Script,
    ScriptedRuntime,
    batch,
    bookmark,
    closing,
    drop,
    event,
    hello,
    problem,
)
from tests.support.deadline import wait_until_async
from yoi_runtime.client.cursor_store import MemoryCursorStore
from yoi_runtime.client.observe_workers import WorkerEvents, WorkerStreams, observe_workers
from yoi_runtime.client.stream_event import StreamGap
from yoi_runtime.errors import StreamRefusedError, WorkerIdInvalidError
from yoi_runtime.protocol.diagnostics import DiagnosticCode

HELLO = hello("c0", scope={"worker_id": None})


def of_v1(*scripts: Script) -> ScriptedRuntime:
    return ScriptedRuntime(*scripts, version="yoi.events.v1")


def follow(runtime: ScriptedRuntime, **options: Any) -> WorkerStreams:
    return observe_workers(runtime.url, **{"settings": FakeTime().settings()} | options)


def of(worker_id: str | None, n: int) -> bytes:
    return event(n, worker_id=worker_id, worker_seq=None if worker_id is None else n)


async def take(events: WorkerEvents, count: int) -> list[str | None]:
    async with asyncio.timeout(20):
        return [(await anext(events)).cursor for _ in range(count)]


async def test_each_worker_has_its_events_over_one_socket_and_a_drop():
    async with of_v1(
        [HELLO, batch(of("a", 1), of("b", 2), of(None, 3), of("c", 4)), of("a", 5), drop],
        [hello("c5", scope={"worker_id": None}), of("b", 6)],
    ) as runtime:
        streams = follow(runtime)
        a, b, rest = streams.of("a"), streams.of("b"), streams.rest()
        async with streams:
            assert await take(b, 2) == ["c2", "c6"]
            assert await take(a, 2) == ["c1", "c5"]
            assert await take(rest, 2) == ["c3", "c4"]
            assert streams.of("a") is a
        assert [asked.path for asked in runtime.asked] == ["/v1/events/ws"] * 2
        assert client_tasks() == set()
        with pytest.raises(StopAsyncIteration):
            await anext(a)


async def test_the_cursor_is_safe_for_all_of_them():
    store = MemoryCursorStore()
    async with of_v1([HELLO, batch(of("a", 1), of("b", 2), of("c", 3), of("a", 4)), bookmark("c9")]) as runtime:
        streams = follow(runtime, cursor_store=store)
        a, b = streams.of("a"), streams.of("b")
        async with streams:
            await take(a, 2)
            a.ack()
            assert streams.cursor == "c1"
            await streams.save()
            assert store.load("everything") == "c1"
            await take(b, 1)
            assert streams.cursor == "c1"
            b.ack()
            await wait_until_async(lambda: streams.cursor == "c9")
    assert store.load("everything") == "c9"


async def test_the_next_run_begins_at_the_stored_cursor():
    store = MemoryCursorStore()
    store.save("everything", "c4")
    async with of_v1([]) as runtime, follow(runtime, cursor_store=store) as streams:
        assert streams.cursor == "c4"
        await wait_until_async(lambda: runtime.queries == [{"cursor": "c4"}])


async def test_nobodys_events_are_passed_over_and_a_closed_iterator_holds_nothing_up():
    async with of_v1([HELLO, batch(of("a", 1), of("b", 2), of("b", 3), of("a", 4))]) as runtime:
        streams = follow(runtime)
        a, b = streams.of("a"), streams.of("b")
        async with streams:
            await take(b, 1)
            b.close()
            assert await take(a, 2) == ["c1", "c4"]
            a.ack()
            await wait_until_async(lambda: streams.cursor == "c4")
            with pytest.raises(StopAsyncIteration):
                await anext(b)


async def test_a_gap_goes_to_everybody():
    expired = problem(DiagnosticCode.CURSOR_EXPIRED, oldest_cursor="c7").frame()
    async with of_v1(
        [HELLO, of("a", 1), expired, closing(4410)], [hello("c7", scope={"worker_id": None}), of("b", 8)]
    ) as runtime:
        streams = follow(runtime, on_expired="oldest")
        a, b = streams.of("a"), streams.of("b")
        async with streams:
            assert await take(a, 2) == ["c1", "c7"]
            gap = await anext(b)
            assert isinstance(gap, StreamGap)
            assert await take(b, 1) == ["c8"]
            assert streams.cursor == "c1"
            a.ack()
            assert streams.cursor == "c7"


async def test_an_error_comes_to_everybody_after_what_waits():
    async with of_v1([HELLO, of("a", 1), closing(4409)]) as runtime:
        streams = follow(runtime)
        a, b = streams.of("a"), streams.of("b")
        async with streams:
            with pytest.raises(StreamRefusedError):
                await anext(b)
            assert await take(a, 1) == ["c1"]
            with pytest.raises(StreamRefusedError):
                await anext(a)
            with pytest.raises(StreamRefusedError):
                await anext(streams.of("later"))


async def test_one_that_stands_still_holds_the_runtime_back_until_it_goes_on():
    text, total, sent = "x" * 100_000, 600, 0

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        for n in range(1, total + 1):
            frame = event(n, worker_id="b", payload={"event": "text_delta", "data": {"text": text}})
            await connection.send(frame.decode())
            sent = n

    async with of_v1([HELLO, flood]) as runtime:
        streams = follow(runtime, settings=FakeTime().settings(verify_crc=False))
        b = streams.of("b")
        async with streams, asyncio.timeout(50):
            counts: list[int] = []

            def at_a_standstill() -> bool:
                counts.append(sent)
                return len(counts) > 40 and counts[-1] == counts[-40] > 0

            await wait_until_async(at_a_standstill, 30)
            assert sent < total / 2
            assert streams._waiting_bytes < 2 * 256 * 1024
            assert len(await take(b, total)) == total


async def test_an_id_that_is_none_is_told():
    async with of_v1() as runtime:
        with pytest.raises(WorkerIdInvalidError):
            follow(runtime).of("../x")
