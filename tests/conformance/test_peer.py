"""The kit's end of a socket, against a client of bare bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.conformance.test_client_frames import masked
from tests.support.deadline import wait_until_async
from yoi_runtime.conformance.peer import Peer, PeerLeftError

SECONDS = 10.0


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Peer, asyncio.StreamReader, asyncio.StreamWriter]]:
    accepted: asyncio.Queue[Peer] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.put_nowait(Peer(reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    peer = await accepted.get()
    try:
        yield peer, reader, writer
    finally:
        await peer.abandon()
        writer.transport.abort()
        server.close()


async def test_a_ping_is_answered_or_not():
    async with connected() as (peer, reader, writer):
        pinging = asyncio.create_task(peer.ping(SECONDS))
        assert await reader.readexactly(13) == b"\x89\x0bconformance"
        writer.write(masked(10, b"conformance"))
        assert await pinging
        assert not await peer.ping(0.01)


async def test_a_clients_ping_is_answered_and_its_messages_are_counted():
    async with connected() as (peer, reader, writer):
        writer.write(masked(1, b"abc") + masked(9, b"!"))
        assert await reader.readexactly(3) == b"\x8a\x01!"
        assert peer.messages == ["text of 3 bytes"]


async def test_a_close_that_is_answered_is_told_from_one_that_is_not():
    async with connected() as (peer, reader, writer):
        closing = asyncio.create_task(peer.close(4409, "why", SECONDS))
        assert await reader.readexactly(7) == b"\x88\x05\x11\x39why"
        writer.write(masked(8, b"\x11\x39"))
        assert await closing
        assert peer.close_code == 4409
    async with connected() as (peer, _, writer):
        writer.transport.abort()
        assert not await peer.close(4409, "", SECONDS)


async def test_sending_to_a_client_that_left_says_so():
    async with connected() as (peer, _, writer):
        writer.write(masked(8, b""))
        await asyncio.wait_for(peer.left.wait(), SECONDS)
        assert (peer.got_close, peer.close_code) == (True, None)
        with pytest.raises(PeerLeftError):
            await peer.send_text(b"{}")


async def test_a_reset_is_a_reset_and_a_hang_up_an_end():
    async with connected() as (peer, reader, _):
        await peer.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()
    async with connected() as (peer, reader, _):
        await peer.send_half(b"x" * 98)
        await peer.hang_up()
        # Two bytes of head and 98 of payload, by half.
        assert await reader.read() == b"\x81\x62" + b"x" * 48


async def test_a_silent_peer_reads_nothing_and_keeps_the_socket_open():
    async with connected() as (peer, reader, writer):
        peer.fall_silent()
        writer.write(masked(9, b"!"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        assert peer.messages == []


async def test_frames_that_are_none_end_the_connection_with_their_reason():
    async with connected() as (peer, _, writer):
        writer.write(b"\x81\x01x")
        await wait_until_async(lambda: peer.fault)
        assert peer.fault == "a frame without a mask"
