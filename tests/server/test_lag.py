from __future__ import annotations

import asyncio
from pathlib import Path

from tests.server.serving import Serving, serving
from tests.support.deadline import wait_until_async
from yoi_runtime.events import TextDelta
from yoi_runtime.segment_log.position import Position
from yoi_runtime.server.lag import Lag, worst_lag
from yoi_runtime.server.subscriber import Standing


def lag_of(served: Serving, *standings: Standing) -> Lag:
    state = served.server._state
    return worst_lag(standings, served.view, state.watch, asyncio.get_running_loop().time())


async def test_the_largest_of_events_bytes_and_seconds_is_told(tmp_path: Path):
    async with serving(tmp_path) as served:
        start, now = served.view.end, asyncio.get_running_loop().time()
        worker, other = await served.worker("a"), await served.worker("b")
        for _ in range(5):
            await served.shown(other.emit(TextDelta(text="x")))
        middle = served.view.end
        for _ in range(3):
            await served.shown(worker.emit(TextDelta(text="x")))
        end = served.view.end
        everything = Standing(start, None, None, now)
        near = Standing(middle, None, None, now)
        lag = lag_of(served, near, everything)
        assert lag.events == end.seq - start.seq == 12
        assert lag.bytes == end.offset - start.offset
        assert lag.seconds >= 0
        assert lag_of(served, near).events == 3


async def test_a_worker_s_subscriber_lacks_only_that_worker_s_events(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker, other = await served.worker("a"), await served.worker("b")
        await served.shown(worker.emit(TextDelta(text="x")))
        place, worker_seq = served.view.end, served.view.ledger.workers["a"].worker_seq
        for _ in range(50):
            await served.shown(other.emit(TextDelta(text="x")))
        long_ago = asyncio.get_running_loop().time() - 1000
        quiet = Standing(place, "a", worker_seq, long_ago)
        assert lag_of(served, quiet) == Lag(0, 0, 0.0), "nothing is owed to it, however long it has stood there"
        await served.shown(worker.emit(TextDelta(text="x")))
        assert lag_of(served, quiet).events == 1
        assert lag_of(served, Standing(place, "a", None, long_ago)).events == 51, (
            "an upper bound where it does not know"
        )


async def test_seconds_are_since_it_woke_or_since_the_log_went_past_it_whichever_is_less(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        state, now = served.server._state, asyncio.get_running_loop().time()
        place = served.view.end
        state.watch.look(0.0)
        await served.shown(worker.emit(TextDelta(text="x")))
        assert lag_of(served, Standing(place, None, None, now - 1000)).seconds < 900, "the log was there a moment ago"
        nowhere = Position(place.segment, place.nonce, place.offset, 0)
        assert lag_of(served, Standing(nowhere, None, None, now - 1000)).seconds >= 1000


async def test_nobody_has_no_lag(tmp_path: Path):
    async with serving(tmp_path) as served:
        assert lag_of(served) == Lag(0, 0, 0.0)


async def test_who_has_been_at_the_end_is_behind_since_it_woke(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        async with served.subscribed("a") as peer:
            await peer.snapshot()
            (socket,) = served.server._state.sockets
            began = socket.standing.behind_since
            worker.emit(TextDelta(text="x"))
            await peer.event()
            await wait_until_async(lambda: socket.standing.behind_since > began)
