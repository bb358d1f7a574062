"""An ``EventSink`` in memory, for the tests of Workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from yoi_runtime.errors import LogError
from yoi_runtime.events.conversation_events import Alert, Status
from yoi_runtime.events.event import Event
from yoi_runtime.events.output_events import TextDone

__all__ = ["RecordingSink"]


class RecordingSink:
    """Keeps what was emitted. ``open`` is what ``ready`` waits for; ``before_emit`` may raise."""

    def __init__(self, before_emit: Callable[[Event], None] = lambda event: None) -> None:
        self.events: list[Event] = []
        self.ready_calls = 0
        self.open = asyncio.Event()
        self.open.set()
        self._before_emit = before_emit

    def emit(self, event: Event) -> str:
        self._before_emit(event)
        self.events.append(event)
        return f"wo1-{len(self.events)}"

    def emit_many(self, events: Sequence[Event]) -> int:
        """Take events as the log does: none when one is refused for good, the first ones while there is room."""
        taken: list[Event] = []
        for event in events:
            try:
                self._before_emit(event)
            except LogError as error:
                if not error.is_passing:
                    raise
                break
            taken.append(event)
        self.events += taken
        return len(taken)

    async def ready(self) -> None:
        self.ready_calls += 1
        await self.open.wait()

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, TextDone)]

    @property
    def alerts(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Alert)]

    @property
    def statuses(self) -> list[str]:
        return [event.status for event in self.events if isinstance(event, Status)]
