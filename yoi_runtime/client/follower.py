"""The loop under a stream: connect, read, come back, until there is a reason to stop.

    connect -> messages -> session (decides what they mean) -> handover
       ^                                                          |
       +--- wait <--- decide <--- ending                       consumer

Knows no Tornado: a connection is what ``connect`` returns.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol, TypeAlias, assert_never

from yoi_runtime.client.backoff import Backoff
from yoi_runtime.client.event_sequence import EventSequence
from yoi_runtime.client.handover import Handover
from yoi_runtime.client.resume import (
    Answered,
    AskCaller,
    Closed,
    ConnectFailed,
    GiveUp,
    Refuse,
    RestartBehindGap,
    ResumePolicy,
    Retry,
    Silence,
    behind_gap,
    decide,
    may_offer_less,
)
from yoi_runtime.client.session import Ended, Session, StreamView
from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.client.stream_event import StreamEvent, StreamGap, StreamItem
from yoi_runtime.client.stream_position import StreamPosition
from yoi_runtime.client.stream_state import StateDetail, StreamState
from yoi_runtime.errors import StreamConnectError, StreamRefusedError
from yoi_runtime.events.conversation_events import WorkerStatus
from yoi_runtime.notices import Notice, named
from yoi_runtime.protocol.paths import events_url
from yoi_runtime.protocol.stream_request import StreamRequest
from yoi_runtime.protocol.versions import ProtocolVersion

__all__ = ["Connect", "Connection", "Follower"]

_log = logging.getLogger("yoi_runtime.client")

# A Worker that has ended runs again soon, when its Runtime was restarted, or late. Asking is cheap, and is answered
# at once: this is no trouble that would have to be given time.
_SECONDS_AFTER_END: Final = 0.5


class Connection(Protocol):
    """An open WebSocket, read by one task."""

    @property
    def version(self) -> ProtocolVersion:
        """The version that the Runtime chose of what was offered."""
        ...

    @property
    def close_code(self) -> int | None:
        """The peer's close code, once ``receive`` has returned None."""
        ...

    @property
    def silence(self) -> Silence | None:
        """How the peer was found to be gone, if that is why it ended."""
        ...

    async def receive(self) -> str | bytes | None:
        """Return the next message, or None for ever after the end."""
        ...

    def expect_heartbeat(self, seconds: float, on_stalled: Callable[[], None]) -> None:
        """Give up when nothing comes for three heartbeats; tell when one stays away."""
        ...

    def abandon(self) -> None:
        """Break the connection; ``receive`` returns None."""
        ...

    async def close(self) -> None:
        """Close with 1000 and leave nothing behind."""
        ...


Connect: TypeAlias = Callable[[str, ProtocolVersion], Awaitable[Connection | ConnectFailed | Answered]]
"""Takes the address of a stream and the version to offer."""


class Follower:
    """One stream's owner of connections. ``run`` is its only task."""

    def __init__(
        self,
        base_url: str,
        view: StreamView,
        position: StreamPosition,
        handover: Handover[StreamItem],
        connect: Connect,
        policy: ResumePolicy,
        settings: ClientSettings,
        on_state: Callable[[StreamState, StateDetail], None],
    ) -> None:
        """Prepare; nothing is connected."""
        self.view = view
        self.state = StreamState.CONNECTING
        self.worker_status: WorkerStatus | None = None
        self.behind: tuple[int, int] | None = None
        self.outcome: str | None = None
        self.version: ProtocolVersion | None = None
        self.position = position
        self._base_url = base_url
        self._handover = handover
        self._connect = connect
        self._policy = policy
        self._settings = settings
        self._on_state = on_state
        self._backoff = Backoff(settings.random)
        # Of its own: a restart is another request, and the floor it goes to moves on while it waits.
        self._restarts = Backoff(settings.random)
        self._sequence = EventSequence(
            view.url, of_one_worker=view.worker_id is not None, filtered=view.events is not None
        )
        self._was_live = False

    def expect(self, number: int) -> None:
        """Take no event for the first but the one that bears ``number``; before ``run``."""
        self._sequence.expect(number)

    async def run(self) -> None:
        """Follow until the Worker's end, or until cancelled.

        Raises:
            StreamRefusedError, StreamGapError, StreamFrameError: as their names say.
            StreamConnectError: ``max_tries`` are used up, or the certificate is not good.
        """
        detail = StateDetail()
        try:
            while True:
                self._change(StreamState.CONNECTING, StateDetail(self._backoff.tries))
                ending = await self._one_connection()
                if isinstance(ending, Ended):
                    detail = StateDetail(reason=f"the Worker has ended: {ending.outcome}", code="worker.ended")
                    if self._policy.after_end == "stop":
                        self.outcome = ending.outcome
                        return
                    delay_seconds = _SECONDS_AFTER_END * (1 + self._settings.random())
                    await self._wait(replace(detail, delay_seconds=delay_seconds))
                else:
                    await self._wait_after(ending)
        except Exception as error:
            detail = StateDetail(self._backoff.tries, reason=str(error), code=str(getattr(error, "code", "")))
            raise
        finally:
            self._change(StreamState.ENDED, detail)

    # One connection.

    async def _one_connection(self) -> ConnectFailed | Answered | Closed | Ended:
        connection = await self._connected()
        if isinstance(connection, ConnectFailed | Answered):
            return connection
        self.version = connection.version
        session = Session(self.view, connection.version, self._sequence, self.position)
        open_since_seconds: list[float] = []
        try:
            return await self._read(connection, session, open_since_seconds)
        finally:
            await connection.close()
            for since_seconds in open_since_seconds:
                self._backoff.connection_ended(self._settings.monotonic_seconds() - since_seconds)

    async def _connected(self) -> Connection | ConnectFailed | Answered:
        *first, last = self._versions()
        for version in first:
            connection = await self._connect(self._request_url(version), version)
            if not isinstance(connection, Answered) or not may_offer_less(connection):
                return connection
            _log.info(
                "%s: %s is refused with 400; offering less",
                self.view.url,
                version,
                extra=named(Notice.STREAM_OFFERS_LESS),
            )
        return await self._connect(self._request_url(last), last)

    def _versions(self) -> Sequence[ProtocolVersion]:
        match self._settings.protocol:
            case "auto":
                return ProtocolVersion.V1, ProtocolVersion.V0
            case "v1":
                return (ProtocolVersion.V1,)
            case "v0":
                return (ProtocolVersion.V0,)
            case _:
                assert_never(self._settings.protocol)

    def _request_url(self, version: ProtocolVersion) -> str:
        is_v1 = version is ProtocolVersion.V1
        request = StreamRequest(
            version=version,
            worker_id=self.view.worker_id,
            start=self.position.start,
            batch=is_v1,
            events=self.view.events if is_v1 else None,
        )
        return events_url(self._base_url, self.view.worker_id, **request.parameters())

    async def _read(self, connection: Connection, session: Session, open_since_seconds: list[float]) -> Closed | Ended:
        mishaps: list[Exception] = []
        state_before_stall = StreamState.LIVE

        def stalled() -> None:
            try:
                self._change(StreamState.STALLED, StateDetail(self._backoff.tries, code="connection.stalled"))
            except Exception as error:  # noqa: BLE001  the caller's on_state: it ends the stream, not a task of ours
                mishaps.append(error)
                connection.abandon()

        while (message := await connection.receive()) is not None:
            heard = session.receive(message)
            if session.is_open and not open_since_seconds:
                open_since_seconds.append(self._settings.monotonic_seconds())
                self._was_live = True
                if session.heartbeat_seconds is not None:
                    connection.expect_heartbeat(session.heartbeat_seconds, stalled)
            if session.has_caught_up and heard.state is StreamState.LIVE:
                self._backoff.reset()
            self.behind = session.behind
            self.worker_status = session.worker_status or self.worker_status
            if heard.state is not None:
                state_before_stall = heard.state
                self._change(heard.state, StateDetail(self._backoff.tries))
            elif self.state is StreamState.STALLED:
                self._change(state_before_stall, StateDetail(self._backoff.tries))
            if self._restarts.tries and any(isinstance(item, StreamEvent) for item in heard.items):
                self._restarts.reset()
            if heard.items:
                await self._handover.put(heard.items, len(message))
            match heard.verdict:
                case None:
                    continue
                case Closed() | Ended():
                    return heard.verdict
                case _:
                    raise heard.verdict
        for mishap in mishaps:
            raise mishap
        return Closed(connection.close_code, session.complaint, connection.silence)

    # Between two.

    async def _wait_after(self, ending: ConnectFailed | Answered | Closed) -> None:
        decision = decide(ending, self._policy, was_live=self._was_live)
        backoff, retry_after_ms = self._backoff, None
        if isinstance(decision, AskCaller):
            decision = await self._ask(decision.gap)
        match decision:
            case Refuse(diagnostic):
                raise StreamRefusedError(self.view.url, diagnostic)
            case GiveUp(reason, code):
                raise StreamConnectError(self.view.url, reason, code)
            case RestartBehindGap(gap):
                self.position.restarts(gap.cursor)
                self._sequence.expect_gap()
                await self._handover.put([gap], 0)
                backoff = self._restarts
            case Retry():
                retry_after_ms = decision.retry_after_ms
            case _:
                assert_never(decision)
        delay_seconds = backoff.next_delay_seconds(retry_after_ms)
        tries, max_tries = backoff.tries, self._settings.max_tries
        if max_tries is not None and tries >= max_tries:
            reason = f"{decision.reason} (try {tries} of {max_tries})"
            raise StreamConnectError(self.view.url, reason, decision.code)
        _log.info(
            "%s: %s; next try in %.1f s",
            self.view.url,
            decision.reason,
            delay_seconds,
            extra=named(Notice.STREAM_RETRIED),
        )
        await self._wait(StateDetail(tries, delay_seconds, decision.reason, decision.code))

    async def _wait(self, detail: StateDetail) -> None:
        self._change(StreamState.WAITING, detail)
        await self._settings.sleep(detail.delay_seconds or 0)

    async def _ask(self, gap: StreamGap) -> Refuse | RestartBehindGap:
        assert callable(self._policy.on_expired)
        answer = self._policy.on_expired(gap)
        return behind_gap(gap, await answer if inspect.isawaitable(answer) else answer)

    def _change(self, state: StreamState, detail: StateDetail) -> None:
        self.state = state
        self._on_state(state, detail)
