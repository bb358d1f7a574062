"""``gemini``: Gemini CLI's ``--output-format stream-json``: one prompt, told as messages, tool uses and a result.

The pieces of a text bear no end: whatever comes next ends them. Mapping: docs/adapters.md, "Gemini CLI".
"""

from __future__ import annotations

from typing import ClassVar, Final

from yoi_runtime.events.conversation_events import UserMessage
from yoi_runtime.events.event import Event
from yoi_runtime.events.input_segments import TextSegment
from yoi_runtime.workers.adapters.adapter import NowMs
from yoi_runtime.workers.adapters.agent_adapter import AgentAdapter
from yoi_runtime.workers.adapters.json_message import Message, count, json_text, object_in, string

__all__ = ["GeminiAdapter"]

_LIMIT_ERROR: Final = "Maximum session turns exceeded"
_LIMIT_ERROR_TYPE: Final = "FatalTurnLimitedError"


class GeminiAdapter(AgentAdapter):
    """One run of ``gemini``."""

    name: ClassVar[str] = "gemini"

    def __init__(self, now_ms: NowMs) -> None:
        super().__init__(now_ms)
        self._is_limited = False
        self._last_error = ""

    @classmethod
    def recognises(cls, message: Message) -> bool:
        match message:
            case {"type": "init", "timestamp": str(), "session_id": str(), "model": str()}:
                return True
            case {"type": "message", "timestamp": str(), "role": "user" | "assistant", "content": str()}:
                return True
            case {"type": "error", "timestamp": str(), "severity": str(), "message": str()}:
                return True
            case _:
                return False

    def translate(self, message: Message) -> list[Event]:
        kind = string(message, "type")
        match kind:
            case "message":
                return self._message(message)
            case "tool_use":
                arguments = json_text(message.get("parameters", {}))
                events = self.conversation.begin()
                return events + self.conversation.call(
                    string(message, "tool_id"), string(message, "tool_name"), arguments
                )
            case "tool_result":
                return self._tool_result(message)
            case "error":
                return self._error(message)
            case "result":
                return self._result(message)
            case _:
                return [*self.conversation.close(), self.keep(kind, message)]

    def _message(self, message: Message) -> list[Event]:
        text = string(message, "content")
        match message.get("role"):
            case "user":
                return self.conversation.begin(UserMessage(segments=(TextSegment(content=text),)))
            case "assistant":
                events = self.conversation.begin()
                is_piece = message.get("delta") is True
                return events + (self.conversation.text(text) if is_piece else self.conversation.say(text))
            case _:
                return [self.keep("message", message)]

    def _tool_result(self, message: Message) -> list[Event]:
        error = object_in(message, "error")
        is_error = message.get("status") == "error" or bool(error)
        said = string(error, "message")
        output = string(message, "output") or said
        return self.conversation.answer(string(message, "tool_id"), output, is_error=is_error)

    def _error(self, message: Message) -> list[Event]:
        text = string(message, "message") or "unknown"
        if message.get("severity") == "warning":
            return [*self.conversation.close(), self.alert("warn", text)]
        self._last_error = text
        if text == _LIMIT_ERROR:
            self._is_limited = True
            return [*self.conversation.close(), self.alert("warn", text)]
        return self.error("provider_error", text)

    def _result(self, message: Message) -> list[Event]:
        events = self.conversation.close()
        stats = object_in(message, "stats")
        events += self.usage(*(count(stats, name) for name in ("input_tokens", "output_tokens", "cached")))
        error = object_in(message, "error")
        is_limited = self._is_limited or string(error, "type") == _LIMIT_ERROR_TYPE
        text = string(error, "message")
        # What ``error`` has said is not said again.
        is_told = self._last_error and text in ("", self._last_error)
        if message.get("status") == "error" and not is_limited and not is_told:
            events += self.error("provider_error", text)
        self._is_limited, self._last_error = False, ""
        kept = self.keep("result", message)
        return [*events, kept, *self.conversation.end("limit_reached" if is_limited else "finished")]
