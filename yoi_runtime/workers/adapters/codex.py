"""``codex``: OpenAI Codex's ``codex exec --json``: a thread, its turns, and items that start, change and complete.

An item is told when it completes, but for a tool's call, which is told when it starts. Items bear ids that count from
0 in each run. Mapping: docs/adapters.md, "OpenAI Codex".
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

from yoi_runtime.events.event import Event
from yoi_runtime.workers.adapters.adapter import NowMs
from yoi_runtime.workers.adapters.agent_adapter import AgentAdapter
from yoi_runtime.workers.adapters.json_message import Message, count, json_text, object_in, objects, string

__all__ = ["CodexAdapter"]

_ITEM_EVENTS: Final = ("item.started", "item.updated", "item.completed")
_FAILED: Final = ("failed", "declined", "errored")
# What an error's text begins with when Codex tries again by itself.
_RECONNECTING: Final = re.compile(r"Reconnecting\.\.\.")


class CodexAdapter(AgentAdapter):
    """One run of ``codex exec``."""

    name: ClassVar[str] = "codex"

    def __init__(self, now_ms: NowMs) -> None:
        super().__init__(now_ms)
        self._last_error = ""

    @classmethod
    def recognises(cls, message: Message) -> bool:
        match message:
            case {"type": "thread.started", "thread_id": str()}:
                return True
            case {"type": "turn.started"} if len(message) == 1:
                return True
            case {"type": "item.started" | "item.updated" | "item.completed", "item": {"id": str(), "type": str()}}:
                return True
            case _:
                return False

    def translate(self, message: Message) -> list[Event]:
        kind = string(message, "type")
        match kind:
            case "turn.started":
                self._last_error = ""
                return self.conversation.begin()
            case "turn.completed":
                usage = object_in(message, "usage")
                counts = (count(usage, name) for name in ("input_tokens", "output_tokens", "cached_input_tokens"))
                return [*self.usage(*counts), *self.conversation.end()]
            case "turn.failed":
                return [*self._error(string(object_in(message, "error"), "message")), *self.conversation.end()]
            case "error":
                return self._error(string(message, "message"))
            case "item.started" | "item.updated" | "item.completed":
                return self._item(kind, message, object_in(message, "item"))
            case _:
                return [self.keep(kind, message)]

    def _error(self, text: str) -> list[Event]:
        if _RECONNECTING.match(text):
            return [self.alert("warn", text)]
        # A turn that fails repeats the error it failed of.
        if text and text == self._last_error:
            return []
        self._last_error = text
        return self.error("provider_error", text)

    def _item(self, event: str, message: Message, item: Message) -> list[Event]:
        kind = string(item, "type")
        match kind:
            case "agent_message" | "reasoning" if event != "item.completed":
                # It comes whole.
                return []
            case "agent_message":
                return [*self.conversation.begin(), *self.conversation.say(string(item, "text"))]
            case "reasoning":
                return [*self.conversation.begin(), *self.conversation.thought(string(item, "text"))]
            case "command_execution" | "file_change" | "mcp_tool_call" | "web_search" | "collab_tool_call":
                return self._tool(kind, item, is_complete=event == "item.completed")
            case "error":
                return [self.alert("warn", string(item, "message") or "unknown")]
            case _:
                return [self.keep(kind or event, message)]

    def _tool(self, kind: str, item: Message, *, is_complete: bool) -> list[Event]:
        call_id = string(item, "id")
        name, arguments = _call_of(kind, item)
        events = [*self.conversation.begin()]
        # What is searched for is known only when it was found.
        if kind != "web_search" or is_complete:
            events += self.conversation.call(call_id, name, json_text(arguments))
        if is_complete:
            output, summary = _answer_of(kind, item)
            is_error = string(item, "status") in _FAILED
            events += self.conversation.answer(call_id, output, is_error=is_error, summary=summary)
        return events


def _call_of(kind: str, item: Message) -> tuple[str, object]:
    """Return a tool's name and its arguments."""
    match kind:
        case "command_execution":
            return kind, {"command": string(item, "command")}
        case "file_change":
            return kind, {"changes": objects(item, "changes")}
        case "mcp_tool_call":
            return f"{string(item, 'server')}.{string(item, 'tool')}", item.get("arguments", {})
        case "collab_tool_call":
            names = ("sender_thread_id", "receiver_thread_ids", "prompt")
            return f"collab.{string(item, 'tool')}", {name: item[name] for name in names if name in item}
        case _:
            return kind, {name: item[name] for name in ("query", "action") if name in item}


def _answer_of(kind: str, item: Message) -> tuple[str, str]:
    """Return what a tool put out, and a summary where the output is no good one."""
    status = string(item, "status") or "completed"
    match kind:
        case "command_execution":
            exit_code = item.get("exit_code")
            summary = status if exit_code is None else f"{status}, exit code {json_text(exit_code)}"
            return string(item, "aggregated_output"), summary
        case "file_change":
            changes = [f"{string(change, 'kind')} {string(change, 'path')}" for change in objects(item, "changes")]
            return "\n".join(changes), status
        case "mcp_tool_call":
            error = object_in(item, "error")
            if error:
                return string(error, "message"), ""
            result = object_in(item, "result")
            parts = objects(result, "content")
            texts = [string(part, "text") if part.get("type") == "text" else json_text(part) for part in parts]
            structured = result.get("structured_content")
            return "\n".join(texts) or ("" if structured is None else json_text(structured)), ""
        case "collab_tool_call":
            states = object_in(item, "agents_states")
            return json_text(states) if states else "", status
        case _:
            return "", status
