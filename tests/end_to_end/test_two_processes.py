"""A Runtime in one process and a server in another, which only meet in the segment files."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.programs import Program, runtime_process, server_process, until_known
from tests.server.foreign_client import Peer, subscribed
from tests.server.serving import EVERYTHING, records_of, stream_path
from tests.support.deadline import wait_until_async
from yoi_runtime.segment_log.cursor import CursorToken, decode_token
from yoi_runtime.server import write_notices

SMALL = {"segment_bytes": 4096, "retain_segments": 3}


@asynccontextmanager
async def both(data_dir: Path, **options: Any) -> AsyncIterator[tuple[Program, Program]]:
    async with runtime_process(data_dir, **options) as runtime, server_process(data_dir) as server:
        await runtime.do("create", worker="a")
        await runtime.do("create", worker="b")
        await until_known(server, "a", "b")
        yield runtime, server


def stream(server: Program, worker_id: str | None, **query: str) -> AbstractAsyncContextManager[Peer]:
    return subscribed(server.url, stream_path(worker_id), **query)


async def emit(runtime: Program, worker: str, *texts: str) -> list[str]:
    return (await runtime.do("emit", worker=worker, texts=texts))["cursors"]


async def test_events_come_live_and_in_order_through_the_files_alone(tmp_path: Path):
    async with both(tmp_path) as (runtime, server):
        await emit(runtime, "a", "before")
        async with stream(server, "a", from_="oldest") as scoped, stream(server, None) as everything:
            assert (await scoped.snapshot())["payload"]["data"]["status"] == "idle"
            assert await scoped.texts(1) == ["before"]
            await everything.opened()
            for number in range(20):
                await emit(runtime, "ab"[number % 2], f"number {number}")
            assert await scoped.texts(10) == [f"number {number}" for number in range(0, 20, 2)]
            events = await everything.until(lambda event: event["payload"]["data"].get("text") == "number 19")
            assert [event["seq"] for event in events] == list(range(events[0]["seq"], events[0]["seq"] + len(events)))
        assert await runtime.end() == 0
        assert await server.end() == 0


async def test_the_other_process_follows_rolls_and_rotation(tmp_path: Path):
    async with both(tmp_path, **SMALL) as (runtime, server):
        async with stream(server, None) as everything:
            await everything.opened()
            cursor = await _newest(everything, runtime)
            for _ in range(8):
                # A few records at a time: the stream may not fall behind three segments.
                await emit(runtime, "a", *["x" * 500] * 6)
                events = await everything.events(6)
                assert [event["worker_id"] for event in events] == ["a"] * 6
            end = everything.cursor
        assert len(list((tmp_path / "log").glob("*.jsonl"))) == 3
        async with stream(server, None, cursor=cursor) as expired:
            problem = await expired.refused()
            oldest = records_of(tmp_path)[0]["seq"]
            assert (problem["code"], problem["close_code"]) == ("runtime.cursor_expired", 4410)
            lost = oldest - 1 - decode_token(CursorToken(cursor)).seq
            assert (problem["lost"]["events"], problem["lost"]["exact"]) == (lost, True)
        async with stream(server, None, from_="oldest") as peer:
            await peer.opened()
            first = await peer.event()
            assert first["seq"] == oldest
            async with stream(server, None, cursor=problem["oldest_cursor"]) as again:
                await again.opened()
                assert await again.event() == first
        async with stream(server, None, cursor=str(end)) as peer:
            assert (await peer.opened())["resume_cursor"] == end


async def _newest(everything: Peer, runtime: Program) -> str:
    """Let a marker through the stream and return its cursor."""
    await emit(runtime, "a", "marker")
    events = await everything.until(lambda event: event["payload"]["data"].get("text") == "marker")
    return events[-1]["cursor"]


@pytest.mark.skipif(write_notices.INotify is None or sys.platform != "linux", reason="no inotify here: servers poll")
async def test_a_server_beside_the_writer_sleeps_while_nothing_happens(tmp_path: Path):
    """It wakes a few times a second for what is regular. By polling it would be a hundred times."""
    async with both(tmp_path) as (runtime, server), stream(server, "a") as peer:
        await peer.snapshot()
        await emit(runtime, "a", "the last for now")
        assert await peer.texts(1) == ["the last for now"]
        # Past the second in which more is expected.
        await _pause(1.5)
        before = _times_woken(server.process.pid)
        await _pause(2)
        assert _times_woken(server.process.pid) - before < 60
        await emit(runtime, "a", "awake")
        assert await peer.texts(1) == ["awake"]


async def _pause(seconds: float) -> None:
    """Let time go by in which nothing happens: that is what is looked at."""
    until = time.monotonic() + seconds
    await wait_until_async(lambda: time.monotonic() >= until)


def _times_woken(pid: int) -> int:
    """Source: proc(5), /proc/pid/status."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


async def test_a_cursor_works_at_every_server_on_the_directory(tmp_path: Path):
    async with runtime_process(tmp_path, serve=True) as runtime, server_process(tmp_path) as server:
        cursors = await emit(runtime, "a", "1", "2", "3", "4")
        await until_known(runtime, "a")
        await until_known(server, "a")
        for program in (runtime, server):
            for worker_id in ("a", None):
                async with stream(program, worker_id, cursor=cursors[1]) as peer:
                    await (peer.snapshot() if worker_id else peer.opened())
                    assert await peer.texts(2) == ["3", "4"]


async def test_a_cursor_of_this_moment_works_at_once_in_the_other_process(tmp_path: Path):
    """Written, perhaps not synced, surely not seen by a process that polls; also right after a roll."""
    async with both(tmp_path, segment_bytes=4096) as (runtime, server):
        for number in range(30):
            (cursor,) = await emit(runtime, "a", f"{number:0500}")
            async with stream(server, "a", cursor=cursor) as peer:
                assert (await peer.snapshot())["cursor"] == cursor
                await emit(runtime, "a", "next")
                assert await peer.texts(1) == ["next"]


async def test_the_server_outlives_its_runtime_and_serves_the_next_one(tmp_path: Path):
    async with server_and_first_runtime(tmp_path) as (server, cursor):
        async with stream(server, "a", cursor=cursor) as scoped, stream(server, None, from_="oldest") as everything:
            await scoped.snapshot()
            await everything.opened()
            events = await everything.until(lambda event: event["payload"]["event"] == "runtime_stopping")
            async with runtime_process(tmp_path) as runtime:
                await emit(runtime, "a", "second life")
                assert await scoped.texts(1) == ["second life"]
                events += await everything.until(lambda event: event["payload"]["data"].get("text") == "second life")
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        names = [event["payload"]["event"] for event in events]
        assert names.count("runtime_started") == 2
        assert await server.end() == 0


@asynccontextmanager
async def server_and_first_runtime(data_dir: Path) -> AsyncIterator[tuple[Program, str]]:
    """A server whose Runtime has come and gone, and the cursor of its last text."""
    async with runtime_process(data_dir) as runtime, server_process(data_dir) as server:
        (cursor,) = await emit(runtime, "a", "first life")
        await until_known(server, "a")
        assert await runtime.end() == 0
        yield server, cursor


async def test_a_worker_that_ends_does_not_end_its_stream(tmp_path: Path):
    async with (
        both(tmp_path) as (runtime, server),
        stream(server, "a") as scoped,
        stream(server, None) as everything,
    ):
        await scoped.snapshot()
        await everything.opened()
        await runtime.do("end_worker", worker="a")
        ended = (await everything.until(lambda event: event["payload"]["event"] == "worker_ended"))[-1]
        assert ended["payload"]["data"]["worker_id"] == "a"
        await emit(runtime, "a", "again")
        assert await scoped.texts(1) == ["again"]


async def test_the_stream_of_everything_is_the_file_byte_for_byte(tmp_path: Path):
    async with both(tmp_path) as (runtime, server):
        await emit(runtime, "a", 'é\u2028\u0085\\"\n', "")
        await runtime.do("status", worker="a", status="running")
        lines = [line for line in _lines(tmp_path) if b'"kind":"event"' in line]
        async with subscribed(server.url, EVERYTHING, from_="oldest") as peer:
            await peer.opened()
            for line in lines:
                assert (await peer.text()).encode() == line


def _lines(data_dir: Path) -> list[bytes]:
    data = b"".join(path.read_bytes() for path in sorted((data_dir / "log").glob("*.jsonl")))
    return data.split(b"\n")[:-1]
