"""Worker events about its session: snapshots, rewinding, compaction, and answers to a client's questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Discriminator, Field, Tag

from yoi_runtime.events.conversation_events import WorkerStatus
from yoi_runtime.events.event import Event, EventPart, KindPart, UnitEvent
from yoi_runtime.events.input_segments import InputSegment
from yoi_runtime.events.scalars import I64, U64, Flag, Json, Omittable, Str

__all__ = [
    "SESSION_EVENTS",
    "CompactDone",
    "CompactFailed",
    "CompactStart",
    "CompletionEntry",
    "CompletionKind",
    "Completions",
    "Greeting",
    "InFlightBlock",
    "InFlightSnapshot",
    "InFlightText",
    "InFlightThinking",
    "InFlightToolCall",
    "MemoryWorker",
    "PeerRegistered",
    "RewindApplied",
    "RewindSummary",
    "RewindTarget",
    "RewindTargetId",
    "RewindTargets",
    "SegmentRotated",
    "Snapshot",
    "ToolCallState",
    "WorkerRestored",
    "WorkersListed",
]

CompletionKind = Literal["file", "knowledge", "workflow"]
ToolCallState = Literal["pending", "streaming_args", "done"]


def _is_empty(value: object) -> bool:
    """Say whether upstream leaves a member of this value out: false, no blocks."""
    return not value


class Greeting(EventPart):
    """Who the Worker is, for a client that has just come."""

    worker_name: Str
    cwd: Str
    provider: Str
    model: Str
    scope_summary: Str
    tools: tuple[Str, ...]
    context_window: U64 = 0
    context_tokens: U64 = 0


class InFlightText(KindPart):
    """Text that streams at present."""

    kind: Literal["text"] = "text"
    text: Str
    finished: Annotated[Flag, Field(exclude_if=_is_empty)] = False


class InFlightThinking(KindPart):
    """Thinking that streams at present."""

    kind: Literal["thinking"] = "thinking"
    text: Str
    finished: Annotated[Flag, Field(exclude_if=_is_empty)] = False


class InFlightToolCall(KindPart):
    """A tool call that streams at present."""

    kind: Literal["tool_call"] = "tool_call"
    id: Str
    name: Str
    args: Str
    state: Annotated[ToolCallState, Field(exclude_if=lambda state: state == "pending")] = "pending"


_BLOCK_KINDS = ("text", "thinking", "tool_call")


def _block_tag(value: object) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return f"<{kind}>" if kind in _BLOCK_KINDS else None


# Closed, unlike the input segments: upstream's own decoder refuses a snapshot with an unknown block.
InFlightBlock = Annotated[
    Annotated[InFlightText, Tag("<text>")]
    | Annotated[InFlightThinking, Tag("<thinking>")]
    | Annotated[InFlightToolCall, Tag("<tool_call>")],
    Discriminator(
        _block_tag,
        custom_error_type="in_flight_block",
        custom_error_message="Input should be an object of kind 'text', 'thinking' or 'tool_call'",
    ),
]


class InFlightSnapshot(EventPart):
    """What streams at present and is in no entry yet."""

    blocks: Annotated[tuple[InFlightBlock, ...], Field(exclude_if=_is_empty)] = ()


def _nothing_in_flight(snapshot: InFlightSnapshot) -> bool:
    return not snapshot.blocks and not snapshot.model_extra


class Snapshot(Event):
    """All a client needs to begin with: the session's entries, the Worker's greeting and state."""

    event_name: ClassVar[str] = "snapshot"
    entries: tuple[Json, ...]
    greeting: Greeting
    status: WorkerStatus = "idle"
    in_flight: Annotated[InFlightSnapshot, Field(exclude_if=_nothing_in_flight)] = InFlightSnapshot()


class SegmentRotated(Event):
    """Upstream's session log began a new segment with ``entry``: a client starts over from it."""

    event_name: ClassVar[str] = "segment_rotated"
    entry: Json


class CompletionEntry(EventPart):
    """One candidate; ``is_dir`` is said of files only."""

    value: Str
    is_dir: Flag = False


class Completions(Event):
    """Candidates for what a user is typing."""

    event_name: ClassVar[str] = "completions"
    kind: CompletionKind
    entries: tuple[CompletionEntry, ...]


class RewindTargetId(EventPart):
    """Names a user input of the session."""

    segment_id: UUID
    user_input_entry_index: U64


class RewindTarget(EventPart):
    """A user input the session can go back to, or why it cannot."""

    id: RewindTargetId
    expected_head_entries: U64
    truncate_entries: U64
    turn_index: U64
    timestamp_ms: U64 | None = None
    preview: Str
    eligible: Flag
    disabled_reason: Omittable[Str] = None
    warning: Omittable[Str] = None


class RewindTargets(Event):
    """Where the session can go back to."""

    event_name: ClassVar[str] = "rewind_targets"
    head_entries: U64
    targets: tuple[RewindTarget, ...]


class RewindSummary(EventPart):
    """What a rewind took away."""

    truncated_to_entries: U64
    discarded_entries: U64
    tool_side_effect_warning: Flag


class RewindApplied(Event):
    """The session went back: ``entries`` are left, ``input`` is the user's to edit again."""

    event_name: ClassVar[str] = "rewind_applied"
    entries: tuple[Json, ...]
    input: tuple[InputSegment, ...]
    summary: RewindSummary


class WorkersListed(Event):
    """The Workers that this one can see."""

    event_name: ClassVar[str] = "workers_listed"
    workers: Json


class WorkerRestored(Event):
    """The answer to a request to restore a Worker."""

    event_name: ClassVar[str] = "worker_restored"
    result: Json


class PeerRegistered(Event):
    """The answer to a request to register a peer."""

    event_name: ClassVar[str] = "peer_registered"
    result: Json


class MemoryWorker(Event):
    """The state of the Worker's memory upkeep. ``timestamp_ms`` counts from 1970."""

    event_name: ClassVar[str] = "memory_worker"
    worker: Str
    status: Str
    run_id: Str
    trigger: Str
    reason: Str
    message: Str
    timestamp_ms: I64


class CompactStart(UnitEvent):
    """The Worker began to compact its session."""

    event_name: ClassVar[str] = "compact_start"


class CompactDone(Event):
    """Compaction succeeded; the session goes on in a new one."""

    event_name: ClassVar[str] = "compact_done"
    new_segment_id: UUID


class CompactFailed(Event):
    """Compaction failed; the session is as it was."""

    event_name: ClassVar[str] = "compact_failed"
    error: Str


SESSION_EVENTS: tuple[type[Event], ...] = (
    Snapshot,
    SegmentRotated,
    Completions,
    RewindTargets,
    RewindApplied,
    WorkersListed,
    WorkerRestored,
    PeerRegistered,
    MemoryWorker,
    CompactStart,
    CompactDone,
    CompactFailed,
)
