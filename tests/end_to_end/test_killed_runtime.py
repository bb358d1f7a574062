"""A Runtime killed in the middle of its work, again and again: whoever follows has every committed event, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.end_to_end.programs import Program, runtime_process, server_process, until_known
from tests.server.foreign_client import DEADLINE_SECONDS, Peer, subscribed
from tests.server.serving import records_of, stream_path
from tests.support.deadline import wait_until_async
from yoi_runtime.segment_log.cursor import decode_token

BOTH = ("a", None)
# Rolls come often, so that some kills meet one.
OPTIONS: dict[str, Any] = {"segment_bytes": 16 << 10}
# After how many events of a life its process is killed.
KILL_POINTS = [1, 40, 333, 1000]


class Follower:
    """A Backend of one stream: keeps what it saw, and the one cursor that it needs."""

    def __init__(self, worker_id: str | None) -> None:
        self.worker_id = worker_id
        self.events: list[dict[str, Any]] = []
        self.cursor: str | None = None
        self.goodbye = ""

    def stream(self, url: str) -> Any:
        start = {"cursor": self.cursor} if self.cursor is not None else {"from_": "oldest"}
        return subscribed(url, stream_path(self.worker_id), **start)

    async def follow(self, peer: Peer) -> None:
        """Take whatever comes until the connection breaks, or the server says goodbye."""
        try:
            await (peer.snapshot() if self.worker_id else peer.opened())
            while (frame := await peer.frame())["kind"] == "event":
                self.events.append(frame["envelope"])
                self.cursor = frame["envelope"]["cursor"]
            self.goodbye = frame["diagnostic"]["code"]
        except ConnectionClosed:
            return

    async def until(self, count: int) -> None:
        await wait_until_async(lambda: len(self.events) >= count, DEADLINE_SECONDS, f"{count} events")

    def own(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [record for record in records if self.worker_id in (None, record["worker_id"])]


async def durable_cursors(program: Program) -> list[str]:
    """Return what a pouring program said was durable, to the end of its life."""
    found = []
    try:
        while True:
            found.append((await program.answer())["durable"])
    except EOFError:
        return found


@asynccontextmanager
async def poured(data_dir: Path, size: int, **settings: Any) -> AsyncIterator[tuple[Program, asyncio.Task[list[str]]]]:
    """Run a Runtime whose Worker ``a`` emits without end; the task collects what it called durable."""
    async with runtime_process(data_dir, **settings, **OPTIONS) as program:
        await program.do("create", worker="a")
        program.tell("pour", worker="a", size=size, tell=True)
        collecting = asyncio.ensure_future(durable_cursors(program))
        yield program, collecting
        await collecting


def assert_whole(followers: list[Follower], durable: list[str], data_dir: Path) -> None:
    records = records_of(data_dir)
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    for follower in followers:
        assert follower.events == follower.own(records)
    assert set(durable) <= {record["cursor"] for record in records}
    assert len({record["event_id"] for record in records}) == len(records)


@pytest.mark.parametrize("size", [10, 3000])
async def test_a_backend_that_comes_back_after_each_kill_has_every_event_once(size: int, tmp_path: Path):
    """Runtime and server are one process: both die, the connection with them."""
    followers = [Follower(worker_id) for worker_id in BOTH]
    durable: list[str] = []
    for kill_point in KILL_POINTS:
        async with poured(tmp_path, size, serve=True) as (program, collecting):
            await until_known(program, "a")
            before = [len(follower.events) for follower in followers]
            async with followers[0].stream(program.url) as one, followers[1].stream(program.url) as two:
                following = asyncio.gather(followers[0].follow(one), followers[1].follow(two))
                for follower, events in zip(followers, before, strict=True):
                    await follower.until(events + kill_point // (1 + size // 1000))
                await program.kill()
                await following
            durable += await collecting
    async with runtime_process(tmp_path, serve=True, **OPTIONS) as program:
        await _catch_up(followers, program, tmp_path)
    assert_whole(followers, durable, tmp_path)


async def test_a_backend_of_a_server_that_lives_on_notices_nothing(tmp_path: Path):
    """The server is another process: the connection lives through every kill and every recovery."""
    followers = [Follower(worker_id) for worker_id in BOTH]
    durable: list[str] = []
    async with runtime_process(tmp_path, **OPTIONS) as first:
        await first.do("create", worker="a")
        assert await first.end() == 0
    async with server_process(tmp_path) as server:
        await until_known(server, "a")
        async with followers[0].stream(server.url) as one, followers[1].stream(server.url) as two:
            following = asyncio.gather(followers[0].follow(one), followers[1].follow(two))
            for kill_point in KILL_POINTS:
                before = [len(follower.events) for follower in followers]
                async with poured(tmp_path, 10) as (program, collecting):
                    for follower, events in zip(followers, before, strict=True):
                        await follower.until(events + kill_point)
                    await program.kill()
                    durable += await collecting
            async with runtime_process(tmp_path, **OPTIONS):
                records = records_of(tmp_path)
                for follower in followers:
                    await follower.until(len(follower.own(records)))
            assert not following.done(), "nobody was sent away"
            assert await server.end() == 0
            await following
            assert [follower.goodbye for follower in followers] == ["runtime.shutting_down"] * 2
    # What a closing Runtime adds is there as well: the server showed it before it ended.
    assert_whole(followers, durable, tmp_path)


async def test_a_cursor_of_an_event_nobody_was_shown_is_good_after_recovery_or_told_to_be_ahead(tmp_path: Path):
    """Killed at once after ``emit`` returned: the record was written, so recovery keeps it."""
    for _ in range(3):
        async with runtime_process(tmp_path, serve=True, **OPTIONS) as program:
            cursors = (await program.do("emit", worker="a", texts=[str(number) for number in range(100)]))["cursors"]
            await program.kill()
        async with runtime_process(tmp_path, serve=True, **OPTIONS) as program:
            await until_known(program, "a")
            for index in (0, 50, 98):
                async with subscribed(program.url, stream_path("a"), cursor=cursors[index]) as peer:
                    await peer.snapshot()
                    assert await peer.texts(99 - index) == [str(number) for number in range(index + 1, 100)]
            await program.kill()


async def test_while_nobody_recovers_the_log_its_server_serves_what_was_shown(tmp_path: Path):
    async with server_and_killed_runtime(tmp_path) as (server, cursors):
        async with subscribed(server.url, stream_path("a"), from_="oldest") as peer:
            await peer.snapshot()
            assert [event["cursor"] for event in await peer.events(3)] == cursors
        async with runtime_process(tmp_path) as program:
            (after,) = (await program.do("emit", worker="a", texts=["after"]))["cursors"]
            async with subscribed(server.url, stream_path("a"), cursor=cursors[-1]) as peer:
                await peer.snapshot()
                assert (await peer.event())["cursor"] == after


@asynccontextmanager
async def server_and_killed_runtime(data_dir: Path) -> AsyncIterator[tuple[Program, list[str]]]:
    async with runtime_process(data_dir) as program, server_process(data_dir) as server:
        cursors = (await program.do("emit", worker="a", texts=["1", "2", "3"]))["cursors"]
        await until_known(server, "a")
        async with subscribed(server.url, stream_path("a"), cursor=cursors[-1]) as peer:
            await peer.snapshot()
        await program.kill()
        yield server, cursors


async def _catch_up(followers: list[Follower], program: Program, data_dir: Path) -> None:
    records = records_of(data_dir)
    assert decode_token(records[-1]["cursor"]).seq == len(records)
    async with followers[0].stream(program.url) as one, followers[1].stream(program.url) as two:
        following = asyncio.gather(followers[0].follow(one), followers[1].follow(two))
        for follower in followers:
            await follower.until(len(follower.own(records)))
        await program.kill()
        await following
