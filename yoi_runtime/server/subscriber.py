"""One subscriber: a pull loop at its own place in the log. Holds no queue and knows no socket.

    read a chunk -> frames of this scope -> await the write -> go on

Live and catch-up are the same loop at different distances from the end. A slow peer just advances
slowly: the loop waits for its own write and reads nothing more until that is through.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Protocol, assert_never

from yoi_runtime.errors import CursorError, LogError, LogUnavailableError, RecordCorruptError, SegmentGoneError
from yoi_runtime.events.envelope import HEAD_PATTERN
from yoi_runtime.events.v0_payload import wrap_for_v0
from yoi_runtime.protocol.close_codes import CloseCode
from yoi_runtime.protocol.diagnostics import Diagnostic, DiagnosticCode, code_spec, diagnostic
from yoi_runtime.protocol.frames import snapshot_frame, stream_opened_frame
from yoi_runtime.protocol.stream_request import FromCursor, FromEventId, FromNow, FromOldest, StreamRequest
from yoi_runtime.segment_log.reader import Chunk
from yoi_runtime.server.diagnose import diagnose_cursor, diagnose_damage
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

__all__ = ["ConsumerTooSlowError", "Outlet", "OutletClosedError", "Subscriber"]

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

    def close(self, code: int, reason: str) -> None:
        """Say goodbye; nothing can be sent any more."""
        ...


class Subscriber:
    """Serves one accepted v0 request until the peer leaves, the log says no, or the server stops."""

    def __init__(self, view: LogView, request: StreamRequest, outlet: Outlet) -> None:
        self._view = view
        self._epoch = view.epoch
        self._request = request
        self._worker_id = request.worker_id
        self._outlet = outlet
        self._worker_field = (request.worker_id or "").encode("ascii")

    async def run(self) -> None:
        """Serve to the end; never raises but for cancellation and bugs of ours."""
        try:
            await self._serve()
        except OutletClosedError:
            return
        except (LogError, OSError) as error:
            _log.error("the log failed a subscriber: %s", error)
            with contextlib.suppress(OutletClosedError):
                await self._refuse(diagnostic(DiagnosticCode.UNAVAILABLE, "the log cannot be read at present"))
        except ConsumerTooSlowError:
            spec = code_spec(DiagnosticCode.CONSUMER_TOO_SLOW)
            _log.warning("subscriber cut off: %s", spec.close_code)
            raise

    async def _serve(self) -> None:
        place = await self._starting_place()
        if place is None:
            return
        await self._outlet.send([self._opening_frame(place)])
        await self._pull(place)

    # The start.

    async def _starting_place(self) -> Place | None:
        """Resolve the request's start; answers and closes when it cannot be honoured."""
        token = self._request.start.token if isinstance(self._request.start, FromCursor) else None
        deadline = asyncio.get_running_loop().time() + _COMMIT_WAIT_SECONDS
        while True:
            try:
                place = await self._resolve_start()
                # The opening frame tells a Worker's status: not one that is older than the place.
                await self._view.reach(place.position)
                return place
            except (LogError, OSError) as error:
                if asyncio.get_running_loop().time() > deadline or self._view.closing:
                    if not isinstance(error, LogUnavailableError):
                        _log.error("no place for a subscriber to start from: %s", error)
                    await self._refuse(diagnose_cursor(error, self._view, self._worker_id, token))
                    return None
                await asyncio.sleep(_COMMIT_POLL_SECONDS)
            except (CursorError, StreamExpiredError) as error:
                await self._refuse(diagnose_cursor(error, self._view, self._worker_id, token))
                return None

    async def _resolve_start(self) -> Place:
        start = self._request.start
        match start:
            case FromNow():
                return place_of_now(self._view, self._worker_id)
            case FromOldest():
                return place_of_oldest(self._view, self._worker_id)
            case FromCursor(token):
                return place_of_cursor(self._view, self._worker_id, token)
            case FromEventId(event_id):
                return await place_of_event_id(self._view, self._worker_id, event_id)
            case _:
                assert_never(start)

    def _opening_frame(self, place: Place) -> bytes:
        if self._worker_id is None:
            return stream_opened_frame(place.token, self._view.token(self._view.end))
        state = self._view.worker(self._worker_id)
        return snapshot_frame(place.token, self._worker_id, state.status if state else "idle")

    # The loop.

    async def _pull(self, place: Place) -> None:
        view, position, worker_seq = self._view, place.position, place.worker_seq
        while True:
            if view.epoch != self._epoch:
                await self._refuse(diagnostic(DiagnosticCode.UNAVAILABLE, "the log was replaced; connect again"))
                return
            if view.hurried:
                await self._say_goodbye()
                return
            try:
                chunk = view.read(position)
            except SegmentGoneError:
                view.relist()
                try:
                    moved = after_rotation(view, self._worker_id, position.seq, worker_seq)
                except StreamExpiredError as error:
                    token = view.token(position, self._worker_id, worker_seq)
                    await self._refuse(diagnose_cursor(error, view, self._worker_id, token))
                    return
                position = moved.position
                continue
            except RecordCorruptError as error:
                resume = view.reader.after_damage(error)
                await self._refuse(diagnose_damage(error, view.token(resume, self._worker_id), self._worker_id))
                return
            except (LogError, OSError) as error:
                _log.error("reading the log for a subscriber failed: %s", error)
                await self._refuse(diagnostic(DiagnosticCode.UNAVAILABLE, "the log cannot be read at present"))
                return
            if chunk is None:
                if view.finished:
                    await self._say_goodbye()
                    return
                if view.failure is not None:
                    await self._refuse(diagnostic(DiagnosticCode.UNAVAILABLE, "the log cannot be followed at present"))
                    return
                await view.beyond(position)
                continue
            messages, worker_seq = self._frames_of(chunk, worker_seq)
            if messages:
                await self._outlet.send(messages)
            position = chunk.end
            # A write the kernel takes at once does not yield: let the others have their turn.
            await asyncio.sleep(0)

    def _frames_of(self, chunk: Chunk, worker_seq: int | None) -> tuple[list[bytes], int | None]:
        """Return the frames of this scope in ``chunk``, and the newest worker_seq among them."""
        if self._worker_id is None:
            return chunk.data[:-1].split(b"\n"), worker_seq
        frames = []
        for line, number in self._own_lines(chunk.data):
            frames.append(wrap_for_v0(line))
            worker_seq = number
        return frames, worker_seq

    def _own_lines(self, data: bytes) -> Iterator[tuple[bytes, int]]:
        for found in HEAD_PATTERN.finditer(data):
            if found["worker_id"] == self._worker_field:
                yield found[0], int(found["worker_seq"])

    async def _say_goodbye(self) -> None:
        await self._refuse(diagnostic(DiagnosticCode.SHUTTING_DOWN, "this server is shutting down"))

    async def _refuse(self, problem: Diagnostic) -> None:
        """Tell the peer, then close with the code's close code and the diagnostic's code as reason."""
        await self._outlet.send([problem.frame()])
        self._outlet.close(code_spec(problem.code).close_code or CloseCode.INTERNAL, problem.close_reason)
