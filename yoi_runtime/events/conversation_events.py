"""Worker events about the course of a conversation: input, turns, LLM calls, state, ends."""

from __future__ import annotations

from typing import ClassVar, Literal

from yoi_runtime.events.event import Event, UnitEvent
from yoi_runtime.events.input_segments import InputSegment
from yoi_runtime.events.scalars import I64, U16, U32, U64, Json, Omittable, Str

__all__ = [
    "CONVERSATION_EVENTS",
    "Alert",
    "AlertLevel",
    "AlertSource",
    "ErrorCode",
    "ErrorEvent",
    "InvokeKind",
    "InvokeStart",
    "LlmCallEnd",
    "LlmCallStart",
    "LlmContinuation",
    "LlmRetry",
    "RunEnd",
    "RunResult",
    "Shutdown",
    "Status",
    "SystemItem",
    "TurnEnd",
    "TurnResult",
    "TurnStart",
    "UserMessage",
    "WorkerStatus",
]

InvokeKind = Literal["user_send", "notify", "worker_event", "system_reminder", "wakeup"]
TurnResult = Literal["finished", "paused"]
RunResult = Literal["finished", "paused", "limit_reached", "rolled_back"]
WorkerStatus = Literal["idle", "running", "paused"]
ErrorCode = Literal[
    "already_running", "not_running", "not_paused", "provider_error", "tool_error", "invalid_request", "internal"
]
AlertLevel = Literal["warn", "error"]
AlertSource = Literal["worker", "engine", "compactor", "agents_md"]


class UserMessage(Event):
    """A user's input was accepted and kept."""

    event_name: ClassVar[str] = "user_message"
    segments: tuple[InputSegment, ...]


class SystemItem(Event):
    """Something other than a user put an item into the conversation; ``item`` has a ``kind`` of its own."""

    event_name: ClassVar[str] = "system_item"
    item: Json


class InvokeStart(Event):
    """An idle Worker was set to work; what by, stands in the next event."""

    event_name: ClassVar[str] = "invoke_start"
    kind: InvokeKind


class TurnStart(Event):
    """An agent turn began: the LLM calls, retries included, on one and the same input."""

    event_name: ClassVar[str] = "turn_start"
    turn: U64


class TurnEnd(Event):
    """An agent turn ended."""

    event_name: ClassVar[str] = "turn_end"
    turn: U64
    result: TurnResult


class LlmCallStart(Event):
    """One request to the LLM began; ``llm_call`` counts them for the Worker's life."""

    event_name: ClassVar[str] = "llm_call_start"
    llm_call: U64


class LlmCallEnd(Event):
    """One request to the LLM ended."""

    event_name: ClassVar[str] = "llm_call_end"
    llm_call: U64


class LlmRetry(Event):
    """A request failed before it streamed anything and is repeated after ``wait_ms``; attempts count from 1.

    ``status`` is the HTTP status, when there was one.
    """

    event_name: ClassVar[str] = "llm_retry"
    llm_call: U64
    failed_attempt: U32
    max_attempts: U32
    wait_ms: U64
    elapsed_ms: U64
    status: Omittable[U16] = None
    error: Str


class LlmContinuation(Event):
    """A stream broke off in the middle and a follow-up request continues it."""

    event_name: ClassVar[str] = "llm_continuation"
    llm_call: U64
    attempt: U32
    max_attempts: U32
    reason: Str


class RunEnd(Event):
    """A run ended; after ``rolled_back`` it is as if the input had never been sent."""

    event_name: ClassVar[str] = "run_end"
    result: RunResult


class ErrorEvent(Event):
    """A request to the Worker was refused, or its work failed."""

    event_name: ClassVar[str] = "error"
    code: ErrorCode
    message: Str


class Status(Event):
    """The Worker's state changed."""

    event_name: ClassVar[str] = "status"
    status: WorkerStatus


class Alert(Event):
    """Something a person should see. ``timestamp_ms`` counts from 1970."""

    event_name: ClassVar[str] = "alert"
    level: AlertLevel
    source: AlertSource
    message: Str
    timestamp_ms: I64


class Shutdown(UnitEvent):
    """The Worker is about to stop."""

    event_name: ClassVar[str] = "shutdown"


CONVERSATION_EVENTS: tuple[type[Event], ...] = (
    UserMessage,
    SystemItem,
    InvokeStart,
    TurnStart,
    TurnEnd,
    LlmCallStart,
    LlmCallEnd,
    LlmRetry,
    LlmContinuation,
    RunEnd,
    ErrorEvent,
    Status,
    Alert,
    Shutdown,
)
