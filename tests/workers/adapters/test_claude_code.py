from __future__ import annotations

import pytest

from tests.workers.adapters.claude_code_cases import (
    BASH,
    CASES,
    INIT,
    SAID,
    START,
    assistant,
    block_start,
    delta,
    result,
    stream,
    text,
    user,
)
from tests.workers.adapters.mapping import NOW, Case, event, told
from yoi_runtime.workers.adapters.claude_code import ClaudeCodeAdapter


def adapter() -> ClaudeCodeAdapter:
    return ClaudeCodeAdapter(lambda: NOW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_a_line_becomes_what_the_table_says(case: Case):
    claude = adapter()
    told(claude, *case.before)
    assert told(claude, case.message) == case.events


def texts(*messages: object) -> list[str]:
    return [payload["data"]["text"] for payload in told(adapter(), *messages) if payload["event"] == "text_done"]


PIECES = (delta(type="text_delta", text="Do"), delta(type="text_delta", text="ne."))
STOP = stream("content_block_stop", index=0)


@pytest.mark.parametrize(
    "messages",
    [
        (INIT, SAID),
        (INIT, START, *PIECES, SAID, STOP),
        (INIT, START, *PIECES, STOP, SAID),
        # The beginning was lost, so nobody knows whose the pieces are.
        (*PIECES, STOP, SAID),
        (*PIECES, SAID, STOP),
        # A piece was lost: the whole says it.
        (INIT, START, PIECES[0], SAID, STOP),
        (INIT, START, block_start(type="text", text="Do"), PIECES[1], STOP, SAID, stream("message_stop")),
    ],
)
def test_a_text_is_said_once_however_it_comes(messages: tuple[object, ...]):
    assert texts(*messages) == ["Done."]


def test_each_block_of_a_message_is_claimed_once():
    more = assistant(text("More."))
    assert texts(INIT, START, *PIECES, STOP, SAID, more) == ["Done.", "More."]
    assert texts(INIT, START, *PIECES, STOP, SAID, SAID) == ["Done.", "Done."]
    # What another message said in pieces does not silence this one.
    assert texts(INIT, START, *PIECES, STOP, SAID, assistant(text("Done."), id="msg_2")) == ["Done.", "Done."]


def test_messages_whose_pieces_never_came_whole_are_forgotten():
    claude = adapter()
    starts = [stream("message_start", message={"id": f"msg_{number}"}) for number in range(100)]
    told(claude, *(message for start in starts for message in (start, *PIECES)))
    assert len(claude._streamed) <= 8


def test_arguments_that_came_in_pieces_are_the_same_to_the_letter():
    spaced = '{"command": "ls -l"}'
    begun = [INIT, START, block_start(**{**BASH, "input": {}}), delta(type="input_json_delta", partial_json=spaced)]
    for messages in ([*begun, assistant(BASH), STOP], [*begun, STOP, assistant(BASH)]):
        dones = [item for item in told(adapter(), *messages) if item["event"] == "tool_call_done"]
        assert dones == [event("tool_call_done", id="toolu_1", name="Bash", arguments=spaced)]
    # A piece was lost: the whole has it.
    lost = [*begun[:3], delta(type="input_json_delta", partial_json='{"comm'), assistant(BASH), STOP]
    assert event("tool_call_done", id="toolu_1", name="Bash", arguments='{"command":"ls -l"}') in told(adapter(), *lost)


def test_what_a_sub_agent_does_interrupts_no_text():
    sub_agent = [
        assistant(text("I look."), BASH, parent="toolu_9"),
        user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}], parent="toolu_9"),
    ]
    assert texts(INIT, START, PIECES[0], *sub_agent, PIECES[1], SAID, STOP) == ["Done."]


def test_each_prompt_of_a_session_is_a_run():
    names = [item["event"] for item in told(adapter(), INIT, SAID, result(), user("And?"), INIT, SAID, result())]
    assert [name for name in names if name in ("invoke_start", "turn_start", "turn_end", "run_end")] == [
        "invoke_start",
        "turn_start",
        "turn_end",
        "run_end",
    ] * 2


def test_the_cost_is_told_once():
    cost = {"input_tokens": 5, "output_tokens": 40}
    streamed = [INIT, START, SAID, stream("message_delta", delta={}, usage=cost), stream("message_stop")]
    whole = [INIT, SAID, result(usage=cost)]
    for messages in (whole, [*streamed, result(usage=cost)], whole[:1] + whole[1:] * 2, whole * 2):
        usages = [item for item in told(adapter(), *messages) if item["event"] == "usage"]
        assert usages == [event("usage", **cost)] * messages.count(whole[-1])
