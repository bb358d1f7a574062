"""What the messages of one connection mean. Pure: messages go in, items and verdicts come out.

    message -> frames -> events: once, none missing -> items for the consumer
                      -> hello, caught_up, bookmark: state, places, lag
                      -> diagnostic, end: how the connection ends

A session lives as long as its connection; where the stream stands and what it has seen goes on from one to the next.
Specification: docs/protocol.md, "Frames".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never, get_args

from yoi_runtime.client.event_sequence import EventSequence
from yoi_runtime.client.received_frames import (
    ReceivedBookmark,
    ReceivedCaughtUp,
    ReceivedEnd,
    ReceivedHello,
    frames_in,
    frames_of_batch,
    parse_v1_frame,
)
from yoi_runtime.client.resume import Closed, OnCorrupt, gap_of
from yoi_runtime.client.stream_event import (
    Place,
    StreamEvent,
    StreamItem,
    crc_matches,
    event_of_frame,
    event_of_line,
    events_of_lines,
    unwrapped,
)
from yoi_runtime.client.stream_position import StreamPosition
from yoi_runtime.client.stream_state import StreamState
from yoi_runtime.errors import FrameInvalidError, StreamError, StreamFrameError, StreamGapError
from yoi_runtime.events.conversation_events import WorkerStatus
from yoi_runtime.protocol.diagnostics import DiagnosticCode, ReceivedDiagnostic, Recovery, Severity
from yoi_runtime.protocol.frames import SNAPSHOT_PREFIX, DiagnosticFrame, EventFrame, UnknownFrame, decode_frame
from yoi_runtime.protocol.versions import ProtocolVersion

__all__ = ["Ended", "Heard", "Session", "StreamView"]

_Parsed: TypeAlias = StreamEvent | DiagnosticFrame | UnknownFrame


@dataclass(frozen=True, slots=True)
class Ended:
    """The Worker has ended and everything of it was sent: the stream is over."""

    outcome: str


@dataclass(slots=True)
class Heard:
    """What one message brought, in this order: ``items`` for the consumer, then ``verdict``, if the connection is done.

    A verdict that is an error ends the stream. ``state``: the new one, if it changed.
    """

    items: list[StreamItem] = field(default_factory=list)
    state: StreamState | None = None
    verdict: Closed | Ended | StreamError | None = None


@dataclass(frozen=True, slots=True)
class StreamView:
    """What the stream shows: one Worker's events or everything, all names or some; and what it does about damage."""

    url: str
    worker_id: str | None = None
    events: frozenset[str] | None = None
    verify_crc: bool = False
    on_corrupt: OnCorrupt = "raise"


class Session:
    """One connection's reader."""

    def __init__(
        self, view: StreamView, version: ProtocolVersion, sequence: EventSequence, position: StreamPosition
    ) -> None:
        """Take up a connection; ``sequence`` and ``position`` are the stream's and outlive it."""
        self._view = view
        self._version = version
        self._sequence = sequence
        self._position = position
        # What the peer complained of without saying what to do: the close code will.
        self.complaint: ReceivedDiagnostic | None = None
        self.is_open = False
        self.has_caught_up = False
        self.heartbeat_seconds: float | None = None
        self.worker_status: WorkerStatus | None = None
        self.behind: tuple[int, int] | None = None
        self._arrived_events = 0

    def receive(self, message: str | bytes) -> Heard:
        """Read one message. After a verdict: no more."""
        heard = Heard()
        try:
            raw = message.encode() if isinstance(message, str) else message
            self._read(raw, heard)
        except (FrameInvalidError, UnicodeEncodeError) as error:
            heard.verdict = StreamFrameError(self._view.url, str(error))
        return heard

    def _read(self, raw: bytes, heard: Heard) -> None:
        frames = frames_in(raw)
        events = events_of_lines(frames)
        if events is not None:
            # As is usual: nothing but events, as the log has them.
            self._events(events, heard)
            return
        run: list[StreamEvent] = []
        for frame in _parsed(raw, frames):
            if isinstance(frame, StreamEvent):
                run.append(frame)
                continue
            self._events(run, heard)
            run = []
            if heard.verdict is None:
                self._other(frame, heard)
            if heard.verdict is not None:
                return
        self._events(run, heard)

    # Events.

    def _events(self, events: list[StreamEvent], heard: Heard) -> None:
        if not events:
            return
        if self._version is ProtocolVersion.V0:
            events = self._of_v0(events, heard)
        self.complaint = None
        self._opened(heard)
        damaged = None
        if self._view.verify_crc:
            damaged = next((n for n, event in enumerate(events) if not crc_matches(event.raw)), None)
        admitted, fault = self._sequence.admit(events if damaged is None else events[:damaged])
        self._arrived_events += len(events)
        if admitted:
            self._position.reached(admitted[-1].cursor)
            heard.items += admitted if self._version is ProtocolVersion.V1 else self._wanted(admitted)
        if fault is not None:
            heard.verdict = fault
        elif damaged is not None:
            heard.verdict = StreamFrameError(
                self._view.url, f"the checksum of event {events[damaged].event_id} does not match: damaged on the way"
            )

    def _of_v0(self, events: list[StreamEvent], heard: Heard) -> list[StreamEvent]:
        """Take the wrapping off, and the snapshot out that v0 begins a Worker's stream with: it is in no log."""
        found = []
        for event in events:
            if event.event_id.startswith(SNAPSHOT_PREFIX):
                self._opened(heard)
                self._place(event.cursor, heard)
                self.worker_status = _status_in(event)
            else:
                found.append(unwrapped(event))
        return found

    def _wanted(self, events: list[StreamEvent]) -> list[StreamItem]:
        """Do the filtering that v0 does not do for us."""
        names = self._view.events
        if names is None:
            return list(events)
        return [event if event.event_name in names else Place(event.cursor) for event in events]

    # Everything else.

    def _other(self, frame: DiagnosticFrame | UnknownFrame, heard: Heard) -> None:
        match frame:
            case DiagnosticFrame(diagnostic=diagnostic):
                self._diagnostic(diagnostic, heard)
            case UnknownFrame(raw, kind) if self._version is ProtocolVersion.V1:
                self._v1_frame(kind, raw, heard)
            case UnknownFrame():
                pass
            case _:
                assert_never(frame)

    def _v1_frame(self, kind: str, raw: bytes, heard: Heard) -> None:
        match kind:
            case "hello":
                self._hello(parse_v1_frame(ReceivedHello, kind, raw), heard)
            case "caught_up":
                self._caught_up(parse_v1_frame(ReceivedCaughtUp, kind, raw), heard)
            case "bookmark":
                self._bookmark(parse_v1_frame(ReceivedBookmark, kind, raw), heard)
            case "end":
                end = parse_v1_frame(ReceivedEnd, kind, raw)
                self._place(end.cursor, heard)
                heard.verdict = Ended(end.outcome)
            case _:
                pass  # of a newer Runtime

    def _hello(self, hello: ReceivedHello, heard: Heard) -> None:
        if hello.scope is not None and hello.scope.worker_id != self._view.worker_id:
            raise FrameInvalidError("hello frame, scope.worker_id: not the Worker that was asked for")
        if hello.heartbeat_ms:
            self.heartbeat_seconds = hello.heartbeat_ms / 1000
        self._opened(heard)
        self._place(hello.resumed_from, heard)

    def _caught_up(self, caught_up: ReceivedCaughtUp, heard: Heard) -> None:
        if self._view.events is not None and (caught_up.replayed or 0) > self._arrived_events:
            # Numbers show no hole in a filtered stream; this count does.
            heard.verdict = StreamGapError(
                self._view.url,
                (caught_up.replayed or 0) + 1,
                self._arrived_events,
                numbering="replayed",
                cursor=_token(self._position),
                cursor_after=caught_up.cursor,
            )
            return
        self.has_caught_up = True
        self.behind = (0, 0)
        heard.state = StreamState.LIVE
        self._place(caught_up.cursor, heard)

    def _bookmark(self, bookmark: ReceivedBookmark, heard: Heard) -> None:
        if self._view.worker_id is not None and bookmark.worker_seq is not None:
            heard.verdict = self._sequence.newest_is(bookmark.worker_seq, bookmark.cursor)
            if heard.verdict is not None:
                return
        if bookmark.behind is not None:
            self.behind = (bookmark.behind.events, bookmark.behind.bytes)
        self._place(bookmark.cursor, heard)

    def _diagnostic(self, diagnostic: ReceivedDiagnostic, heard: Heard) -> None:
        if diagnostic.code == DiagnosticCode.RECORD_CORRUPT and diagnostic.recovery is Recovery.NONE:
            # The Runtime goes on behind the damage by itself.
            gap = gap_of(diagnostic)
            if self._view.on_corrupt == "raise" or gap.cursor is None:
                heard.verdict = Closed(None, diagnostic)
                return
            self._sequence.expect_gap()
            self._position.reached(gap.cursor)
            heard.items.append(gap)
        elif diagnostic.recovery is not Recovery.NONE:
            heard.verdict = Closed(None, diagnostic)
        elif diagnostic.severity is not Severity.INFO:
            self.complaint = diagnostic
        elif diagnostic.resume_cursor is not None:
            self._opened(heard)
            self._place(diagnostic.resume_cursor, heard)

    def _opened(self, heard: Heard) -> None:
        if not self.is_open:
            self.is_open = True
            heard.state = StreamState.REPLAYING if self._version is ProtocolVersion.V1 else StreamState.LIVE

    def _place(self, cursor: str, heard: Heard) -> None:
        self._position.reached(cursor)
        heard.items.append(Place(cursor))


def _parsed(raw: bytes, frames: Sequence[bytes]) -> Sequence[_Parsed]:
    """Return the frames of a message, events apart from others.

    Raises:
        FrameInvalidError: there is something that cannot be read; it may have been an event.
    """
    try:
        parsed = [event_of_line(frame) or _frame(frame) for frame in frames]
    except FrameInvalidError:
        if frames[0] is raw:
            raise
        # A batch whose frames are written over several lines.
        return [_frame(frame) for frame in frames_of_batch(raw)]
    first = parsed[0]
    if isinstance(first, UnknownFrame) and first.kind == "batch":
        return [_frame(frame) for frame in frames_of_batch(raw)]
    return parsed


def _frame(frame: bytes) -> _Parsed:
    decoded = decode_frame(frame)
    return event_of_frame(decoded) if isinstance(decoded, EventFrame) else decoded


def _token(position: StreamPosition) -> str:
    return getattr(position.start, "token", "")


def _status_in(snapshot: StreamEvent) -> WorkerStatus | None:
    data = snapshot.payload.get("data")
    status = data.get("status") if isinstance(data, dict) else None
    return next((known for known in get_args(WorkerStatus) if known == status), None)
