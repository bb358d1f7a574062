"""Follow many Workers over one socket, each with an iterator of its own:

async with observe_workers("http://127.0.0.1:38800") as workers:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consume(workers.of("coder")))
        tasks.create_task(consume(workers.of("tester")))
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self, Unpack

from yoi_runtime.client.frontier import Frontier, Pending
from yoi_runtime.client.observe import ObserveOptions, StreamParts, stream_parts
from yoi_runtime.client.stream import Stream
from yoi_runtime.client.stream_event import Place, StreamEvent, StreamGap, StreamItem
from yoi_runtime.protocol.paths import worker_path
from yoi_runtime.protocol.stream_request import FromCursor

__all__ = ["WorkerEvents", "WorkerStreams", "observe_workers"]


class WorkerEvents:
    """The events of one Worker, or the rest; made by ``WorkerStreams``. One consumer.

    Asking for the next event says that the one before has been dealt with. A gap of the stream is handed to everybody.
    """

    def __init__(self, streams: WorkerStreams, worker_id: str | None) -> None:
        self._streams = streams
        self._worker_id = worker_id
        self._items: deque[tuple[StreamEvent | StreamGap, Pending]] = deque()
        self._held: Pending | None = None
        self._arrived = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent | StreamGap:
        """Return the next event; see ``EventStream.__anext__`` for what it raises."""
        self.ack()
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            if self._streams.is_over:
                # Raises why.
                await self._streams.end()
            self._arrived.clear()
            await self._arrived.wait()
        item, self._held = self._items.popleft()
        self._streams.has_taken(item)
        return item

    def ack(self) -> None:
        """Say that the event at hand has been dealt with, without asking for the next."""
        if self._held is not None:
            held, self._held = self._held, None
            self._streams.frontier.dealt(held)

    def close(self) -> None:
        """Take no more events: what waits here, and what comes for this Worker, counts as dealt with."""
        self._closed = True
        self._streams.forget(self._worker_id, self)
        self.ack()
        for item, pending in self._items:
            self._streams.has_taken(item)
            self._streams.frontier.dealt(pending)
        self._items.clear()
        self._arrived.set()

    def add(self, item: StreamEvent | StreamGap, pending: Pending) -> None:
        """Put an item at the end; for ``WorkerStreams``."""
        self._items.append((item, pending))
        self._arrived.set()

    def wake(self) -> None:
        """Have the consumer look again; for ``WorkerStreams``."""
        self._arrived.set()


class WorkerStreams(Stream):
    """The stream of everything, dealt out by Worker.

    The read-ahead is shared and bounded: while one iterator's consumer stands still, the others soon do, too, and the
    Runtime has to wait. Close an iterator that nobody reads any more. Events of Workers without an iterator go to
    ``rest`` or, when nobody asked for that, to nobody.
    """

    def __init__(self, parts: StreamParts) -> None:
        super().__init__(**parts)
        self.frontier = Frontier(self._start.token if isinstance(self._start, FromCursor) else None)
        self._limit_bytes = parts["settings"].read_ahead_bytes
        self._waiting_bytes = 0
        self._has_room = asyncio.Event()
        self._iterators: dict[str | None, WorkerEvents] = {}
        self.is_over = False

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._run(self._deal_out(), "dealing out")
        return self

    def of(self, worker_id: str) -> WorkerEvents:
        """Return the iterator of one Worker's events from now on; the same one each time, until it is closed.

        Before the block is entered nothing has come, so nothing can be missed; in the block: what comes from now on.

        Raises:
            WorkerIdInvalidError: the id breaks the grammar.
        """
        worker_path(worker_id)
        return self._iterator(worker_id)

    def rest(self) -> WorkerEvents:
        """Return the iterator of everything that no other iterator gets: the Runtime's own events among it."""
        return self._iterator(None)

    def _iterator(self, worker_id: str | None) -> WorkerEvents:
        return self._iterators.setdefault(worker_id, WorkerEvents(self, worker_id))

    async def _deal_out(self) -> None:
        try:
            while True:
                for item in await self._handover.take():
                    self._deal(item)
                while self._waiting_bytes >= self._limit_bytes:
                    self._has_room.clear()
                    await self._has_room.wait()
        except StopAsyncIteration:
            pass
        finally:
            self.is_over = True
            for iterator in self._iterators.values():
                iterator.wake()

    def _deal(self, item: StreamItem) -> None:
        match item:
            case Place(cursor):
                self.frontier.add(cursor, 0)
            case StreamGap(cursor=cursor):
                pending = self.frontier.add(cursor, len(self._iterators))
                for iterator in self._iterators.values():
                    iterator.add(item, pending)
            case _:
                iterators = self._iterators
                taker = iterators.get(item.worker_id) or iterators.get(None)
                pending = self.frontier.add(item.cursor, 0 if taker is None else 1)
                if taker is not None:
                    self._waiting_bytes += len(item.raw)
                    taker.add(item, pending)

    async def end(self) -> None:
        """Raise why the stream is over; for ``WorkerEvents``."""
        await self._handover.take()

    def has_taken(self, item: StreamEvent | StreamGap) -> None:
        """Note that an item waits no longer; for ``WorkerEvents``."""
        if isinstance(item, StreamEvent):
            self._waiting_bytes -= len(item.raw)
            self._has_room.set()

    def forget(self, worker_id: str | None, iterator: WorkerEvents) -> None:
        """Deal nothing more to an iterator; for ``WorkerEvents``."""
        if self._iterators.get(worker_id) is iterator:
            del self._iterators[worker_id]

    def _begin_at(self, cursor: str) -> None:
        super()._begin_at(cursor)
        self.frontier.safe_cursor = cursor

    @property
    def cursor(self) -> str | None:
        return self.frontier.safe_cursor


def observe_workers(url: str, **options: Unpack[ObserveOptions]) -> WorkerStreams:
    """Prepare to follow many Workers over one connection; the options are those of ``observe``.

    The cursor is safe for all of them: behind it lies the oldest event that somebody has not dealt with.

    Raises:
        MissingExtraError, RequestInvalidError: as ``observe``.
    """
    return WorkerStreams(stream_parts(url, None, **options))
