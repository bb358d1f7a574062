from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from yoi_log.log_place import find_log
from yoi_log.pace import FLAT_OUT
from yoi_log.replay_server import Replay

from tests.server.serving import EVERYTHING, http_get, stream_path
from tests.server.v1_peer import v1_subscribed
from tests.support.deadline import wait_until_async
from tests.yoi_log.sample import RECORDINGS
from tests.yoi_log.story import Story
from yoi_runtime.cli.options import Address
from yoi_runtime.events import TextDelta

ANY_PORT = Address("127.0.0.1", 0)


def envelopes(data: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)["envelope"]
        for path in sorted((data / "log").glob("*.jsonl"))
        for line in path.read_bytes().split(b"\n")[1:-1]
    ]


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@asynccontextmanager
async def served(data: Path, *, speed: float = FLAT_OUT, loop_forever: bool = False) -> AsyncIterator[Replay]:
    replay = Replay(find_log(data), ANY_PORT, speed=speed, loop_forever=loop_forever)
    started = asyncio.Event()
    task = asyncio.create_task(replay.run(lambda _: started.set()))
    try:
        await wait_until_async(lambda: started.is_set() or task.done())
        if task.done():
            task.result()
        yield replay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_backend_gets_the_recorded_events_with_the_recorded_cursors():
    wanted = envelopes(RECORDINGS / "agents")
    async with (
        served(RECORDINGS / "agents") as replay,
        v1_subscribed(replay.status.url, EVERYTHING, from_="oldest") as peer,
    ):
        assert await peer.events(len(wanted)) == wanted
        async with v1_subscribed(replay.status.url, EVERYTHING, cursor=wanted[99]["cursor"]) as other:
            assert await other.events(len(wanted) - 100) == wanted[100:]
        async with v1_subscribed(replay.status.url, stream_path("reviewer"), from_="oldest") as other:
            end = await other.until("end")
        mine = [frame["envelope"] for frame in other.log if frame["kind"] == "event"]
        assert mine == [one for one in wanted if one["worker_id"] == "reviewer"]
        assert end["outcome"] == "failed"


async def test_workers_appear_and_end_when_they_did(tmp_path: Path):
    story = Story(tmp_path / "data").say(TextDelta(text="a"), 3600.0)
    story.worker.end("failed")
    story.clock.move(3600.0)
    story.runtime.create_worker("later")
    async with served(story.close(), speed=1.0) as replay:

        async def workers() -> dict[str, Any]:
            answer = await asyncio.to_thread(http_get, replay.status.url, "/v1/workers")
            return {one["worker_id"]: one.get("outcome") for one in answer.json["workers"]}

        await wait_until_async(lambda: replay.status.seq == 4)
        assert await workers() == {"a": None}
        replay.seek(3601)
        await wait_until_async(lambda: replay.status.seq == 5)
        assert await workers() == {"a": "failed"}
        replay.seek(3600)
        await wait_until_async(lambda: replay.status.state == "ended")
        assert await workers() == {"a": "failed", "later": "cancelled"}


async def test_a_seek_back_begins_an_earlier_log_to_which_a_later_cursor_is_ahead(tmp_path: Path):
    story = Story(tmp_path / "data").say(TextDelta(text="a"), 60.0, TextDelta(text="b"), 60.0, TextDelta(text="c"))
    wanted = envelopes(story.close())
    async with served(tmp_path / "data", speed=1.0) as replay:
        replay.seek(61)
        await wait_until_async(lambda: replay.status.seq == 5)
        url = replay.status.url
        replay.seek(-30)
        await wait_until_async(lambda: replay.status.turn == 2 and replay.status.seq == 4)
        assert replay.status.url == url
        async with v1_subscribed(url, EVERYTHING, cursor=wanted[4]["cursor"]) as peer:
            assert (await peer.until("diagnostic"))["diagnostic"]["code"] == "runtime.cursor_ahead"
        async with v1_subscribed(url, EVERYTHING, cursor=wanted[2]["cursor"]) as peer:
            assert await peer.events(1) == wanted[3:4]
            replay.seek(60)
            assert await peer.events(1) == wanted[4:5]


async def test_a_pause_holds_and_speed_is_changed_without_a_jump(tmp_path: Path):
    story = Story(tmp_path / "data").say(TextDelta(text="a"), 0.2, TextDelta(text="b"), 1000.0, TextDelta(text="c"))
    async with served(story.close(), speed=1.0) as replay:
        replay.pause_or_go_on()
        held = replay.status
        assert held.state == "paused"
        # A few turns of the server's loop, in which time passes everywhere else.
        for _ in range(20):
            await asyncio.to_thread(http_get, replay.status.url, "/v1/events/status")
        assert replay.status.seq <= 4
        assert replay.status.now_us == held.now_us
        replay.pause_or_go_on()
        await wait_until_async(lambda: replay.status.seq == 5)
        for _ in range(20):
            replay.change_speed(2)
        assert replay.status.speed == 1024
        assert replay.status.now_us < held.to_us
        await wait_until_async(lambda: replay.status.state == "ended")
        assert replay.status.now_us == replay.status.to_us


async def test_a_loop_begins_anew_at_the_same_address():
    async with served(RECORDINGS / "build", loop_forever=True) as replay:
        url = replay.status.url
        await wait_until_async(lambda: replay.status.turn >= 3)
        await wait_until_async(lambda: replay.status.url == url)


async def test_what_it_made_is_gone_at_the_end(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with served(RECORDINGS / "build") as replay:
        await wait_until_async(lambda: replay.status.state == "ended")
        assert len(names(tmp_path)) == 1
    assert names(tmp_path) == []
