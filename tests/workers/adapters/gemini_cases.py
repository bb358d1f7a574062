"""What ``gemini`` makes of each kind of line. Shapes: google-gemini/gemini-cli, packages/core/src/output/types.ts,
packages/cli/src/nonInteractiveCli.ts, docs/cli/headless.md."""

from __future__ import annotations

from typing import Any

from tests.workers.adapters.mapping import (
    BEGIN,
    END,
    LIMIT,
    Case,
    Payload,
    alert,
    answer,
    call,
    event,
    kept,
    usage,
    user_says,
)


def line_of(kind: str, **more: Any) -> Payload:
    return {"type": kind, "timestamp": "2025-10-10T12:00:00.000Z", **more}


INIT = line_of("init", session_id="s", model="gemini-x")
PROMPT = line_of("message", role="user", content="Fix it")
READ = line_of("tool_use", tool_name="read_file", tool_id="read-1", parameters={"path": "a.py"})
READ_CALL = call("read-1", "read_file", '{"path":"a.py"}')
TEXT_DONE = event("text_done", text="Let me")
STATS = {"total_tokens": 120, "input_tokens": 100, "output_tokens": 20, "cached": 60, "input": 40, "tool_calls": 1}
DONE = line_of("result", status="success", stats=STATS)
FAILED = line_of("result", status="error", error={"type": "FatalAuthenticationError", "message": "no key"})
BARE_FAILED = line_of("result", status="error")
LIMITED = line_of("result", status="error", error={"type": "FatalTurnLimitedError", "message": "limit"})
ODD = line_of("message", role="tool", content="x")
NOVEL = line_of("novel")


def piece(text: str) -> Payload:
    return line_of("message", role="assistant", content=text, delta=True)


CASES = [
    Case("init", INIT, [kept("gemini.init", INIT)]),
    Case("message, user", PROMPT, [BEGIN[0], user_says("Fix it"), BEGIN[1]], (INIT,)),
    Case("message, assistant, delta", piece("Let "), [event("text_delta", text="Let ")], (INIT, PROMPT)),
    Case(
        "message, assistant",
        line_of("message", role="assistant", content="Hi"),
        [event("text_done", text="Hi")],
        (INIT, PROMPT),
    ),
    Case("message, any other", ODD, [kept("gemini.message", ODD)], (INIT,)),
    Case("tool_use", READ, READ_CALL, (PROMPT,)),
    Case(
        "tool_result",
        line_of("tool_result", tool_id="read-1", status="success", output="1\n2"),
        [
            answer("read-1", "1 (2 lines)", "1\n2"),
        ],
        (PROMPT, READ),
    ),
    Case(
        "tool_result",
        line_of("tool_result", tool_id="read-1", status="error", error={"type": "E", "message": "no such file"}),
        [answer("read-1", "no such file", "no such file", is_error=True)],
        (PROMPT, READ),
    ),
    Case(
        "error, warning",
        line_of("error", severity="warning", message="Loop detected, stopping execution"),
        [alert("warn", "Loop detected, stopping execution")],
        (PROMPT,),
    ),
    Case(
        "error, error",
        line_of("error", severity="error", message="empty response"),
        [event("error", code="provider_error", message="empty response")],
        (PROMPT,),
    ),
    Case(
        "error, the turn limit",
        line_of("error", severity="error", message="Maximum session turns exceeded"),
        [alert("warn", "Maximum session turns exceeded")],
        (PROMPT,),
    ),
    Case("result, success", DONE, [usage(100, 20, 60), kept("gemini.result", DONE), *END], (PROMPT,)),
    Case(
        "result, error",
        FAILED,
        [event("error", code="provider_error", message="no key"), kept("gemini.result", FAILED), *END],
        (PROMPT,),
    ),
    # Said already by the error before it.
    Case(
        "result, error",
        BARE_FAILED,
        [kept("gemini.result", BARE_FAILED), *END],
        (PROMPT, line_of("error", severity="error", message="empty response")),
    ),
    Case("result, the turn limit", LIMITED, [kept("gemini.result", LIMITED), *LIMIT], (PROMPT,)),
    Case(
        "result, the turn limit",
        BARE_FAILED,
        [kept("gemini.result", BARE_FAILED), *LIMIT],
        (PROMPT, line_of("error", severity="error", message="Maximum session turns exceeded")),
    ),
    Case("any other", NOVEL, [kept("gemini.novel", NOVEL)], (PROMPT,)),
    # Whatever comes after the pieces of a text ends it.
    Case("the end of a text", READ, [TEXT_DONE, *READ_CALL], (PROMPT, piece("Let "), piece("me"))),
    Case("the end of a text", NOVEL, [TEXT_DONE, kept("gemini.novel", NOVEL)], (PROMPT, piece("Let "), piece("me"))),
]
