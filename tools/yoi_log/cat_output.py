"""The records of ``yoi-log cat`` on a stream: as frames, as payloads, or as a person reads them.

On a terminal what could steer it is made visible; elsewhere frames and payloads are the bytes of the log.
"""

from __future__ import annotations

import json
from typing import Literal, NamedTuple, Protocol, TextIO, TypeAlias

from rich.console import Console

from yoi_log.conversation import Conversations
from yoi_log.record_stream import Found
from yoi_runtime.cli.render import Renderer
from yoi_runtime.cli.terminal_text import neutral_json

__all__ = ["CatFormat", "CatOutput", "make_cat_output"]

CatFormat: TypeAlias = Literal["frames", "payloads", "text", "markdown"]


class CatOutput(Protocol):
    """Shows records. Raises ``BrokenPipeError`` when nobody reads."""

    def show(self, record: Found) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


def make_cat_output(form: CatFormat, stdout: TextIO) -> CatOutput:
    """Return the output of a format, on ``stdout``."""
    match form:
        case "text":
            return _Text(stdout)
        case "markdown":
            return Conversations(stdout)
        case "frames" | "payloads":
            return _Lines(stdout, payloads=form == "payloads")


class _Lines:
    """One object a line."""

    def __init__(self, stdout: TextIO, *, payloads: bool) -> None:
        self._stdout = stdout
        self._payloads = payloads
        self._escape = stdout.isatty()

    def show(self, record: Found) -> None:
        raw = record.payload if self._payloads else record.line
        self._stdout.buffer.write((neutral_json(raw) if self._escape else raw) + b"\n")

    def flush(self) -> None:
        self._stdout.buffer.flush()

    def close(self) -> None:
        self.flush()


class _Shown(NamedTuple):
    worker_id: str | None
    time: str | None
    event_name: str
    payload: dict[str, object]


class _Text:
    """What ``yoi-runtime tail`` shows of the same events."""

    def __init__(self, stdout: TextIO) -> None:
        self._stdout = stdout
        self._renderer = Renderer()
        self._console = Console(file=stdout, highlight=False, markup=False, emoji=False)

    def show(self, record: Found) -> None:
        text = self._renderer.render(
            _Shown(record.worker_id, record.time, record.event_name, json.loads(record.payload))
        )
        if not text.plain:
            return
        if self._console.color_system is None:
            self._stdout.write(text.plain)
        else:
            self._console.print(text, end="", soft_wrap=True)

    def flush(self) -> None:
        self._stdout.flush()

    def close(self) -> None:
        self._stdout.write(self._renderer.close().plain)
        self.flush()
