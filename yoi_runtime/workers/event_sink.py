"""Where a Worker's events go: what ``workers`` asks of the Runtime, and all it knows of a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from yoi_runtime.events.event import Event

__all__ = ["EventSink"]


class EventSink(Protocol):
    """Takes the events of one Worker, in order. Used from one event loop."""

    def emit(self, event: Event) -> str:
        """Append one event and return the cursor token after it; does not wait for the disk.

        Raises:
            LogError that ``is_passing`` (LogBusyError, LogFullError, some LogDiskErrors): nothing was written. The
                Worker keeps the event and offers it again later, so a refusal is not yet a loss.
            EventInvalidError, RecordTooLargeError: this event will never be taken; the Worker
                emits an alert in its place.
            LogBrokenError: the log takes nothing more. This or any other error ends the Worker.
        """
        ...

    def emit_many(self, events: Sequence[Event]) -> int:
        """Append events in this order and return how many of them, from the first on, were appended.

        Fewer than all: the log does not take the next one now, where ``emit`` raises a LogError that ``is_passing``.

        Raises:
            EventInvalidError, RecordTooLargeError: one of them will never be taken, and nothing was written.
            LogBrokenError: as ``emit``.
        """
        ...

    async def ready(self) -> None:
        """Return when the log takes more events. Awaited before each batch of a Worker's lines.

        While it waits the pipe is not read: the child blocks on its next write.
        """
        ...
