"""``auto``: finds out what a program prints from its first JSON objects, without holding a line back.

A JSON object whose keys are ``event`` and perhaps ``data`` and ``traceparent`` is an event of our own, always. Until an agent is
recognised every other line is text; the object by which it is recognised, and all that follow, go to its adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from yoi_runtime.events.event import Event
from yoi_runtime.workers.adapters.acp import AcpAdapter
from yoi_runtime.workers.adapters.adapter import NowMs
from yoi_runtime.workers.adapters.agent_adapter import AgentAdapter
from yoi_runtime.workers.adapters.claude_code import ClaudeCodeAdapter
from yoi_runtime.workers.adapters.codex import CodexAdapter
from yoi_runtime.workers.adapters.gemini import GeminiAdapter
from yoi_runtime.workers.adapters.json_message import Message, parse_message
from yoi_runtime.workers.adapters.line_adapters import EVENT_MEMBERS, LinesAdapter
from yoi_runtime.workers.adapters.opencode import OpencodeAdapter
from yoi_runtime.workers.line_splitter import Line

__all__ = ["AGENT_ADAPTERS", "AutoAdapter"]

AGENT_ADAPTERS: Final[Sequence[type[AgentAdapter]]] = (
    ClaudeCodeAdapter,
    CodexAdapter,
    GeminiAdapter,
    OpencodeAdapter,
    AcpAdapter,
)

# A wrapper may say something in JSON before the agent speaks; a program that is no agent is not looked at for ever.
LOOKED_AT_OBJECTS: Final = 20


class AutoAdapter(LinesAdapter):
    """``auto``: an event of our own, an agent's message, or text."""

    def __init__(self, now_ms: NowMs) -> None:
        super().__init__(now_ms)
        self._agent: AgentAdapter | None = None
        self._looks_left = LOOKED_AT_OBJECTS

    def stdout_line(self, line: Line) -> list[Event]:
        decoded = self._decode("stdout", line)
        message = None if decoded.cut_bytes else parse_message(decoded.text)
        if message is not None and "event" in message and message.keys() <= EVENT_MEMBERS:
            return self._as_event(decoded)
        if message is not None and self._agent is None and self._looks_left:
            self._looks_left -= 1
            self._agent = self._recognised(message)
        return self._as_text(decoded) if self._agent is None else self._agent.take(decoded, message)

    def stdout_end(self) -> list[Event]:
        return [] if self._agent is None else self._agent.stdout_end()

    def _recognised(self, message: Message) -> AgentAdapter | None:
        for adapter in AGENT_ADAPTERS:
            if adapter.recognises(message):
                return adapter(self._now_ms)
        return None
