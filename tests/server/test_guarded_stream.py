from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tornado.iostream import StreamClosedError, UnsatisfiableReadError

from tests.support.deadline import wait_until_async
from yoi_runtime.server.guarded_stream import GuardedStream, plain_answer
from yoi_runtime.server.limits import RefusedBecause


@dataclass
class Watched:
    """A guarded stream, its peer's socket, and what it told."""

    stream: GuardedStream
    peer: socket.socket
    closed: int = 0
    refused: list[RefusedBecause] = field(default_factory=list)

    def count_close(self) -> None:
        self.closed += 1

    async def received(self) -> bytes:
        """Read all that came to the peer, to the end."""
        loop, seen = asyncio.get_running_loop(), b""
        async with asyncio.timeout(20):
            try:
                while more := await loop.sock_recv(self.peer, 65536):
                    seen += more
            except ConnectionError:
                pass
        return seen


@asynccontextmanager
async def watched(header_bytes: int = 1024) -> AsyncIterator[Watched]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    found = Watched(GuardedStream(ours, max_buffer_size=1 << 20), theirs)
    found.stream.guard(header_bytes, found.count_close, found.refused.append)
    try:
        yield found
    finally:
        found.stream.close()
        theirs.close()


async def test_its_end_is_told_once_whoever_ends_it():
    async with watched() as one:
        one.stream.close()
        one.stream.close()
        assert one.closed == 1
    async with watched() as two:
        reading = asyncio.ensure_future(two.stream.read_bytes(1))
        two.peer.close()
        with pytest.raises(StreamClosedError):
            await reading
        assert two.closed == 1


@pytest.mark.parametrize("size", [1100, 5000, 60_000])
async def test_a_head_that_is_too_large_is_answered_before_the_close(size: int):
    async with watched() as it:
        reading = it.stream.read_until_regex(b"\r\n\r\n", max_bytes=1024)
        await asyncio.get_running_loop().sock_sendall(it.peer, b"x" * size)
        with pytest.raises((StreamClosedError, UnsatisfiableReadError)):
            await reading
        head, _, body = (await it.received()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    problem = json.loads(body)["diagnostic"]
    assert problem["code"] == "runtime.invalid_request"
    assert "1,024 bytes" in problem["message"]
    assert it.refused == [RefusedBecause.HEADERS]
    assert it.closed == 1


async def test_what_tornado_says_to_no_http_is_said_with_a_diagnostic():
    async with watched() as it:
        await it.stream.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        it.stream.close()
        answer = await it.received()
    assert answer == plain_answer(400, "Bad Request", "this is not a request of HTTP/1.1 that this server can read")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


async def test_what_a_subscriber_may_send_in_a_second_is_bounded():
    async with watched() as it:
        it.stream.meter(10_000)
        loop = asyncio.get_running_loop()
        reading = asyncio.ensure_future(it.stream.read_bytes(1 << 20))
        await loop.sock_sendall(it.peer, b"x" * 9_000)
        await wait_until_async(lambda: it.stream._read_buffer_size == 9_000)
        assert it.closed == 0
        # In one second or in the next: this is too much for both.
        await loop.sock_sendall(it.peer, b"x" * 20_001)
        with pytest.raises(StreamClosedError):
            await reading
    assert it.refused == [RefusedBecause.FLOOD]
    assert it.closed == 1


async def test_the_bound_is_of_a_second_and_not_of_a_life(monkeypatch: pytest.MonkeyPatch):
    async with watched() as it:
        it.stream.meter(1_000)
        now = 0.0
        monkeypatch.setattr(it.stream.io_loop, "time", lambda: now)
        loop = asyncio.get_running_loop()
        for second in range(20):
            now = float(second)
            reading = it.stream.read_bytes(900)
            await loop.sock_sendall(it.peer, b"x" * 900)
            assert len(await reading) == 900
        assert it.refused == []


async def test_before_the_upgrade_nothing_is_metered():
    async with watched() as it:
        reading = asyncio.ensure_future(it.stream.read_bytes(500_000))
        await asyncio.get_running_loop().sock_sendall(it.peer, b"x" * 500_000)
        assert len(await reading) == 500_000
