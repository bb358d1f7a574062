"""Worker events that carry what the model puts out: text, thinking, tool calls and their cost."""

from __future__ import annotations

import warnings
from typing import ClassVar

from yoi_runtime.events.event import Event, UnitEvent
from yoi_runtime.events.scalars import U64, Flag, Omittable, Str

__all__ = [
    "OUTPUT_EVENTS",
    "TextDelta",
    "TextDone",
    "ThinkingDelta",
    "ThinkingDone",
    "ThinkingStart",
    "ToolCallArgsDelta",
    "ToolCallDone",
    "ToolCallStart",
    "ToolResult",
    "Usage",
]


class TextDelta(Event):
    """The next piece of the answer."""

    event_name: ClassVar[str] = "text_delta"
    text: Str


class TextDone(Event):
    """The answer's text is complete; ``text`` is all of it."""

    event_name: ClassVar[str] = "text_done"
    text: Str


class ThinkingStart(UnitEvent):
    """A block of thinking began. Some providers show none of it: start and done may follow each other directly."""

    event_name: ClassVar[str] = "thinking_start"


class ThinkingDelta(Event):
    """The next piece of thinking."""

    event_name: ClassVar[str] = "thinking_delta"
    text: Str


class ThinkingDone(Event):
    """A block of thinking is complete; ``text`` is all of it, empty when the provider shows none."""

    event_name: ClassVar[str] = "thinking_done"
    text: Str


class ToolCallStart(Event):
    """The model began to call a tool."""

    event_name: ClassVar[str] = "tool_call_start"
    id: Str
    name: Str


with warnings.catch_warnings():
    # The vocabulary's "json" hides BaseModel.json(), which pydantic has deprecated and nothing here calls.
    warnings.filterwarnings("ignore", message='Field name "json".*shadows', category=UserWarning)

    class ToolCallArgsDelta(Event):
        """The next piece of a tool call's arguments, as JSON text that is complete only at the end."""

        event_name: ClassVar[str] = "tool_call_args_delta"
        id: Str
        json: Str  # type: ignore[assignment]


class ToolCallDone(Event):
    """A tool call is complete; ``arguments`` is JSON text."""

    event_name: ClassVar[str] = "tool_call_done"
    id: Str
    name: Str
    arguments: Str


class ToolResult(Event):
    """A tool answered: ``summary`` in a line, ``output`` in full unless there is none or it was dropped."""

    event_name: ClassVar[str] = "tool_result"
    id: Str
    summary: Str
    output: Omittable[Str] = None
    is_error: Flag = False


class Usage(Event):
    """Tokens of one LLM request; cache hits are part of ``input_tokens``. None: the provider did not say."""

    event_name: ClassVar[str] = "usage"
    input_tokens: U64 | None = None
    output_tokens: U64 | None = None
    cache_read_input_tokens: Omittable[U64] = None


OUTPUT_EVENTS: tuple[type[Event], ...] = (
    TextDelta,
    TextDone,
    ThinkingStart,
    ThinkingDelta,
    ThinkingDone,
    ToolCallStart,
    ToolCallArgsDelta,
    ToolCallDone,
    ToolResult,
    Usage,
)
