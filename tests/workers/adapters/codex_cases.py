"""What ``codex`` makes of each kind of line. Shapes: openai/codex, codex-rs/exec/src/exec_events.rs."""

from __future__ import annotations

from typing import Any

from tests.workers.adapters.mapping import BEGIN, END, Case, Payload, alert, answer, call, event, kept, usage

TURN: Payload = {"type": "turn.started"}
THREAD = {"type": "thread.started", "thread_id": "0199a213-81c0-7800-8aa1-bbab2a035a53"}


def item(phase: str, kind: str, **more: Any) -> Payload:
    return {"type": f"item.{phase}", "item": {"id": "item_1", "type": kind, **more}}


def command(phase: str, **more: Any) -> Payload:
    data = {"command": "bash -lc ls", "aggregated_output": "", "exit_code": None, "status": "in_progress", **more}
    return item(phase, "command_execution", **data)


COMMAND_CALL = call("item_1", "command_execution", '{"command":"bash -lc ls"}')
LISTED = command("completed", aggregated_output="docs\nsrc\n", exit_code=0, status="completed")
CHANGES = [{"path": "a.py", "kind": "update"}, {"path": "b.py", "kind": "add"}]
PATCH_CALL = call(
    "item_1",
    "file_change",
    '{"changes":[{"path":"a.py","kind":"update"},{"path":"b.py","kind":"add"}]}',
)
MCP: Payload = {"server": "docs", "tool": "search", "arguments": {"q": "x"}, "result": None, "error": None}
MCP_CALL = call("item_1", "docs.search", '{"q":"x"}')
TODO = item("updated", "todo_list", items=[{"text": "Look", "completed": True}])
PLAN = item("completed", "plan", text="1. Look")
COLLAB: Payload = {
    "tool": "spawn_agent",
    "sender_thread_id": "t1",
    "receiver_thread_ids": ["t2"],
    "prompt": "Look",
    "agents_states": {},
}
COLLAB_CALL = call(
    "item_1", "collab.spawn_agent", '{"sender_thread_id":"t1","receiver_thread_ids":["t2"],"prompt":"Look"}'
)
FAILED = {"type": "turn.failed", "error": {"message": "stream disconnected"}}
NOVEL = {"type": "request_user_input", "id": "1", "questions": []}

CASES = [
    Case("thread.started", THREAD, [kept("codex.thread.started", THREAD)]),
    Case("turn.started", TURN, BEGIN, (THREAD,)),
    Case(
        "turn.completed",
        {"type": "turn.completed", "usage": {"input_tokens": 100, "cached_input_tokens": 80, "output_tokens": 7}},
        [usage(100, 7, 80), *END],
        (TURN,),
    ),
    Case("turn.failed", FAILED, [event("error", code="provider_error", message="stream disconnected"), *END], (TURN,)),
    Case("turn.failed", FAILED, END, (TURN, {"type": "error", "message": "stream disconnected"})),
    Case("error", {"type": "error", "message": "no"}, [event("error", code="provider_error", message="no")], (TURN,)),
    Case(
        "error, Reconnecting...",
        {"type": "error", "message": "Reconnecting... 1/5"},
        [alert("warn", "Reconnecting... 1/5")],
        (TURN,),
    ),
    Case("agent_message", item("completed", "agent_message", text="Hi"), [event("text_done", text="Hi")], (TURN,)),
    Case("agent_message", item("started", "agent_message", text=""), [], (TURN,)),
    Case(
        "reasoning",
        item("completed", "reasoning", text="**Looking**"),
        [event("thinking_start"), event("thinking_done", text="**Looking**")],
        (TURN,),
    ),
    Case("command_execution", command("started"), COMMAND_CALL, (TURN,)),
    Case("command_execution", command("updated", aggregated_output="docs"), [], (TURN, command("started"))),
    Case(
        "command_execution",
        LISTED,
        [answer("item_1", "completed, exit code 0", "docs\nsrc\n")],
        (TURN, command("started")),
    ),
    Case(
        "command_execution",
        command("completed", exit_code=2, status="failed"),
        [*COMMAND_CALL, answer("item_1", "failed, exit code 2", is_error=True)],
        (TURN,),
    ),
    Case(
        "command_execution",
        command("completed", status="declined"),
        [*COMMAND_CALL, answer("item_1", "declined", is_error=True)],
        (TURN,),
    ),
    Case(
        "file_change",
        item("completed", "file_change", changes=CHANGES, status="completed"),
        [*PATCH_CALL, answer("item_1", "completed", "update a.py\nadd b.py")],
        (TURN,),
    ),
    Case("mcp_tool_call", item("started", "mcp_tool_call", **MCP, status="in_progress"), MCP_CALL, (TURN,)),
    Case(
        "mcp_tool_call",
        item(
            "completed",
            "mcp_tool_call",
            **{**MCP, "result": {"content": [{"type": "text", "text": "found"}], "structured_content": None}},
            status="completed",
        ),
        [*MCP_CALL, answer("item_1", "found", "found")],
        (TURN,),
    ),
    Case(
        "mcp_tool_call",
        item("completed", "mcp_tool_call", **{**MCP, "error": {"message": "down"}}, status="failed"),
        [*MCP_CALL, answer("item_1", "down", "down", is_error=True)],
        (TURN,),
    ),
    Case("web_search", item("started", "web_search", query=""), [], (TURN,)),
    Case(
        "web_search",
        item("completed", "web_search", query="fsync", action={"type": "search", "query": "fsync"}),
        [
            *call("item_1", "web_search", '{"query":"fsync","action":{"type":"search","query":"fsync"}}'),
            answer("item_1", "completed"),
        ],
        (TURN,),
    ),
    Case("collab_tool_call", item("started", "collab_tool_call", **COLLAB, status="in_progress"), COLLAB_CALL, (TURN,)),
    Case(
        "collab_tool_call",
        item("completed", "collab_tool_call", **{**COLLAB, "agents_states": {"t2": "running"}}, status="completed"),
        [*COLLAB_CALL, answer("item_1", "completed", '{"t2":"running"}')],
        (TURN,),
    ),
    Case("error item", item("completed", "error", message="no network"), [alert("warn", "no network")], (TURN,)),
    Case("any other item", TODO, [kept("codex.todo_list", TODO)], (TURN,)),
    Case("any other item", PLAN, [kept("codex.plan", PLAN)], (TURN,)),
    Case("any other", NOVEL, [kept("codex.request_user_input", NOVEL)], (TURN,)),
]
