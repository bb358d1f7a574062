"""A Worker's transcript as it stands, then its events from there on, as one iterator:

async with follow_transcript("http://127.0.0.1:38800", "coder") as stream:
    async for item in stream:  # TranscriptItem, ..., then StreamEvent, ...
        ...

The transcript is polled once; the events go on behind the last one it was made from: nothing missing, nothing twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Self, TypeAlias, Unpack, assert_never
from urllib.parse import urlsplit, urlunsplit

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
from yoi_runtime.errors import RequestInvalidError, StreamConnectError, StreamFrameError, StreamRefusedError
from yoi_runtime.protocol.paths import events_url, worker_path

__all__ = ["TranscriptItem", "TranscriptStream", "follow_transcript"]

_PAGE_ITEMS: Final = 1000
# Pages of different moments do not fit together. A Worker that writes a long transcript all the time may move on
# between any two: then somebody has to know.
_MAX_POLLS: Final = 20

_Count: TypeAlias = Annotated[StrictInt, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class TranscriptItem:
    """One item; ``index`` is its place in the transcript, ``data`` its JSON as the Runtime made it."""

    index: int
    data: Mapping[str, object]


class _Page(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    items: tuple[dict[str, object], ...]
    next_start: _Count | None = None
    as_of_cursor: Annotated[StrictStr, Field(min_length=1)]


class TranscriptStream(EventStream[StreamEvent | StreamGap]):
    """Items first, then events. ``cursor`` is that of the transcript until the first event has been dealt with."""

    def __init__(self, base_url: str, worker_id: str, token: str | None, parts: StreamParts) -> None:
        super().__init__(parts)
        self._transcript_url = _http_url(base_url, worker_id)
        self._token = token
        self._policy = parts["policy"]
        self._settings = parts["settings"]
        self._items: deque[TranscriptItem] = deque()

    async def __aenter__(self) -> Self:
        """Poll the transcript, and begin to connect behind it.

        Raises:
            StreamRefusedError: the Runtime says not to come back; a Worker that does not exist, unless it is waited for.
            StreamConnectError: ``max_tries`` are used up, or the transcript changes faster than it can be read.
            StreamFrameError: the answer is no transcript.
        """
        if not self._entered:
            items, cursor = await self._polled()
            self._items.extend(items)
            self._begin_at(cursor)
        return await super().__aenter__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TranscriptItem | StreamEvent | StreamGap:  # type: ignore[override]
        """Return the next item or event; see ``EventStream.__anext__``."""
        return self._items.popleft() if self._items else await super().__anext__()

    async def _polled(self) -> tuple[list[TranscriptItem], str]:
        for _ in range(_MAX_POLLS):
            pages = [await self._page(0)]
            items = list(pages[0].items)
            while pages[-1].next_start is not None and pages[-1].as_of_cursor == pages[0].as_of_cursor:
                if pages[-1].next_start != len(items) or not pages[-1].items:
                    raise StreamFrameError(self._transcript_url, "transcript, next_start: does not follow the items")
                pages.append(await self._page(len(items)))
                items += pages[-1].items
            if pages[-1].as_of_cursor == pages[0].as_of_cursor:
                return [TranscriptItem(index, data) for index, data in enumerate(items)], pages[0].as_of_cursor
        reason = f"the transcript changed between its pages {_MAX_POLLS} times in a row"
        raise StreamConnectError(self._transcript_url, reason, "transcript.moving")

    async def _page(self, start: int) -> _Page:
        backoff = Backoff(self._settings.random)
        while True:
            # Imported here, as the connection's adapter is: the extra may be missing.
            from yoi_runtime.client.backend_request import get

            url = f"{self._transcript_url}?start={start}&limit={_PAGE_ITEMS}"
            answer = await get(url, self._token, self._settings)
            if isinstance(answer, bytes):
                return self._read(answer)
            await self._wait_after(answer, backoff)

    def _read(self, body: bytes) -> _Page:
        try:
            return _Page.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise StreamFrameError(self._transcript_url, f"transcript, {where}: {first['msg']}") from None

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


def follow_transcript(url: str, worker_id: str, **options: Unpack[ObserveOptions]) -> TranscriptStream:
    """Prepare to read a Worker's transcript and go on with its events. The options are those of ``observe``, without
    those that say where to begin.

    Raises:
        MissingExtraError, WorkerIdInvalidError: as ``observe``.
        RequestInvalidError: as ``observe``; or ``cursor``, ``cursor_store`` or ``start`` is given.
    """
    for name in ("cursor", "cursor_store", "start"):
        if name in options:
            raise RequestInvalidError(name, "the transcript says where its events begin")
    return TranscriptStream(url, worker_id, options.get("token"), stream_parts(url, worker_id, **options))


def _http_url(base_url: str, worker_id: str) -> str:
    """Return the address of the transcript; ``base_url`` has been checked."""
    parts = urlsplit(events_url(base_url))
    prefix = urlsplit(base_url).path.rstrip("/")
    scheme = {"ws": "http", "wss": "https"}[parts.scheme]
    return urlunsplit((scheme, parts.netloc, f"{prefix}{worker_path(worker_id)}/transcript", "", ""))
