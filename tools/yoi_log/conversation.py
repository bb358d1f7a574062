"""A conversation per Worker as Markdown: what was said, thought, called and answered, without the machinery.

Blocks go to a temporary file as they come, and from there to the output Worker by Worker: the log may be larger than memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import TextIO

from yoi_log.record_stream import Found
from yoi_log.wording import time_text
from yoi_runtime.cli.terminal_text import neutral, one_line

__all__ = ["Conversations"]

_ABOUT_WORKERS = ("worker_created", "worker_started", "worker_ended")
_MOST_OUTPUT = 4000


class Conversations:
    """Takes the records of all Workers in order; ``close`` writes the document."""

    def __init__(self, stdout: TextIO) -> None:
        self._stdout = stdout
        self._blocks = TemporaryFile()  # noqa: SIM115  closed by close()
        # Worker -> where its blocks stand.
        self._places: dict[str, list[tuple[int, int]]] = {}
        # Worker -> pieces of a text of which the whole has not come.
        self._pieces: dict[str, list[str]] = {}

    def show(self, record: Found) -> None:
        data = json.loads(record.payload).get("data")
        data = data if isinstance(data, dict) else {}
        worker_id = record.worker_id
        if worker_id is None and record.event_name in _ABOUT_WORKERS:
            worker_id = str(data.get("worker_id"))
        if worker_id is None:
            return
        if record.event_name == "text_delta":
            self._pieces.setdefault(worker_id, []).append(_text(data, "text"))
            return
        if record.event_name == "text_done":
            self._pieces.pop(worker_id, None)
        elif record.event_name in ("run_end", "error", "user_message", "worker_ended", "turn_end"):
            self._break_off(worker_id)
        block = _block(record.event_name, data, record.time)
        if block:
            self._write(worker_id, block)

    def _break_off(self, worker_id: str) -> None:
        """Write a text that ended before it was whole."""
        if pieces := self._pieces.pop(worker_id, None):
            self._write(worker_id, neutral("".join(pieces)) + " *(broken off)*")

    def _write(self, worker_id: str, block: str) -> None:
        start = self._blocks.tell()
        self._blocks.write(f"{block}\n\n".encode("utf-8", "backslashreplace"))
        self._places.setdefault(worker_id, []).append((start, self._blocks.tell()))

    def flush(self) -> None:
        """Nothing is shown before the end: Workers speak at the same time, and are read one after the other."""

    def close(self) -> None:
        for worker_id in list(self._pieces):
            self._break_off(worker_id)
        for worker_id, places in self._places.items():
            self._stdout.write(f"# {one_line(worker_id)}\n\n")
            for start, end in places:
                self._blocks.seek(start)
                self._stdout.write(self._blocks.read(end - start).decode("utf-8"))
        self._stdout.flush()
        self._blocks.close()


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _block(event_name: str, data: Mapping[str, object], time: str) -> str:
    """Return what an event adds to the conversation, "" for nothing."""
    match event_name:
        case "user_message":
            return f"## User\n\n{_quoted(_segments(data.get('segments')))}"
        case "text_done":
            return neutral(_text(data, "text"))
        case "thinking_done":
            return _quoted("*thinking:* " + neutral(_text(data, "text")))
        case "tool_call_done":
            return f"**→ {_code(_text(data, 'name'))}**\n\n{_fenced(_text(data, 'arguments'), 'json')}"
        case "tool_result":
            mark = "✗" if data.get("is_error") is True else "←"
            output = _text(data, "output")
            return f"**{mark}** {one_line(_text(data, 'summary'))}" + (f"\n\n{_fenced(output)}" if output else "")
        case "error" | "alert":
            return f"**⚠ {one_line(str(data.get('code') or data.get('level')))}:** {neutral(_text(data, 'message'))}"
        case "run_end":
            return f"*run {one_line(str(data.get('result')))}, {time_text(time)}*\n\n---"
        case "worker_started":
            return f"*started, run {one_line(str(data.get('run')))}, {time_text(time)}*"
        case "worker_ended":
            return f"*ended: {one_line(str(data.get('outcome')))}, {time_text(time)}*"
        case "events_lost":
            return f"**✗** {one_line(str(data.get('count')))} events could not be written"
        case "lost":
            return "**✗** an event was damaged and could not be saved"
        case _:
            return ""


def _segments(segments: object) -> str:
    parts = [part for part in segments if isinstance(part, dict)] if isinstance(segments, list) else []
    texts = [part.get("content") or part.get("path") or part.get("slug") or part.get("kind") for part in parts]
    return neutral(" ".join(str(text) for text in texts))


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _code(text: str) -> str:
    return f"`{one_line(text).replace('`', chr(0x2BC))}`"


def _fenced(text: str, language: str = "") -> str:
    """Return a code block that no backticks in ``text`` can end."""
    shown = neutral(text)
    if len(shown) > _MOST_OUTPUT:
        shown = f"{shown[:_MOST_OUTPUT]}\n… {len(shown) - _MOST_OUTPUT} more characters"
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"
