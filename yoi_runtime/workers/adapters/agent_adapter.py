"""What the adapters of agents have in common: a line is a JSON object, and whatever it is, nothing is lost.

A subclass has a ``name`` and ``translate``. Lines that hold no object are taken care of here: text that a program
prints in between is text; a line that was cut, or broke off, is kept as ``system_item`` and is nobody's speech.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from yoi_runtime.events.conversation_events import ErrorCode, ErrorEvent, SystemItem
from yoi_runtime.events.event import Event
from yoi_runtime.events.output_events import Usage
from yoi_runtime.workers.adapters.adapter import NowMs
from yoi_runtime.workers.adapters.conversation import Conversation
from yoi_runtime.workers.adapters.json_message import Message, parse_message
from yoi_runtime.workers.adapters.line_adapters import JSON_SPACE, DecodedLine, LinesAdapter
from yoi_runtime.workers.line_splitter import Line

__all__ = ["AgentAdapter"]

# Of a type that an agent made up; the whole message is kept beside it.
MAX_TYPE_CHARACTERS = 100


class AgentAdapter(LinesAdapter, ABC):
    """Translates the JSON lines of one agent. ``conversation`` holds what is open of its story."""

    name: ClassVar[str]

    def __init__(self, now_ms: NowMs) -> None:
        super().__init__(now_ms)
        self.conversation = Conversation()

    @classmethod
    def recognises(cls, message: Message) -> bool:
        """Whether only this agent would print ``message`` among its first."""
        return False

    @abstractmethod
    def translate(self, message: Message) -> list[Event]:
        """Return the events in one JSON object. Never raises, whatever its members are."""

    def stdout_line(self, line: Line) -> list[Event]:
        decoded = self._decode("stdout", line)
        message = None if decoded.cut_bytes else parse_message(decoded.text)
        return self.take(decoded, message)

    def stdout_end(self) -> list[Event]:
        return self.conversation.close()

    def take(self, decoded: DecodedLine, message: Message | None) -> list[Event]:
        """Return the events in a line that holds ``message``, or no JSON object."""
        if message is not None:
            return [*self.translate(message), *decoded.alerts]
        text = decoded.text.strip(JSON_SPACE)
        if decoded.cut_bytes or text.startswith("{"):
            return [self.keep("broken_line", decoded.text), *decoded.alerts]
        return self._as_text(decoded) if text else decoded.alerts

    def keep(self, type_name: str, data: object) -> SystemItem:
        """Return the item for what has no event of its own, with its origin."""
        return SystemItem(item={"kind": f"{self.name}.{type_name[:MAX_TYPE_CHARACTERS] or 'unknown'}", "data": data})

    def alert(self, level: Literal["warn", "error"], message: str) -> Event:
        """Return an alert; what the agent calls a warning, or an error that it survives."""
        return self._alert(level, message)

    def usage(self, tokens_in: int | None, tokens_out: int | None, cache_read: int | None) -> list[Event]:
        """Return what a request or a run has cost, as far as the agent says; ``tokens_in`` includes cache hits."""
        if tokens_in is None and tokens_out is None:
            return []
        return [Usage(input_tokens=tokens_in, output_tokens=tokens_out, cache_read_input_tokens=cache_read)]

    def error(self, code: ErrorCode, message: str) -> list[Event]:
        """Return what says that the agent's work failed."""
        return [*self.conversation.close(), ErrorEvent(code=code, message=message or "unknown")]
