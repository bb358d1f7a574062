"""What every kind of stream has: its block, its state, its end, the saving of its cursor."""

from __future__ import annotations

import asyncio
import weakref
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from yoi_runtime.client.cursor_saver import CursorSaver
from yoi_runtime.client.cursor_store import CursorStore, scope_of
from yoi_runtime.client.follower import Connect, Follower
from yoi_runtime.client.handover import Handover
from yoi_runtime.client.resume import ResumePolicy
from yoi_runtime.client.session import StreamView
from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.client.stream_event import StreamItem
from yoi_runtime.client.stream_position import StreamPosition
from yoi_runtime.client.stream_state import (
    OnState,
    StateChange,
    StateChanges,
    StateDetail,
    StreamLag,
    StreamState,
)
from yoi_runtime.events.conversation_events import WorkerStatus
from yoi_runtime.protocol.stream_request import FromCursor, Start

__all__ = ["Stream"]


class Stream(ABC):
    """A stream that is followed while its ``async with`` block runs. Belongs to one event loop."""

    def __init__(
        self,
        base_url: str,
        view: StreamView,
        start: Start,
        connect: Connect,
        policy: ResumePolicy,
        settings: ClientSettings,
        cursor_store: CursorStore | None,
        on_state: OnState | None,
    ) -> None:
        self._start = start
        self._handover = Handover[StreamItem](settings.read_ahead_bytes)
        self._follower = Follower(
            base_url, view, StreamPosition(start), self._handover, connect, policy, settings, self._changed
        )
        self._on_state = on_state
        self._changes: weakref.WeakSet[StateChanges] = weakref.WeakSet()
        self._tasks: list[asyncio.Task[None]] = []
        self._entered = False
        self._saver = None
        if cursor_store is not None:
            scope = scope_of(view.worker_id, view.events)
            self._saver = CursorSaver(cursor_store, scope, self._safe_cursor_to_save, settings.save_interval_seconds)

    # The block.

    async def __aenter__(self) -> Self:
        """Load the stored cursor, if there is one, and begin to connect; do not wait for that.

        Raises:
            CursorStoreError: the store failed.
        """
        if self._entered:
            raise RuntimeError("a stream can be entered once")
        self._entered = True
        # A cursor that was given has the last word.
        if self._saver is not None and not isinstance(self._start, FromCursor):
            stored = await self._saver.load()
            if stored is not None:
                self._begin_at(stored)
        self._run(self._follower.run(), "event stream")
        if self._saver is not None:
            self._run(self._saver.run(), "cursor saver")
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.aclose()
        except Exception as error:
            # What went wrong in the block is what its owner has to hear.
            if exc is None:
                raise
            exc.add_note(f"closing the stream failed, too: {error}")

    async def aclose(self) -> None:
        """Close the connection, end the iteration, save the cursor. Again: nothing happens.

        Raises:
            CursorStoreError: the store failed; everything is closed.
        """
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        try:
            if tasks and self._saver is not None:
                await self._saver.save()
        finally:
            self._handover.discard()

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._done)
        self._tasks.append(task)

    def _done(self, task: asyncio.Task[None]) -> None:
        """End the iteration when a task has ended, whichever: a stream that cannot save its place is none."""
        error = None if task.cancelled() else task.exception()
        self._handover.finish(error)
        if error is not None:
            for other in self._tasks:
                other.cancel()

    # The cursor.

    @property
    @abstractmethod
    def cursor(self) -> str | None:
        """The place to go on from, safe to store: behind every event that has been dealt with.

        Before the first event: the cursor given, or where the Runtime began the stream; None until it has.
        """

    async def save(self) -> None:
        """Save the cursor now, instead of within the next second; it is in the store when this returns.

        Raises:
            CursorStoreError: the store failed.
            RuntimeError: the stream has no cursor store.
        """
        if self._saver is None:
            raise RuntimeError("the stream has no cursor store")
        await self._saver.save()

    def _safe_cursor_to_save(self) -> str | None:
        return self.cursor

    def _begin_at(self, cursor: str) -> None:
        self._start = self._follower.position.start = FromCursor(cursor)

    # What it is doing.

    @property
    def state(self) -> StreamState:
        return self._follower.state

    def changes(self) -> StateChanges:
        """Return the changes of state from now on as an async iterator."""
        changes = StateChanges()
        self._changes.add(changes)
        if self.state is StreamState.ENDED:
            changes.add(StateChange(self.state, StateDetail()))
        return changes

    def _changed(self, state: StreamState, detail: StateDetail) -> None:
        for changes in self._changes:
            changes.add(StateChange(state, detail))
        if self._on_state is not None:
            self._on_state(state, detail)

    @property
    def lag(self) -> StreamLag:
        """How far the consumer is from the end of the log."""
        events, length = self._follower.behind or (None, None)
        return StreamLag(events, length, self._handover.waiting_bytes)

    @property
    def worker_status(self) -> WorkerStatus | None:
        """The Worker's status when the connection was made, which only v0 tells; None for a stream of everything."""
        return self._follower.worker_status

    @property
    def outcome(self) -> str | None:
        """How the Worker has ended, once the stream is over because of it."""
        return self._follower.outcome

    @property
    def protocol(self) -> str | None:
        """``v1`` or ``v0``: what the latest connection speaks; None before the first."""
        version = self._follower.version
        return None if version is None else version.value

    @property
    def url(self) -> str:
        """The stream's address, without its query."""
        return self._follower.view.url
