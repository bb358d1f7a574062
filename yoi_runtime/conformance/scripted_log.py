"""The log that a script pretends to have: cursors, event ids and frames for the numbers in a case. Pure.

Ids and cursors differ from case to case, so that what a client reports tells by itself which case it is of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final
from zlib import crc32

from yoi_runtime.conformance.case import Bookmark, CaughtUp, Diagnose, End, Events, Start
from yoi_runtime.conformance.timing import Timing
from yoi_runtime.protocol import v1_frames
from yoi_runtime.protocol.diagnostics import DiagnosticCode, Lost, diagnostic
from yoi_runtime.protocol.frames import snapshot_frame, stream_opened_frame
from yoi_runtime.protocol.versions import ProtocolVersion

__all__ = ["ScriptedLog"]

_MAX_FRAME_BYTES: Final = 512 * 1024
_TIME: Final = "2026-01-02T03:04:05.000006Z"
# The longest a cursor token may be: who stores less finds out here.
_TOKEN_CHARACTERS: Final = 64
_MAX_PLACE: Final = 10_000
_UNKNOWN: Final[dict[str, object]] = {"from_a_newer_runtime": {"nested": [1, None, "text"]}}


class ScriptedLog:
    """One case's log, as one client sees it. ``worker_id`` None: it follows everything."""

    def __init__(self, case_name: str, version: ProtocolVersion, worker_id: str | None, timing: Timing) -> None:
        self._name = case_name
        self._version = version
        self._worker_id = worker_id
        self._timing = timing
        self._log_id = self._digest("log")[:16]

    def cursor(self, place: int, life: int = 1) -> str:
        text = f"wo1{self._digest(f'{life}/{place}')}{self._digest('more')}"
        # Hyphen and underscore are of a token's alphabet: who escapes them wrongly finds out here.
        return f"{text[: _TOKEN_CHARACTERS - 3]}-_{place % 10}"

    def event_id(self, number: int, life: int = 1) -> str:
        return f"{self._digest(f'id {life}')[:8]}-{number}"

    def place(self, *, cursor: str | None = None, event_id: str | None = None) -> int | None:
        """Return the place that a request names; None: it is none of this log's first life."""
        if event_id is not None:
            number = event_id.rpartition("-")[2]
            known = number.isascii() and number.isdigit() and len(number) < 6
            return int(number) if known and self.event_id(int(number)) == event_id else None
        if cursor is None or not cursor[-1:].isdigit():
            return None
        candidates = range(int(cursor[-1]), _MAX_PLACE, 10)
        return next((place for place in candidates if self.cursor(place) == cursor), None)

    def start(self, step: Start, place: int) -> bytes:
        """Return the first frame of a stream that begins at ``place``."""
        at, latest = self.cursor(place), self.cursor(max(place, 9))
        if self._version is ProtocolVersion.V0:
            if self._worker_id is None:
                return stream_opened_frame(at, latest)
            return snapshot_frame(at, self._worker_id, "running")
        return v1_frames.Hello(
            runtime_id=f"rt-{self._log_id}",
            log_id=self._log_id,
            scope=v1_frames.Scope(worker_id=self._worker_id),
            filters=v1_frames.Filters(),
            resumed_from=at,
            oldest_cursor=self.cursor(0),
            latest_cursor=latest,
            durable_cursor=latest,
            heartbeat_ms=step.heartbeat_ms,
            max_frame_bytes=_MAX_FRAME_BYTES,
            retention=v1_frames.RetentionRule(retain_bytes=1 << 30, retain_age_seconds=604800.0, retain_segments=None),
        ).frame()

    def messages(self, step: Events, numbers: Iterable[int]) -> list[bytes]:
        """Return the messages that carry the events ``numbers``, in the manner of ``step``."""
        records = [self.record(number, step) for number in numbers]
        return [v1_frames.batch_of_lines(b"\n".join(records))] if step.batch else records

    def record(self, number: int, step: Events) -> bytes:
        """Return one event frame, made as the log's own records are."""
        text = f"{step.text} {number}" + "x" * step.pad_bytes
        payload: dict[str, Any] = {"event": "text_delta", "data": {"text": text}}
        if step.event is not None:
            payload = {"event": step.event, "data": {"text": text}}
            if self._version is ProtocolVersion.V0 and self._worker_id is not None:
                payload = {"event": "system_item", "data": {"item": {"kind": "yoi.event", **payload}}}
        envelope: dict[str, Any] = {
            "cursor": self.cursor(number, step.life),
            "event_id": self.event_id(number, step.life),
            # In one Worker's stream others' events lie between.
            "seq": number if self._worker_id is None else 2 * number,
            "worker_id": self._worker_id or "w1",
            "worker_seq": number,
            "time": _TIME,
            "payload": payload,
        }
        frame: dict[str, Any] = {"kind": "event", "envelope": envelope}
        if step.unknown_fields:
            envelope.update(_UNKNOWN)
            payload["data"].update(_UNKNOWN)
            frame.update(_UNKNOWN)
        body = _compact(frame)[:-1]
        return body + b',"crc":"%08x"}' % crc32(body)

    def caught_up(self, step: CaughtUp) -> bytes:
        return v1_frames.CaughtUp(cursor=self.cursor(step.at), replayed=step.at).frame()

    def bookmark(self, step: Bookmark) -> bytes:
        at = self.cursor(step.at)
        return v1_frames.Bookmark(
            cursor=at, durable_cursor=at, worker_seq=None, behind=v1_frames.Behind(events=0, bytes=0), time=_TIME
        ).frame()

    def end(self, step: End) -> bytes:
        assert self._worker_id is not None, "a case with an end needs a Worker"
        return v1_frames.End(worker_id=self._worker_id, outcome=step.outcome, cursor=self.cursor(step.at)).frame()

    def diagnostic(self, step: Diagnose) -> bytes:
        cursors = {
            "requested_cursor": step.requested,
            "oldest_cursor": step.oldest,
            "latest_cursor": step.latest,
            "resume_cursor": step.resume,
        }
        fields: dict[str, Any] = {name: self.cursor(place) for name, place in cursors.items() if place is not None}
        retry_after_ms = None if step.retry_after_ms is None else self._timing.told_ms(step.retry_after_ms)
        made: dict[str, Any]
        if step.code in list(DiagnosticCode):
            lost = None if step.lost_events is None else Lost(events=step.lost_events, exact=True)
            body = diagnostic(
                DiagnosticCode(step.code),
                "played by the conformance kit",
                version=self._version,
                retry_after_ms=retry_after_ms,
                lost=lost,
                **fields,
            )
            made = json.loads(body.frame())["diagnostic"]
        else:
            made = {"code": step.code, "message": "of a newer Runtime", "retryable": False, **fields}
            if retry_after_ms is not None:
                made["retry_after_ms"] = retry_after_ms
        made.update({n: v for n, v in (("recovery", step.recovery), ("severity", step.severity)) if v is not None})
        return _compact({"kind": "diagnostic", "diagnostic": made | (_UNKNOWN if step.unknown_fields else {})})

    def _digest(self, text: str) -> str:
        return sha256(f"{self._name}/{text}".encode()).hexdigest()


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
