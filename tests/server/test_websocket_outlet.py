"""The outlet on a real connection, and what it takes for granted of Tornado's inside."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler, WebSocketProtocol13

from tests.server.raw_peer import RawPeer
from tests.support.deadline import wait_until_async
from yoi_runtime.server.subscriber import ConsumerTooSlowError, OutletClosedError
from yoi_runtime.server.websocket_frames import text_frames
from yoi_runtime.server.websocket_outlet import SEND_BUFFER_BYTES, STALL_SECONDS, WebSocketOutlet

# More than kernel and peer take together without anybody reading.
MORE_THAN_FITS = 4 << 20


class Door(WebSocketHandler):
    """Accepts one connection and leaves it to the test."""

    def initialize(self, opened: asyncio.Future[Door]) -> None:
        self.opened = opened

    def open(self, *args: str, **kwargs: str) -> None:
        self.opened.set_result(self)

    def on_message(self, message: str | bytes) -> None:
        raise AssertionError("nobody sends here")


@asynccontextmanager
async def connected(receive_buffer: int | None = 4096) -> AsyncIterator[tuple[Door, RawPeer]]:
    """Connect a peer that reads nothing by itself."""
    opened: asyncio.Future[Door] = asyncio.get_running_loop().create_future()
    server = HTTPServer(Application([("/", Door, {"opened": opened})]))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    peer = await RawPeer.connect(f"http://127.0.0.1:{sockets[0].getsockname()[1]}", "/", receive_buffer=receive_buffer)
    door = await opened
    try:
        yield door, peer
    finally:
        peer.close()
        server.stop()
        if door.ws_connection is not None:
            door.ws_connection._abort()


def protocol_of(door: Door) -> WebSocketProtocol13:
    assert isinstance(door.ws_connection, WebSocketProtocol13)
    return door.ws_connection


# What Tornado's inside has to be like.


async def test_tornado_shows_the_stream_of_a_connection():
    async with connected() as (door, _):
        assert isinstance(protocol_of(door).stream, IOStream)
        assert isinstance(protocol_of(door).stream.socket, socket.socket)


# The outlet.


async def test_messages_arrive_whole_in_order_and_as_text():
    async with connected() as (door, peer):
        outlet = WebSocketOutlet(door)
        messages = [json.dumps({"n": number, "text": "é" * (number % 70 * 40)}).encode() for number in range(300)]
        sending = asyncio.ensure_future(outlet.send(messages))
        assert [await peer.frame() for _ in messages] == [(1, message) for message in messages]
        await sending
        assert not outlet.write_pending


async def test_frames_wait_their_turn_behind_what_tornado_has_to_write():
    async with connected() as (door, peer):
        outlet = WebSocketOutlet(door)
        stream = protocol_of(door).stream
        first = stream.write(text_frames([b"a" * MORE_THAN_FITS]))
        assert stream.writing()
        sending = asyncio.ensure_future(outlet.send_frames(text_frames([b"b"])))
        assert await peer.frame() == (1, b"a" * MORE_THAN_FITS)
        assert await peer.frame() == (1, b"b")
        await first
        await sending
        assert not stream.writing()


async def test_frames_that_the_kernel_takes_at_once_never_reach_tornado():
    async with connected() as (door, peer):
        outlet = WebSocketOutlet(door)
        before = protocol_of(door).stream._total_write_done_index
        await outlet.send_frames(text_frames([b"quick"]))
        assert protocol_of(door).stream._total_write_done_index == before
        assert await peer.frame() == (1, b"quick")


async def test_half_a_frame_is_followed_by_its_other_half_whatever_else_is_sent():
    async with connected() as (door, peer):
        outlet = WebSocketOutlet(door)
        large = b"x" * MORE_THAN_FITS
        assert not outlet.begin(text_frames([large]))
        assert outlet.write_pending
        door.ping(b"in between")
        reading = asyncio.ensure_future(peer.frame())
        await outlet.finish()
        assert not outlet.write_pending
        assert await reading == (1, large)
        assert await peer.frame() == (9, b"in between")
        assert outlet.begin(text_frames([b"small"]))


@pytest.mark.parametrize("full", [ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError])
async def test_a_socket_that_takes_nothing_at_present_leaves_all_to_tornado(full: type[OSError]):
    async with connected() as (door, peer):
        outlet = WebSocketOutlet(door)
        stream = outlet._stream
        real = stream.socket

        class Full:
            def __getattr__(self, name: str) -> object:
                return getattr(real, name)

            def send(self, data: bytes) -> int:
                stream.socket = real
                raise full

        stream.socket = Full()  # type: ignore[assignment]
        await outlet.send([b"all the same"])
        assert await peer.frame() == (1, b"all the same")


async def test_what_the_kernel_holds_is_bounded():
    async with connected() as (door, _):
        outlet = WebSocketOutlet(door)
        held = outlet._stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert SEND_BUFFER_BYTES <= held <= 2 * SEND_BUFFER_BYTES


async def test_the_kernel_holds_no_small_frames_back_until_the_last_ones_are_confirmed():
    async with connected() as (door, _):
        outlet = WebSocketOutlet(door)
        assert outlet._stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_send_returns_only_when_the_kernel_took_it_all():
    async with connected() as (door, peer):
        outlet = WebSocketOutlet(door)
        sending = asyncio.ensure_future(outlet.send([b"x" * MORE_THAN_FITS]))
        await wait_until_async(lambda: outlet.write_pending)
        assert not sending.done()
        assert await peer.frame() == (1, b"x" * MORE_THAN_FITS)
        await sending
        assert not outlet.write_pending


async def test_a_peer_that_takes_nothing_is_too_slow_after_the_time_it_has():
    async with connected() as (door, _):
        loop = asyncio.get_running_loop()
        outlet = WebSocketOutlet(door, 0.2)
        begun = loop.time()
        with pytest.raises(ConsumerTooSlowError):
            await outlet.send([b"x" * MORE_THAN_FITS])
        # The kernel takes at the beginning; from then on nothing.
        assert loop.time() - begun >= 0.2
        assert not outlet.write_pending
    assert STALL_SECONDS == 20


async def test_a_peer_that_stops_reading_is_found_a_quarter_late_at_most(monkeypatch: pytest.MonkeyPatch):
    """By the times that are asked for, which no busy machine makes longer."""
    taken, asked = iter((0, 1000)), list[float]()
    async with connected() as (door, _):
        loop = asyncio.get_running_loop()
        outlet = WebSocketOutlet(door, 0.4)
        monkeypatch.setattr(outlet, "_taken_bytes", lambda: next(taken, 1000))
        call_later = loop.call_later

        def note(delay: float, *call: Any) -> asyncio.TimerHandle:
            asked.append(delay)
            return call_later(delay, *call)

        monkeypatch.setattr(loop, "call_later", note)
        begun = loop.time()
        with pytest.raises(ConsumerTooSlowError):
            await outlet.send([b"x" * MORE_THAN_FITS])
        assert loop.time() - begun > 0.4
    assert 0.4 < sum(asked) < 0.55, asked


async def test_a_peer_that_reads_slowly_but_steadily_is_never_too_slow():
    """Four kilobytes at a time: far less in the time it has than the kernel's buffer, which moves in thirds."""
    async with connected() as (door, peer):
        loop = asyncio.get_running_loop()
        stall_seconds = 0.5
        outlet = WebSocketOutlet(door, stall_seconds)
        sending = asyncio.ensure_future(outlet.send([b"x" * MORE_THAN_FITS]))
        begun = next_read = loop.time()
        read = 0
        while loop.time() - begun < 4 * stall_seconds:
            # No guess: the pace is what is tested.
            next_read += stall_seconds / 10
            await wait_until_async(lambda at=next_read: loop.time() >= at)  # type: ignore[misc]
            read += len(await loop.sock_recv(peer.socket, 4096))
        assert not sending.done()
        assert read < 60 * 4096, "as slow as meant"
        sending.cancel()


async def test_a_peer_that_reads_at_last_within_its_time_is_well():
    async with connected() as (door, peer):
        loop = asyncio.get_running_loop()
        outlet = WebSocketOutlet(door, 2.0)
        sending = asyncio.ensure_future(outlet.send([b"x" * MORE_THAN_FITS]))
        begun = loop.time()
        await wait_until_async(lambda: loop.time() >= begun + 0.3)
        assert await peer.frame() == (1, b"x" * MORE_THAN_FITS)
        await sending


async def test_a_peer_that_vanishes_under_a_write_is_gone():
    async with connected() as (door, peer):
        outlet = WebSocketOutlet(door)
        sending = asyncio.ensure_future(outlet.send([b"x" * MORE_THAN_FITS]))
        await wait_until_async(lambda: outlet.write_pending)
        peer.vanish()
        async with asyncio.timeout(10):
            with pytest.raises(OutletClosedError):
                await sending
            with pytest.raises(OutletClosedError):
                await outlet.send([b"more"])
        assert not outlet.write_pending


async def test_nothing_is_sent_after_a_close():
    async with connected() as (door, peer):
        outlet = WebSocketOutlet(door)
        await outlet.send([b"last"])
        outlet.close(4410, "runtime.cursor_expired")
        with pytest.raises(OutletClosedError):
            await outlet.send([b"more"])
        assert await peer.frame() == (1, b"last")
        assert await peer.frame() == (8, (4410).to_bytes(2, "big") + b"runtime.cursor_expired")


async def test_who_is_parted_with_gets_word_and_close_code_once():
    async with connected() as (door, peer):
        outlet = WebSocketOutlet(door)
        for _ in range(3):
            outlet.part(b"goodbye", 4408, "runtime.observation_only")
        assert await peer.frame() == (1, b"goodbye")
        assert await peer.frame() == (8, (4408).to_bytes(2, "big") + b"runtime.observation_only")
        await peer.send(8, (4408).to_bytes(2, "big"))
        with pytest.raises(EOFError):
            await peer.frame()


async def test_parting_with_a_peer_that_is_gone_is_harmless():
    async with connected() as (door, peer):
        outlet = WebSocketOutlet(door)
        peer.vanish()
        await wait_until_async(outlet._stream.closed)
        outlet.part(b"goodbye", 4408, "")
        outlet.drop()


async def test_a_connection_that_is_closed_already_has_no_outlet():
    async with connected() as (door, _):
        door.close()
        with pytest.raises(OutletClosedError):
            WebSocketOutlet(door)


async def test_who_is_cut_off_gets_word_and_close_code_if_it_reads_within_the_grace(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yoi_runtime.server.websocket_outlet._GRACE_SECONDS", 60.0)
    async with connected() as (door, peer):
        outlet = WebSocketOutlet(door, 0.1)
        with pytest.raises(ConsumerTooSlowError):
            await outlet.send([b"x" * MORE_THAN_FITS])
        cutting = asyncio.ensure_future(outlet.cut_off(b"too slow", 4508, "runtime.consumer_too_slow"))
        assert await peer.frame() == (1, b"x" * MORE_THAN_FITS)
        assert await peer.frame() == (1, b"too slow")
        assert await peer.frame() == (8, (4508).to_bytes(2, "big") + b"runtime.consumer_too_slow")
        await cutting
        assert outlet._stream.closed()


async def test_who_is_cut_off_and_still_takes_nothing_is_dropped_after_the_grace(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("yoi_runtime.server.websocket_outlet._GRACE_SECONDS", 0.1)
    async with connected() as (door, _):
        outlet = WebSocketOutlet(door, 0.1)
        with pytest.raises(ConsumerTooSlowError):
            await outlet.send([b"x" * MORE_THAN_FITS])
        async with asyncio.timeout(20):
            await outlet.cut_off(b"too slow", 4508, "runtime.consumer_too_slow")
        assert outlet._stream.closed()


async def test_cutting_off_a_peer_that_is_gone_is_harmless():
    async with connected() as (door, peer):
        outlet = WebSocketOutlet(door)
        peer.vanish()
        await wait_until_async(outlet._stream.closed)
        await outlet.cut_off(b"too slow", 4508, "runtime.consumer_too_slow")
