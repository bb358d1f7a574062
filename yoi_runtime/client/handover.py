"""The short way from the task that reads the stream to the one that consumes it, bounded in bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Handover"]

_T = TypeVar("_T")


class Handover(Generic[_T]):
    """A queue with an end. One task puts, one takes; cancelling either loses nothing."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._items: deque[tuple[_T, int]] = deque()
        self._bytes = 0
        self._finished = False
        self._error: BaseException | None = None
        self._arrived = asyncio.Event()
        self._has_room = asyncio.Event()

    async def put(self, item: _T, size_bytes: int) -> None:
        """Add ``item``, once fewer than ``limit_bytes`` wait: one item fits, however large."""
        while self._bytes >= self._limit_bytes:
            self._has_room.clear()
            await self._has_room.wait()
        self._items.append((item, size_bytes))
        self._bytes += size_bytes
        self._arrived.set()

    async def take(self) -> _T:
        """Return the oldest item; wait for one.

        Raises:
            StopAsyncIteration: finished, and nothing is left.
            BaseException: what it was finished with, once nothing is left.
        """
        while not self._items:
            if self._finished:
                raise self._error if self._error is not None else StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        # No await between here and the return: a task cancelled while it waits has taken nothing.
        item, size_bytes = self._items.popleft()
        self._bytes -= size_bytes
        self._has_room.set()
        return item

    def finish(self, error: BaseException | None = None) -> None:
        """Add nothing more; what waits can still be taken, then ``error`` is raised. The first call counts."""
        if not self._finished:
            self._finished = True
            self._error = error
            self._arrived.set()

    def discard(self) -> None:
        """Drop what waits."""
        self._items.clear()
        self._bytes = 0
        self._has_room.set()
