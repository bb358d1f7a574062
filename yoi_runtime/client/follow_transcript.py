"""A Worker's transcript as it stands, then its events from there on, as one iterator:

async with follow_transcript("http://127.0.0.1:38800", "coder") as stream:
    async for item in stream:  # TranscriptItem, ..., then StreamEvent, ...
        ...

The transcript is polled once; the events go on behind the last one it was made from: nothing missing, nothing twice.
Specification: docs/transcript.md, "From the transcript to the stream".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Annotated, Final, Self, TypeAlias, Unpack, assert_never
from urllib.parse import urlencode, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError

from yoi_runtime.client.backoff import Backoff
from yoi_runtime.client.observe import EventStream, ObserveOptions, StreamParts, stream_parts
from yoi_runtime.client.resume import (
    Answered,
    AskCaller,
    ConnectFailed,
    GiveUp,
    Refuse,
    RestartBehindGap,
    Retry,
    decide,
)
from yoi_runtime.client.stream_event import StreamEvent, StreamGap
from yoi_runtime.errors import (
    FrameInvalidError,
    RequestInvalidError,
    StreamConnectError,
    StreamFrameError,
    StreamRefusedError,
)
from yoi_runtime.events.complaint import first_complaint
from yoi_runtime.protocol.diagnostics import DiagnosticCode
from yoi_runtime.protocol.paths import events_url, worker_transcript_path
from yoi_runtime.protocol.transcript_fold import Block, TranscriptEvent, TranscriptFold
from yoi_runtime.protocol.transcript_items import BLOCK_KINDS, ITEM_KINDS, InProgress, TranscriptItem
from yoi_runtime.protocol.transcript_query import MAX_LIMIT, TranscriptQuery

__all__ = ["TranscriptStream", "follow_transcript", "transcript_event"]

# Items are never changed, so pages of different moments fit together. Only where the next page should begin may be
# gone meanwhile, when a Worker makes new items faster than they are read: then it is begun anew, so often.
_MAX_POLLS: Final = 20

_Count: TypeAlias = Annotated[StrictInt, Field(ge=0)]


class _Page(BaseModel):
    """A page as this client needs it; items and blocks are looked at one by one, since there may be unknown ones."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    items: tuple[dict[str, object], ...]
    in_progress: tuple[dict[str, object], ...]
    start: _Count
    next_start: _Count
    total_items: _Count
    worker_seq: _Count
    as_of_cursor: Annotated[StrictStr, Field(min_length=1)]

    def known_items(self) -> list[TranscriptItem]:
        return [TranscriptItem.model_validate(item) for item in self.items if item.get("kind") in ITEM_KINDS]

    def fold(self) -> TranscriptFold:
        shown = [InProgress.model_validate(block) for block in self.in_progress if block.get("kind") in BLOCK_KINDS]
        return TranscriptFold(self.total_items, self.worker_seq, self.as_of_cursor, map(Block.of, shown))


class TranscriptStream(EventStream[StreamEvent | StreamGap]):
    """Items first, then events. ``cursor`` is None as long as there are items that have not been dealt with.

    ``fold`` is the fold behind the last item: ``stream.fold.apply(transcript_event(event))`` for each of the events
    returns the items that it completes.
    """

    def __init__(self, base_url: str, worker_id: str, token: str | None, thinking: bool, parts: StreamParts) -> None:
        super().__init__(parts)
        self.fold = TranscriptFold()
        self._transcript_url = _http_url(base_url, worker_id)
        self._token = token
        self._thinking = thinking
        self._policy = parts["policy"]
        self._settings = parts["settings"]
        self._items: deque[TranscriptItem] = deque()
        self._holds_item = False

    async def __aenter__(self) -> Self:
        """Poll the transcript, and begin to connect behind it.

        Raises:
            StreamRefusedError: the Runtime says not to come back; a Worker that does not exist, unless it is waited for.
            StreamConnectError: ``max_tries`` are used up, or items go faster than they can be read.
            StreamFrameError: the answer is no transcript.
        """
        if not self._entered:
            items, self.fold = await self._polled()
            self._items.extend(items)
            self._begin_at(self.fold.as_of_cursor)
            if self.fold.worker_seq:
                self._follower.expect(self.fold.worker_seq + 1)
        return await super().__aenter__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TranscriptItem | StreamEvent | StreamGap:  # type: ignore[override]
        """Return the next item or event; see ``EventStream.__anext__``."""
        self._holds_item = bool(self._items)
        return self._items.popleft() if self._items else await super().__anext__()

    async def _next_batch(self) -> Sequence[TranscriptItem | StreamEvent | StreamGap]:  # type: ignore[override]
        self._holds_item = bool(self._items)
        if not self._items:
            return await super()._next_batch()
        items = [*self._items]
        self._items.clear()
        return items

    async def aclose(self) -> None:
        await super().aclose()
        self._items.clear()

    def ack(self) -> None:
        self._holds_item = False
        super().ack()

    @property
    def cursor(self) -> str | None:
        return None if self._items or self._holds_item else super().cursor

    async def _polled(self) -> tuple[list[TranscriptItem], TranscriptFold]:
        for _ in range(_MAX_POLLS):
            items: list[TranscriptItem] = []
            page = await self._page(None)
            while page is not None:
                items += self._known(page)
                if page.next_start >= page.total_items:
                    return items, self._fold_of(page)
                if page.next_start <= page.start:
                    raise StreamFrameError(self._transcript_url, "transcript, next_start: leads nowhere")
                page = await self._page(page.next_start)
        reason = f"items went before they were read, {_MAX_POLLS} times in a row"
        raise StreamConnectError(self._transcript_url, reason, "transcript.moving")

    async def _page(self, start: int | None) -> _Page | None:
        """Return the page that begins at ``start``, or at the oldest item; None when that one is not kept any more."""
        # Imported here, as the connection's adapter is: the extra may be missing.
        from yoi_runtime.client.backend_request import get

        backoff = Backoff(self._settings.random)
        query = urlencode(TranscriptQuery(start, MAX_LIMIT, self._thinking).parameters())
        while True:
            answer = await get(f"{self._transcript_url}?{query}", self._token, self._settings)
            if isinstance(answer, bytes):
                return self._read(answer)
            if _is_gone(answer):
                return None
            await self._wait_after(answer, backoff)

    def _read(self, body: bytes) -> _Page:
        try:
            return _Page.model_validate_json(body)
        except ValidationError as error:
            raise self._unreadable(error) from None

    def _known(self, page: _Page) -> list[TranscriptItem]:
        try:
            return page.known_items()
        except ValidationError as error:
            raise self._unreadable(error) from None

    def _fold_of(self, page: _Page) -> TranscriptFold:
        try:
            return page.fold()
        except ValidationError as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: ValidationError) -> StreamFrameError:
        return StreamFrameError(self._transcript_url, f"transcript, {first_complaint(error)}")

    async def _wait_after(self, ending: ConnectFailed | Answered, backoff: Backoff) -> None:
        url = self._transcript_url
        match decide(ending, self._policy, was_live=False):
            case Refuse(diagnostic):
                raise StreamRefusedError(url, diagnostic)
            case RestartBehindGap(gap) | AskCaller(gap):
                raise StreamRefusedError(url, gap.diagnostic)
            case GiveUp(reason, code):
                raise StreamConnectError(url, reason, code)
            case Retry(reason, retry_after_ms, code):
                delay_seconds = backoff.next_delay_seconds(retry_after_ms)
                max_tries = self._settings.max_tries
                if max_tries is not None and backoff.tries >= max_tries:
                    raise StreamConnectError(url, f"{reason} (try {backoff.tries} of {max_tries})", code)
                await self._settings.sleep(delay_seconds)
            case decision:
                assert_never(decision)


def follow_transcript(
    url: str, worker_id: str, *, thinking: bool = False, **options: Unpack[ObserveOptions]
) -> TranscriptStream:
    """Prepare to read a Worker's transcript and go on with its events. The options are those of ``observe``, without
    those that say where to begin.

    Args:
        thinking: whether finished blocks of thinking are among the items.
    Raises:
        MissingExtraError, WorkerIdInvalidError: as ``observe``.
        RequestInvalidError: as ``observe``; or ``cursor``, ``cursor_store`` or ``start`` is given.
    """
    for name in ("cursor", "cursor_store", "start"):
        if name in options:
            raise RequestInvalidError(name, "the transcript says where its events begin")
    return TranscriptStream(url, worker_id, options.get("token"), thinking, stream_parts(url, worker_id, **options))


def transcript_event(event: StreamEvent) -> TranscriptEvent:
    """Return what the fold needs of an event of a Worker's stream.

    Raises:
        FrameInvalidError: the payload is not JSON, or the Runtime sent no ``worker_seq`` and ``time``.
    """
    data = event.payload.get("data")
    if event.worker_seq is None or event.time is None:
        raise FrameInvalidError("event, worker_seq and time: not there; it is of no Worker, or of an older Runtime")
    members = data if isinstance(data, dict) else {}
    return TranscriptEvent(event.event_name, members, event.event_id, event.cursor, event.worker_seq, event.time)


def _is_gone(answer: ConnectFailed | Answered) -> bool:
    diagnostic = answer.diagnostic if isinstance(answer, Answered) else None
    return diagnostic is not None and diagnostic.code == DiagnosticCode.ITEMS_EXPIRED


def _http_url(base_url: str, worker_id: str) -> str:
    """Return the address of the transcript; ``base_url`` has been checked."""
    parts = urlsplit(events_url(base_url))
    prefix = urlsplit(base_url).path.rstrip("/")
    scheme = {"ws": "http", "wss": "https"}[parts.scheme]
    return urlunsplit((scheme, parts.netloc, f"{prefix}{worker_transcript_path(worker_id)}", "", ""))
