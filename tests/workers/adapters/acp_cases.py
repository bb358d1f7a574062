"""What ``acp`` makes of each kind of line. Shapes: agentclientprotocol/agent-client-protocol, docs/protocol/v1
(prompt-turn, tool-calls, content) and schema/v1/schema.json."""

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


def rpc(**more: Any) -> Payload:
    return {"jsonrpc": "2.0", **more}


def update(kind: str, /, **more: Any) -> Payload:
    return rpc(method="session/update", params={"sessionId": "s", "update": {"sessionUpdate": kind, **more}})


def chunk(kind: str, text: str, **more: Any) -> Payload:
    return update(kind, content={"type": "text", "text": text}, **more)


def content(text: str) -> Payload:
    return {"type": "content", "content": {"type": "text", "text": text}}


def response(reason: str, **more: Any) -> Payload:
    return rpc(id=2, result={"stopReason": reason, **more})


IMAGE = {"type": "image", "mimeType": "image/png", "data": "aGk="}
LINK = {"type": "resource_link", "uri": "file:///home/dev/a.py", "name": "a.py"}
PROMPT = rpc(
    id=2,
    method="session/prompt",
    params={"sessionId": "s", "prompt": [{"type": "text", "text": "Fix"}, LINK, IMAGE]},
)
INITIALIZED = rpc(id=0, result={"protocolVersion": 1, "agentCapabilities": {}})
PERMISSION = rpc(id=5, method="session/request_permission", params={"sessionId": "s", "options": []})
PLAN = update("plan", entries=[{"content": "Look", "priority": "high", "status": "pending"}])
WINDOW = update("usage_update", used=53_000, size=200_000, cost={"amount": 0.04, "currency": "USD"})
PICTURE = update("agent_message_chunk", content=IMAGE)
DIFF = {"type": "diff", "path": "/home/dev/a.py", "oldText": "a", "newText": "b"}
RUNNING, IDLE = event("status", status="running"), event("status", status="idle")
PENDING = update("tool_call", toolCallId="c1", name="edit", title="Edit a.py", kind="edit", status="pending")
EDIT_START, EDIT_DONE = call("c1", "edit", '{"path":"a.py"}')
FAILURE = {"code": -32000, "message": "Authentication required", "data": {"hint": "log in"}}
READ_FILE = rpc(id=2, method="fs/read_text_file", params={"sessionId": "s", "path": "/home/dev/a.py"})
NO_FILE = rpc(id=2, error={"code": -32002, "message": "Resource not found"})
SEEN = (PROMPT,)

CASES = [
    Case(
        "session/prompt",
        PROMPT,
        [
            RUNNING,
            BEGIN[0],
            event(
                "user_message",
                segments=[{"kind": "text", "content": "Fix"}, {"kind": "file_ref", "path": "file:///home/dev/a.py"}],
            ),
            BEGIN[1],
            kept("acp.prompt.image", IMAGE),
        ],
    ),
    Case("user_message_chunk", chunk("user_message_chunk", "Fi"), []),
    Case(
        "user_message_chunk",
        chunk("agent_message_chunk", "Hi"),
        [BEGIN[0], user_says("Fix"), BEGIN[1], event("text_delta", text="Hi")],
        (chunk("user_message_chunk", "Fi"), chunk("user_message_chunk", "x")),
    ),
    Case("agent_message_chunk", chunk("agent_message_chunk", "Hi"), [event("text_delta", text="Hi")], SEEN),
    # A new message ends the one before; so does everything else.
    Case(
        "agent_message_chunk",
        chunk("agent_message_chunk", "B", messageId="m2"),
        [event("text_done", text="A"), event("text_delta", text="B")],
        (*SEEN, chunk("agent_message_chunk", "A", messageId="m1")),
    ),
    Case(
        "agent_thought_chunk",
        chunk("agent_thought_chunk", "Hm"),
        [event("thinking_start"), event("thinking_delta", text="Hm")],
        SEEN,
    ),
    Case(
        "agent_thought_chunk",
        chunk("agent_message_chunk", "Hi"),
        [event("thinking_done", text="Hm"), event("text_delta", text="Hi")],
        (*SEEN, chunk("agent_thought_chunk", "Hm")),
    ),
    Case("tool_call", PENDING, [EDIT_START], SEEN),
    Case(
        "tool_call",
        update("tool_call", toolCallId="c1", name="edit", title="Edit a.py", rawInput={"path": "a.py"}),
        [EDIT_START, EDIT_DONE],
        SEEN,
    ),
    Case(
        "tool_call_update",
        update("tool_call_update", toolCallId="c1", rawInput={"path": "a.py"}),
        [EDIT_DONE],
        (*SEEN, PENDING),
    ),
    Case(
        "tool_call_update, completed or failed",
        update("tool_call_update", toolCallId="c1", status="completed", content=[content("ok"), DIFF]),
        [answer("c1", "ok", "ok"), kept("acp.tool_call.diff", {"toolCallId": "c1", "part": DIFF})],
        (*SEEN, PENDING, update("tool_call_update", toolCallId="c1", rawInput={"path": "a.py"})),
    ),
    Case(
        "tool_call_update, completed or failed",
        update("tool_call_update", toolCallId="c1", status="completed", content=[DIFF]),
        [
            event("tool_call_done", id="c1", name="edit", arguments="{}"),
            answer("c1", "diff /home/dev/a.py"),
            kept("acp.tool_call.diff", {"toolCallId": "c1", "part": DIFF}),
        ],
        (*SEEN, PENDING),
    ),
    Case(
        "tool_call_update, completed or failed",
        update("tool_call_update", toolCallId="c2", title="Run", status="failed", rawOutput={"error": "denied"}),
        [
            *call("c2", "Run", "{}"),
            answer("c2", '{"error":"denied"}', '{"error":"denied"}', is_error=True),
        ],
        SEEN,
    ),
    Case("any other update", PLAN, [kept("acp.plan", PLAN["params"])], SEEN),
    Case("any other update", WINDOW, [kept("acp.usage_update", WINDOW["params"])], SEEN),
    Case("any other update", PICTURE, [kept("acp.agent_message_chunk", PICTURE["params"])], SEEN),
    Case(
        "response, end_turn",
        response("end_turn", usage={"inputTokens": 10, "cachedReadTokens": 90, "outputTokens": 4}),
        [event("text_done", text="Hi"), usage(100, 4, 90), *END, IDLE],
        (*SEEN, chunk("agent_message_chunk", "Hi")),
    ),
    Case("response, max_tokens or max_turn_requests", response("max_tokens"), [*LIMIT, IDLE], SEEN),
    Case("response, max_tokens or max_turn_requests", response("max_turn_requests"), [*LIMIT, IDLE], SEEN),
    Case("response, refusal", response("refusal"), [alert("warn", "the agent refused to go on"), *END, IDLE], SEEN),
    Case(
        "response, cancelled",
        response("cancelled"),
        [event("turn_end", turn=1, result="paused"), event("run_end", result="paused"), IDLE],
        SEEN,
    ),
    Case(
        "error",
        rpc(id=2, error=FAILURE),
        [
            event("error", code="provider_error", message="Authentication required"),
            kept("acp.error", rpc(id=2, error=FAILURE)),
            *END,
            IDLE,
        ],
        SEEN,
    ),
    # Not of the prompt: the run goes on.
    Case(
        "error",
        rpc(id=7, error={"code": -32601, "message": "Method not found"}),
        [event("error", code="provider_error", message="Method not found")],
        SEEN,
    ),
    Case("error, of fs or terminal", NO_FILE, [kept("acp.error", NO_FILE)], (*SEEN, READ_FILE)),
    Case("any other", INITIALIZED, [kept("acp.response", INITIALIZED)]),
    Case("any other", PERMISSION, [kept("acp.session/request_permission", PERMISSION)], SEEN),
]
