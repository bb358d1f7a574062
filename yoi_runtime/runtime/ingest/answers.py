"""The answers to one peer, in order: sent many at a time, when the log has what they acknowledge. Bounded."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from yoi_runtime.errors import LogError

__all__ = ["MOST_UNREAD_BYTES", "Answers"]

# About 2,500 acknowledgements. A peer that does not read them is not read from.
MOST_UNREAD_BYTES: Final = 256 << 10


class Answers:
    """A queue with one task that sends. Belongs to one event loop."""

    def __init__(self, connection: socket.socket, durable: Callable[[str], Awaitable[None]]) -> None:
        """``durable``: wait until the event of a cursor survives a power cut."""
        self._connection = connection
        self._durable = durable
        self._queued: list[tuple[bytes, str | None]] = []
        self._queued_bytes = 0
        self._changed = asyncio.Event()
        self._sent = asyncio.Event()
        self._closing = False
        # The peer is gone; what it said before is still to be heard, and the answers go nowhere.
        self._nobody_reads = False
        self._task = asyncio.get_running_loop().create_task(self._send(), name="ingest answers")

    def put(self, answer: bytes, cursor: str | None = None) -> None:
        """Queue an answer; with ``cursor`` it is sent when that event is durable, and so is what comes after it."""
        self._queued.append((answer, cursor))
        self._queued_bytes += len(answer)
        self._changed.set()

    async def room(self) -> None:
        """Wait until the peer has read enough. Raises ``LogError``: what was to become durable never will."""
        while self._queued_bytes >= MOST_UNREAD_BYTES:
            self._sent.clear()
            await self._wait_for_sender()
        if self._task.done():
            self._task.result()

    async def finish(self) -> None:
        """Send what is queued and end. Raises as ``room``."""
        self._closing = True
        self._changed.set()
        await self._task

    async def cancel(self) -> None:
        """End, whatever is queued."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._task

    async def _wait_for_sender(self) -> None:
        sent = asyncio.ensure_future(self._sent.wait())
        try:
            await asyncio.wait({sent, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sent.cancel()
        if self._task.done():
            self._task.result()

    async def _send(self) -> None:
        try:
            await self._send_all()
        except LogError:
            # Who reads the socket is to look here (``room``, ``finish``), and not to wait for a peer that waits for us.
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RD)
            raise

    async def _send_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._changed.wait()
            self._changed.clear()
            queued, self._queued = self._queued, []
            # The log is in one order: what is durable at the last cursor is at those before it. Not so of repeats.
            for cursor in dict.fromkeys(cursor for _, cursor in queued if cursor is not None):
                await self._durable(cursor)
            data = b"".join(answer for answer, _ in queued)
            if data:
                if not self._nobody_reads:
                    try:
                        await loop.sock_sendall(self._connection, data)
                    except OSError:
                        self._nobody_reads = True
                self._queued_bytes -= len(data)
                self._sent.set()
            if self._closing and not self._queued:
                return
