"""A line of a child's output into events: three adapters, pure but for one flag each.

- ``lines``: a stdout line is a ``text_done``.
- ``jsonl``: a stdout line is ``{"event": …, "data": …}``; blank lines are skipped.
- ``auto``: a JSON object whose keys are ``event`` and perhaps ``data`` is an event, all else is text.

In all of them a stderr line is an ``alert``; a line that should be an event and is not becomes an
``alert`` that says which, why and what was in it; so does an event only the Runtime may emit. Bytes
that are not UTF-8 become U+FFFD, announced once; a line cut at its bound is announced each time.
"""

from __future__ import annotations

import codecs
import json
import threading
import time
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, get_args

from yoi_runtime.errors import EventInvalidError
from yoi_runtime.events.codec import decode_payload
from yoi_runtime.events.conversation_events import Alert
from yoi_runtime.events.event import Event
from yoi_runtime.events.output_events import TextDone
from yoi_runtime.events.vocabulary import RESERVED_EVENT_NAMES
from yoi_runtime.workers.line_splitter import Line

__all__ = [
    "ADAPTER_NAMES",
    "Adapter",
    "AdapterName",
    "AutoAdapter",
    "JsonlAdapter",
    "LinesAdapter",
    "NowMs",
    "StreamName",
    "make_adapter",
    "wall_clock_ms",
    "worker_alert",
]

AdapterName = Literal["lines", "jsonl", "auto"]
ADAPTER_NAMES: tuple[AdapterName, ...] = get_args(AdapterName)
StreamName = Literal["stdout", "stderr"]
NowMs = Callable[[], int]

# Of a line or a reason quoted in an alert: enough to recognise it, whatever its length.
QUOTED_CHARACTERS = 200
_JSON_SPACE = " \t\r\n"


class Adapter(Protocol):
    """Translates the lines of one run of a Worker; never raises, whatever the line.

    The lines of a stream come in order, one after the other; the two streams may come from two
    threads at once.
    """

    def stdout_line(self, line: Line) -> list[Event]: ...
    def stderr_line(self, line: Line) -> list[Event]: ...


def wall_clock_ms() -> int:
    """Return milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


def make_adapter(name: AdapterName, now_ms: NowMs = wall_clock_ms) -> Adapter:
    """Return a new adapter, for one run of one Worker."""
    match name:
        case "lines":
            return LinesAdapter(now_ms)
        case "jsonl":
            return JsonlAdapter(now_ms)
        case "auto":
            return AutoAdapter(now_ms)


def worker_alert(level: Literal["warn", "error"], message: str, now_ms: NowMs) -> Alert:
    """Return an alert about a Worker's output."""
    return Alert(level=level, source="worker", message=message, timestamp_ms=now_ms())


class _Text(NamedTuple):
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

    def stdout_line(self, line: Line) -> list[Event]:
        return self._as_text(self._decode("stdout", line))

    def stderr_line(self, line: Line) -> list[Event]:
        decoded = self._decode("stderr", line)
        return [self._alert("warn", decoded.text), *decoded.alerts]

    def _as_text(self, decoded: _Text) -> list[Event]:
        return [TextDone(text=decoded.text), *decoded.alerts]

    def _as_event(self, decoded: _Text) -> list[Event]:
        """Return the event in a line, or an alert in its place."""
        try:
            return [_decode_worker_event(decoded), *decoded.alerts]
        except EventInvalidError as error:
            reason = quote(f"{error.where}: {error.reason}" if error.where else error.reason)
            message = f"{decoded.name} is not an event of a Worker ({reason}): {quote(decoded.text)}"
            return [self._alert("error", message), *decoded.alerts]

    def _decode(self, stream: StreamName, line: Line) -> _Text:
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
        return _Text(text, name, cut_bytes, alerts)

    def _alert(self, level: Literal["warn", "error"], message: str) -> Alert:
        return worker_alert(level, message, self._now_ms)


class JsonlAdapter(LinesAdapter):
    """``jsonl``: every stdout line is an event."""

    def stdout_line(self, line: Line) -> list[Event]:
        decoded = self._decode("stdout", line)
        if not decoded.text.strip(_JSON_SPACE) and not decoded.cut_bytes:
            return decoded.alerts
        return self._as_event(decoded)


class AutoAdapter(LinesAdapter):
    """``auto``: a stdout line that has the shape of an event must be one, every other is text."""

    def stdout_line(self, line: Line) -> list[Event]:
        decoded = self._decode("stdout", line)
        return self._as_event(decoded) if _has_event_shape(decoded) else self._as_text(decoded)


def quote(text: str) -> str:
    """Return ``text``, or its beginning and its length when it is long."""
    if len(text) <= QUOTED_CHARACTERS:
        return text
    return f"{text[:QUOTED_CHARACTERS]}… ({len(text)} characters)"


def _decode_worker_event(decoded: _Text) -> Event:
    """Return the event in a line.

    Raises:
        EventInvalidError: there is none, or it is one that only the Runtime emits.
    """
    if decoded.cut_bytes:
        raise EventInvalidError(None, "", "the line was cut")
    event = decode_payload(decoded.text.encode())
    if event.event_name in RESERVED_EVENT_NAMES:
        raise EventInvalidError(event.event_name, "event", f"{event.event_name} is said by the Runtime only")
    return event


def _has_event_shape(decoded: _Text) -> bool:
    """Whether a line is a JSON object with ``event`` and at most ``data`` beside it.

    More lenient than ``decode_payload`` on purpose: a repeated key or a lone surrogate makes an
    event invalid, which must be said, not a text.
    """
    if decoded.cut_bytes or not decoded.text.lstrip(_JSON_SPACE).startswith("{"):
        return False
    try:
        value = json.loads(decoded.text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "event" in value and value.keys() <= {"event", "data"}
