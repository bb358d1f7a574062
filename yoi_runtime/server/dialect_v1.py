"""v1 (``yoi.events.v1``): hello, caught_up, bookmarks, end, batches, a filter. Specification: docs/protocol.md, "v1"."""

from __future__ import annotations

from dataclasses import asdict

from yoi_runtime.catalog.worker_state import WorkerState
from yoi_runtime.protocol.stream_request import StreamRequest
from yoi_runtime.protocol.v1_frames import (
    BATCH_END,
    BATCH_JOINT,
    BATCH_START,
    Behind,
    Bookmark,
    CaughtUp,
    End,
    Filters,
    Hello,
    RetentionRule,
    Scope,
    batch_of_lines,
)
from yoi_runtime.protocol.versions import ProtocolVersion
from yoi_runtime.segment_log.timestamp import TimestampFormat, parse_timestamp
from yoi_runtime.server.chunk_cache import SharedChunk
from yoi_runtime.server.dialect import Progress, Selection, lines_for, own_lines
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.starting_place import Place
from yoi_runtime.server.websocket_frames import frames_of_batch, frames_of_lines, text_frames

__all__ = ["HEARTBEAT_SECONDS", "LOST_GRACE_SECONDS", "MAX_FRAME_BYTES", "DialectV1"]

HEARTBEAT_SECONDS = 15.0
MAX_FRAME_BYTES = 512 << 10
# A filtered stream says where it stands after this many records that were not for it.
_MOST_PASSED_OVER = 1000
# A batch should take a peer about this long: a slow link gets smaller ones and sees events sooner.
_BATCH_SECONDS = 0.1
_SMALLEST_BATCH_BYTES = 4 << 10
# A Runtime that comes back starts its Workers within this time, or it does not start them.
LOST_GRACE_SECONDS = 10.0
_AROUND_BATCH_BYTES = len(BATCH_START) + len(BATCH_END)


class DialectV1:
    """One subscriber's v1."""

    version: ProtocolVersion = ProtocolVersion.V1
    goes_on_after_damage = True
    heartbeat_seconds: float | None = HEARTBEAT_SECONDS

    def __init__(self, view: LogView, request: StreamRequest) -> None:
        self._view = view
        self._worker_id = request.worker_id
        self._worker = request.worker_id.encode("ascii") if request.worker_id is not None else None
        self._events = request.events
        self._names = frozenset(name.encode("ascii") for name in request.events) if request.events is not None else None
        self._batching = request.batch
        self._batch_bytes = MAX_FRAME_BYTES
        self._caught_up_seq: int | None = None
        self._time = TimestampFormat()

    def opening(self, place: Place, oldest: Place) -> list[bytes]:
        view = self._view
        self._caught_up_seq = view.end.seq
        hello = Hello(
            runtime_id=f"rt-{view.log_id}",
            log_id=view.log_id,
            scope=Scope(worker_id=self._worker_id),
            filters=Filters(events=tuple(sorted(self._events)) if self._events is not None else None),
            resumed_from=place.token,
            oldest_cursor=oldest.token,
            latest_cursor=self._token_at_end(),
            durable_cursor=self._durable_token(),
            heartbeat_ms=int(HEARTBEAT_SECONDS * 1000),
            max_frame_bytes=MAX_FRAME_BYTES,
            retention=RetentionRule(**asdict(view.retention)) if view.retention is not None else None,
        )
        return [hello.frame()]

    def select(self, chunk: SharedChunk, worker_seq: int | None) -> Selection:
        if self._worker is None and self._names is None:
            if not self._batching:
                return Selection(self._view.encoded(chunk, frames_of_lines), chunk.records, worker_seq)
            if len(chunk.data) + chunk.records + _AROUND_BATCH_BYTES <= self._batch_bytes or chunk.records == 1:
                return Selection(self._view.encoded(chunk, frames_of_batch), chunk.records, worker_seq)
        lines, worker_seq = self._lines(chunk, worker_seq)
        messages = self._batches(lines) if self._batching else lines
        return Selection(text_frames(messages), len(lines), worker_seq)

    def _lines(self, chunk: SharedChunk, worker_seq: int | None) -> tuple[list[bytes], int | None]:
        """Return what of ``chunk`` is of this scope and passes the filter."""
        if self._worker is not None:
            lines, worker_seq = lines_for(chunk, self._worker, worker_seq)
        else:
            lines = chunk.data[:-1].split(b"\n")
        if self._names is not None:
            lines = [line for line, _ in own_lines(b"\n".join(lines), None, self._names)]
        return lines, worker_seq

    def _batches(self, lines: list[bytes]) -> list[bytes]:
        """Join lines into frames of at most the present batch size; one alone goes out alone."""
        messages: list[bytes] = []
        group: list[bytes] = []
        size = _AROUND_BATCH_BYTES
        for line in lines:
            if group and size + len(BATCH_JOINT) + len(line) > self._batch_bytes:
                messages.append(_joined(group))
                group, size = [], _AROUND_BATCH_BYTES
            group.append(line)
            size += len(BATCH_JOINT) + len(line)
        if group:
            messages.append(_joined(group))
        return messages

    def aside(self, progress: Progress, now: float) -> list[bytes]:
        said = self._caught_up(progress)
        quiet = now - progress.told_at >= HEARTBEAT_SECONDS
        if not said and (quiet or progress.passed_over >= _MOST_PASSED_OVER):
            said = [self._bookmark(progress)]
        return said

    def _caught_up(self, progress: Progress) -> list[bytes]:
        if self._caught_up_seq is None or progress.position.seq < self._caught_up_seq:
            return []
        self._caught_up_seq = None
        return [CaughtUp(cursor=self._token(progress), replayed=progress.events).frame()]

    def at_end(self, progress: Progress) -> tuple[list[bytes], bool]:
        said = self._caught_up(progress)
        state = self._view.worker(self._worker_id) if self._worker_id is not None else None
        if state is None or state.outcome is None or self._may_run_again(state):
            return said, False
        end = End(worker_id=state.worker_id, outcome=state.outcome, cursor=self._token(progress))
        return [*said, end.frame()], True

    def _may_run_again(self, state: WorkerState) -> bool:
        """Say whether an ended Worker is expected to go on: by its Runtime's word, or because that has just begun.

        ``lost`` is written before a Runtime had the time to start anybody again.
        """
        if state.restart_pending:
            return True
        if state.outcome != "lost" or state.ended_at is None:
            return False
        try:
            ended_us = self._view.platform.clock.now_us() - parse_timestamp(state.ended_at)
        except ValueError:
            return False
        return 0 <= ended_us < LOST_GRACE_SECONDS * 1_000_000

    def ends(self) -> bool:
        state = self._view.worker(self._worker_id) if self._worker_id is not None else None
        return state is not None and state.outcome is not None

    def farewell(self, progress: Progress) -> list[bytes]:
        return [self._bookmark(progress)]

    def wrote(self, sent_bytes: int, seconds: float) -> None:
        if seconds < _BATCH_SECONDS / 2:
            # The kernel took it: how fast the peer is does not show yet.
            self._batch_bytes = min(self._batch_bytes * 2, MAX_FRAME_BYTES)
        else:
            fitting = int(sent_bytes / seconds * _BATCH_SECONDS)
            self._batch_bytes = min(max(fitting, _SMALLEST_BATCH_BYTES), MAX_FRAME_BYTES)

    def _bookmark(self, progress: Progress) -> bytes:
        view = self._view
        return Bookmark(
            cursor=self._token(progress),
            durable_cursor=self._durable_token(),
            worker_seq=progress.worker_seq if self._worker_id is not None else None,
            behind=Behind(
                events=max(0, view.end.seq - progress.position.seq), bytes=view.bytes_after(progress.position)
            ),
            time=self._time(view.platform.clock.now_us()),
        ).frame()

    def _token(self, progress: Progress) -> str:
        return self._view.token(progress.position, self._worker_id, progress.worker_seq)

    def _token_at_end(self) -> str:
        state = self._view.worker(self._worker_id) if self._worker_id is not None else None
        return self._view.token(self._view.end, self._worker_id, state.worker_seq if state is not None else None)

    def _durable_token(self) -> str:
        return self._view.token(min(self._view.synced, self._view.end))


def _joined(lines: list[bytes]) -> bytes:
    return lines[0] if len(lines) == 1 else batch_of_lines(b"\n".join(lines))
