"""v0: one event a message, and nothing but events and diagnostics. Specification: docs/protocol.md, "v0"."""

from __future__ import annotations

from yoi_runtime.events.v0_payload import wrap_for_v0
from yoi_runtime.protocol.frames import snapshot_frame, stream_opened_frame
from yoi_runtime.protocol.versions import ProtocolVersion
from yoi_runtime.server.chunk_cache import SharedChunk
from yoi_runtime.server.dialect import Progress, Selection, lines_for
from yoi_runtime.server.log_view import LogView
from yoi_runtime.server.starting_place import Place
from yoi_runtime.server.websocket_frames import frames_of_lines, text_frames

__all__ = ["DialectV0"]


class DialectV0:
    """A Worker's stream is shaped for upstream's client; the stream of everything is the log's own records."""

    version: ProtocolVersion = ProtocolVersion.V0
    goes_on_after_damage = False
    heartbeat_seconds: float | None = None

    def __init__(self, view: LogView, worker_id: str | None) -> None:
        self._view = view
        self._worker_id = worker_id
        self._worker = worker_id.encode("ascii") if worker_id is not None else None

    def opening(self, place: Place, oldest: Place) -> list[bytes]:
        if self._worker_id is None:
            return [stream_opened_frame(place.token, self._view.token(self._view.end))]
        state = self._view.worker(self._worker_id)
        return [snapshot_frame(place.token, self._worker_id, state.status if state else "idle")]

    def select(self, chunk: SharedChunk, worker_seq: int | None) -> Selection:
        if self._worker is None:
            return Selection(self._view.encoded(chunk, frames_of_lines), chunk.records, worker_seq)
        lines, worker_seq = lines_for(chunk, self._worker, worker_seq)
        return Selection(text_frames(map(wrap_for_v0, lines)), len(lines), worker_seq)

    def aside(self, progress: Progress, now: float) -> list[bytes]:
        return []

    def at_end(self, progress: Progress) -> tuple[list[bytes], bool]:
        return [], False

    def ends(self) -> bool:
        return False

    def farewell(self, progress: Progress) -> list[bytes]:
        return []

    def wrote(self, sent_bytes: int, seconds: float) -> None:
        return
