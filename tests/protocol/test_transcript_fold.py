from __future__ import annotations

import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcript.stories import GREETING, any_event, numbered
from yoi_runtime.events import (
    Event,
    InFlightSnapshot,
    InFlightText,
    InFlightToolCall,
    InvokeStart,
    Lost,
    RewindApplied,
    RewindSummary,
    RunEnd,
    Shutdown,
    Snapshot,
    Status,
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
    UserMessage,
)
from yoi_runtime.protocol.transcript_fold import (
    MAX_OPEN_BLOCKS,
    MAX_OPEN_CHARACTERS,
    TRANSCRIPT_EVENT_NAMES,
    TranscriptEvent,
    TranscriptFold,
)
from yoi_runtime.protocol.transcript_items import ITEM_KINDS, TranscriptAnswer, TranscriptItem


def fold(*events: Event) -> tuple[list[TranscriptItem], TranscriptFold]:
    state = TranscriptFold()
    return [item for event in numbered(events) for item in state.apply(event)], state


def answer(state: TranscriptFold) -> TranscriptAnswer:
    """Return what a Runtime would answer at this place, as it comes out of JSON; no items, which a fold needs not."""
    sent = TranscriptAnswer(
        worker_id="a",
        start=state.next_index,
        limit=1,
        thinking=True,
        total_items=state.next_index,
        oldest_start=0,
        items=(),
        next_start=state.next_index,
        in_progress=state.in_progress(),
        worker_seq=state.worker_seq,
        as_of_cursor=state.as_of_cursor,
    )
    return TranscriptAnswer.model_validate_json(sent.model_dump_json())


def brief(items: list[TranscriptItem]) -> list[tuple[object, ...]]:
    return [(item.kind, item.finished, item.data.get("text", item.data.get("arguments"))) for item in items]


@pytest.mark.parametrize(("characters", "blocks"), [(MAX_OPEN_CHARACTERS, MAX_OPEN_BLOCKS), (5, 2)])
def test_an_answer_and_the_stream_behind_it_are_the_whole(
    characters: int, blocks: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    seen: Counter[str] = Counter()
    # Bounds that are met all the time must not be forgotten from one place to the next either.
    monkeypatch.setattr("yoi_runtime.protocol.transcript_fold.MAX_OPEN_CHARACTERS", characters)
    monkeypatch.setattr("yoi_runtime.protocol.transcript_fold.MAX_OPEN_BLOCKS", blocks)

    @given(events=st.lists(any_event, min_size=10, max_size=80), cut=st.integers(0, 80))
    def check(events: list[Event], cut: int) -> None:
        stream = numbered(events)
        cut = min(cut, len(stream))
        whole = TranscriptFold()
        expected = [item for event in stream for item in whole.apply(event)]
        state = TranscriptFold()
        items = [item for event in stream[:cut] for item in state.apply(event)]
        seen["cuts inside a block"] += bool(state.open)
        seen["cuts behind a bound"] += any(block.omitted for block in state.open.values())
        state = TranscriptFold.resume(answer(state))
        # At least once: what was taken in before may come again.
        items += [item for event in stream[max(0, cut - 3) :] for item in state.apply(event)]
        assert items == expected
        assert [item.index for item in items] == list(range(len(items)))
        assert answer(state) == answer(whole)
        seen["logs"] += 1
        seen["items"] += len(items)

    check()
    with capsys.disabled():
        sys.stdout.write(f"\ntranscript fold: {dict(seen)}\n")
    assert seen["cuts inside a block"] >= 20
    assert seen["cuts behind a bound"] >= 5 or characters > 5


def test_deltas_become_the_item_that_done_completes():
    items, state = fold(TextDelta(text="Hel"), TextDelta(text="lo"), TextDone(text="Hello"))
    assert [item.model_dump() for item in items] == [
        {
            "index": 0,
            "kind": "text",
            "event_id": "e3",
            "worker_seq": 3,
            "time": "2026-01-01T00:00:00.000003Z",
            "started_at": "2026-01-01T00:00:00.000001Z",
            "finished": True,
            "data": {"text": "Hello"},
        }
    ]
    assert not state.open
    assert (state.as_of_cursor, state.worker_seq, state.next_index) == ("c3", 3, 1)


def test_what_is_unfinished_is_in_progress_and_no_item_yet():
    items, state = fold(
        ThinkingStart(), ThinkingDelta(text="hm"), ToolCallStart(id="1", name="sh"), ToolCallArgsDelta(id="1", json="{")
    )
    assert items == []
    assert [block.model_dump() for block in state.in_progress()] == [
        {
            "kind": "thinking",
            "event_id": "e2",
            "worker_seq": 2,
            "time": "2026-01-01T00:00:00.000002Z",
            "started_at": "2026-01-01T00:00:00.000001Z",
            "data": {"text": "hm"},
        },
        {
            "kind": "tool_call",
            "event_id": "e4",
            "worker_seq": 4,
            "time": "2026-01-01T00:00:00.000004Z",
            "started_at": "2026-01-01T00:00:00.000003Z",
            "data": {"id": "1", "name": "sh", "arguments": "{"},
        },
    ]


def test_blocks_side_by_side_become_items_in_the_order_in_which_they_end():
    items, _ = fold(
        TextDelta(text="a"),
        ToolCallStart(id="1", name="sh"),
        ToolCallStart(id="2", name="sh"),
        ToolCallDone(id="2", name="sh", arguments="{}"),
        ToolResult(id="2", summary="done"),
        ToolCallDone(id="1", name="sh", arguments="[]"),
        TextDone(text="ab"),
    )
    assert brief(items) == [
        ("tool_call", True, "{}"),
        ("tool_result", None, None),
        ("tool_call", True, "[]"),
        ("text", True, "ab"),
    ]


REWOUND = RewindApplied(
    entries=({"role": "user"},),
    input=(TextSegment(content="again"),),
    summary=RewindSummary(truncated_to_entries=1, discarded_entries=4, tool_side_effect_warning=True),
)


@pytest.mark.parametrize(
    ("boundary", "kind"),
    [
        (RunEnd(result="paused"), "run_end"),
        (REWOUND, "rewind_applied"),
        (Snapshot(entries=(), greeting=GREETING), "snapshot"),
        (TurnStart(turn=1), None),
        (TurnEnd(turn=1, result="finished"), None),
        (InvokeStart(kind="user_send"), None),
        (Shutdown(), None),
    ],
)
def test_what_gets_no_done_any_more_is_an_item_that_says_so(boundary: Event, kind: str | None):
    items, state = fold(ThinkingDelta(text="hm"), TextDelta(text="I was s"), boundary)
    assert brief(items[:2]) == [("thinking", False, "hm"), ("text", False, "I was s")]
    # Each by the last event of its own.
    assert [item.event_id for item in items[:2]] == ["e1", "e2"]
    assert [item.kind for item in items[2:]] == ([kind] if kind else [])
    assert not state.open


@pytest.mark.parametrize("event", [UserMessage(segments=()), Status(status="running"), ToolResult(id="1", summary="")])
def test_what_may_come_in_the_middle_of_a_text_does_not_end_it(event: Event):
    _, state = fold(TextDelta(text="a"), event, TextDelta(text="b"))
    assert [block.data["text"] for block in state.in_progress()] == ["ab"]


def test_a_rewind_takes_nothing_away_and_keeps_what_it_says():
    items, _ = fold(TextDone(text="a"), REWOUND)
    assert [item.kind for item in items] == ["text", "rewind_applied"]
    assert items[1].data == REWOUND.model_dump(mode="json")


def test_a_snapshot_in_the_middle_of_a_text_says_what_is_in_progress():
    in_flight = InFlightSnapshot(
        blocks=(
            InFlightText(text="Hel"),
            InFlightText(text="said", finished=True),
            InFlightToolCall(id="9", name="sh", args="{", state="streaming_args"),
        )
    )
    items, state = fold(
        TextDelta(text="He"), Snapshot(entries=(), greeting=GREETING, in_flight=in_flight), TextDelta(text="lo")
    )
    assert [item.kind for item in items] == ["snapshot"]
    assert [block.data for block in state.in_progress()] == [
        {"text": "Hello"},
        {"id": "9", "name": "sh", "arguments": "{"},
    ]


def test_the_snapshot_with_which_a_v0_stream_begins_is_passed_over():
    state = TranscriptFold()
    made_up = TranscriptEvent("snapshot", {"entries": []}, "snapshot:wo1x", "wo1x", 7, "t")
    assert state.apply(made_up) == []
    assert (state.next_index, state.worker_seq) == (0, 0)


def test_missing_events_are_a_gap_that_counts_them_and_cuts_off_what_was_in_progress():
    state = TranscriptFold()
    state.apply(numbered([TextDelta(text="a")])[0])
    items = state.apply(numbered([TextDone(text="b")], first=5)[0])
    assert brief(items) == [("text", False, "a"), ("gap", None, None), ("text", True, "b")]
    assert items[1].model_dump() == {
        "index": 1,
        "kind": "gap",
        "worker_seq": 4,
        "time": "2026-01-01T00:00:00.000005Z",
        "data": {"events": 3},
    }


def test_a_text_without_end_is_kept_up_to_its_bound_and_the_rest_is_counted():
    piece = "x" * (MAX_OPEN_CHARACTERS // 2 + 1)
    items, state = fold(TextDelta(text=piece), TextDelta(text=piece), TextDelta(text="more"), RunEnd(result="paused"))
    assert items[0].data["text"] == "x" * MAX_OPEN_CHARACTERS
    assert items[0].omitted_characters == 2 + len("more")
    assert set(state.open_size.values()) == {0}
    # Whole again, because text_done says all of it.
    items, _ = fold(TextDelta(text=piece), TextDelta(text=piece), TextDone(text=piece * 2))
    assert (items[0].data["text"], items[0].omitted_characters) == (piece * 2, 0)


def test_the_bound_is_of_all_calls_together_and_thinking_takes_none_of_it():
    half = "x" * (MAX_OPEN_CHARACTERS // 2 + 1)
    _, state = fold(
        ToolCallArgsDelta(id="1", json=half),
        ToolCallArgsDelta(id="2", json=half),
        ThinkingDelta(text=half),
        TextDelta(text=half),
    )
    assert [block.omitted_characters for block in state.in_progress()] == [0, 2, 0, 0]


def test_calls_that_are_never_done_are_cut_off_oldest_first():
    calls = [ToolCallStart(id=f"{number}", name="sh") for number in range(MAX_OPEN_BLOCKS + 2)]
    items, state = fold(*calls)
    assert [(item.finished, item.data["id"]) for item in items] == [(False, "0"), (False, "1")]
    assert len(state.open) == MAX_OPEN_BLOCKS


def test_a_block_that_begins_again_cuts_off_the_one_before():
    items, _ = fold(
        ThinkingStart(),
        ThinkingDelta(text="a"),
        ThinkingStart(),
        ThinkingDone(text="b"),
        ToolCallStart(id="1", name="x"),
        ToolCallStart(id="1", name="y"),
    )
    assert brief(items) == [("thinking", False, "a"), ("thinking", True, "b"), ("tool_call", False, "")]


@pytest.mark.parametrize("name", sorted(TRANSCRIPT_EVENT_NAMES))
def test_an_event_of_another_shape_is_folded_as_far_as_it_goes(name: str):
    odd: dict[str, object] = {"text": 7, "id": None, "json": [], "in_flight": {"blocks": [3, {"kind": "text"}]}}
    for data in ({}, odd):
        state = TranscriptFold()
        state.apply(TranscriptEvent(name, data, "e1", "c1", 1, "t"))
        assert state.worker_seq == 1


def test_every_kind_of_item_comes_of_some_event():
    made = {"text", "thinking", "tool_call", "gap"}
    whole = {kind for kind in ITEM_KINDS if kind not in made}
    assert whole < TRANSCRIPT_EVENT_NAMES
    for kind in whole:
        items = TranscriptFold().apply(TranscriptEvent(kind, {"a": None}, "e1", "c1", 1, "t"))
        assert [(item.kind, item.data) for item in items] == [(kind, {"a": None})]


def test_an_event_that_a_repaired_log_has_lost_is_a_gap_and_cuts_off_what_was_in_progress():
    items, state = fold(TextDelta(text="so"), Lost(), TextDone(text="after"))
    assert [(item.kind, item.worker_seq) for item in items] == [("text", 1), ("gap", 2), ("text", 3)]
    assert items[1].data == {"events": 1}
    assert state.worker_seq == 3
