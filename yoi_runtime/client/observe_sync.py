"""Follow a Runtime's events from a script, without asyncio:

with observe_sync("http://127.0.0.1:38800", start="oldest") as stream:
    for event in stream:
        ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from yoi_runtime.client.observe import EventStream, ObserveOptions, stream_parts
from yoi_runtime.client.stream_event import StreamEvent, StreamGap
from yoi_runtime.client.stream_state import StreamLag, StreamState
from yoi_runtime.events.conversation_events import WorkerStatus

__all__ = ["SyncEventStream", "observe_sync"]

_T = TypeVar("_T")


class SyncEventStream:
    """An ``EventStream`` with an event loop of its own, which runs only while the next event is waited for.

    A script that is busy for longer than the Runtime waits for a pong is dropped and comes back: nothing is lost.
    """

    def __init__(self, stream: EventStream[StreamEvent | StreamGap]) -> None:
        self._stream = stream
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._run(self._stream.__aenter__())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._run(self._stream.aclose())
        finally:
            self._runner.close()

    def _run(self, step: Coroutine[Any, Any, _T]) -> _T:
        try:
            return self._runner.run(step)
        finally:
            # One that the runner refused would complain that nobody awaited it.
            step.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamEvent | StreamGap:
        """Return the next event; see ``EventStream.__anext__``."""
        try:
            return self._run(self._stream.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def ack(self) -> None:
        """See ``EventStream.ack``."""
        self._stream.ack()

    @property
    def cursor(self) -> str | None:
        """See ``EventStream.cursor``."""
        return self._stream.cursor

    @property
    def state(self) -> StreamState:
        return self._stream.state

    @property
    def lag(self) -> StreamLag:
        """See ``EventStream.lag``."""
        return self._stream.lag

    @property
    def worker_status(self) -> WorkerStatus | None:
        """See ``EventStream.worker_status``."""
        return self._stream.worker_status

    @property
    def outcome(self) -> str | None:
        """See ``EventStream.outcome``."""
        return self._stream.outcome

    def save(self) -> None:
        """See ``EventStream.save``."""
        self._run(self._stream.save())


def observe_sync(url: str, worker_id: str | None = None, **options: Unpack[ObserveOptions]) -> SyncEventStream:
    """Prepare to follow events, as ``observe`` does; use the stream in ``with``. Not inside of a running event loop.

    A cursor store is written while the next event is waited for, by ``save``, and at the end.

    Raises:
        MissingExtraError, RequestInvalidError, WorkerIdInvalidError: as ``observe``.
    """
    return SyncEventStream(EventStream(stream_parts(url, worker_id, **options)))
