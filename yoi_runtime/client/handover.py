"""The short way from the task that reads the stream to the one that consumes it, bounded in bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

__all__ = ["Handover"]

_T = TypeVar("_T")


class Handover(Generic[_T]):
    """A queue of blocks of items, with an end. One task puts, one takes; cancelling either loses nothing.

    A block is what one message brought: passing on a thousand items costs as much as passing on one.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._blocks: deque[tuple[Sequence[_T], int]] = deque()
        self._finished = False
        self._error: BaseException | None = None
        self._arrived = asyncio.Event()
        self._has_room = asyncio.Event()
        self.waiting_bytes = 0

    async def put(self, block: Sequence[_T], size_bytes: int) -> None:
        """Add a block of items, once fewer than ``limit_bytes`` wait: one block fits, however large."""
        while self.waiting_bytes >= self._limit_bytes:
            self._has_room.clear()
            await self._has_room.wait()
        self._blocks.append((block, size_bytes))
        self.waiting_bytes += size_bytes
        self._arrived.set()

    async def take(self) -> Sequence[_T]:
        """Return the oldest block; wait for one.

        Raises:
            StopAsyncIteration: finished, and nothing is left.
            BaseException: what it was finished with, once nothing is left.
        """
        while (block := self.take_ready()) is None:
            if self._finished:
                raise self._error if self._error is not None else StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        # No await between the taking and the return: a task cancelled while it waits has taken nothing.
        return block

    def take_ready(self) -> Sequence[_T] | None:
        """Return the oldest block, None when there is none."""
        if not self._blocks:
            return None
        block, size_bytes = self._blocks.popleft()
        self.waiting_bytes -= size_bytes
        self._has_room.set()
        return block

    def finish(self, error: BaseException | None = None) -> None:
        """Add nothing more; what waits can still be taken, then ``error`` is raised. The first call counts."""
        if not self._finished:
            self._finished = True
            self._error = error
            self._arrived.set()

    def discard(self) -> None:
        """Drop what waits."""
        self._blocks.clear()
        self.waiting_bytes = 0
        self._has_room.set()
