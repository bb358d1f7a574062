from __future__ import annotations

from typing import Any

import pytest
from rich.text import Text

from yoi_runtime.cli.event_looks import Line, Stream, look_of
from yoi_runtime.events import EVENT_CLASSES

LINES: list[tuple[str, dict[str, Any], str]] = [
    ("text_done", {"text": "hello"}, "hello"),
    ("thinking_done", {"text": "hm"}, "hm"),
    ("tool_call_done", {"id": "1", "name": "ls", "arguments": '{"a":1}'}, '→ ls {"a":1}'),
    ("tool_result", {"id": "1", "summary": "3 files", "is_error": False}, "← 3 files"),
    ("tool_result", {"id": "1", "summary": "no", "is_error": True}, "✗ no"),
    ("tool_result", {"id": "1", "summary": "ok", "output": "x" * 9}, "← ok  (output: 9 characters)"),
    ("usage", {"input_tokens": 5, "output_tokens": None}, "tokens: 5 in, ? out"),
    (
        "user_message",
        {
            "segments": [
                {"kind": "text", "content": "look at"},
                {"kind": "file_ref", "path": "a.py"},
                {"kind": "paste", "id": 1, "chars": 7, "lines": 1, "content": "content"},
                {"kind": "new_kind"},
            ]
        },
        "» look at @a.py [pasted: 7 characters] [new_kind]",
    ),
    ("status", {"status": "running"}, "● running"),
    ("status", {"status": "idle"}, "○ idle"),
    ("status", {"status": "asleep"}, "· asleep"),
    ("alert", {"level": "warn", "source": "worker", "message": "m", "timestamp_ms": 0}, "⚠ warn: m"),
    ("error", {"code": "tool_error", "message": "m"}, "✗ tool_error: m"),
    ("run_end", {"result": "limit_reached"}, "■ run limit_reached"),
    ("turn_start", {"turn": 3}, "turn start 3"),
    ("turn_end", {"turn": 3, "result": "paused"}, "turn end 3 paused"),
    ("runtime_started", {"version": "1.0", "pid": 7}, "Runtime started (version 1.0, process 7)"),
    ("runtime_stopping", {"reason": "signal SIGTERM"}, "Runtime stopping: signal SIGTERM"),
    ("worker_created", {"worker_id": "w"}, "Worker w created"),
    ("worker_started", {"worker_id": "w", "run": 2, "command": ["a", "b c"]}, "Worker w started, run 2: a 'b c'"),
    ("worker_started", {"worker_id": "w", "run": 1}, "Worker w started, run 1"),
    ("worker_ended", {"worker_id": "w", "outcome": "failed", "exit_code": 0}, "Worker w ended: failed (exit code 0)"),
    ("worker_ended", {"worker_id": "w", "outcome": "lost"}, "Worker w ended: lost"),
    (
        "events_lost",
        {"count": 3, "from_time": "A", "to_time": "B"},
        "✗ 3 events could not be written, A to B",
    ),
    ("lost", {}, "✗ an event was damaged and could not be saved"),
    ("shutdown", {}, "shutdown"),
    ("made_up", {"a": [1, "é"]}, 'made_up {"a": [1, "é"]}'),
    ("", {}, "?"),
]


@pytest.mark.parametrize(("name", "data", "text"), LINES, ids=[f"{name}-{i}" for i, (name, _, _) in enumerate(LINES)])
def test_a_line_says_what_happened(name: str, data: dict[str, Any], text: str):
    look = look_of(name, data)
    assert isinstance(look, Line)
    assert look.text.plain == text


def test_an_error_does_not_look_like_a_success():
    good, bad = look_of("tool_result", {"summary": "x"}), look_of("tool_result", {"summary": "x", "is_error": True})
    assert good.text.style != bad.text.style
    ends = {outcome: look_of("worker_ended", {"outcome": outcome}).text.style for outcome in ("completed", "crashed")}
    assert ends["completed"] != ends["crashed"]


def test_a_whole_names_the_stream_that_its_pieces_are():
    delta, done = look_of("text_delta", {"text": "ab"}), look_of("text_done", {"text": "abcd"})
    assert isinstance(delta, Stream)
    assert isinstance(done, Line)
    assert done.completes == (delta.kind, delta.part)
    assert (delta.length, done.length) == (2, 4)
    start = look_of("tool_call_start", {"id": "7", "name": "ls"})
    piece = look_of("tool_call_args_delta", {"id": "7", "json": '{"a'})
    call = look_of("tool_call_done", {"id": "7", "name": "ls", "arguments": '{"a":1}'})
    assert isinstance(start, Stream)
    assert isinstance(piece, Stream)
    assert isinstance(call, Line)
    assert (start.kind, start.part) == (piece.kind, piece.part) == call.completes


def test_an_event_carried_in_a_system_item_looks_like_itself():
    item = {"kind": "yoi.event", "event": "events_lost", "data": {"count": 1, "from_time": "A", "to_time": "B"}}
    assert look_of("system_item", {"item": item}).text.plain.startswith("✗ 1 events")
    assert look_of("system_item", {"item": {"kind": "yoi.event", "event": "shutdown"}}).text.plain == "shutdown"
    assert look_of("system_item", {"item": {"kind": "other"}}).text.plain == 'system_item {"item": {"kind": "other"}}'


EVIL = "\x1b]0;title\x07\x9b2J\r\u202e\u2028"


def strings_made(value: object, text: str) -> object:
    """Return ``value`` with every string in it replaced."""
    if isinstance(value, str):
        return text
    if isinstance(value, dict):
        return {name: strings_made(inner, text) for name, inner in value.items()}
    return [strings_made(inner, text) for inner in value] if isinstance(value, list) else value


STREAMS: list[tuple[str, dict[str, Any]]] = [
    ("text_delta", {"text": ""}),
    ("thinking_delta", {"text": ""}),
    ("tool_call_start", {"id": "", "name": ""}),
    ("tool_call_args_delta", {"id": "", "json": ""}),
]


@pytest.mark.parametrize(("name", "data"), [*((name, data) for name, data, _ in LINES), *STREAMS])
def test_no_event_can_steer_the_terminal(name: str, data: dict[str, Any]):
    for look in (look_of(name, strings_made(data, EVIL)), look_of(EVIL, data), look_of(name, {EVIL: EVIL})):  # type: ignore[arg-type]
        assert not set(look.text.plain) & set(EVIL) - set("0;title2J]")


@pytest.mark.parametrize("value", [None, 5, True, "text", [], [1], {}, {"kind": 1}, 1.5], ids=repr)
def test_every_event_has_a_look_whatever_its_fields_are(value: object):
    for name, event_class in EVENT_CLASSES.items():
        data = dict.fromkeys(event_class.model_fields, value)
        assert isinstance(look_of(name, data).text, Text), name


def test_a_long_one_is_cut_and_a_text_is_not():
    assert len(look_of("made_up", {"a": "x" * 1000}).text.plain) < 300
    assert len(look_of("tool_result", {"summary": "x" * 1000}).text.plain) < 300
    assert look_of("text_done", {"text": "x" * 1000}).text.plain == "x" * 1000
