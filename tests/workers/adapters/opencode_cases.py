"""What ``opencode`` makes of each kind of line. Shapes: anomalyco/opencode, packages/opencode/src/cli/cmd/run.ts."""

from __future__ import annotations

from typing import Any

from tests.workers.adapters.mapping import BEGIN, END, LIMIT, Case, Payload, answer, call, event, kept, usage


def line_of(kind: str, **more: Any) -> Payload:
    return {"type": kind, "timestamp": 1_760_000_000_000, "sessionID": "ses_1", **more}


def part(kind: str, part_type: str, **more: Any) -> Payload:
    return line_of(kind, part={"id": "prt_1", "messageID": "msg_1", "sessionID": "ses_1", "type": part_type, **more})


def finish(reason: str, **tokens: Any) -> Payload:
    return part("step_finish", "step-finish", reason=reason, cost=0.01, tokens=tokens)


def tool(status: str, **state: Any) -> Payload:
    return part("tool_use", "tool", callID="call_1", tool="bash", state={"status": status, **state})


STEP = part("step_start", "step-start", snapshot="abc")
TOKENS = {"total": 5420, "input": 30, "output": 10, "reasoning": 5, "cache": {"read": 5000, "write": 375}}
CALL_END = event("llm_call_end", llm_call=1)
BASH_CALL = call("call_1", "bash", '{"command":"ls"}')
DONE = line_of("done", reason="idle", rejected=["edit"])
NOVEL = line_of("novel", x=1)

CASES = [
    Case("step_start", STEP, [*BEGIN, event("llm_call_start", llm_call=1)]),
    Case("step_start", STEP, [event("llm_call_start", llm_call=2)], (STEP, finish("tool-calls"))),
    Case(
        "text", part("text", "text", text="Hi", time={"start": 1, "end": 2}), [event("text_done", text="Hi")], (STEP,)
    ),
    Case(
        "reasoning",
        part("reasoning", "reasoning", text="Hm", time={"start": 1, "end": 2}),
        [event("thinking_start"), event("thinking_done", text="Hm")],
        (STEP,),
    ),
    Case(
        "tool_use, completed",
        tool("completed", input={"command": "ls"}, output="a\nb\n", title="List files", metadata={"exit": 0}),
        [*BASH_CALL, answer("call_1", "List files", "a\nb\n")],
        (STEP,),
    ),
    Case(
        "tool_use, error",
        tool("error", input={"command": "ls"}, error="not allowed"),
        [*BASH_CALL, answer("call_1", "not allowed", "not allowed", is_error=True)],
        (STEP,),
    ),
    Case("step_finish, tool-calls", finish("tool-calls", **TOKENS), [usage(5405, 15, 5000), CALL_END], (STEP,)),
    Case("step_finish, length", finish("length"), [CALL_END, *LIMIT], (STEP,)),
    Case("step_finish, any other reason", finish("stop", **TOKENS), [usage(5405, 15, 5000), CALL_END, *END], (STEP,)),
    Case(
        "error",
        line_of("error", error={"name": "APIError", "data": {"message": "overloaded", "statusCode": 529}}),
        [event("error", code="provider_error", message="overloaded")],
        (STEP,),
    ),
    Case(
        "error",
        line_of("error", error={"name": "UnknownError", "data": {}}),
        [event("error", code="provider_error", message="UnknownError")],
        (STEP,),
    ),
    Case("done", DONE, [kept("opencode.done", DONE), *END], (STEP,)),
    Case("any other", NOVEL, [kept("opencode.novel", NOVEL)], (STEP,)),
]
