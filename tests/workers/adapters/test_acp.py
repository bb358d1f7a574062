from __future__ import annotations

import pytest

from tests.workers.adapters.acp_cases import CASES, PROMPT, chunk, response, rpc, update
from tests.workers.adapters.mapping import BEGIN, NOW, Case, event, payloads, told, user_says
from yoi_runtime.workers.adapters.acp import AcpAdapter


def adapter() -> AcpAdapter:
    return AcpAdapter(lambda: NOW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.row)
def test_a_line_becomes_what_the_table_says(case: Case):
    agent = adapter()
    told(agent, *case.before)
    assert told(agent, case.message) == case.events


@pytest.mark.parametrize("more", [{}, {"messageId": "m1"}])
def test_pieces_of_one_message_are_one_text(more: dict[str, str]):
    pieces = [chunk("agent_message_chunk", text, **more) for text in ("a", "b", "c")]
    agent = adapter()
    told(agent, PROMPT, *pieces[:1])
    assert told(agent, *pieces[1:], response("end_turn"))[:3] == [
        event("text_delta", text="b"),
        event("text_delta", text="c"),
        event("text_done", text="abc"),
    ]


def test_a_users_message_that_was_held_is_told_at_the_end():
    agent = adapter()
    told(agent, chunk("user_message_chunk", "Fi"), chunk("user_message_chunk", "x"))
    assert payloads(agent.stdout_end()) == [BEGIN[0], user_says("Fix"), BEGIN[1]]
    assert agent.stdout_end() == []


def test_two_messages_of_the_user_are_two():
    agent = adapter()
    first, second = (chunk("user_message_chunk", text, messageId=text) for text in ("a", "b"))
    assert told(agent, first, second) == [BEGIN[0], user_says("a"), BEGIN[1]]
    assert payloads(agent.stdout_end()) == [user_says("b")]


def test_what_is_remembered_of_calls_and_requests_is_bounded():
    agent = adapter()
    for number in range(1000):
        agent.translate(update("tool_call", toolCallId=str(number), title="x", rawInput={}))
        agent.translate(rpc(id=number, method="fs/read_text_file", params={}))
    assert len(agent._calls) <= 200
    assert len(agent._requests) <= 101
    for number in range(1000):
        agent.translate(update("tool_call_update", toolCallId=str(number), status="completed"))
    assert len(agent._calls) == 0


def test_a_long_message_of_the_user_is_held_in_part():
    agent = adapter()
    for _ in range(4):
        told(agent, chunk("user_message_chunk", "x" * 100_000))
    (message,) = (item for item in payloads(agent.stdout_end()) if item["event"] == "user_message")
    assert len(message["data"]["segments"][0]["content"]) == 262_144


def test_an_update_after_an_answered_prompt_begins_no_run_and_of_an_agent_alone_it_does():
    agent = adapter()
    told(agent, PROMPT, response("cancelled"))
    assert told(agent, chunk("agent_message_chunk", "late")) == [event("text_delta", text="late")]
    alone = adapter()
    assert told(alone, chunk("agent_message_chunk", "a")) == [*BEGIN, event("text_delta", text="a")]
    names = [item["event"] for item in told(alone, response("end_turn"), chunk("agent_message_chunk", "b"))]
    assert names == ["text_done", "turn_end", "run_end", "status", "invoke_start", "turn_start", "text_delta"]
