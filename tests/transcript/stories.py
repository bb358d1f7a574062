"""What Workers may emit, drawn at random, and the transcript that must come of it, folded in one piece."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from hypothesis import strategies as st

from yoi_runtime.events import (
    CompactDone,
    CompactFailed,
    ErrorEvent,
    Event,
    EventsLost,
    Greeting,
    InFlightSnapshot,
    InFlightText,
    InFlightThinking,
    InFlightToolCall,
    InvokeStart,
    RewindApplied,
    RewindSummary,
    RunEnd,
    SegmentRotated,
    Shutdown,
    Snapshot,
    Status,
    SystemItem,
    TextDelta,
    TextDone,
    TextSegment,
    ThinkingDelta,
    ThinkingDone,
    ThinkingStart,
    ToolCallArgsDelta,
    ToolCallDone,
    ToolCallStart,
    ToolResult,
    TurnEnd,
    TurnStart,
    UnknownEvent,
    Usage,
    UserMessage,
    decode_record,
)
from yoi_runtime.protocol.transcript_fold import TranscriptEvent, TranscriptFold
from yoi_runtime.protocol.transcript_items import TranscriptItem

__all__ = [
    "GREETING",
    "Folded",
    "any_event",
    "any_story",
    "event_of_line",
    "fold_lines",
    "numbered",
    "without_thinking",
]

GREETING = Greeting(worker_name="a", cwd="/", provider="p", model="m", scope_summary="", tools=())
_UUID = UUID("12345678-1234-5678-1234-567812345678")

_text = st.text(max_size=8)
_call = st.sampled_from(["c1", "c2", ""])
_in_flight = st.lists(
    st.builds(InFlightText, text=_text, finished=st.booleans())
    | st.builds(InFlightThinking, text=_text, finished=st.booleans())
    | st.builds(
        InFlightToolCall,
        id=_call,
        name=st.just("sh"),
        args=_text,
        state=st.sampled_from(["pending", "streaming_args", "done"]),
    ),
    max_size=3,
).map(lambda blocks: InFlightSnapshot(blocks=tuple(blocks)))

# What streams comes most often: unfinished blocks are what a cut may tear.
any_event: st.SearchStrategy[Event] = st.one_of(
    st.builds(TextDelta, text=_text),
    st.builds(TextDelta, text=_text),
    st.builds(TextDone, text=_text),
    st.builds(ThinkingStart),
    st.builds(ThinkingDelta, text=_text),
    st.builds(ThinkingDone, text=_text),
    st.builds(ToolCallStart, id=_call, name=st.sampled_from(["sh", "edit"])),
    st.builds(ToolCallArgsDelta, id=_call, json=_text),
    st.builds(ToolCallDone, id=_call, name=st.just("sh"), arguments=_text),
    st.builds(ToolResult, id=_call, summary=_text, output=st.none() | _text, is_error=st.booleans()),
    st.builds(UserMessage, segments=st.tuples(st.builds(TextSegment, content=_text))),
    st.builds(SystemItem, item=st.dictionaries(_text, st.none() | st.integers() | _text, max_size=2)),
    st.builds(Snapshot, entries=st.just(({"a": None},)), greeting=st.just(GREETING), in_flight=_in_flight),
    st.sampled_from(
        [
            RunEnd(result="finished"),
            RunEnd(result="rolled_back"),
            ErrorEvent(code="provider_error", message="no"),
            TurnStart(turn=1),
            TurnEnd(turn=1, result="paused"),
            InvokeStart(kind="user_send"),
            Shutdown(),
            Status(status="running"),
            Usage(input_tokens=1),
            UnknownEvent(name="of_a_newer_one", data={"text": "x"}),
            CompactDone(new_segment_id=_UUID),
            CompactFailed(error="no"),
            SegmentRotated(entry={"summary": None}),
            EventsLost(count=3, from_time="2026-01-01T00:00:00.000000Z", to_time="2026-01-01T00:00:01.000000Z"),
            RewindApplied(
                entries=({"e": 1},),
                input=(TextSegment(content="again"),),
                summary=RewindSummary(truncated_to_entries=1, discarded_entries=2, tool_side_effect_warning=False),
            ),
        ]
    ),
)

any_story: st.SearchStrategy[list[tuple[str, Event]]] = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), any_event), min_size=8, max_size=60
)
"""(Worker, event) in the order of the log."""


class Folded:
    """The transcripts of several Workers, folded event by event from the very beginning."""

    def __init__(self) -> None:
        self.folds: dict[str, TranscriptFold] = defaultdict(TranscriptFold)
        self.items: dict[str, list[TranscriptItem]] = defaultdict(list)

    def add(self, worker_id: str, event: TranscriptEvent) -> None:
        self.items[worker_id] += self.folds[worker_id].apply(event)


def numbered(events: Iterable[Event], first: int = 1) -> list[TranscriptEvent]:
    """Return the events of one Worker as a stream shows them."""
    return [
        TranscriptEvent(
            event.event_name,
            {} if isinstance(event, UnknownEvent) else event.model_dump(mode="json"),
            f"e{number}",
            f"c{number}",
            number,
            f"2026-01-01T00:00:00.{number:06d}Z",
        )
        for number, event in enumerate(events, first)
    ]


def event_of_line(line: bytes) -> tuple[str | None, TranscriptEvent]:
    """Return a record's Worker and event; decoded by the whole codec, not as the store does it."""
    envelope = decode_record(line)
    event = envelope.payload
    data = {} if isinstance(event, UnknownEvent) else event.model_dump(mode="json")
    number = envelope.worker_seq or 0
    return envelope.worker_id, TranscriptEvent(
        event.event_name, data, envelope.event_id, envelope.cursor, number, envelope.time
    )


def fold_lines(lines: Sequence[bytes]) -> Folded:
    """Fold every record of a log at once."""
    folded = Folded()
    for line in lines:
        worker_id, event = event_of_line(line)
        if worker_id is not None:
            folded.add(worker_id, event)
    return folded


def without_thinking(items: Iterable[TranscriptItem]) -> list[TranscriptItem]:
    return [item for item in items if item.kind != "thinking"]
