"""Lines of text, and JSON lines of our own.

- ``lines``: a stdout line is a ``text_done``.
- ``jsonl``: a stdout line is ``{"event": …, "data": …}``, perhaps with a ``traceparent``; blank lines are skipped.

In all adapters a stderr line is an ``alert``; a line that should be an event and is not becomes an
``alert`` that says which, why and what was in it; so does an event only the Runtime may emit. Bytes
that are not UTF-8 become U+FFFD, announced once; a line cut at its bound is announced each time. A
``traceparent`` that is none is left out, announced once.
"""

from __future__ import annotations

import codecs
import threading
from typing import Final, Literal, NamedTuple

from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events.codec import decode_extended
from yoi_runtime.events.conversation_events import Alert
from yoi_runtime.events.event import Event
from yoi_runtime.events.extended_event import ExtendedEvent, plain, traced
from yoi_runtime.events.output_events import TextDone
from yoi_runtime.events.trace_context import TRACEPARENT, traceparent_fault
from yoi_runtime.events.vocabulary import RESERVED_EVENT_NAMES
from yoi_runtime.workers.adapters.adapter import NowMs, StreamName, quote, worker_alert
from yoi_runtime.workers.line_splitter import Line

__all__ = ["EVENT_MEMBERS", "JSON_SPACE", "DecodedLine", "JsonlAdapter", "LinesAdapter"]

JSON_SPACE = " \t\r\n"
EVENT_MEMBERS: Final = frozenset({"event", "data", TRACEPARENT})
"""What a line that is an event may have. Others are passed over."""


class DecodedLine(NamedTuple):
    """A decoded line, with the alerts about its decoding."""

    text: str
    name: str
    cut_bytes: int
    alerts: list[Event]


class LinesAdapter:
    """``lines``: every stdout line is text."""

    def __init__(self, now_ms: NowMs) -> None:
        self._now_ms = now_ms
        # Taken by the first line that is not UTF-8, and kept: of two threads only one gets it.
        self._not_utf8 = threading.Lock()
        # The same for the first traceparent that is none.
        self._not_traced = threading.Lock()

    def stdout_line(self, line: Line) -> list[Event]:
        return self._as_text(self._decode("stdout", line))

    def stderr_line(self, line: Line) -> list[Event]:
        decoded = self._decode("stderr", line)
        return [self._alert("warn", decoded.text), *decoded.alerts]

    def stdout_end(self) -> list[Event]:
        return []

    def _as_text(self, decoded: DecodedLine) -> list[Event]:
        return [TextDone(text=decoded.text), *decoded.alerts]

    def _as_event(self, decoded: DecodedLine) -> list[Event]:
        """Return the event in a line, or an alert in its place."""
        try:
            return [*self._traced(decoded.name, _decode_worker_event(decoded)), *decoded.alerts]
        except EventInvalidError as error:
            reason = quote(f"{error.where}: {error.reason}" if error.where else error.reason)
            message = f"{decoded.name} is not an event of a Worker ({reason}): {quote(decoded.text)}"
            return [self._alert("error", message), *decoded.alerts]

    def _traced(self, name: str, event: Event) -> list[Event]:
        """Return an event with the traceparent it came with, if that is one, and without other members beside it."""
        if not isinstance(event, ExtendedEvent) or (traceparent := event.members.get(TRACEPARENT)) is None:
            return [plain(event)]
        fault = traceparent_fault(traceparent)
        if fault is None:
            return [traced(plain(event), traceparent)]
        if not self._not_traced.acquire(blocking=False):
            return [plain(event)]
        message = f"{name}: its traceparent is none, and is left out, here and in later lines: {fault}"
        return [plain(event), self._alert("warn", message)]

    def _decode(self, stream: StreamName, line: Line) -> DecodedLine:
        name = f"{stream} line {line.number}"
        # The cut may have gone through a character: what is left of it belongs to the cut.
        whole = not line.cut_bytes
        alerts: list[Event] = []
        try:
            text, used = codecs.utf_8_decode(line.data, "strict", whole)
        except UnicodeDecodeError:
            text, used = codecs.utf_8_decode(line.data, "replace", whole)
            if self._not_utf8.acquire(blocking=False):
                message = f"{name} is not UTF-8: what could not be decoded became U+FFFD, here and in later lines"
                alerts.append(self._alert("warn", message))
        cut_bytes = line.cut_bytes + len(line.data) - used
        if cut_bytes:
            alerts.append(self._alert("warn", f"{name} is too long: {cut_bytes} bytes after its first {used} were cut"))
        return DecodedLine(text, name, cut_bytes, alerts)

    def _alert(self, level: Literal["warn", "error"], message: str) -> Alert:
        return worker_alert(level, message, self._now_ms)


class JsonlAdapter(LinesAdapter):
    """``jsonl``: every stdout line is an event."""

    def stdout_line(self, line: Line) -> list[Event]:
        decoded = self._decode("stdout", line)
        if not decoded.text.strip(JSON_SPACE) and not decoded.cut_bytes:
            return decoded.alerts
        return self._as_event(decoded)


def _decode_worker_event(decoded: DecodedLine) -> Event:
    """Return the event in a line.

    Raises:
        EventInvalidError: there is none, or it is one that only the Runtime emits.
    """
    if decoded.cut_bytes:
        raise EventInvalidError(None, "", "the line was cut")
    event = decode_extended(decoded.text.encode())
    if event.event_name in RESERVED_EVENT_NAMES:
        raise EventInvalidError(event.event_name, "event", f"{event.event_name} is said by the Runtime only")
    return event
