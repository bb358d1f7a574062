"""Tornado adapter: one accepted WebSocket as an outlet. The only module that touches Tornado's internals.

It writes many frames at once to the connection's ``IOStream`` (``WebSocketProtocol13.stream``), watches the
stream's count of bytes handed to the kernel (``_total_write_done_index``), less those that the kernel still
holds, and can drop a connection (``_abort``). While the stream has nothing to write (``writing``) it writes to the
stream's socket itself. All are pinned by tests/server/test_websocket_outlet.py.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import socket
import ssl
import struct
import sys
import termios

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError
from tornado.websocket import WebSocketHandler, WebSocketProtocol13

from yoi_runtime.server.subscriber import ConsumerTooSlowError, OutletClosedError
from yoi_runtime.server.websocket_frames import text_frames

__all__ = ["SEND_BUFFER_BYTES", "STALL_SECONDS", "WebSocketOutlet"]

_log = logging.getLogger("yoi_runtime.server")

# What "sent" may mean at most beyond what the peer has read; the kernel doubles it for its bookkeeping.
SEND_BUFFER_BYTES = 256 << 10
# Without one byte taken for this long, a peer is stalled, not slow.
STALL_SECONDS = 20.0
# So often in that time it is looked whether a peer takes anything: it is found out a quarter late at most.
_LOOKS = 4
_GRACE_SECONDS = 5.0
_DARWIN_SO_NWRITE = 0x1024


class WebSocketOutlet:
    """Sends frames on one upgraded connection. For one task at a time."""

    def __init__(self, handler: WebSocketHandler, stall_seconds: float = STALL_SECONDS) -> None:
        connection = handler.ws_connection
        if not isinstance(connection, WebSocketProtocol13):
            raise OutletClosedError
        self._handler = handler
        # Kept, because Tornado forgets it when a close begins, and a peer may never answer that.
        self._connection = connection
        self._stream: IOStream = connection.stream
        self._stall_seconds = stall_seconds
        # Under TLS a write that was not taken has to be repeated as it was: that is Tornado's affair.
        self._may_offer = not isinstance(self._stream, SSLIOStream)
        self.write_pending = False
        # What this side said goodbye with, None while it has not.
        self.said_goodbye: int | None = None
        self._written: asyncio.Future[None] | None = None
        self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        # Otherwise the kernel holds small frames back until the peer has confirmed the last ones, which takes it up to 40 ms.
        self._stream.set_nodelay(True)

    async def send(self, messages: list[bytes]) -> None:
        """Send each message as one text message, in one write; returns when the kernel took the bytes.

        Raises:
            OutletClosedError: the connection is gone; some of the messages may have arrived.
            ConsumerTooSlowError: the peer took no byte for ``stall_seconds``.
        """
        await self.send_frames(text_frames(messages))

    async def send_frames(self, frames: bytes) -> None:
        """Like ``send``, of bytes that are frames already and may be other peers', too: nothing is copied."""
        if not self.begin(frames):
            await self.finish()

    def begin(self, frames: bytes) -> bool:
        """Hand over frames; True when the kernel took them all, else ``finish`` has to be awaited before the next.

        Raises:
            OutletClosedError: as ``send``.
        """
        if self._handler.ws_connection is None or self._stream.closed():
            raise OutletClosedError
        taken = self._offer(frames) if self._may_offer and not self._stream.writing() else 0
        if taken == len(frames):
            return True
        # At once: half a frame must not be followed by a ping or a close.
        try:
            self._written = self._stream.write(memoryview(frames)[taken:])
        except StreamClosedError:
            raise OutletClosedError from None
        self.write_pending = True
        return False

    async def finish(self) -> None:
        """Return when the kernel took what ``begin`` left, at once if that was nothing. Errors: those of ``send``."""
        written = self._written
        if written is None:
            return
        try:
            if not written.done() and not await self._taken(written):
                raise ConsumerTooSlowError
            written.result()
        except StreamClosedError:
            raise OutletClosedError from None
        finally:
            self.write_pending, self._written = False, None

    async def _taken(self, written: asyncio.Future[None]) -> bool:
        """Wait for a write to end, well or not; False when the peer takes no byte for ``stall_seconds``.

        One timer and one callback, because this happens at every write to a busy peer.
        """
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        before, since = self._taken_bytes(), loop.time()
        timer: asyncio.TimerHandle | None = None

        def tell(_: object) -> None:
            if not ended.done():
                ended.set_result(True)

        def look() -> None:
            nonlocal before, since, timer
            if self._stream.closed():
                return  # which ``tell`` is about to be told
            taken, now = self._taken_bytes(), loop.time()
            if taken != before:
                before, since = taken, now
            left = since + self._stall_seconds - now
            if left > 0:
                timer = loop.call_later(min(left, self._stall_seconds / _LOOKS), look)
            elif not ended.done():
                ended.set_result(False)

        written.add_done_callback(tell)
        timer = loop.call_later(self._stall_seconds / _LOOKS, look)
        try:
            taken: bool = await ended
            return taken
        finally:
            if timer is not None:
                timer.cancel()

    def _offer(self, frames: bytes) -> int:
        """Hand frames to the kernel, past Tornado, which has nothing to send; return how many bytes it took.

        Tornado's own write does the same, with a future, a buffer and two slices of it: 5.2 µs for 3,000 bytes, this 1.5 µs, and a peer
        that reads takes everything at once.
        """
        try:
            return self._stream.socket.send(frames)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except OSError as error:
            self._stream.close(exc_info=error)
            raise OutletClosedError from None

    def _taken_bytes(self) -> int:
        """Return how many bytes have reached the peer's machine."""
        return self._stream._total_write_done_index - _unconfirmed_bytes(self._stream.socket)

    def drop(self) -> None:
        """End the connection without a word."""
        self._connection._abort()

    def part(self, last_message: bytes, code: int, reason: str) -> None:
        """Leave word and say goodbye, after all that was written and without waiting; once."""
        if self._handler.ws_connection is None:
            return
        try:
            self._stream.write(text_frames([last_message]))
        except StreamClosedError:
            return
        self.said_goodbye = code
        self._handler.close(code, reason)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame after all that was written; the peer has 5 s to answer it."""
        self.said_goodbye = code
        self._handler.close(code, reason)

    async def cut_off(self, last_message: bytes, code: int, reason: str) -> None:
        """Part with a peer that takes nothing: leave word, wait a grace of 5 s, then drop the connection."""
        self.said_goodbye = code
        try:
            self._stream.write(text_frames([last_message]))
            self._handler.close(code, reason)
            # After nothing, which comes after the close frame.
            leaving = self._stream.write(b"")
            await asyncio.wait([leaving], timeout=_GRACE_SECONDS)
        except StreamClosedError:
            return
        finally:
            self._stream.close()


def _unconfirmed_bytes(stream_socket: socket.socket) -> int:
    """Return how many bytes the kernel holds that the peer has not confirmed; 0 where it does not tell.

    Without this a peer that reads steadily but slowly looks stalled: the kernel takes more bytes only after a third
    of its buffer has become free, which at 8 KiB a second is more than 20 s.
    """
    if sys.platform == "linux":
        return int(struct.unpack("i", fcntl.ioctl(stream_socket, termios.TIOCOUTQ, bytes(4)))[0])
    if sys.platform == "darwin":
        return stream_socket.getsockopt(socket.SOL_SOCKET, _DARWIN_SO_NWRITE)
    return 0
