"""The frames of v1 (``Sec-WebSocket-Protocol: yoi.events.v1``) that the server makes itself.

Each is one flat JSON object with a ``kind``. Events are the log's own records, alone or joined in a
``batch``; nothing here encodes one. Specification: docs/protocol.md, "v1".
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from yoi_runtime.events.runtime_events import WorkerOutcome

__all__ = [
    "BATCH_END",
    "BATCH_JOINT",
    "BATCH_START",
    "Behind",
    "Bookmark",
    "CaughtUp",
    "End",
    "Filters",
    "Hello",
    "RetentionRule",
    "Scope",
    "batch_of_lines",
]

BATCH_START: Final = b'{"kind":"batch","frames":['
BATCH_JOINT: Final = b",\n"
BATCH_END: Final = b"]}"

_Count: TypeAlias = Annotated[int, Field(ge=0)]


class _Frame(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def frame(self) -> bytes:
        """Encode as one text message: compact UTF-8 JSON. None is written as null: nothing, not "not said"."""
        return self.model_dump_json().encode()


class Scope(BaseModel):
    """Whose events the stream carries: one Worker's, or (``worker_id`` None) everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    worker_id: str | None


class Filters(BaseModel):
    """What is passed over in that scope: with ``events``, all but these event names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: tuple[str, ...] | None = None


class RetentionRule(BaseModel):
    """How much backlog the Runtime keeps; None: no such bound."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retain_bytes: int | None
    retain_age_seconds: float | None
    retain_segments: int | None


class Hello(_Frame):
    """The first frame: where the stream really starts, of what, and what the log holds.

    ``retention`` is None when the server cannot know the rule.
    """

    kind: Literal["hello"] = "hello"
    protocol: Literal["yoi.events.v1"] = "yoi.events.v1"
    runtime_id: str
    log_id: str
    scope: Scope
    filters: Filters
    resumed_from: str
    oldest_cursor: str
    latest_cursor: str
    durable_cursor: str
    heartbeat_ms: _Count
    max_frame_bytes: _Count
    retention: RetentionRule | None


class CaughtUp(_Frame):
    """Sent once: all that was in the log when the stream began has been sent; ``replayed`` events of it."""

    kind: Literal["caught_up"] = "caught_up"
    cursor: str
    replayed: _Count


class Behind(BaseModel):
    """How far the place is from the end of the log: events and bytes of the whole log, not of the scope."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: _Count
    bytes: _Count


class Bookmark(_Frame):
    """A cursor that is safe to store, and no event. ``worker_seq``: the newest of the scope at this place, if known."""

    kind: Literal["bookmark"] = "bookmark"
    cursor: str
    durable_cursor: str
    worker_seq: _Count | None
    behind: Behind
    time: str


class End(_Frame):
    """The Worker has ended and everything of it was sent; the server closes with 1000."""

    kind: Literal["end"] = "end"
    worker_id: str
    outcome: WorkerOutcome
    cursor: str


def batch_of_lines(lines: bytes) -> bytes:
    """Return one ``batch`` frame of records that stand one a line, the last without its newline.

    A newline cannot occur within a record, so joining is one replacement, and a client may split at it.
    """
    return BATCH_START + lines.replace(b"\n", BATCH_JOINT) + BATCH_END
