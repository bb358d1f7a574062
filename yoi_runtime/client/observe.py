"""Follow a Runtime's events from a program on asyncio:

async with observe("http://127.0.0.1:38800", cursor=stored) as stream:
    async for event in stream:
        ...
        store(stream.cursor)
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar, overload

from yoi_runtime.client.follower import Connect, Follower
from yoi_runtime.client.handover import Handover
from yoi_runtime.client.resume import OnExpired, ResumePolicy
from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.client.stream_event import StreamEvent, StreamGap
from yoi_runtime.client.stream_position import StreamPosition
from yoi_runtime.client.stream_state import OnState, StreamState
from yoi_runtime.errors import MissingExtraError, RequestInvalidError
from yoi_runtime.events.conversation_events import WorkerStatus
from yoi_runtime.protocol.stream_request import FromCursor, FromNow, FromOldest, Start

__all__ = ["EventStream", "observe"]

# What RFC 6750 allows and a little more; never a blank or a line end, which would be another header.
_TOKEN = re.compile(r"[\x21-\x7e]+")

_ItemT_co = TypeVar("_ItemT_co", bound=StreamEvent | StreamGap, covariant=True)


class EventStream(Generic[_ItemT_co]):
    """A stream that is followed while its ``async with`` block runs. Belongs to one event loop.

    Iterating may be cancelled and taken up again, and then loses nothing. After an error it raises the same again.
    """

    def __init__(self, follower: Follower, position: StreamPosition, handover: Handover[_ItemT_co]) -> None:
        self._follower = follower
        self._position = position
        self._handover = handover
        self._following: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to connect; do not wait for it."""
        if self._following is not None:
            raise RuntimeError("a stream can be entered once")
        self._following = asyncio.create_task(self._follower.run(), name="event stream")
        self._following.add_done_callback(self._followed)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection and end the iteration. Again: nothing happens."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait({self._following})
        self._handover.discard()

    def _followed(self, following: asyncio.Task[None]) -> None:
        self._handover.finish(None if following.cancelled() else following.exception())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _ItemT_co:
        """Return the next event; asking for it says that the one before has been dealt with.

        Raises:
            StreamRefusedError: the Runtime says not to come back.
            StreamGapError: events are missing; none behind the hole was handed over.
            StreamFrameError: a message cannot be read.
            StreamConnectError: ``max_tries`` are used up.
        """
        if self._following is None:
            raise RuntimeError("a stream is followed inside of its 'async with' block")
        self._position.ack()
        item = await self._handover.take()
        self._position.taken(item.cursor)
        return item

    def ack(self) -> None:
        """Say that the event at hand has been dealt with, without asking for the next: moves ``cursor`` behind it."""
        self._position.ack()

    @property
    def cursor(self) -> str | None:
        """The place to go on from, safe to store: behind every event that has been dealt with.

        Before the first event: the cursor given, or where the Runtime began the stream; None until it has.
        """
        return self._position.safe_cursor

    @property
    def state(self) -> StreamState:
        return self._follower.state

    @property
    def worker_status(self) -> WorkerStatus | None:
        """The Worker's status when the connection was made; None for a stream of everything."""
        return self._follower.worker_status

    @property
    def url(self) -> str:
        """The stream's address, without its query."""
        return self._follower.url


@overload
def observe(
    url: str,
    worker_id: str | None = None,
    *,
    cursor: str | None = None,
    start: Literal["now", "oldest"] = "now",
    token: str | None = None,
    on_expired: Literal["raise"] = "raise",
    wait_for_worker: bool = False,
    on_state: OnState | None = None,
    settings: ClientSettings | None = None,
) -> EventStream[StreamEvent]: ...
@overload
def observe(
    url: str,
    worker_id: str | None = None,
    *,
    cursor: str | None = None,
    start: Literal["now", "oldest"] = "now",
    token: str | None = None,
    on_expired: OnExpired,
    wait_for_worker: bool = False,
    on_state: OnState | None = None,
    settings: ClientSettings | None = None,
) -> EventStream[StreamEvent | StreamGap]: ...
def observe(
    url: str,
    worker_id: str | None = None,
    *,
    cursor: str | None = None,
    start: Literal["now", "oldest"] = "now",
    token: str | None = None,
    on_expired: OnExpired = "raise",
    wait_for_worker: bool = False,
    on_state: OnState | None = None,
    settings: ClientSettings | None = None,
) -> EventStream[StreamEvent | StreamGap]:
    """Prepare to follow the events of one Worker or, without ``worker_id``, of everything.

    Connections that break are made again, after growing waits, and go on behind the last event: each is handed over
    once. Use the stream in ``async with``.

    Args:
        url: where the Runtime is: http(s) or ws(s), without a query.
        cursor: go on here; from a former stream's ``cursor``.
        start: where to begin without a cursor.
        token: sent as Bearer token.
        on_expired: what to do when events behind the cursor were rotated out: raise ``StreamRefusedError``, or hand
            over a ``StreamGap`` and go on at the oldest event.
        wait_for_worker: take a Worker that does not exist for one that does not exist yet.
        on_state: called with every change of state.
    Raises:
        MissingExtraError: Tornado is not installed.
        RequestInvalidError: ``url`` is no address of a Runtime, or ``token`` cannot be a token; it is not quoted.
        WorkerIdInvalidError: the id breaks the grammar.
    """
    if token is not None and _TOKEN.fullmatch(token) is None:
        raise RequestInvalidError("token", "must be of visible ASCII characters, and not empty")
    settings = settings if settings is not None else ClientSettings()
    position = StreamPosition(_start(cursor, start))
    handover = Handover[StreamEvent | StreamGap](settings.read_ahead_bytes)
    policy = ResumePolicy(on_expired, wait_for_worker)
    connect = _connect_with(token, settings)
    follower = Follower(url, worker_id, position, handover, connect, policy, settings, on_state)
    return EventStream(follower, position, handover)


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
