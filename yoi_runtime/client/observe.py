"""Follow a Runtime's events from a program on asyncio:

async with observe("http://127.0.0.1:38800", worker_id="coder", cursor_store=FileCursorStore("coder.cursor")) as stream:
    async for event in stream:
        ...
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Any, Generic, Literal, Self, TypedDict, TypeVar, Unpack, cast, overload

from yoi_runtime.client.cursor_store import CursorStore
from yoi_runtime.client.follower import Connect
from yoi_runtime.client.resume import AfterEnd, OnCorrupt, OnExpired, ResumePolicy
from yoi_runtime.client.session import StreamView
from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.client.stream import Stream
from yoi_runtime.client.stream_event import Place, StreamEvent, StreamGap, StreamItem
from yoi_runtime.client.stream_state import OnState
from yoi_runtime.errors import MissingExtraError, RequestInvalidError
from yoi_runtime.protocol.paths import events_url
from yoi_runtime.protocol.stream_request import FromCursor, FromNow, FromOldest, Start

__all__ = ["EventStream", "ObserveOptions", "StreamParts", "check_token", "observe", "stream_parts"]

# What RFC 6750 allows and a little more; never a blank or a line end, which would be another header.
_TOKEN = re.compile(r"[\x21-\x7e]+")
_EVENT_NAME = re.compile(r"[a-z0-9_]+")

_ItemT_co = TypeVar("_ItemT_co", bound=StreamEvent | StreamGap, covariant=True)


class EventStream(Stream, Generic[_ItemT_co]):
    """One stream, taken by one consumer, event by event.

    Iterating may be cancelled and taken up again, and then loses nothing. After an error it raises the same again.
    """

    def __init__(self, parts: StreamParts) -> None:
        super().__init__(**parts)
        # Newest first: the next one is popped off the end.
        self._ready: list[StreamItem] = []
        # What has been handed over last, and of a batch the end of it; with it all before it is dealt with.
        self._held: StreamItem | None = None
        self._dealt: StreamItem | None = None
        self._is_taking = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _ItemT_co:
        """Return the next event; asking for it says that the one before has been dealt with.

        Raises:
            StreamRefusedError: the Runtime says not to come back.
            StreamGapError: events are missing; none behind the hole was handed over.
            StreamFrameError: a message cannot be read.
            StreamConnectError: ``max_tries`` are used up, or the certificate is not good.
            CursorStoreError: the cursor cannot be saved.
        """
        # Written out: a backlog of a million events comes this way.
        held = self._held
        if held is not None:
            self._held = None
            # A gap of unknown end gives no place to go on from.
            if not isinstance(held, StreamGap) or held.cursor is not None:
                self._dealt = held
        ready = self._ready
        while True:
            while ready:
                item = ready.pop()
                if not isinstance(item, Place):
                    self._held = item
                    return item  # type: ignore[return-value]  # a gap comes only where the caller chose to have it
                self._dealt = item
            ready = self._ready = [*reversed(await self._next_block())]

    def batches(self) -> AsyncIterator[Sequence[_ItemT_co]]:
        """Iterate over all that is at hand at a time, a message's worth at most, instead of over events.

        For a consumer that stores many in one go. Asking for the next batch says that the whole of the one before
        has been dealt with, and so does ``ack``; until then ``cursor`` lies before the whole of it. For the rest it is
        as ``async for`` over the stream itself, between whose events one may change to batches and back.
        """
        return _Batches(self._next_batch)

    async def _next_batch(self) -> Sequence[_ItemT_co]:
        self.ack()
        while True:
            block = [*reversed(self._ready)] or await self._next_block()
            self._ready = []
            batch = block if Place not in map(type, block) else [item for item in block if not isinstance(item, Place)]
            # The last that gives a place, be it one without an event.
            last = next((item for item in reversed(block) if item.cursor is not None), block[-1])
            if batch:
                self._held = last
                return cast("Sequence[_ItemT_co]", batch)
            self._dealt = last

    async def _next_block(self) -> Sequence[StreamItem]:
        if not self._entered:
            raise RuntimeError("a stream is followed inside of its 'async with' block")
        self._is_taking = True
        try:
            return await self._handover.take()
        finally:
            self._is_taking = False

    async def aclose(self) -> None:
        await super().aclose()
        self._ready.clear()

    def ack(self) -> None:
        """Say that what is at hand has been dealt with, without asking for the next: moves ``cursor`` behind it."""
        held, self._held = self._held, None
        if held is not None and (not isinstance(held, StreamGap) or held.cursor is not None):
            self._dealt = held

    @property
    def cursor(self) -> str | None:
        # Places that wait in front are reached: nothing before them is left to be dealt with.
        while self._held is None:
            while self._ready and isinstance(self._ready[-1], Place):
                self._dealt = self._ready.pop()
            # What comes while the consumer waits is the consumer's.
            if self._ready or self._is_taking or (block := self._handover.take_ready()) is None:
                break
            self._ready = [*reversed(block)]
        if self._dealt is not None:
            return self._dealt.cursor
        return self._start.token if isinstance(self._start, FromCursor) else None


class _Batches(Generic[_ItemT_co]):
    """What ``_next_batch`` returns, again and again; as a generator it would not outlive a cancellation."""

    def __init__(self, next_batch: Callable[[], Awaitable[Sequence[_ItemT_co]]]) -> None:
        self._next_batch = next_batch

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[_ItemT_co]:
        return await self._next_batch()


class StreamParts(TypedDict):
    """What a ``Stream`` is made of, checked."""

    base_url: str
    view: StreamView
    start: Start
    connect: Connect
    policy: ResumePolicy
    settings: ClientSettings
    cursor_store: CursorStore | None
    on_state: OnState | None


class _Options(TypedDict, total=False):
    cursor: str | None
    cursor_store: CursorStore | None
    start: Literal["now", "oldest"]
    events: Collection[str] | None
    token: str | None
    wait_for_worker: bool
    after_end: AfterEnd
    on_state: OnState | None
    settings: ClientSettings | None


class GaplessOptions(_Options, total=False):
    """The options of a stream that raises at a gap."""

    on_expired: Literal["raise"]
    on_corrupt: Literal["raise"]


class ObserveOptions(_Options, total=False):
    """What ``observe`` explains."""

    on_expired: OnExpired
    on_corrupt: OnCorrupt


@overload
def observe(url: str, worker_id: str | None = None, **options: Unpack[GaplessOptions]) -> EventStream[StreamEvent]: ...
@overload
def observe(
    url: str, worker_id: str | None = None, **options: Unpack[ObserveOptions]
) -> EventStream[StreamEvent | StreamGap]: ...
def observe(url: str, worker_id: str | None = None, **options: Unpack[ObserveOptions]) -> EventStream[Any]:
    """Prepare to follow the events of one Worker or, without ``worker_id``, of everything.

    Connections that break are made again, after growing waits, and go on behind the last event: each is handed over
    once. Use the stream in ``async with``.

    Args:
        url: where the Runtime is: http(s) or ws(s), without a query.
        cursor: go on here; from a former stream's ``cursor``.
        cursor_store: go on where the last run stopped, unless ``cursor`` says where; saved as the stream goes on, once
            the consumer has asked for the next event or called ``ack``.
        start: where to begin without a cursor.
        events: only events of these names.
        token: sent as Bearer token, in the Authorization header and nowhere else.
        on_expired: what to do when events behind the cursor were rotated out: raise ``StreamRefusedError``, or hand
            over a ``StreamGap`` and go on at the oldest event; or a function of the gap that says which, or at which
            other cursor (``ResumeAt``). It is called while earlier events may still wait for the consumer.
        on_corrupt: what to do about damaged records: raise ``StreamRefusedError``, or hand over a ``StreamGap`` and go
            on behind them.
        wait_for_worker: take a Worker that does not exist for one that does not exist yet.
        after_end: what to do when the Worker has ended and all of it has come: end the stream, or go on when it runs
            again. With a Runtime that speaks v0 alone a stream never ends by itself.
        on_state: called with every change of state.
    Raises:
        MissingExtraError: Tornado is not installed.
        RequestInvalidError: ``url`` is no address of a Runtime, or ``token`` cannot be a token; it is not quoted.
        WorkerIdInvalidError: the id breaks the grammar.
    """
    return EventStream(stream_parts(url, worker_id, **options))


def stream_parts(
    url: str,
    worker_id: str | None = None,
    *,
    cursor: str | None = None,
    cursor_store: CursorStore | None = None,
    start: Literal["now", "oldest"] = "now",
    events: Collection[str] | None = None,
    token: str | None = None,
    on_expired: OnExpired = "raise",
    on_corrupt: OnCorrupt = "raise",
    wait_for_worker: bool = False,
    after_end: AfterEnd = "stop",
    on_state: OnState | None = None,
    settings: ClientSettings | None = None,
) -> StreamParts:
    """Check what a stream is asked for; see ``observe``."""
    check_token(token)
    settings = settings if settings is not None else ClientSettings()
    names = _names(events)
    view = StreamView(events_url(url, worker_id), worker_id, names, settings.verify_crc, on_corrupt)
    return StreamParts(
        base_url=url,
        view=view,
        start=_start(cursor, start),
        connect=_connect_with(token, settings),
        policy=ResumePolicy(on_expired, wait_for_worker, on_corrupt, after_end),
        settings=settings,
        cursor_store=cursor_store,
        on_state=on_state,
    )


def check_token(token: str | None) -> None:
    """Look whether ``token`` may stand in a header.

    Raises:
        RequestInvalidError: it may not; it is not quoted.
    """
    if token is not None and _TOKEN.fullmatch(token) is None:
        raise RequestInvalidError("token", "must be of visible ASCII characters, and not empty")


def _names(events: Collection[str] | None) -> frozenset[str] | None:
    if events is None:
        return None
    if isinstance(events, str) or not events or not all(_EVENT_NAME.fullmatch(name) for name in events):
        raise RequestInvalidError("events", "must be a collection of event names, and not empty")
    return frozenset(events)


def _start(cursor: str | None, start: Literal["now", "oldest"]) -> Start:
    if cursor is not None:
        return FromCursor(cursor)
    match start:
        case "now":
            return FromNow()
        case "oldest":
            return FromOldest()
        case _:
            raise RequestInvalidError("start", "is neither oldest nor now")


def _connect_with(token: str | None, settings: ClientSettings) -> Connect:
    try:
        from yoi_runtime.client.backend_client import connect
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "tornado":
            raise
        raise MissingExtraError("ws-client", "the Backend client") from None
    return partial(connect, token=token, settings=settings)
