from __future__ import annotations

import json

import pytest

from tests.workers.adapters import claude_code_cases
from tests.workers.adapters.mapping import BEGIN, NOW, Payload, event, kept, line, payloads, told
from yoi_runtime.workers.adapters.auto_adapter import AGENT_ADAPTERS, LOOKED_AT_OBJECTS, AutoAdapter
from yoi_runtime.workers.line_splitter import Line

CODEX = {"type": "turn.started"}
DELTA = {"event": "text_delta", "data": {"text": "x"}}
SAID = {"type": "item.completed", "item": {"id": "item_0", "type": "agent_message", "text": "Hi"}}


def auto() -> AutoAdapter:
    return AutoAdapter(lambda: NOW)


def as_text(message: object) -> Payload:
    return event("text_done", text=json.dumps(message))


FIRST: list[tuple[str, Payload]] = [
    ("claude-code", claude_code_cases.INIT),
    ("claude-code", claude_code_cases.HOOK),
    ("claude-code", claude_code_cases.SAID),
    ("claude-code", claude_code_cases.START),
    ("claude-code", claude_code_cases.result()),
    ("codex", {"type": "thread.started", "thread_id": "t"}),
    ("codex", CODEX),
    ("codex", SAID),
    ("gemini", {"type": "init", "timestamp": "2026", "session_id": "s", "model": "m"}),
    ("gemini", {"type": "message", "timestamp": "2026", "role": "user", "content": "x"}),
    ("gemini", {"type": "error", "timestamp": "2026", "severity": "error", "message": "x"}),
    ("opencode", {"type": "step_start", "timestamp": 1, "sessionID": "s", "part": {}}),
    ("opencode", {"type": "error", "timestamp": 1, "sessionID": "s", "error": {}}),
    ("acp", {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": 1}}),
    ("acp", {"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": 1}}),
    ("acp", {"jsonrpc": "2.0", "method": "session/update", "params": {}}),
    ("acp", {"jsonrpc": "2.0", "id": 1, "result": {"stopReason": "end_turn"}}),
]


@pytest.mark.parametrize(("name", "message"), FIRST, ids=lambda value: value if isinstance(value, str) else "")
def test_a_first_message_is_recognised_by_its_agent_alone(name: str, message: Payload):
    assert [adapter.name for adapter in AGENT_ADAPTERS if adapter.recognises(message)] == [name]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "system"},
        {"type": "init"},
        {"type": "text", "text": "hello"},
        {"type": "error", "message": "x"},
        {"type": "result", "status": "success"},
        {"type": "message", "content": "x"},
        {"type": "turn.started", "more": 1},
        {"level": "info", "msg": "started", "timestamp": "2026"},
        {"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-06-18", "capabilities": {}}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        {"jsonrpc": "1.0", "method": "session/update"},
        {"type": ["system"], "subtype": "init", "session_id": "s"},
    ],
    ids=json.dumps,
)
def test_what_others_print_as_well_is_nobodys(message: Payload):
    assert not any(adapter.recognises(message) for adapter in AGENT_ADAPTERS)
    adapter = auto()
    assert told(adapter, message) == [as_text(message)]
    # And what comes after it can still be recognised.
    assert told(adapter, CODEX) == BEGIN


def test_lines_before_the_first_message_are_text_at_once():
    adapter = auto()
    assert told(adapter, "Loading…") == [event("text_done", text="Loading…")]
    assert told(adapter, {"level": "info"}) == [as_text({"level": "info"})]
    assert told(adapter, CODEX) == BEGIN
    assert told(adapter, {"level": "info"}) == [kept("codex.unknown", {"level": "info"})]
    assert told(adapter, "warning: x") == [event("text_done", text="warning: x")]


def test_an_event_of_our_own_is_one_before_and_after():
    adapter = auto()
    assert told(adapter, DELTA, CODEX, DELTA) == [DELTA, *BEGIN, DELTA]
    (refused,) = told(adapter, {"event": "runtime_started", "data": {}})
    assert refused["event"] == "alert"


def test_the_first_agent_that_is_recognised_stays():
    adapter = auto()
    claude = claude_code_cases.INIT
    assert told(adapter, CODEX, claude) == [*BEGIN, kept("codex.system", claude)]


def test_after_twenty_objects_that_nobody_knows_it_is_no_agent():
    adapter = auto()
    told(adapter, *[{"n": n} for n in range(LOOKED_AT_OBJECTS - 1)], *["text"] * 100, *[DELTA] * 100)
    patient = auto()
    told(patient, *[{"n": n} for n in range(LOOKED_AT_OBJECTS - 1)])
    assert told(patient, CODEX) == BEGIN
    told(adapter, {"n": LOOKED_AT_OBJECTS})
    assert told(adapter, CODEX) == [as_text(CODEX)]


def test_a_cut_line_decides_nothing():
    adapter = auto()
    text = json.dumps(CODEX)
    events = payloads(adapter.stdout_line(Line(text.encode(), 1, 10)))
    assert events[0] == event("text_done", text=text)
    assert told(adapter, CODEX) == BEGIN
    assert payloads(adapter.stdout_line(Line(b'{"type":"item.com', 2, 10)))[0] == kept(
        "codex.broken_line", '{"type":"item.com'
    )


def test_at_the_end_what_the_agent_held_is_told():
    adapter = auto()
    assert adapter.stdout_end() == []
    said = {"type": "message", "timestamp": "2026", "role": "assistant", "content": "Hi", "delta": True}
    adapter.stdout_line(line(said))
    assert payloads(adapter.stdout_end()) == [event("text_done", text="Hi")]
