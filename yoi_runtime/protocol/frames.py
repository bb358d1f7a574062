"""Frames: those of v0 that the server makes itself, and the reading of any frame by a client.

An ``event`` frame is the record as the log holds it; nothing here makes one, except for the snapshot that begins a
Worker's stream in v0 and stands in no log. Specification: docs/protocol.md, "v0".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError
from pydantic_core import from_json

from yoi_runtime.errors import FrameInvalidError
from yoi_runtime.events.complaint import first_complaint
from yoi_runtime.events.conversation_events import WorkerStatus
from yoi_runtime.protocol.diagnostics import DiagnosticCode, ReceivedDiagnostic, diagnostic

__all__ = [
    "SNAPSHOT_PREFIX",
    "DiagnosticFrame",
    "EventFrame",
    "Frame",
    "UnknownFrame",
    "decode_frame",
    "snapshot_frame",
    "stream_opened_frame",
]

SNAPSHOT_PREFIX: Final = "snapshot:"
"""Begins the ``event_id`` of a frame that the server made for the connection: it stands in no log."""

_Text: TypeAlias = Annotated[StrictStr, Field(min_length=1)]
_Seq: TypeAlias = Annotated[StrictInt, Field(ge=1, lt=2**64)]


def snapshot_frame(cursor: str, worker_id: str, status: WorkerStatus, seq: int | None = None) -> bytes:
    """Make the first frame of a Worker's v0 stream: where it begins, and the Worker's present status.

    Upstream's client needs every field of its ``Greeting`` to decode the frame; this Runtime knows just the name.
    """
    envelope: dict[str, object] = {"cursor": cursor, "event_id": SNAPSHOT_PREFIX + cursor}
    if seq is not None:
        envelope["seq"] = seq
    envelope["worker_id"] = worker_id
    greeting = {
        "worker_name": worker_id,
        "cwd": "",
        "provider": "",
        "model": "",
        "scope_summary": "",
        "tools": [],
        "context_window": 0,
        "context_tokens": 0,
    }
    envelope["payload"] = {"event": "snapshot", "data": {"entries": [], "greeting": greeting, "status": status}}
    frame = {"kind": "event", "envelope": envelope}
    return json.dumps(frame, separators=(",", ":")).encode()


def stream_opened_frame(resume_cursor: str, latest_cursor: str) -> bytes:
    """Make the first frame of the v0 stream of everything: where it begins, and where the log ends at present."""
    return diagnostic(
        DiagnosticCode.STREAM_OPENED,
        "the stream is open",
        resume_cursor=resume_cursor,
        latest_cursor=latest_cursor,
    ).frame()


class EventFrame(BaseModel):
    """An event as received. ``payload`` is JSON, not yet judged by the vocabulary; ``raw`` is the whole message.

    Fields that the sender's version does not have are None; fields that ours does not have are in ``raw`` only.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    raw: bytes = Field(repr=False)
    cursor: _Text
    event_id: _Text
    seq: _Seq | None = None
    worker_id: _Text | None = None
    worker_seq: _Seq | None = None
    time: _Text | None = None
    payload: dict[str, object]

    @property
    def event_name(self) -> str:
        """The payload's tag."""
        return str(self.payload["event"])

    @property
    def is_synthetic(self) -> bool:
        """Whether the server made this frame for the connection: it is in no log, and its id is no identity."""
        return self.event_id.startswith(SNAPSHOT_PREFIX)


@dataclass(frozen=True, slots=True)
class DiagnosticFrame:
    """A diagnostic as received."""

    raw: bytes
    diagnostic: ReceivedDiagnostic


@dataclass(frozen=True, slots=True)
class UnknownFrame:
    """A frame of a kind that this version does not have; a client skips it."""

    raw: bytes
    kind: str


Frame: TypeAlias = EventFrame | DiagnosticFrame | UnknownFrame


def decode_frame(message: str | bytes) -> Frame:
    """Read one text message.

    Raises:
        FrameInvalidError: not JSON (UTF-8, no NaN, at most about 200 levels deep), or not of the shape its kind has.
    """
    try:
        raw = message.encode() if isinstance(message, str) else bytes(message)
        frame: object = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise FrameInvalidError(f"not JSON: {error}") from None
    if not isinstance(frame, dict):
        raise FrameInvalidError("not an object")
    kind = frame.get("kind")
    if not isinstance(kind, str):
        raise FrameInvalidError("kind is missing, or not a string")
    try:
        match kind:
            case "event":
                return _event_frame(raw, _object(frame, "envelope"))
            case "diagnostic":
                return DiagnosticFrame(raw, ReceivedDiagnostic.parse(_object(frame, "diagnostic")))
            case _:
                return UnknownFrame(raw, kind)
    except ValidationError as error:
        raise FrameInvalidError(f"{kind} frame, {first_complaint(error)}") from None


def _event_frame(raw: bytes, envelope: dict[str, object]) -> EventFrame:
    name = _object(envelope, "payload").get("event")
    if not isinstance(name, str) or not name:
        raise FrameInvalidError("payload.event is missing, or not a name")
    # raw last: an envelope may not bring its own.
    return EventFrame.model_validate({**envelope, "raw": raw})


def _object(frame: dict[str, object], name: str) -> dict[str, object]:
    value = frame.get(name)
    if not isinstance(value, dict):
        raise FrameInvalidError(f"{name} is missing, or not an object")
    return value
