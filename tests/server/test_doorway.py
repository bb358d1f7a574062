"""The doorway with real sockets: who is let in, who gives way, and what happens without a descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.conftest import ExpectLog
from tests.support.deadline import wait_until_async
from yoi_runtime.server import doorway as module
from yoi_runtime.server.descriptors import open_descriptors
from yoi_runtime.server.doorway import Doorway, Stream
from yoi_runtime.server.limits import LimitCounters, Limits, RefusedBecause
from yoi_runtime.server.refusals import Refusals


@dataclass
class Watched:
    """A doorway that hands its streams over to nobody."""

    port: int
    counters: LimitCounters = field(default_factory=LimitCounters)
    streams: list[Stream] = field(default_factory=list)
    door: Doorway = None  # type: ignore[assignment]
    peers: list[socket.socket] = field(default_factory=list)

    def connect(self) -> socket.socket:
        peer = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.peers.append(peer)
        return peer

    async def let_in(self, count: int) -> None:
        await wait_until_async(lambda: len(self.streams) >= count, 20, f"{count} let in")

    def refused(self, reason: RefusedBecause) -> int:
        return self.counters.refused[reason]


@asynccontextmanager
async def watched(most_connections: int = 100, **limits: float) -> AsyncIterator[Watched]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    it = Watched(listener.getsockname()[1])
    refusals = Refusals(it.counters)
    it.door = Doorway(
        Limits(**limits),  # type: ignore[arg-type]
        most_connections,
        it.counters,
        refusals,
        lambda stream, address: it.streams.append(stream),
        max_buffer_bytes=1 << 20,
    )
    it.door.open([listener])
    try:
        yield it
    finally:
        it.door.close()
        for stream in it.streams:
            stream.close()
        for peer in it.peers:
            peer.close()


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GRACE_SECONDS", 0.05)


async def test_what_comes_in_is_counted_and_so_is_what_leaves():
    async with watched() as it:
        for _ in range(5):
            it.connect()
        await it.let_in(5)
        assert (it.counters.connections, it.counters.unfinished) == (5, 5)
        it.door.passed(it.streams[0], known=True)
        it.door.upgraded(it.streams[1])
        assert (it.counters.connections, it.counters.unfinished) == (5, 3)
        for stream in it.streams:
            stream.close()
        assert (it.counters.connections, it.counters.unfinished) == (0, 0)
        assert it.counters.refused == {}


async def test_the_oldest_that_say_nothing_give_way_to_those_who_come(no_grace: None, expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "because of unfinished")
    async with watched(unfinished=4) as it:
        for _ in range(40):
            it.connect()
        await it.let_in(40)
        assert it.counters.unfinished == 4
        assert [stream.closed() for stream in it.streams] == [True] * 36 + [False] * 4
        assert it.refused(RefusedBecause.UNFINISHED) == 36


async def test_who_has_just_come_is_not_pushed_out_the_others_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_GRACE_SECONDS", 60.0)
    async with watched(unfinished=4) as it:
        for _ in range(6):
            it.connect()
        await it.let_in(4)
        assert it.door._paused is not None
        # A good request makes room at once, long before the time is up.
        it.door.passed(it.streams[0], known=True)
        await it.let_in(5)
        it.streams[1].close()
        await it.let_in(6)
        assert it.counters.refused == {}


async def test_nobody_pushes_a_subscriber_out(no_grace: None, expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "because of unfinished")
    async with watched(most_connections=4, unfinished=1) as it:
        for count in range(1, 4):
            it.connect()
            await it.let_in(count)
            it.door.passed(it.streams[-1], known=True)
        it.door.upgraded(it.streams[0])
        for _ in range(10):
            it.connect()
        await it.let_in(13)
        # So many may say nothing, and they push out each other, not who waits for its next request.
        assert [stream.closed() for stream in it.streams[:3]] == [False] * 3
        assert it.counters.connections == 4
        for stream in it.streams[1:]:
            it.door.upgraded(stream)
        it.connect()
        await wait_until_async(lambda: it.door._paused is not None)
        assert len(it.streams) == 13
        it.streams[0].close()
        await it.let_in(14)


async def test_only_who_is_known_keeps_a_place_by_asking_again(no_grace: None, expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "because of unfinished")
    async with watched(most_connections=3) as it:
        for count in range(1, 4):
            it.connect()
            await it.let_in(count)
            it.door.passed(it.streams[-1], known=count == 2)
        for stream in it.streams:
            it.door.passed(stream, known=stream is it.streams[1])
        for count in range(4, 6):
            it.connect()
            await it.let_in(count)
            it.door.passed(it.streams[-1], known=True)
        assert [stream.closed() for stream in it.streams] == [True, False, True, False, False]


async def test_who_has_just_come_keeps_nobody_from_pushing_out_who_waits(
    monkeypatch: pytest.MonkeyPatch, expect_log: ExpectLog
):
    expect_log("yoi_runtime.server", "because of unfinished")
    monkeypatch.setattr(module, "_GRACE_SECONDS", 60.0)
    async with watched(most_connections=4) as it:
        for count in range(1, 4):
            it.connect()
            await it.let_in(count)
            it.door.passed(it.streams[-1], known=False)
        for stream in it.door._guests:
            it.door._guests[stream] -= 60.0
        # The last place is somebody's who has said nothing yet, and has a minute to.
        for count in range(4, 8):
            it.connect()
            await it.let_in(count)
        assert [stream.closed() for stream in it.streams] == [True] * 3 + [False] * 4


async def test_who_takes_too_long_is_dropped_with_or_without_need(expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "because of unfinished")
    async with watched(header_seconds=0.05) as it:
        for _ in range(3):
            it.connect()
        await it.let_in(3)
        it.door.passed(it.streams[1], known=True)

        def swept() -> bool:
            it.door.sweep()
            return it.counters.unfinished == 0

        await wait_until_async(swept)
        assert [stream.closed() for stream in it.streams] == [True, False, True]


@contextlib.contextmanager
def descriptors(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_without_a_descriptor_the_door_is_shut_for_moments_and_not_turned_in(expect_log: ExpectLog):
    expect_log("yoi_runtime.server", "because of descriptors")
    async with watched() as it:
        loop = asyncio.get_running_loop()
        peers = [socket.socket() for _ in range(5)]
        it.peers += peers
        for peer in peers:
            peer.settimeout(20)
        began = loop.time()
        # The lowest number that is free: all below are taken.
        with socket.socket() as probe:
            lowest = probe.fileno()
        assert lowest <= open_descriptors() + 1
        with descriptors(lowest):
            for peer in peers:
                peer.connect(("127.0.0.1", it.port))
            await wait_until_async(lambda: it.refused(RefusedBecause.DESCRIPTORS) >= 3, 20)
            assert loop.time() - began >= 2 * module._PAUSE_SECONDS
            assert it.streams == []
            # They were told, each by a close, the first one first.
            assert peers[0].recv(1) == b""
        await wait_until_async(lambda: len(it.streams) + it.refused(RefusedBecause.DESCRIPTORS) >= 5, 20)
        it.connect()
        await it.let_in(1)


async def test_a_peer_that_is_gone_before_it_is_taken_is_no_trouble():
    async with watched() as it:
        for _ in range(20):
            it.connect().close()
        it.connect()
        await wait_until_async(lambda: it.counters.connections >= 1)
        it.door.close()
        it.door.close()
