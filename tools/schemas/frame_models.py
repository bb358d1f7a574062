"""The frames that no model of the package makes, as pydantic models: they travel as bytes and are never built there.

An event frame is the record as the log holds it; a batch joins records; the snapshot and the wrapped event are
v0's. Only ``tools.schemas`` looks at these, and tests hold them against what the server really sends.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from yoi_runtime.events import AnyEvent, Snapshot, WorkerStatus
from yoi_runtime.events.scalars import Json, WorkerId
from yoi_runtime.protocol.diagnostics import Diagnostic
from yoi_runtime.protocol.v1_frames import Bookmark, CaughtUp, End, Hello

__all__ = [
    "Batch",
    "DiagnosticFrame",
    "EventFrame",
    "FrameV0Everything",
    "FrameV0Worker",
    "FrameV1",
    "HealthAnswer",
    "ReadyAnswer",
    "SnapshotFrame",
    "WrappedEventFrame",
]

_Seq = Annotated[int, Field(strict=True, ge=1, le=2**64 - 1)]
_Time = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$")]
_Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _EnvelopeHead(_Closed):
    cursor: _Token
    event_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,24}$")]
    seq: _Seq
    worker_id: WorkerId | None
    worker_seq: _Seq | None
    time: _Time


class Envelope(_EnvelopeHead):
    """What every event has. `worker_id` and `worker_seq` are null for the Runtime's own events."""

    payload: AnyEvent


class EventFrame(_Closed):
    """An event: the record, byte for byte as the log holds it.

    `crc`: CRC-32 (IEEE 802.3) in lower-case hexadecimal of all bytes of the frame before `,"crc"`.
    """

    kind: Literal["event"]
    envelope: Envelope
    crc: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]


class WrappedItem(_Closed):
    """An event outside of upstream's vocabulary; `data` is null for one without data. What stood beside it stays."""

    model_config = ConfigDict(extra="allow")

    kind: Literal["yoi.event"]
    event: str
    data: Json


class WrappedData(_Closed):
    """The data of the `system_item` around it."""

    item: WrappedItem


class WrappedPayload(_Closed):
    """The payload that stands in for it."""

    event: Literal["system_item"]
    data: WrappedData


class WrappedEnvelope(_EnvelopeHead):
    """The event's own envelope around the payload that stands in."""

    payload: WrappedPayload


class WrappedEventFrame(_Closed):
    """v0, a Worker's stream: an event outside of upstream's vocabulary. It has no `crc`."""

    kind: Literal["event"]
    envelope: WrappedEnvelope


class StartingStatus(Snapshot):
    """The Worker's present status; `entries` are empty, and of the greeting only `worker_name` is filled in."""

    entries: Annotated[tuple[Json, ...], Field(max_length=0)]
    status: WorkerStatus


class StartingPayload(_Closed):
    """The payload of the first frame."""

    event: Literal["snapshot"]
    data: StartingStatus


class StartingEnvelope(_Closed):
    """Has no `seq`, `worker_seq` and `time`: it stands in no log. `event_id` is `snapshot:` and the cursor."""

    cursor: _Token
    event_id: Annotated[str, Field(pattern=r"^snapshot:[A-Za-z0-9_-]{1,64}$")]
    worker_id: WorkerId
    payload: StartingPayload


class SnapshotFrame(_Closed):
    """v0, a Worker's stream: the first frame, where the stream starts. It has no `crc`."""

    kind: Literal["event"]
    envelope: StartingEnvelope


class DiagnosticFrame(_Closed):
    """What is wrong and what to do. Also the body of every HTTP answer that is not 2xx or 304."""

    kind: Literal["diagnostic"]
    diagnostic: Diagnostic


class Batch(_Closed):
    """v1 with `batch=1`: two or more events, oldest first, joined by a comma and a newline."""

    kind: Literal["batch"]
    frames: Annotated[list[EventFrame], Field(min_length=2)]


class FrameV0Worker(RootModel[SnapshotFrame | EventFrame | WrappedEventFrame | DiagnosticFrame]):
    """Any frame of `/v1/workers/{worker_id}/events/ws` in v0."""


class FrameV0Everything(RootModel[EventFrame | DiagnosticFrame]):
    """Any frame of `/v1/events/ws` in v0."""


class FrameV1(RootModel[Hello | EventFrame | Batch | CaughtUp | Bookmark | End | DiagnosticFrame]):
    """Any frame of either endpoint in v1. Validate the kinds you know, and skip the others: more may come."""


class HealthAnswer(_Closed):
    """`/healthz`."""

    status: Literal["ok"]


class ReadyAnswer(_Closed):
    """`/readyz`; `unavailable` with status 503."""

    status: Literal["ready", "unavailable"]
