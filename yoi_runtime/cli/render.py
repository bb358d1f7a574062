"""Events as a person reads them: one event in, a piece of coloured text out. Pure.

Pieces of a stream join the line they belong to while nothing else comes between; all else gets a line of its own:

    12:00:01 coder        Let me look at the tests first.
    12:00:02 coder        → read_file {"path":"tests/test_x.py"}
    12:00:02 coder        ← 40 lines
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import NamedTuple, Protocol

from rich.text import Text

from yoi_runtime.cli.event_looks import Line, Stream, look_of
from yoi_runtime.cli.terminal_text import one_line

__all__ = ["Renderer", "ShownEvent", "worker_style"]

_RUNTIME_NAME = "runtime"
_NAME_WIDTH = 12
_NO_TIME = "--:--:--"
_INDENT = " " * (len(_NO_TIME) + _NAME_WIDTH + 2)
# Of the 256-colour palette: readable on black and on white.
_WORKER_COLOURS = (33, 36, 71, 97, 130, 133, 166, 168)
# How many streams are remembered; of each just a number.
_MAX_STREAMS = 1000
# Shown in part only, so that the whole is to be shown when it comes.
_BROKEN = -1


class ShownEvent(Protocol):
    """What the renderer looks at."""

    @property
    def worker_id(self) -> str | None: ...
    @property
    def time(self) -> str | None: ...
    @property
    def event_name(self) -> str: ...
    @property
    def payload(self) -> Mapping[str, object]: ...


class _StreamKey(NamedTuple):
    worker_id: str | None
    kind: str
    part: str


def worker_style(worker_id: str | None) -> str:
    """Return the style of a Worker's name: the same in every run and on every machine."""
    if worker_id is None:
        return "dim"
    return f"color({_WORKER_COLOURS[zlib.crc32(worker_id.encode('utf-8', 'replace')) % len(_WORKER_COLOURS)]})"


class Renderer:
    """Renders one sequence of events. Print what it returns as it is: newlines are part of it."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        """``zone``: of the times shown, None for the machine's own."""
        self._zone = zone
        self._open: _StreamKey | None = None
        # Newlines at the end of the open line: shown when more follows, else the line just ends.
        self._held_newlines = 0
        self._shown_characters: dict[_StreamKey, int] = {}

    def render(self, event: ShownEvent) -> Text:
        """Return what to print next for ``event``; may be empty."""
        data = event.payload.get("data")
        look = look_of(event.event_name, data if isinstance(data, dict) else {})
        return self._line(event, look) if isinstance(look, Line) else self._piece(event, look)

    def close(self) -> Text:
        """Return what ends a line that may have gone on: a newline, or nothing."""
        was_open, self._open = self._open is not None, None
        self._held_newlines = 0
        return Text("\n" if was_open else "")

    def _line(self, event: ShownEvent, line: Line) -> Text:
        if line.completes is not None:
            key = _StreamKey(event.worker_id, *line.completes)
            shown_characters = self._shown_characters.pop(key, _BROKEN)
            if shown_characters == line.length:
                return self.close() if self._open == key else Text()
            if shown_characters == 0 and self._open == key and line.rest is not None:
                return line.rest.copy().append_text(self.close())
        shown = self.close().append_text(self._head(event))
        text = line.text.copy()
        text.rstrip()
        return shown.append_text(_indented(text)).append("\n")

    def _piece(self, event: ShownEvent, stream: Stream) -> Text:
        key = _StreamKey(event.worker_id, stream.kind, stream.part)
        joins = self._open == key
        if not (joins or stream.begins):
            self._remember(key, _BROKEN)
            return Text()
        before = max(0, self._shown_characters.get(key, 0))
        self._remember(key, before + stream.length)
        text = _limited(stream, before)
        body = text.plain.rstrip("\n")
        if not joins:
            # Blank lines at the head of a line would only part it from its name.
            skipped = len(body) - len(body.lstrip("\n"))
            if not body[skipped:]:
                return Text()
            shown = self.close().append_text(self._head(event)).append_text(_indented(text[skipped : len(body)]))
            self._open = key
        elif body:
            shown = _indented(Text("\n" * self._held_newlines).append_text(text[: len(body)]))
            self._held_newlines = 0
        else:
            shown = Text()
        self._held_newlines += len(text.plain) - len(body)
        return shown

    def _remember(self, key: _StreamKey, characters: int) -> None:
        if key not in self._shown_characters and len(self._shown_characters) >= _MAX_STREAMS:
            del self._shown_characters[next(iter(self._shown_characters))]
        self._shown_characters[key] = characters

    def _head(self, event: ShownEvent) -> Text:
        name = one_line(event.worker_id, 64) if event.worker_id is not None else _RUNTIME_NAME
        head = Text().append(f"{self._clock(event.time)} ", "dim")
        return head.append(f"{name:<{_NAME_WIDTH}} ", worker_style(event.worker_id))

    def _clock(self, time: str | None) -> str:
        try:
            return datetime.fromisoformat(time or "").astimezone(self._zone).strftime("%H:%M:%S")
        except (ValueError, OverflowError, OSError):
            return _NO_TIME


def _limited(stream: Stream, before: int) -> Text:
    """Return the piece, cut where its stream reaches its limit."""
    if stream.limit is None or before + stream.length <= stream.limit:
        return stream.text
    if before > stream.limit:
        return Text()
    return stream.text[: stream.limit - before].append("…")


def _indented(text: Text) -> Text:
    """Return ``text`` with its later lines below its first."""
    return Text("\n" + _INDENT).join(text.split("\n", allow_blank=True)) if "\n" in text.plain else text
