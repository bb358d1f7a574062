"""``opencode``: opencode's ``run --format json``: the finished parts of the messages of one session.

Parts come when they are complete, a tool's call together with its answer. A step is one request to the model.
Mapping: docs/adapters.md, "opencode".
"""

from __future__ import annotations

from typing import ClassVar

from yoi_runtime.events.conversation_events import LlmCallEnd, LlmCallStart
from yoi_runtime.events.event import Event
from yoi_runtime.workers.adapters.adapter import NowMs
from yoi_runtime.workers.adapters.agent_adapter import AgentAdapter
from yoi_runtime.workers.adapters.json_message import Message, count, object_in, string, sum_of

__all__ = ["OpencodeAdapter"]


class OpencodeAdapter(AgentAdapter):
    """One run of ``opencode run``."""

    name: ClassVar[str] = "opencode"

    def __init__(self, now_ms: NowMs) -> None:
        super().__init__(now_ms)
        self._llm_call = 0

    @classmethod
    def recognises(cls, message: Message) -> bool:
        match message:
            case {
                "type": "step_start" | "step_finish" | "text" | "tool_use" | "reasoning",
                "sessionID": str(),
                "part": dict(),
            }:
                return True
            case {"type": "error", "sessionID": str(), "error": dict()}:
                return True
            case _:
                return False

    def translate(self, message: Message) -> list[Event]:
        kind, part = string(message, "type"), object_in(message, "part")
        match kind:
            case "step_start":
                self._llm_call += 1
                return [*self.conversation.begin(), LlmCallStart(llm_call=self._llm_call)]
            case "text":
                return [*self.conversation.begin(), *self.conversation.say(string(part, "text"))]
            case "reasoning":
                return [*self.conversation.begin(), *self.conversation.thought(string(part, "text"))]
            case "tool_use":
                return [*self.conversation.begin(), *self._tool_use(part)]
            case "step_finish":
                return self._step_finish(part)
            case "error":
                error = object_in(message, "error")
                said = string(object_in(error, "data"), "message") or string(error, "message") or string(error, "name")
                return self.error("provider_error", said)
            case "done":
                return [self.keep(kind, message), *self.conversation.end()]
            case _:
                return [self.keep(kind, message)]

    def _tool_use(self, part: Message) -> list[Event]:
        state = object_in(part, "state")
        status = string(state, "status")
        is_error = status == "error"
        return self.conversation.whole_call(
            string(part, "callID"),
            string(part, "tool"),
            state.get("input", {}),
            string(state, "error" if is_error else "output"),
            is_error=is_error,
            summary="" if is_error else string(state, "title"),
        )

    def _step_finish(self, part: Message) -> list[Event]:
        events = self.conversation.begin()
        tokens = object_in(part, "tokens")
        cache = object_in(tokens, "cache")
        # opencode counts cache hits beside the input, and thinking beside the output.
        read = count(cache, "read")
        tokens_in = sum_of(count(tokens, "input"), read, count(cache, "write"))
        events += self.usage(tokens_in, sum_of(count(tokens, "output"), count(tokens, "reasoning")), read)
        events.append(LlmCallEnd(llm_call=self._llm_call))
        reason = string(part, "reason")
        # After the tools were run comes another step.
        if reason in ("tool-calls", "tool_calls"):
            return events
        return [*events, *self.conversation.end("limit_reached" if reason == "length" else "finished")]
