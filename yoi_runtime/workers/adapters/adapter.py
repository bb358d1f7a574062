"""What an adapter is: lines of one run of a Worker in, events out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, Protocol

from yoi_runtime.events.conversation_events import Alert
from yoi_runtime.events.event import Event
from yoi_runtime.workers.line_splitter import Line

__all__ = ["Adapter", "NowMs", "StreamName", "quote", "wall_clock_ms", "worker_alert"]

StreamName = Literal["stdout", "stderr"]
NowMs = Callable[[], int]

# Of a line or a reason quoted in an alert: enough to recognise it, whatever its length.
QUOTED_CHARACTERS = 200


class Adapter(Protocol):
    """Translates the lines of one run of a Worker; never raises, whatever the line.

    The lines of a stream come in order, one after the other; the two streams may come from two
    threads at once.
    """

    def stdout_line(self, line: Line) -> list[Event]: ...
    def stderr_line(self, line: Line) -> list[Event]: ...

    def stdout_end(self) -> list[Event]:
        """Return what was held back until more came: no more comes. Called once, after the last line."""
        ...


def wall_clock_ms() -> int:
    """Return milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def worker_alert(level: Literal["warn", "error"], message: str, now_ms: NowMs) -> Alert:
    """Return an alert about a Worker's output."""
    return Alert(level=level, source="worker", message=message, timestamp_ms=now_ms())


def quote(text: str) -> str:
    """Return ``text``, or its beginning and its length when it is long."""
    if len(text) <= QUOTED_CHARACTERS:
        return text
    return f"{text[:QUOTED_CHARACTERS]}… ({len(text)} characters)"
