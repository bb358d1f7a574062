from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.client.scripted_runtime import FakeTime, Refusal, Script, ScriptedRuntime, closing, drop, event, snapshot
from tests.support.deadline import wait_until
from yoi_runtime.client.observe_sync import observe_sync
from yoi_runtime.client.stream_event import StreamGap
from yoi_runtime.errors import StreamRefusedError


@contextmanager
def playing(runtime: ScriptedRuntime) -> Iterator[ScriptedRuntime]:
    """Run the scripted Runtime on a loop of its own, in a thread of its own."""
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def play() -> None:
        async with runtime:
            loops.append(asyncio.get_running_loop())
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(play(),))
    thread.start()
    assert started.wait(10)
    try:
        yield runtime
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


def test_events_come_one_after_the_other_over_a_drop():
    with playing(ScriptedRuntime([snapshot("c0"), event(1), event(2), drop], [snapshot("c2"), event(3)])) as runtime:
        with observe_sync(runtime.url, "a", settings=FakeTime().settings()) as stream:
            cursors = []
            for item in stream:
                cursors.append(item.cursor)
                if len(cursors) == 3:
                    break
            assert (cursors, stream.cursor, stream.state, stream.worker_status) == (
                ["c1", "c2", "c3"],
                "c2",
                "live",
                "running",
            )
            stream.ack()
            assert stream.cursor == "c3"
        assert runtime.queries == [{}, {"cursor": "c2"}]
        wait_until(lambda: runtime.close_codes[-1:] == [1000])
        assert stream.state == "ended"


def test_every_option_reaches_the_stream():
    states: list[str] = []
    scripts: list[Script] = [Refusal(404), [closing(4410)], [snapshot("floor"), event(9)]]
    with playing(ScriptedRuntime(*scripts)) as runtime:
        with observe_sync(
            runtime.url,
            "a",
            cursor="old",
            start="oldest",
            token="t",
            on_expired="oldest",
            wait_for_worker=True,
            on_state=lambda state, detail: states.append(state.value),
            settings=FakeTime().settings(),
        ) as stream:
            gap, late = next(stream), next(stream)
        assert isinstance(gap, StreamGap)
        assert late.cursor == "c9"
        assert runtime.queries == [{"cursor": "old"}, {"cursor": "old"}, {"from": "oldest"}]
        assert runtime.asked[0].headers["Authorization"] == "Bearer t"
    assert states[0] == "connecting"
    assert states[-1] == "ended"


def test_errors_rise_where_the_next_event_is_asked_for():
    with (
        playing(ScriptedRuntime(Refusal(403))) as runtime,
        observe_sync(runtime.url) as stream,
        pytest.raises(StreamRefusedError),
    ):
        next(stream)


def test_after_the_block_there_is_nothing_more():
    with playing(ScriptedRuntime([snapshot("c0"), event(1)])) as runtime:
        with observe_sync(runtime.url, "a") as stream:
            next(stream)
        with pytest.raises(RuntimeError):
            next(stream)


async def test_inside_of_an_event_loop_it_says_so():
    with pytest.raises(RuntimeError, match="running event loop"), observe_sync("http://127.0.0.1:1"):
        pass
