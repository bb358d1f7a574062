"""Saves a stream's cursor as it moves: not at each event, but soon, and at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from yoi_runtime.client.cursor_store import CursorStore
from yoi_runtime.errors import CursorStoreError

__all__ = ["CursorSaver"]


class CursorSaver:
    """Belongs to one stream. ``safe_cursor`` tells the cursor that may be saved: all before it has been dealt with.

    A store that syncs takes a millisecond or ten: once an interval costs nothing, once an event would be the speed of
    the stream. What is lost in a crash is the place of the last interval, whose events then come again.
    """

    def __init__(
        self, store: CursorStore, scope: str, safe_cursor: Callable[[], str | None], interval_seconds: float
    ) -> None:
        self._store = store
        self._scope = scope
        self._safe_cursor = safe_cursor
        self._interval_seconds = interval_seconds
        self._saved: str | None = None
        # Saving is done by one at a time: the task, the caller, the end.
        self._turn = asyncio.Lock()

    async def load(self) -> str | None:
        """Return the cursor of the last run.

        Raises:
            CursorStoreError: the store failed.
        """
        self._saved = await self._call(lambda: self._store.load(self._scope))
        return self._saved

    async def run(self) -> None:
        """Save every interval, until cancelled.

        Raises:
            CursorStoreError: the store failed.
        """
        while True:
            await asyncio.sleep(self._interval_seconds)
            await self.save()

    async def save(self) -> None:
        """Save now what may be saved; returns when it is. Cancelled: it is saved all the same.

        Raises:
            CursorStoreError: the store failed.
        """
        async with self._turn:
            cursor = self._safe_cursor()
            if cursor is None or cursor == self._saved:
                return
            saving = asyncio.ensure_future(self._call(lambda: self._store.save(self._scope, cursor)))
            try:
                # A thread cannot be stopped: whoever saves next has to wait for it.
                await asyncio.shield(saving)
            except asyncio.CancelledError:
                await asyncio.wait({saving})
                if saving.exception() is None:
                    self._saved = cursor
                raise
            self._saved = cursor

    async def _call(self, step: Callable[[], str | None]) -> str | None:
        try:
            return await asyncio.to_thread(step)
        except CursorStoreError:
            raise
        except Exception as error:
            # The caller's own store may raise anything.
            raise CursorStoreError(type(self._store).__name__, f"{type(error).__name__}: {error}") from error
