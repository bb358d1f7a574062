"""One subscriber: a pull loop at its own place in the log. Holds no queue and knows no socket.

    read a chunk -> messages of its dialect -> await the write -> go on

Live and catch-up are the same loop at different distances from the end. A slow peer just advances
slowly: the loop waits for its own write and reads nothing more until that is through.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from time import monotonic as _now
from typing import Protocol, assert_never

from yoi_runtime.errors import CursorError, LogError, LogUnavailableError, RecordCorruptError, SegmentGoneError
from yoi_runtime.notices import Notice, named
from yoi_runtime.protocol.close_codes import CloseCode
from yoi_runtime.protocol.diagnostics import Diagnostic, DiagnosticCode, code_spec, diagnostic
from yoi_runtime.protocol.stream_request import FromCursor, FromEventId, FromNow, FromOldest, StreamRequest
from yoi_runtime.protocol.versions import ProtocolVersion
from yoi_runtime.segment_log.cursor import CursorToken
from yoi_runtime.segment_log.position import Position
from yoi_runtime.server.chunk_cache import SharedChunk
from yoi_runtime.server.diagnose import diagnose_cursor, diagnose_damage, worker_not_found
from yoi_runtime.server.dialect import Dialect, Progress, Selection
from yoi_runtime.server.dialect_v0 import DialectV0
from yoi_runtime.server.dialect_v1 import DialectV1
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.starting_place import (
    Place,
    StreamExpiredError,
    after_rotation,
    place_of_cursor,
    place_of_event_id,
    place_of_now,
    place_of_oldest,
)
from yoi_runtime.server.traffic import Traffic, outcome_of_start
from yoi_runtime.server.wake_ups import Sleeper

__all__ = ["ConsumerTooSlowError", "Outlet", "OutletClosedError", "Standing", "Subscriber"]

_log = logging.getLogger("yoi_runtime.server")

# A cursor that was handed out a moment ago may be of an event that the disk has yet to confirm.
_COMMIT_WAIT_SECONDS = 2.0
_COMMIT_POLL_SECONDS = 0.01


class OutletClosedError(Exception):
    """The peer is gone."""


class ConsumerTooSlowError(Exception):
    """The peer took no byte for too long."""


class Outlet(Protocol):
    """Where frames go. ``send`` returns when the kernel took the bytes: that is the backpressure."""

    async def send(self, messages: list[bytes]) -> None:
        """Send each message as one text message. Raises ``OutletClosedError``, ``ConsumerTooSlowError``."""
        ...

    async def send_frames(self, frames: bytes) -> None:
        """Send what are WebSocket frames already. Errors: those of ``send``."""
        ...

    def begin(self, frames: bytes) -> bool:
        """Send what goes without waiting; False when ``finish`` has to be awaited before the next. Raises ``OutletClosedError``."""
        ...

    async def finish(self) -> None:
        """Return when the kernel took what ``begin`` left. Errors: those of ``send``."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Say goodbye; nothing can be sent any more."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a subscriber stands. ``behind_since``: as in ``Progress``."""

    position: Position
    worker_id: str | None
    worker_seq: int | None
    behind_since: float


class Subscriber:
    """Serves one accepted request until the peer leaves, the log says no, its Worker has ended, or the server stops."""

    def __init__(self, view: LogView, request: StreamRequest, outlet: Outlet, traffic: Traffic | None = None) -> None:
        """``traffic``: where to count what is sent, of this subscriber and others."""
        self._view = view
        self._traffic = traffic or Traffic()
        self._refused_as: str | None = None
        self._epoch = view.epoch
        self._request = request
        self._worker_id = request.worker_id
        self._outlet = outlet
        self._sleeper = Sleeper(request.worker_id, self._serve_in_place)
        # Of what was done in place: what was handed to the outlet and not yet gone on after, and what is still to be said.
        self._begun: tuple[SharedChunk, Selection, float] | None = None
        self._unsaid: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._dialect: Dialect = (
            DialectV0(view, request.worker_id) if request.version is ProtocolVersion.V0 else DialectV1(view, request)
        )
        self._progress: Progress | None = None

    @property
    def resume_cursor(self) -> CursorToken | None:
        """Return where the peer can go on: after what it was sent whole; None while no place was found to start from."""
        progress = self._progress
        return None if progress is None else self._view.token(progress.position, self._worker_id, progress.worker_seq)

    @property
    def events(self) -> int:
        """Return how many events it was sent."""
        return 0 if self._progress is None else self._progress.events

    @property
    def standing(self) -> Standing | None:
        """Return where it stands, None while no place was found to start from."""
        progress = self._progress
        if progress is None:
            return None
        return Standing(progress.position, self._worker_id, progress.worker_seq, progress.behind_since)

    async def run(self) -> None:
        """Serve to the end; never raises but for cancellation and bugs of ours."""
        try:
            await self._serve()
        except OutletClosedError:
            return
        except (LogError, OSError) as error:
            _log.error("the log failed a subscriber: %s", error, extra=named(Notice.SUBSCRIBER_WITHOUT_LOG))
            with contextlib.suppress(OutletClosedError):
                await self._refuse(diagnostic(DiagnosticCode.UNAVAILABLE, "the log cannot be read at present"))
        except ConsumerTooSlowError:
            spec = code_spec(DiagnosticCode.CONSUMER_TOO_SLOW)
            _log.warning(
                "subscriber cut off: %s",
                spec.close_code,
                extra=named(Notice.SUBSCRIBER_TOO_SLOW, close_code=spec.close_code),
            )
            raise

    async def _serve(self) -> None:
        found = await self._starting_place()
        self._traffic.connected(self._refused_as or outcome_of_start(self._request.start))
        if found is None:
            return
        place, oldest = found
        self._progress = progress = Progress(place.position, place.worker_seq, _now(), _now())
        await self._outlet.send(self._dialect.opening(place, oldest))
        self._view.wake_ups.add(self._sleeper)
        self._wake_for_heartbeat(progress)
        try:
            await self._pull(progress)
        finally:
            self._view.wake_ups.remove(self._sleeper)
            if self._timer is not None:
                self._timer.cancel()

    # The start.

    async def _starting_place(self) -> tuple[Place, Place] | None:
        """Resolve the request's start, and where the log begins; answers and closes when it cannot be honoured."""
        token = self._request.start.token if isinstance(self._request.start, FromCursor) else None
        deadline = _now() + _COMMIT_WAIT_SECONDS
        while True:
            try:
                place = await self._resolve_start()
                # The opening frame tells a Worker's status: not one that is older than the place.
                await self._view.reach(place.position)
                return place, await place_of_oldest(self._view, self._worker_id)
            except (LogError, OSError) as error:
                if _now() > deadline or self._view.closing:
                    if not isinstance(error, LogUnavailableError):
                        _log.error(
                            "no place for a subscriber to start from: %s",
                            error,
                            extra=named(Notice.SUBSCRIBER_WITHOUT_PLACE),
                        )
                    await self._refuse(await diagnose_cursor(error, self._view, self._worker_id, token))
                    return None
                await asyncio.sleep(_COMMIT_POLL_SECONDS)
            except (CursorError, StreamExpiredError) as error:
                await self._refuse(await diagnose_cursor(error, self._view, self._worker_id, token))
                return None

    async def _resolve_start(self) -> Place:
        start = self._request.start
        match start:
            case FromNow():
                return place_of_now(self._view, self._worker_id)
            case FromOldest():
                return await place_of_oldest(self._view, self._worker_id)
            case FromCursor(token):
                return await place_of_cursor(self._view, self._worker_id, token)
            case FromEventId(event_id):
                return await place_of_event_id(self._view, self._worker_id, event_id)
            case _:
                assert_never(start)

    # The loop.

    async def _pull(self, progress: Progress) -> None:
        while not await self._stopped(progress):
            try:
                chunk = self._read(progress)
            except SegmentGoneError:
                if not await self._step_over_rotation(progress):
                    return
                continue
            except RecordCorruptError as error:
                if not await self._step_over_damage(progress, error):
                    return
                continue
            if chunk is not None:
                await self._deliver(chunk, progress)
            elif await self._wait(progress):
                return

    def _read(self, progress: Progress) -> SharedChunk | None:
        if self._worker_id is None:
            return self._view.read(progress.position)
        return self._view.read_own(progress.position, self._worker_id, progress.worker_seq)

    async def _stopped(self, progress: Progress) -> bool:
        """Say goodbye if it is time to."""
        if self._view.epoch != self._epoch:
            await self._refuse(diagnostic(DiagnosticCode.UNAVAILABLE, "the log was replaced; connect again"))
            return True
        if self._view.hurried:
            await self._say_goodbye(progress)
            return True
        return False

    async def _deliver(self, chunk: SharedChunk, progress: Progress) -> None:
        """Send what of ``chunk`` is for this peer, and go on after it."""
        selection = self._dialect.select(chunk, progress.worker_seq)
        began = _now()
        if selection.frames:
            await self._outlet.send_frames(selection.frames)
        if said := self._went(chunk, selection, began, progress):
            await self._tell(said, progress)
        if progress.position.seq < self._view.end.seq:
            # A write the kernel takes at once does not yield: let the others have their turn.
            await asyncio.sleep(0)

    def _went(self, chunk: SharedChunk, selection: Selection, began: float, progress: Progress) -> list[bytes]:
        """Go on after a chunk whose ``selection`` was sent; return what is to be said there."""
        now = _now()
        if selection.frames:
            self._traffic.bytes += len(selection.frames)
            progress.told_at, progress.passed_over = now, 0
            self._dialect.wrote(len(selection.frames), now - began)
        else:
            progress.passed_over += chunk.end.seq - progress.position.seq
        progress.events += selection.events
        self._traffic.events += selection.events
        self._traffic.filtered += chunk.end.seq - progress.position.seq - selection.events
        progress.worker_seq = selection.worker_seq
        progress.position = chunk.end
        return self._dialect.aside(progress, now)

    def _serve_in_place(self) -> bool:
        """Send what has just come, while the task sleeps, if nothing has to be waited for; False: the task goes on.

        Whatever is not plain is left to the task: nothing new, more than one chunk, an error, words besides events.
        """
        view, progress = self._view, self._progress
        if progress is None or view.epoch != self._epoch or view.hurried or view.failure is not None:
            return False
        try:
            chunk = self._read(progress)
            if chunk is None:
                return False
            selection = self._dialect.select(chunk, progress.worker_seq)
            progress.behind_since = began = _now()
            if selection.frames:
                taken = self._outlet.begin(selection.frames)
                # From here on these frames are never sent again, whatever is raised.
                self._begun = chunk, selection, began
                if not taken:
                    return False
            self._unsaid = self._went(chunk, selection, began, progress)
            self._begun = None
        except Exception:  # noqa: BLE001 - the task comes to the same place, and what it raises is seen
            return False
        return not self._unsaid and progress.position.seq >= view.end.seq and not self._dialect.ends()

    async def _finish_in_place(self, progress: Progress) -> None:
        """Finish what was begun in place; before anything else is sent."""
        if self._begun is not None:
            (chunk, selection, began), self._begun = self._begun, None
            await self._outlet.finish()
            self._unsaid = self._went(chunk, selection, began, progress)
        said, self._unsaid = self._unsaid, []
        await self._tell(said, progress)

    async def _wait(self, progress: Progress) -> bool:
        """At the end of the log: say what is to be said there, wait for more; True when the stream is over."""
        view = self._view
        if self._worker_id is not None and view.worker(self._worker_id) is None:
            # It ended long ago, and all of it was rotated out. Its id may be another one's next.
            await self._refuse(worker_not_found(self._worker_id))
            return True
        said, over = self._dialect.at_end(progress)
        said += self._dialect.aside(progress, _now())
        await self._tell(said, progress)
        if over:
            self._outlet.close(CloseCode.NORMAL, "the Worker has ended")
            return True
        if view.finished:
            await self._say_goodbye(progress)
            return True
        if view.failure is not None:
            await self._refuse(diagnostic(DiagnosticCode.UNAVAILABLE, "the log cannot be followed at present"))
            return True
        # While something was told, more may have come; without that, nothing was awaited since the last look.
        if not said:
            await self._sleeper.sleep()
            if self._begun is not None or self._unsaid:
                await self._finish_in_place(progress)
        progress.behind_since = _now()
        return False

    def _wake_for_heartbeat(self, progress: Progress) -> None:
        """Wake up to say something after a long silence. One timer, set anew only when it fires: writes are many."""
        heartbeat = self._dialect.heartbeat_seconds
        if heartbeat is None:
            return
        left = progress.told_at + heartbeat - _now()
        if left <= 0:
            self._sleeper.wake()
            left = heartbeat
        self._timer = asyncio.get_running_loop().call_later(left, self._wake_for_heartbeat, progress)

    async def _step_over_rotation(self, progress: Progress) -> bool:
        """Go on at the floor, if nothing of this scope was lost; else say what was, and close."""
        view = self._view
        deadline = _now() + _COMMIT_WAIT_SECONDS
        while True:
            try:
                await view.relist()
                progress.position = after_rotation(
                    view, self._worker_id, progress.position.seq, progress.worker_seq
                ).position
                return True
            except LogUnavailableError:
                # In the middle of a rotation, which is a matter of milliseconds unless its writer was killed in it.
                if _now() > deadline:
                    raise
                await asyncio.sleep(_COMMIT_POLL_SECONDS)
            except StreamExpiredError as error:
                token = view.token(progress.position, self._worker_id, progress.worker_seq)
                await self._refuse(await diagnose_cursor(error, view, self._worker_id, token))
                return False

    async def _step_over_damage(self, progress: Progress, error: RecordCorruptError) -> bool:
        """Say which events are damaged; go on after them, or close, as the dialect has it."""
        self._view.note_damage(error)
        resume = self._view.reader.after_damage(error)
        problem = diagnose_damage(error, self._view.token(resume), self._worker_id, self._dialect.version)
        if not self._dialect.goes_on_after_damage:
            await self._refuse(problem)
            return False
        await self._tell([problem.frame()], progress)
        progress.position = resume
        if self._worker_id is not None:
            # Some of the damaged events may have been its own.
            progress.worker_seq = None
        return True

    async def _tell(self, messages: list[bytes], progress: Progress) -> None:
        if messages:
            await self._outlet.send(messages)
            progress.told_at, progress.passed_over = _now(), 0

    async def _say_goodbye(self, progress: Progress) -> None:
        await self._tell(self._dialect.farewell(progress), progress)
        await self._refuse(
            diagnostic(
                DiagnosticCode.SHUTTING_DOWN,
                "this server is shutting down",
                resume_cursor=self.resume_cursor,
                worker_id=self._worker_id,
            )
        )

    async def _refuse(self, problem: Diagnostic) -> None:
        """Tell the peer, then close with the code's close code and the diagnostic's code as reason."""
        self._refused_as = problem.code.value.removeprefix("runtime.")
        await self._outlet.send([problem.frame()])
        self._outlet.close(code_spec(problem.code).close_code or CloseCode.INTERNAL, problem.close_reason)
