from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from tests.workers.adapters.mapping import Payload, answer, call, event, payloads, user_says
from yoi_runtime.events.conversation_events import UserMessage
from yoi_runtime.events.event import Event
from yoi_runtime.events.input_segments import TextSegment
from yoi_runtime.workers.adapters.conversation import MAX_HELD_CHARACTERS, MAX_KNOWN_CALLS, Conversation

PROMPT = UserMessage(segments=(TextSegment(content="Hi"),))


def test_runs_are_counted_and_begin_once():
    conversation = Conversation()
    events = [*conversation.begin(PROMPT), *conversation.begin(), *conversation.end(), *conversation.end("paused")]
    events += [*conversation.begin(kind="wakeup"), *conversation.begin(PROMPT), *conversation.end("paused")]
    assert payloads(events) == [
        event("invoke_start", kind="user_send"),
        user_says("Hi"),
        event("turn_start", turn=1),
        event("turn_end", turn=1, result="finished"),
        event("run_end", result="finished"),
        event("invoke_start", kind="wakeup"),
        event("turn_start", turn=2),
        user_says("Hi"),
        event("turn_end", turn=2, result="paused"),
        event("run_end", result="paused"),
    ]


def test_what_grows_is_done_before_the_next_thing_begins():
    conversation = Conversation()
    events = [
        *conversation.text("a"),
        *conversation.text("b"),
        *conversation.think("c"),
        *conversation.think(""),
        *conversation.call("1", "ls", "{}"),
        *conversation.text("d"),
        *conversation.answer("1", "out"),
        *conversation.thought("e"),
        *conversation.think("f"),
        *conversation.thought("fg"),
        *conversation.text("h"),
        *conversation.say("hi"),
        *conversation.say("j"),
        *conversation.close(),
    ]
    assert payloads(events) == [
        event("text_delta", text="a"),
        event("text_delta", text="b"),
        event("text_done", text="ab"),
        event("thinking_start"),
        event("thinking_delta", text="c"),
        event("thinking_done", text="c"),
        *call("1", "ls", "{}"),
        event("text_delta", text="d"),
        event("text_done", text="d"),
        answer("1", "out", "out"),
        event("thinking_start"),
        event("thinking_done", text="e"),
        event("thinking_start"),
        event("thinking_delta", text="f"),
        event("thinking_done", text="fg"),
        event("text_delta", text="h"),
        event("text_done", text="hi"),
        event("text_done", text="j"),
    ]


def test_a_call_and_its_answer_are_told_once():
    conversation = Conversation()
    events = [
        *conversation.start_call("1", "ls"),
        *conversation.grow_call("1", "{"),
        *conversation.grow_call("1", "}"),
    ]
    assert conversation.grown_arguments("1") == "{}"
    events += conversation.call("1", "other", conversation.grown_arguments("1"))
    events += [*conversation.call("1", "ls", "[]"), *conversation.start_call("1", "ls")]
    events += [*conversation.answer("1", "x"), *conversation.answer("1", "x"), *conversation.answer("2", "y")]
    start, done = call("1", "ls", "{}")
    assert payloads(events) == [
        start,
        event("tool_call_args_delta", id="1", json="{"),
        event("tool_call_args_delta", id="1", json="}"),
        done,
        answer("1", "x", "x"),
        answer("2", "y", "y"),
    ]


def test_what_is_held_is_bounded():
    conversation = Conversation()
    tracemalloc.start()
    try:
        for number in range(200):
            conversation.text("x" * 100_000)
            for piece in range(3):
                conversation.grow_call(str(number), "y" * 100_000 + str(piece))
        for number in range(5 * MAX_KNOWN_CALLS):
            conversation.call(str(number), "ls", "{}")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # 16 calls and a text of 256 KiB each, and what is known of 1,000 calls.
    assert 4 << 20 < peak < 6 << 20
    assert conversation.grown_arguments("199") == ""


def test_a_text_that_is_held_in_part_is_too_long_for_a_record_and_so_is_announced_there():
    conversation = Conversation()
    for _ in range(3):
        conversation.text("x" * 100_000)
    (done,) = payloads(conversation.close())
    assert done["data"]["text"] == "x" * MAX_HELD_CHARACTERS


_STEPS = st.one_of(
    st.sampled_from(["begin", "end", "close", "think"]),
    st.tuples(
        st.sampled_from(["text", "say", "think", "thought", "start", "grow", "call", "answer"]),
        st.text("ab", max_size=2),
    ),
)


def _step(conversation: Conversation, step: str | tuple[str, str]) -> list[Event]:
    match step:
        case "begin":
            return conversation.begin()
        case "end":
            return conversation.end()
        case ("text", text):
            return conversation.text(text)
        case ("say", text):
            return conversation.say(text)
        case ("think", text):
            return conversation.think(text)
        case ("thought", text):
            return conversation.thought(text)
        case ("start", text):
            return conversation.start_call(text, "ls")
        case ("grow", text):
            return conversation.grow_call(text, "{}")
        case ("call", text):
            return conversation.call(text, "ls", "{}")
        case ("answer", text):
            return conversation.answer(text, text)
        case "think":
            return conversation.think("")
        case _:
            return conversation.close()


@given(st.lists(_STEPS, max_size=30))
def test_texts_are_their_pieces_and_nothing_is_open_inside_of_something_else(steps: list[str | tuple[str, str]]):
    conversation = Conversation()
    events: list[Payload] = []
    for step in steps:
        events += payloads(_step(conversation, step))
    events += payloads(conversation.close())
    pieces: list[str] = []
    is_open: str | None = None
    for name, data in ((payload["event"], payload.get("data", {})) for payload in events):
        if is_open is not None and name != "tool_call_args_delta":
            assert name.startswith(is_open), (is_open, name)
        match name:
            case "thinking_start":
                is_open, pieces = "thinking", []
            case "text_delta" | "thinking_delta":
                pieces = pieces if is_open else []
                is_open = name.partition("_")[0]
                pieces.append(data["text"])
            case "text_done" | "thinking_done":
                if pieces and is_open and not any(step[0] in ("say", "thought") for step in steps):
                    assert data["text"] == "".join(pieces)
                is_open, pieces = None, []
    assert is_open is None
