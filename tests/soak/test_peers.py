from __future__ import annotations

import asyncio
from pathlib import Path

from tests.server.serving import EVERYTHING, serving
from tests.support.deadline import wait_until_async
from tools.soak.peers import Behaviour, Crowd
from yoi_runtime.events import TextDelta


async def test_a_crowd_reads_frames_answers_pings_and_goes(tmp_path: Path):
    async with serving(tmp_path, ping_seconds=0.1, pong_seconds=5.0) as served:
        worker, crowd = await served.worker("a"), Crowd(served.server.port)
        for version in (None, "yoi.events.v1"):
            await crowd.add(EVERYTHING, version)
        # Lengths of all three kinds.
        for size in (10, 200, 70_000):
            worker.emit(TextDelta(text="x" * size))
        await wait_until_async(lambda: crowd.counts["frames"] >= 5)
        await wait_until_async(lambda: crowd.counts["pings"] >= 4)
        assert served.server.subscribers == 2, "who answers stays"
        await crowd.disband()
        await wait_until_async(lambda: served.server.subscribers == 0)
        assert crowd.peers == set()


async def test_some_leave_at_once_some_read_nothing_and_some_are_refused(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker, leaving, stalled = await served.worker("a"), Crowd(served.server.port), Crowd(served.server.port)
        await asyncio.gather(*(leaving.add(EVERYTHING, "yoi.events.v1", Behaviour.LEAVE) for _ in range(20)))
        await wait_until_async(lambda: leaving.peers == set())
        await stalled.add(f"{EVERYTHING}?from=oldest", None, Behaviour.STALL)
        for _ in range(8000):
            worker.emit(TextDelta(text="x" * 700))
        await wait_until_async(lambda: any(socket.is_writing() for socket in served.server._state.sockets))
        assert stalled.counts["bytes"] < 100_000
        refused = Crowd(served.server.port)
        await refused.add("/v1/workers/nobody/events/ws")
        assert (refused.counts["refused"], refused.counts["upgraded"]) == (1, 0)
        await stalled.disband()
        await wait_until_async(lambda: served.server.subscribers == 0)
