"""An adapter for an agent that counts: ``{"step":1,"say":"hello"}``, at last ``{"finished":true}``."""

from __future__ import annotations

from yoi_runtime.events import Event
from yoi_runtime.workers.adapters.agent_adapter import AgentAdapter
from yoi_runtime.workers.adapters.json_message import Message, string


class CountingAdapter(AgentAdapter):
    """One run of the agent. Lines that hold no JSON object are taken care of by ``AgentAdapter``."""

    name = "counting"

    def translate(self, message: Message) -> list[Event]:
        """Return the events in one JSON object."""
        match message:
            case {"step": int(), "say": str()}:
                # Tells that a run begins, unless one is on; then a whole text.
                return [*self.conversation.begin(), *self.conversation.say(string(message, "say"))]
            case {"finished": True}:
                return self.conversation.end()
            case _:
                # Nothing is lost: kept as system_item of kind "counting.novel".
                return [self.keep("novel", message)]
