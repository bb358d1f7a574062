"""Dropping off and coming back: with a cursor, with an event id, at once, thrice, over restarts."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.runtime.emitting import emit
from tests.server.foreign_client import Peer
from tests.server.raw_peer import RawPeer
from tests.server.serving import SMALL, Serving, records_of, serving, stream_path
from tests.support.deadline import wait_until_async
from yoi_runtime.events import Status, TextDelta, UnknownEvent
from yoi_runtime.runtime.options import RuntimeOptions

BOTH = ("a", None)


async def opened(peer: Peer, worker_id: str | None) -> None:
    await (peer.opened() if worker_id is None else peer.snapshot())


async def test_events_come_live_and_from_the_oldest(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        worker.emit(TextDelta(text="before"))
        await served.shown(worker.emit(Status(status="running")))
        async with (
            served.subscribed("a") as now,
            served.subscribed("a", from_="now") as also_now,
            served.subscribed("a", from_="oldest") as oldest,
            served.subscribed() as everything,
        ):
            for peer in (now, also_now, oldest):
                assert (await peer.snapshot())["payload"]["data"]["status"] == "running"
            await everything.opened()
            assert await oldest.texts(1) == ["before"]
            assert (await oldest.event())["payload"] == {"event": "status", "data": {"status": "running"}}
            for number in range(3):
                worker.emit(TextDelta(text=f"live {number}"))
                for peer in (now, also_now, oldest, everything):
                    assert await peer.texts(1) == [f"live {number}"]


@pytest.mark.parametrize("worker_id", BOTH)
async def test_every_event_of_a_stream_is_a_place_to_resume_after(worker_id: str | None, tmp_path: Path):
    """Exclusive: from each event's cursor or id come the events after it, that one not among them."""
    async with serving(tmp_path, RuntimeOptions(segment_bytes=4096)) as served:
        a, b = await served.worker("a"), await served.worker("b")
        for number in range(10):
            a.emit(UnknownEvent(name="x_new", data={"n": number}))
            b.emit(TextDelta(text="x" * 200))
        await served.shown(a.emit(TextDelta(text="the end")))
        async with served.subscribed(worker_id, from_="oldest") as peer:
            await opened(peer, worker_id)
            whole = await peer.until(lambda event: event["payload"]["data"].get("text") == "the end")
        # What a client may count on: text of one length, safe in any URL, short enough to store.
        assert all(re.fullmatch(r"wo1[A-Za-z0-9_-]{60}", event["cursor"]) for event in whole)
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,24}", event["event_id"]) for event in whole)
        assert len({event["cursor"] for event in whole}) == len({event["event_id"] for event in whole}) == len(whole)
        if worker_id is None:
            assert whole == records_of(tmp_path)
        for index, event in enumerate(whole[:-1]):
            for start in ({"cursor": event["cursor"]}, {"last_event_id": event["event_id"]}):
                async with served.subscribed(worker_id, **start) as peer:
                    await opened(peer, worker_id)
                    assert await peer.events(len(whole) - index - 1) == whole[index + 1 :]


async def test_a_last_event_id_that_cannot_be_found_is_answered_like_a_cursor(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        worker = await served.worker("a")
        await served.shown(emit(worker, 1)[0])
        old = records_of(tmp_path)[-1]["event_id"]
        served.rotate_out_all_before_now(worker)
        await served.shown(emit(worker, 1)[0])
        newest = records_of(tmp_path)[-1]
        never = newest["event_id"].rsplit("-", 1)[0] + f"-{newest['seq'] + 5:x}"
        answers = {
            old: ("runtime.cursor_unknown", 4412),
            never: ("runtime.cursor_unknown", 4412),
            "AAAAAAAAAAA-1": ("runtime.cursor_unknown", 4412),
            "": ("runtime.cursor_malformed", 4400),
            "snapshot:" + newest["cursor"]: ("runtime.cursor_malformed", 4400),
            "x" * 3000: ("runtime.cursor_malformed", 4400),
        }
        for worker_id in BOTH:
            for event_id, (code, close_code) in answers.items():
                async with served.subscribed(worker_id, last_event_id=event_id) as peer:
                    problem = await peer.refused()
                assert (problem["code"], problem["close_code"]) == (code, close_code)
                assert "requested_cursor" not in problem


async def test_a_cursor_handed_over_at_once_resumes_though_nothing_is_synced_yet(tmp_path: Path):
    """Also when the event is the first of a new segment, which the server has not seen either."""
    async with serving(tmp_path, RuntimeOptions(segment_bytes=4096)) as served:
        worker = await served.worker("a")
        for number in range(60):
            cursor = worker.emit(TextDelta(text=f"{number:0300}"))
            for worker_id in BOTH:
                async with served.subscribed(worker_id, cursor=cursor) as peer:
                    await opened(peer, worker_id)
                    assert peer.cursor == cursor
        cursor = worker.emit(TextDelta(text="before"))
        worker.emit(TextDelta(text="after"))
        async with served.subscribed("a", cursor=cursor) as peer:
            await peer.snapshot()
            assert await peer.texts(1) == ["after"]


async def test_a_resume_dropped_before_its_first_frame_three_times_loses_nothing(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        cursor = worker.emit(TextDelta(text="seen"))
        await served.shown(emit(worker, 50)[-1])
        for worker_id in BOTH:
            target = f"{stream_path(worker_id)}?cursor={cursor}"
            for _ in range(3):
                peer = await RawPeer.connect(served.server.url, target)
                peer.vanish()
            await wait_until_async(lambda: served.server.subscribers == 0)
            async with served.subscribed(worker_id, cursor=cursor) as well:
                await opened(well, worker_id)
                assert len(await well.texts(50)) == 50


async def test_a_backend_that_drops_and_comes_back_over_and_over_sees_each_event_once(tmp_path: Path):
    """Through rolls, and restarts of Runtime and server on the same directory; it keeps one cursor and no more."""
    options = RuntimeOptions(segment_bytes=4096)
    seen: dict[str | None, list[dict[str, object]]] = {"a": [], None: []}
    cursors: dict[str | None, str] = {}
    for life in range(3):
        async with serving(tmp_path, options) as served:
            worker = await served.worker("a")
            for round_of_events in range(6):
                for worker_id in BOTH:
                    start = {"cursor": cursors[worker_id]} if worker_id in cursors else {"from_": "oldest"}
                    async with served.subscribed(worker_id, **start) as peer:
                        await opened(peer, worker_id)
                        for number in range(3):
                            worker.emit(TextDelta(text=f"{life} {round_of_events} {worker_id} {number}" + "." * 100))
                        # Leaves in the middle of what there is.
                        seen[worker_id] += await peer.events(2)
                        cursors[worker_id] = str(peer.cursor)
    async with serving(tmp_path, options) as served:
        for worker_id in BOTH:
            async with served.subscribed(worker_id, cursor=cursors[worker_id]) as peer:
                await opened(peer, worker_id)
                rest = [record for record in records_of(tmp_path) if worker_id in (None, record["worker_id"])]
                seen[worker_id] += await peer.events(len(rest) - len(seen[worker_id]))
    truth = records_of(tmp_path)
    assert seen[None] == truth[: len(seen[None])]
    assert seen["a"] == [record for record in truth if record["worker_id"] == "a"]


async def test_a_stream_open_through_many_rolls_has_no_seam(tmp_path: Path):
    async with serving(tmp_path, RuntimeOptions(segment_bytes=4096)) as served:
        worker = await served.worker("a")
        async with served.subscribed("a") as scoped, served.subscribed() as everything:
            await scoped.snapshot()
            await everything.opened()
            for number in range(100):
                worker.emit(TextDelta(text=f"{number:0200}"))
                if number % 10 == 5:
                    served.roll()  # a segment that begins with nothing to say
                    await asyncio.sleep(0)
            for peer in (scoped, everything):
                assert [int(text) for text in await peer.texts(100)] == list(range(100))
        assert len(served.segments()) >= 20


async def test_rotation_over_a_live_stream_disturbs_nobody_who_keeps_up(tmp_path: Path):
    async with serving(tmp_path, SMALL) as served:
        worker = await served.worker("a")
        async with served.subscribed("a") as scoped, served.subscribed() as everything:
            await scoped.snapshot()
            await everything.opened()
            for number in range(150):
                worker.emit(TextDelta(text=f"{number:0300}"))
                assert [int(text) for peer in (scoped, everything) for text in await peer.texts(1)] == [number] * 2
        assert len(served.segments()) == 3
        assert served.segments()[0].name > f"{10:020d}"


async def test_the_stream_outlives_its_worker(tmp_path: Path):
    async with serving(tmp_path) as served:
        worker = await served.worker("a")
        async with served.subscribed("a") as peer:
            await peer.snapshot()
            worker.emit(TextDelta(text="last words"))
            worker.end("failed", 1)
            assert await peer.texts(1) == ["last words"]
            await _settled(served)
            served.runtime.create_worker("a").emit(TextDelta(text="back"))
            assert await peer.texts(1) == ["back"]
        async with served.subscribed("a", from_="oldest") as peer:
            await peer.snapshot()
            assert await peer.texts(2) == ["last words", "back"]


async def _settled(served: Serving) -> None:
    """Return when the server has seen the Worker's end, and had time to be wrong about it."""
    await wait_until_async(lambda: (state := served.view.worker("a")) is not None and state.ended)
    for _ in range(20):
        await asyncio.sleep(0)
