"""The loop under a stream: connect, read, come back, until there is a reason to stop.

    connect -> frames -> sequence (once, none missing) -> position -> handover
       ^                                                                 |
       +--- wait <--- decide <--- ending                              consumer

Knows no Tornado: a connection is what ``connect`` returns.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, assert_never, get_args

from yoi_runtime.client.backoff import Backoff
from yoi_runtime.client.event_sequence import EventSequence
from yoi_runtime.client.handover import Handover
from yoi_runtime.client.resume import (
    Answered,
    Closed,
    ConnectFailed,
    Ending,
    Refuse,
    RestartBehindGap,
    ResumePolicy,
    Retry,
    decide,
)
from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.client.stream_event import StreamEvent, StreamGap
from yoi_runtime.client.stream_position import StreamPosition
from yoi_runtime.client.stream_state import OnState, StateDetail, StreamState
from yoi_runtime.errors import FrameInvalidError, StreamConnectError, StreamFrameError, StreamRefusedError
from yoi_runtime.events.conversation_events import WorkerStatus
from yoi_runtime.protocol.diagnostics import Recovery, Severity
from yoi_runtime.protocol.frames import DiagnosticFrame, EventFrame, Frame, UnknownFrame, decode_frame
from yoi_runtime.protocol.paths import events_url
from yoi_runtime.protocol.stream_request import StreamRequest

__all__ = ["Connect", "Connection", "Follower"]

_log = logging.getLogger("yoi_runtime.client")


class Connection(Protocol):
    """An open WebSocket, read by one task."""

    @property
    def close_code(self) -> int | None:
        """The peer's close code, once ``receive`` has returned None."""
        ...

    @property
    def unanswered(self) -> bool:
        """Whether it was given up because the peer answered no ping."""
        ...

    async def receive(self) -> str | bytes | None:
        """Return the next message, or None for ever after the end."""
        ...

    async def close(self) -> None:
        """Close with 1000 and leave nothing behind."""
        ...


Connect: TypeAlias = Callable[[str], Awaitable[Connection | ConnectFailed | Answered]]
"""Takes the address of a stream."""


class Follower:
    """One stream's owner of connections. ``run`` is its only task."""

    def __init__(
        self,
        base_url: str,
        worker_id: str | None,
        position: StreamPosition,
        handover: Handover[StreamEvent | StreamGap],
        connect: Connect,
        policy: ResumePolicy,
        settings: ClientSettings,
        on_state: OnState | None,
    ) -> None:
        """Prepare; nothing is connected.

        Raises:
            RequestInvalidError: ``base_url`` is no address of a Runtime.
            WorkerIdInvalidError: the id breaks the grammar.
        """
        self.url = events_url(base_url, worker_id)
        self.state = StreamState.CONNECTING
        self.worker_status: WorkerStatus | None = None
        self._base_url = base_url
        self._worker_id = worker_id
        self._position = position
        self._handover = handover
        self._connect = connect
        self._policy = policy
        self._settings = settings
        self._on_state = on_state
        self._backoff = Backoff(settings.random)
        self._sequence = EventSequence(self.url, of_one_worker=worker_id is not None)
        self._was_live = False
        # Since when the present connection has brought frames.
        self._live_since_seconds: float | None = None

    async def run(self) -> None:
        """Follow until cancelled.

        Raises:
            StreamRefusedError, StreamGapError, StreamFrameError: as their names say.
            StreamConnectError: ``max_tries`` are used up.
        """
        reason = ""
        try:
            while True:
                self._change(StreamState.CONNECTING, StateDetail(self._backoff.tries))
                ending = await self._one_connection()
                await self._wait_after(ending)
        except Exception as error:
            reason = str(error)
            raise
        finally:
            self._change(StreamState.ENDED, StateDetail(self._backoff.tries, reason=reason))

    async def _one_connection(self) -> Ending:
        request = StreamRequest(worker_id=self._worker_id, start=self._position.start)
        connection = await self._connect(events_url(self._base_url, self._worker_id, **request.parameters()))
        if isinstance(connection, ConnectFailed | Answered):
            return connection
        self._live_since_seconds = None
        try:
            return await self._read(connection)
        finally:
            await connection.close()
            if self._live_since_seconds is not None:
                self._backoff.connection_ended(self._settings.monotonic_seconds() - self._live_since_seconds)

    async def _wait_after(self, ending: Ending) -> None:
        match decision := decide(ending, self._policy, was_live=self._was_live):
            case Refuse(diagnostic):
                raise StreamRefusedError(self.url, diagnostic)
            case RestartBehindGap(gap):
                self._position.restarts(gap.cursor)
                self._sequence.expect_gap()
                await self._handover.put(gap, 0)
                retry_after_ms = None
            case Retry(_, retry_after_ms):
                pass
            case _:
                assert_never(decision)
        delay_seconds = self._backoff.next_delay_seconds(retry_after_ms)
        tries, max_tries = self._backoff.tries, self._settings.max_tries
        if max_tries is not None and tries >= max_tries:
            raise StreamConnectError(self.url, f"{decision.reason} (try {tries} of {max_tries})")
        _log.info("%s: %s; next try in %.1f s", self.url, decision.reason, delay_seconds)
        self._change(StreamState.WAITING, StateDetail(tries, delay_seconds, decision.reason))
        await self._settings.sleep(delay_seconds)

    async def _read(self, connection: Connection) -> Closed:
        # What the peer complained of without saying what to do: the close code will.
        complaint = None
        while (message := await connection.receive()) is not None:
            frame = self._decoded(message)
            match frame:
                case EventFrame():
                    complaint = None
                    await self._event(frame)
                case DiagnosticFrame(diagnostic=diagnostic):
                    if diagnostic.recovery is not Recovery.NONE:
                        return Closed(None, diagnostic)
                    if diagnostic.severity is not Severity.INFO:
                        complaint = diagnostic
                    elif diagnostic.resume_cursor is not None:
                        self._opened(diagnostic.resume_cursor)
                case UnknownFrame():
                    pass
                case _:
                    assert_never(frame)
        return Closed(connection.close_code, complaint, connection.unanswered)

    def _decoded(self, message: str | bytes) -> Frame:
        try:
            return decode_frame(message)
        except FrameInvalidError as error:
            raise StreamFrameError(self.url, str(error)) from error

    async def _event(self, frame: EventFrame) -> None:
        if frame.is_synthetic:
            self._opened(frame.cursor)
            self.worker_status = _status_in(frame)
            return
        self._live()
        if self._sequence.admit(frame):
            self._position.received(frame.cursor)
            await self._handover.put(StreamEvent(frame), len(frame.raw))

    def _opened(self, cursor: str) -> None:
        self._live()
        self._position.opened(cursor)

    def _live(self) -> None:
        if self._live_since_seconds is None:
            self._live_since_seconds = self._settings.monotonic_seconds()
            self._was_live = True
            self._change(StreamState.LIVE, StateDetail(self._backoff.tries))

    def _change(self, state: StreamState, detail: StateDetail) -> None:
        self.state = state
        if self._on_state is not None:
            self._on_state(state, detail)


def _status_in(snapshot: EventFrame) -> WorkerStatus | None:
    data = snapshot.payload.get("data")
    status = data.get("status") if isinstance(data, dict) else None
    return next((known for known in get_args(WorkerStatus) if known == status), None)
