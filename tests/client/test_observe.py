"""The stream as its consumer sees it: cursor, acknowledgement, cancelling, closing."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from tests.client.client_tasks import client_tasks
from tests.client.scripted_runtime import (
    FakeTime,
    Refusal,
    ScriptedRuntime,
    batch,
    bookmark,
    closing,
    drop,
    end,
    event,
    hello,
    opened,
    problem,
    snapshot,
    until,
)
from tests.support.deadline import wait_until_async
from yoi_runtime.client.observe import EventStream, observe
from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.client.stream_event import StreamEvent, StreamGap
from yoi_runtime.client.stream_state import StreamState
from yoi_runtime.errors import RequestInvalidError, StreamConnectError, StreamRefusedError
from yoi_runtime.events.output_events import TextDelta
from yoi_runtime.protocol.diagnostics import DiagnosticCode


def follow(runtime: ScriptedRuntime, worker_id: str | None = "a", **options: Any) -> EventStream[Any]:
    return observe(runtime.url, worker_id, **{"settings": FakeTime().settings()} | options)


async def test_events_come_typed_and_raw():
    async with (
        ScriptedRuntime([snapshot("c0"), event(1), event(2)]) as runtime,
        observe(runtime.url, "a") as stream,
        asyncio.timeout(20),
    ):
        async for item in stream:
            assert isinstance(item, StreamEvent)
            assert item.raw == event(item.seq or 0)
            assert item.decode() == TextDelta(text=f"text {item.seq}")
            if item.seq == 2:
                break


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_an_address_may_be_of_http_or_of_websocket_and_lie_under_a_path(scheme: str):
    async with ScriptedRuntime([opened("c0"), event(1)]) as runtime:
        async with observe(f"{scheme}://127.0.0.1:{runtime.port}/proxied/") as stream:
            await anext(stream)
            assert stream.url == f"ws://127.0.0.1:{runtime.port}/proxied/v1/events/ws"
        assert runtime.asked[0].path == "/proxied/v1/events/ws"


# The cursor.


async def test_the_cursor_moves_when_the_next_event_is_asked_for():
    async with (
        ScriptedRuntime([snapshot("c0"), event(1), event(2)]) as runtime,
        follow(runtime) as stream,
    ):
        assert stream.cursor is None
        await anext(stream)
        assert stream.cursor == "c0"
        await anext(stream)
        assert stream.cursor == "c1"
        asking = asyncio.create_task(anext(stream))
        await wait_until_async(lambda: stream.cursor == "c2")
        asking.cancel()


async def test_ack_moves_the_cursor_without_asking():
    async with (
        ScriptedRuntime([snapshot("c0"), event(1), event(2)]) as runtime,
        follow(runtime) as stream,
    ):
        await anext(stream)
        stream.ack()
        stream.ack()
        assert stream.cursor == "c1"


async def test_leaving_in_the_middle_of_an_event_keeps_the_cursor_before_it():
    async with ScriptedRuntime([snapshot("c0"), event(1), event(2)]) as runtime:
        async with follow(runtime) as stream:
            async for item in stream:
                if item.cursor == "c2":
                    break
        assert stream.cursor == "c1"


# Batches.


async def test_a_batch_is_what_came_together_and_is_dealt_with_as_a_whole():
    script = [hello("c0"), batch(event(1), event(2), bookmark("c2"), event(3), bookmark("c9")), event(10)]
    async with (
        ScriptedRuntime(script, version="yoi.events.v1") as runtime,
        follow(runtime, events=["text_delta"]) as stream,
    ):
        await wait_until_async(lambda: stream.lag.read_ahead_bytes > len(script[1]))
        batches = stream.batches()
        assert [event.cursor for event in await anext(batches)] == ["c1", "c2", "c3"]
        assert stream.cursor == "c0"
        assert [event.cursor for event in await anext(batches)] == ["c10"]
        assert stream.cursor == "c9"
        stream.ack()
        assert stream.cursor == "c10"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await anext(batches)
        assert stream.cursor == "c10"


async def test_between_single_events_one_may_change_to_batches_and_back():
    script = [hello("c0"), batch(event(1), event(2), event(3)), event(4)]
    async with ScriptedRuntime(script, version="yoi.events.v1") as runtime, follow(runtime) as stream:
        assert (await anext(stream)).cursor == "c1"
        assert [event.cursor for event in await anext(stream.batches())] == ["c2", "c3"]
        assert stream.cursor == "c1"
        assert (await anext(stream)).cursor == "c4"
        assert stream.cursor == "c3"


async def test_a_batch_of_nothing_but_a_gap_of_unknown_end_keeps_the_cursor_before_it():
    expired = problem(DiagnosticCode.CURSOR_EXPIRED, requested_cursor="c1").frame()
    runtime_of_two = ScriptedRuntime([expired, closing(4410)], [opened("c7"), event(8)])
    async with runtime_of_two as runtime, follow(runtime, None, cursor="c1", on_expired="oldest") as stream:
        batches = stream.batches()
        (gap,) = await anext(batches)
        assert isinstance(gap, StreamGap)
        await wait_until_async(lambda: stream.state is StreamState.LIVE)
        assert stream.cursor == "c1"
        assert [event.cursor for event in await anext(batches)] == ["c8"]
        assert stream.cursor == "c7"


async def test_batches_end_with_the_stream():
    script = [hello("c0"), event(1), end("c1")]
    async with ScriptedRuntime(script, version="yoi.events.v1") as runtime, follow(runtime) as stream:
        assert [len(batch) async for batch in stream.batches()] == [1]
        assert stream.cursor == "c1"


async def test_the_cursor_is_known_before_anything_was_asked_for():
    async with ScriptedRuntime([snapshot("c5")], [opened("c6")]) as runtime:
        async with follow(runtime) as stream:
            await wait_until_async(lambda: stream.cursor == "c5")
        async with follow(runtime, None) as stream:
            await wait_until_async(lambda: stream.cursor == "c6")


async def test_a_given_cursor_is_the_cursor_until_the_runtime_says_better():
    async with (
        ScriptedRuntime([drop], [snapshot("floor")]) as runtime,
        follow(runtime, cursor="c1") as stream,
    ):
        assert stream.cursor == "c1"
        await wait_until_async(lambda: stream.cursor == "floor")


async def test_a_reconnect_does_not_carry_the_cursor_over_an_event_in_hand():
    async with (
        ScriptedRuntime([snapshot("c0"), event(1), event(2), drop], [snapshot("c2")]) as runtime,
        follow(runtime) as stream,
    ):
        await anext(stream)
        await wait_until_async(lambda: len(runtime.connections) == 2 and stream.state == "live")
        assert stream.cursor == "c0"
        await anext(stream)
        assert stream.cursor == "c1"


async def test_a_stream_continued_from_a_stored_cursor_misses_and_repeats_nothing():
    async with ScriptedRuntime([snapshot("c0"), event(1), event(2)], [snapshot("c1"), event(2), event(3)]) as runtime:
        async with follow(runtime) as stream:
            done = [(await anext(stream)).cursor]
            stream.ack()
        async with follow(runtime, cursor=stream.cursor) as stream:
            done += [(await anext(stream)).cursor for _ in range(2)]
        assert done == ["c1", "c2", "c3"]
        assert runtime.queries == [{}, {"cursor": "c1"}]


async def test_looking_at_the_cursor_in_any_turn_takes_no_event_away():
    """Also in the turn in which an event has come and its consumer, who waits for it, has not been woken yet."""
    async with (
        ScriptedRuntime([snapshot("c0"), *(event(n) for n in range(1, 301))]) as runtime,
        follow(runtime) as stream,
        asyncio.timeout(30),
    ):
        cursors: list[str] = []
        while len(cursors) < 300:
            asking = asyncio.create_task(anext(stream))
            while not asking.done():
                assert stream.cursor in (None, "c0", *cursors)
                await asyncio.sleep(0)
            cursors.append(asking.result().cursor)
        assert cursors == [f"c{n}" for n in range(1, 301)]


# Cancelling.


async def test_waiting_for_an_event_can_be_cancelled_and_taken_up_again():
    gate = asyncio.Event()
    async with (
        ScriptedRuntime([snapshot("c0"), until(gate), event(1), event(2)]) as runtime,
        follow(runtime) as stream,
    ):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await anext(stream)
        gate.set()
        assert [(await anext(stream)).cursor for _ in range(2)] == ["c1", "c2"]


async def test_cancelling_in_any_turn_loses_no_event():
    """The event may arrive in the very turn in which its consumer is cancelled."""
    async with (
        ScriptedRuntime([snapshot("c0"), *(event(n) for n in range(1, 301))]) as runtime,
        follow(runtime) as stream,
        asyncio.timeout(30),
    ):
        cursors: list[str] = []
        turns = 0
        while len(cursors) < 300:
            asking = asyncio.create_task(anext(stream))
            turns = (turns + 1) % 7
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            try:
                cursors.append((await asking).cursor)
            except asyncio.CancelledError:
                pass
        assert cursors == [f"c{n}" for n in range(1, 301)]


async def test_a_cancelled_consumer_closes_its_stream_in_order():
    consuming = asyncio.Event()

    async def consume(runtime: ScriptedRuntime) -> None:
        async with follow(runtime) as stream:
            async for _ in stream:
                consuming.set()

    async with ScriptedRuntime([snapshot("c0"), event(1)]) as runtime:
        consumer = asyncio.create_task(consume(runtime))
        await consuming.wait()
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        assert client_tasks() == set()
        await wait_until_async(lambda: runtime.close_codes == [1000])


# Closing.


async def test_leaving_says_1000_and_leaves_nothing_behind():
    async with ScriptedRuntime([snapshot("c0"), event(1), event(2)]) as runtime:
        async with follow(runtime) as stream:
            await anext(stream)
        assert client_tasks() == set()
        await wait_until_async(lambda: runtime.close_codes == [1000])
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert stream.state == "ended"


async def test_leaving_at_once_leaves_nothing_behind():
    async with ScriptedRuntime() as runtime:
        async with follow(runtime):
            pass
        assert client_tasks() == set()
        assert runtime.asked == []


async def test_leaving_while_it_waits_for_the_next_try_leaves_nothing_behind():
    waiting = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    async with ScriptedRuntime(Refusal(503)) as runtime:
        async with follow(runtime, settings=ClientSettings(sleep=sleep)):
            await waiting.wait()
        assert client_tasks() == set()


async def test_leaving_with_events_that_nobody_took_leaves_nothing_behind():
    frames = [event(n) for n in range(1, 2001)]
    async with ScriptedRuntime([snapshot("c0"), *frames]) as runtime:
        async with follow(runtime, settings=ClientSettings(read_ahead_bytes=1000)) as stream:
            await anext(stream)
        assert client_tasks() == set()
        await wait_until_async(lambda: runtime.close_codes == [1000])


async def test_closing_wakes_who_waits_for_an_event():
    async with (
        ScriptedRuntime([snapshot("c0")]) as runtime,
        follow(runtime) as stream,
    ):
        asking = asyncio.create_task(anext(stream, "the end"))
        await wait_until_async(lambda: stream.state == "live")
        await stream.aclose()
        await stream.aclose()
        assert await asking == "the end"


async def test_an_error_of_the_consumer_is_the_one_that_rises():
    async with ScriptedRuntime([snapshot("c0"), event(1), "{"]) as runtime:

        async def fail() -> None:
            async with follow(runtime) as stream:
                await wait_until_async(lambda: stream.state == "ended")
                raise KeyError

        with pytest.raises(KeyError):
            await fail()
        assert client_tasks() == set()


async def test_a_stream_lives_in_its_block_alone():
    async with ScriptedRuntime([snapshot("c0")]) as runtime:
        stream = follow(runtime)
        with pytest.raises(RuntimeError, match="async with"):
            await anext(stream)
        async with stream:
            pass
        with pytest.raises(RuntimeError, match="once"):
            await stream.__aenter__()
        assert len(runtime.asked) <= 1


# Backpressure.


async def test_a_slow_consumer_holds_the_runtime_back_and_gets_everything():
    """What is under way is bounded by the kernels' buffers, whatever the Runtime has."""
    text, total, sent = "x" * 500_000, 120, 0

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        for n in range(1, total + 1):
            payload = {"event": "text_delta", "data": {"text": text}}
            await connection.send(event(n, payload=payload).decode())
            sent = n

    async with (
        ScriptedRuntime([snapshot("c0"), flood]) as runtime,
        follow(runtime) as stream,
        asyncio.timeout(50),
    ):
        await anext(stream)
        counts: list[int] = []

        def at_a_standstill() -> bool:
            counts.append(sent)
            return len(counts) > 40 and counts[-40] == sent

        await wait_until_async(at_a_standstill, 30)
        assert 0 < sent < total / 2
        for n in range(2, total + 1):
            assert (await anext(stream)).cursor == f"c{n}"


async def test_pings_are_answered_while_the_consumer_is_busy():
    """Without it, a Runtime would drop whoever takes longer for an event than it waits for a pong."""
    answered = asyncio.Event()

    async def ping(connection: ServerConnection) -> None:
        await (await connection.ping())
        answered.set()

    async with (
        ScriptedRuntime([snapshot("c0"), *(event(n) for n in range(1, 101)), ping]) as runtime,
        follow(runtime) as stream,
    ):
        await anext(stream)
        await asyncio.wait_for(answered.wait(), 20)


# The token.


async def test_the_token_is_in_the_header_of_every_connection_and_nowhere_else(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    async with ScriptedRuntime([snapshot("c0"), event(1), drop], Refusal(503), Refusal(401)) as runtime:
        async with follow(runtime, token="s3cret-Token") as stream:
            await anext(stream)
            with pytest.raises(StreamRefusedError) as caught:
                await anext(stream)
        assert [asked.headers["Authorization"] for asked in runtime.asked] == ["Bearer s3cret-Token"] * 3
        assert not any("s3cret" in asked.target for asked in runtime.asked)
    assert "s3cret" not in str(caught.value) + repr(caught.value) + repr(caught.value.diagnostic)
    # The scripted Runtime's own library logs requests, headers and all.
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("yoi_runtime", "tornado"))]
    assert any("next try in" in message for message in ours)
    assert not any("s3cret" in message for message in ours)


@pytest.mark.parametrize("token", ["", "two words", "line\r\nX-Evil: 1", "tab\t", "süß"])
def test_a_token_that_is_none_is_found_at_once_and_not_quoted(token: str):
    with pytest.raises(RequestInvalidError) as caught:
        observe("http://h", token=token)
    assert caught.value.parameter == "token"
    assert not token or token not in str(caught.value)


def test_a_start_that_is_none_is_found_at_once():
    with pytest.raises(RequestInvalidError):
        observe("http://h", start="yesterday")  # type: ignore[call-overload]


async def test_cursors_stay_out_of_messages_and_what_breaks_a_query_is_escaped():
    async with ScriptedRuntime(Refusal(503)) as runtime:
        async with follow(runtime, cursor="a&from=oldest#ä", settings=FakeTime().settings(max_tries=1)) as stream:
            with pytest.raises(StreamConnectError) as caught:
                await anext(stream)
        assert runtime.queries == [{"cursor": "a&from=oldest#ä"}]
        assert "oldest" not in str(caught.value)


# What it needs.

GUARD = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tornado":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Absent())
"""

MISSING = """
from yoi_runtime.client.observe import observe
from yoi_runtime.client.observe_sync import observe_sync
from yoi_runtime.errors import MissingExtraError
for call in (observe, observe_sync):
    try:
        call("http://127.0.0.1:1")
    except MissingExtraError as error:
        print(error)
"""


def run(program: str) -> str:
    result = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_without_tornado_one_sentence_says_what_to_install():
    sentence = "the Backend client needs the extra 'ws-client': pip install 'yoi-runtime[ws-client]'\n"
    assert run(GUARD + MISSING) == sentence * 2


def test_the_client_cannot_reach_the_log():
    program = """
import sys
import yoi_runtime.client.backend_client, yoi_runtime.client.observe_sync
rooms = ("segment_log", "event_log", "catalog", "server", "runtime", "workers")
print([name for name in sys.modules if name.startswith(tuple(f"yoi_runtime.{room}" for room in rooms))])
"""
    assert run(program) == "[]\n"


def test_importing_the_room_imports_nothing():
    program = "import sys, yoi_runtime.client; print('tornado' in sys.modules or 'pydantic' in sys.modules)"
    assert run(program) == "False\n"


def test_tornado_is_known_to_one_module():
    program = """
import sys
import yoi_runtime.client.observe, yoi_runtime.client.observe_sync
print("tornado" in sys.modules)
"""
    assert run(program) == "False\n"


async def test_the_end_of_a_program_that_forgets_to_close_is_quiet():
    """``asyncio.run`` cancels what runs: no warning, no traceback."""
    async with ScriptedRuntime([snapshot("c0"), event(1), closing(1001)], [snapshot("c1"), event(2)]) as runtime:
        program = f"""
import asyncio
from yoi_runtime.client.observe import observe

async def main():
    stream = await observe({runtime.url!r}, "a").__aenter__()
    print((await anext(stream)).cursor, (await anext(stream)).cursor)

asyncio.run(main())
"""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", program,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        assert (process.returncode, out, err) == (0, b"c1 c2\n", b"")
        await wait_until_async(lambda: len(runtime.close_codes) == 2)
        assert runtime.close_codes[-1] == 1000
