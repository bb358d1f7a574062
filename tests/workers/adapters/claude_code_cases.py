"""What ``claude-code`` makes of each kind of line. Shapes: anthropics/claude-agent-sdk-python, types.py and
_internal/message_parser.py; the Claude Code documentation, "Agent SDK reference - TypeScript", "Stream responses"."""

from __future__ import annotations

from typing import Any

from tests.workers.adapters.mapping import (
    BEGIN,
    END,
    LIMIT,
    Case,
    Payload,
    answer,
    call,
    event,
    kept,
    usage,
    user_says,
)

SESSION = {"session_id": "0b9c", "uuid": "3f2c1c1e-7d5a-4a6e-9a53-0d9b4f0c1a11"}


def system(subtype: str, **more: Any) -> Payload:
    return {"type": "system", "subtype": subtype, **more, **SESSION}


def assistant(*blocks: Payload, id: str = "msg_1", parent: str | None = None, **more: Any) -> Payload:  # noqa: A002
    message = {"id": id, "type": "message", "role": "assistant", "content": list(blocks), **more.pop("message", {})}
    return {"type": "assistant", "message": message, "parent_tool_use_id": parent, **more, **SESSION}


def user(content: Any, parent: str | None = None, **more: Any) -> Payload:
    message = {"role": "user", "content": content}
    return {"type": "user", "message": message, "parent_tool_use_id": parent, **more, **SESSION}


def stream(event_type: str, **more: Any) -> Payload:
    return {"type": "stream_event", "event": {"type": event_type, **more}, "parent_tool_use_id": None, **SESSION}


def block_start(**block: Any) -> Payload:
    return stream("content_block_start", index=0, content_block=block)


def delta(**more: Any) -> Payload:
    return stream("content_block_delta", index=0, delta=more)


def text(said: str) -> Payload:
    return {"type": "text", "text": said}


def result(subtype: str = "success", **more: Any) -> Payload:
    return {"type": "result", "subtype": subtype, "is_error": subtype != "success", "num_turns": 1, **more, **SESSION}


def without(message: Payload, name: str) -> Payload:
    return {key: value for key, value in message.items() if key != name}


INIT = system("init", model="claude-x", cwd="/home/dev", tools=["Bash"], permissionMode="default", apiKeySource="none")
START = stream(
    "message_start", message={"id": "msg_1", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}
)
BASH = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls -l"}}
BASH_CALL = call("toolu_1", "Bash", '{"command":"ls -l"}')
SAID = assistant(text("Done."))
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
STATUS = system("status", status=None)
HOOK = system("hook_started", hook_event="SessionStart", hook_name="SessionStart:startup")
BOUNDARY = system("compact_boundary", compact_metadata={"trigger": "auto", "pre_tokens": 150_000})
RATE = {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}, **SESSION}
RESULT_USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 200,
    "cache_read_input_tokens": 3000,
    "output_tokens": 40,
}
PARENT = {"parent_tool_use_id": "toolu_9"}
RETRY = system("api_retry", attempt=2, max_retries=10, retry_delay_ms=1050, error_status=529, error="server_error")
FAILED = result("success", result="API Error: 500")
FAILED["is_error"] = True
DONE = result(result="Done.", usage=RESULT_USAGE)
ODD_RETRY = system("api_retry", attempt="x")

CASES = [
    Case("system.init", INIT, [kept("claude-code.system.init", INIT), *BEGIN]),
    Case(
        "system.api_retry",
        RETRY,
        [
            event(
                "llm_retry",
                llm_call=1,
                failed_attempt=2,
                max_attempts=10,
                wait_ms=1050,
                elapsed_ms=500,
                status=529,
                error="server_error",
            )
        ],
        (system("api_retry", attempt=1, max_retries=10, retry_delay_ms=500, error_status=None, error="unknown"),),
    ),
    Case(
        "system.thinking_tokens", system("thinking_tokens", estimated_tokens=50, estimated_tokens_delta=50), [], (INIT,)
    ),
    Case("system.status, requesting", system("status", status="requesting"), [], (INIT,)),
    Case("system.status, compacting", system("status", status="compacting"), [event("compact_start")]),
    Case(
        "system.compact_boundary",
        BOUNDARY,
        [
            event("compact_done", new_segment_id="3f2c1c1e-7d5a-4a6e-9a53-0d9b4f0c1a11"),
            kept("claude-code.system.compact_boundary", BOUNDARY),
        ],
    ),
    Case("system, any other", STATUS, [kept("claude-code.system.status", STATUS)]),
    Case("system, any other", HOOK, [kept("claude-code.system.hook_started", HOOK)]),
    Case("system, any other", ODD_RETRY, [kept("claude-code.system.api_retry", ODD_RETRY)]),
    Case("user, a text", user("Fix the tests"), [BEGIN[0], user_says("Fix the tests"), BEGIN[1]]),
    Case("user, a text", user([text("And now?")]), [user_says("And now?")], (INIT,)),
    Case(
        "user, tool_result",
        user(
            [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a\nb\nc"}], tool_use_result={"stdout": "a"}
        ),
        [answer("toolu_1", "a (3 lines)", "a\nb\nc")],
        (INIT, assistant(BASH)),
    ),
    Case(
        "user, tool_result",
        user([{"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": [text("no such file"), IMAGE]}]),
        [
            answer("t", "no such file", "no such file", is_error=True),
            kept("claude-code.tool_result.image", {"tool_use_id": "t", "part": IMAGE}),
        ],
    ),
    Case(
        "user, tool_result",
        user([{"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]}]),
        [answer("t", "image"), kept("claude-code.tool_result.image", {"tool_use_id": "t", "part": IMAGE})],
    ),
    Case(
        "user, any other",
        user([text("Continue.")], isSynthetic=True),
        [kept("claude-code.user.text", text("Continue."))],
    ),
    Case("user, any other", user([IMAGE]), [kept("claude-code.user.image", IMAGE)]),
    Case("assistant, text", SAID, [event("text_done", text="Done.")], (INIT,)),
    Case("assistant, text", assistant(text("")), [], (INIT,)),
    # Told in pieces before: not again, also when the block is not closed yet.
    Case(
        "assistant, text", SAID, [event("text_done", text="Done.")], (INIT, START, delta(type="text_delta", text="Do"))
    ),
    Case(
        "assistant, text",
        SAID,
        [],
        (INIT, START, delta(type="text_delta", text="Done."), stream("content_block_stop", index=0)),
    ),
    Case(
        "assistant, thinking",
        assistant({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}),
        [event("thinking_start"), event("thinking_done", text="Hm.")],
        (INIT,),
    ),
    Case(
        "assistant, redacted_thinking",
        assistant({"type": "redacted_thinking", "data": "eA=="}),
        [event("thinking_start"), event("thinking_done", text="")],
        (INIT,),
    ),
    Case("assistant, tool_use", assistant(BASH), BASH_CALL, (INIT,)),
    Case("assistant, tool_use", assistant({**BASH, "type": "server_tool_use"}), BASH_CALL, (INIT,)),
    Case(
        "assistant, tool_result",
        assistant({"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": {"error_code": "unavailable"}}),
        [answer("srv_1", '{"error_code":"unavailable"}', '{"error_code":"unavailable"}')],
        (INIT,),
    ),
    Case(
        "assistant, any other",
        assistant({"type": "container_upload", "file_id": "f"}),
        [kept("claude-code.assistant.container_upload", {"type": "container_upload", "file_id": "f"})],
        (INIT,),
    ),
    Case(
        "assistant, error",
        assistant(text("Invalid API key"), error="authentication_failed"),
        [
            event("text_done", text="Invalid API key"),
            event("error", code="provider_error", message="authentication_failed: Invalid API key"),
        ],
        (INIT,),
    ),
    Case(
        "sub-agent, tool_use",
        assistant(BASH, parent="toolu_9"),
        call("toolu_1", "Bash", '{"command":"ls -l"}', parent_tool_use_id="toolu_9"),
        (INIT,),
    ),
    Case(
        "sub-agent, tool_result",
        user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}], parent="toolu_9"),
        [answer("toolu_1", "ok", "ok", parent_tool_use_id="toolu_9")],
        (INIT,),
    ),
    Case(
        "sub-agent, any other",
        assistant(text("I look."), parent="toolu_9"),
        [kept("claude-code.subagent", {**PARENT, "block": text("I look.")})],
        (INIT,),
    ),
    Case(
        "sub-agent, any other",
        user("Look at the tests", parent="toolu_9"),
        [kept("claude-code.subagent", {**PARENT, "block": text("Look at the tests")})],
        (INIT,),
    ),
    Case("sub-agent, stream_event", {**delta(type="text_delta", text="I"), **PARENT}, [], (INIT,)),
    Case("message_start", START, [event("llm_call_start", llm_call=1)], (INIT,)),
    Case("message_start", START, [*BEGIN, event("llm_call_start", llm_call=1)]),
    Case("content_block_start, text", block_start(type="text", text=""), [], (INIT, START)),
    Case(
        "content_block_start, text", block_start(type="text", text="A"), [event("text_delta", text="A")], (INIT, START)
    ),
    Case(
        "content_block_start, thinking",
        block_start(type="thinking", thinking="", signature=""),
        [event("thinking_start")],
        (INIT, START),
    ),
    Case(
        "content_block_start, thinking",
        block_start(type="redacted_thinking", data="eA=="),
        [event("thinking_start")],
        (INIT, START),
    ),
    Case("content_block_start, tool_use", block_start(**{**BASH, "input": {}}), BASH_CALL[:1], (INIT, START)),
    Case("content_block_start, any other", block_start(type="web_search_tool_result", tool_use_id="x"), [], (INIT,)),
    Case("text_delta", delta(type="text_delta", text="Do"), [event("text_delta", text="Do")], (INIT, START)),
    Case(
        "thinking_delta",
        delta(type="thinking_delta", thinking="Hm"),
        [event("thinking_delta", text="Hm")],
        (INIT, START, block_start(type="thinking", thinking="")),
    ),
    Case(
        "input_json_delta",
        delta(type="input_json_delta", partial_json='{"comm'),
        [event("tool_call_args_delta", id="toolu_1", json='{"comm')],
        (INIT, START, block_start(**{**BASH, "input": {}})),
    ),
    Case("signature_delta", delta(type="signature_delta", signature="c2ln"), [], (INIT, START)),
    Case(
        "any other delta",
        delta(type="citations_delta", citation={"cited_text": "x"}),
        [
            kept(
                "claude-code.stream_event.citations_delta", {"type": "citations_delta", "citation": {"cited_text": "x"}}
            )
        ],
        (INIT, START),
    ),
    Case(
        "content_block_stop, text",
        stream("content_block_stop", index=0),
        [event("text_done", text="Done.")],
        (INIT, START, delta(type="text_delta", text="Do"), delta(type="text_delta", text="ne.")),
    ),
    Case(
        "content_block_stop, thinking",
        stream("content_block_stop", index=0),
        [event("thinking_done", text="Hm.")],
        (INIT, START, block_start(type="thinking", thinking=""), delta(type="thinking_delta", thinking="Hm.")),
    ),
    Case(
        "content_block_stop, tool_use",
        stream("content_block_stop", index=0),
        [event("tool_call_done", id="toolu_1", name="Bash", arguments='{"command": "ls"}')],
        (
            INIT,
            START,
            block_start(**{**BASH, "input": {}}),
            delta(type="input_json_delta", partial_json='{"command"'),
            delta(type="input_json_delta", partial_json=': "ls"}'),
        ),
    ),
    Case(
        "content_block_stop, tool_use",
        stream("content_block_stop", index=0),
        [event("tool_call_done", id="toolu_1", name="Bash", arguments="{}")],
        (INIT, START, block_start(**{**BASH, "input": {}})),
    ),
    Case(
        "message_delta",
        stream("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 40}),
        [usage(3, 40)],
        (INIT, START),
    ),
    Case("message_stop", stream("message_stop"), [event("llm_call_end", llm_call=1)], (INIT, START)),
    Case("ping", stream("ping"), [], (INIT,)),
    Case(
        "error",
        stream("error", error={"type": "overloaded_error", "message": "Overloaded"}),
        [event("text_done", text="Do"), event("error", code="provider_error", message="Overloaded")],
        (INIT, START, delta(type="text_delta", text="Do")),
    ),
    Case(
        "any other stream_event",
        stream("novel", x=1),
        [kept("claude-code.stream_event.novel", {"type": "novel", "x": 1})],
        (INIT,),
    ),
    Case(
        "result, success",
        DONE,
        [usage(3210, 40, 3000), kept("claude-code.result", without(DONE, "result")), *END],
        (INIT, SAID),
    ),
    # Nothing was said before: the result says it.
    Case(
        "result, success",
        result(result="/compact is done"),
        [
            event("text_done", text="/compact is done"),
            kept("claude-code.result", result()),
            *END,
        ],
        (INIT,),
    ),
    # The cost was told request by request.
    Case(
        "result, success",
        DONE,
        [kept("claude-code.result", without(DONE, "result")), *END],
        (INIT, START, SAID, stream("message_delta", delta={}, usage={"output_tokens": 40})),
    ),
    Case(
        "result, a limit",
        result("error_max_turns"),
        [kept("claude-code.result", result("error_max_turns")), *LIMIT],
        (INIT,),
    ),
    Case(
        "result, an error",
        result("error_during_execution", errors=["it", "broke"]),
        [
            event("error", code="provider_error", message="it\nbroke"),
            kept("claude-code.result", result("error_during_execution", errors=["it", "broke"])),
            *END,
        ],
        (INIT,),
    ),
    Case(
        "result, an error",
        FAILED,
        [
            event("error", code="provider_error", message="API Error: 500"),
            kept("claude-code.result", without(FAILED, "result")),
            *END,
        ],
        (INIT,),
    ),
    Case(
        "result, an error",
        FAILED,
        [kept("claude-code.result", without(FAILED, "result")), *END],
        (INIT, assistant(text("API Error: 500"), error="server_error")),
    ),
    Case("any other", RATE, [kept("claude-code.rate_limit_event", RATE)], (INIT,)),
    Case("any other", {"session_id": "x"}, [kept("claude-code.unknown", {"session_id": "x"})]),
]
