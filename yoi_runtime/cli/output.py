"""Where events go: lines for a person, or frames as received for a program. Each is flushed as it comes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, TextIO

from rich.console import Console
from rich.text import Text

from yoi_runtime.cli.render import Renderer
from yoi_runtime.cli.terminal_text import neutral_json, one_line

if TYPE_CHECKING:
    from yoi_runtime.client.stream_event import StreamEvent

__all__ = ["EventOutput", "JsonLines", "ReadableLines", "make_output"]


class EventOutput(Protocol):
    """Shows events on stdout, and notices about the stream itself. Raises ``BrokenPipeError`` when nobody reads."""

    def show(self, event: StreamEvent) -> None: ...
    def notice(self, text: str, style: str = "") -> None: ...


class ReadableLines:
    """Coloured lines on a terminal, the same lines without colour elsewhere."""

    def __init__(self, stdout: TextIO, notices: TextIO) -> None:
        """``notices``: where notices go; stderr, so that events can be piped without them."""
        self._renderer = Renderer()
        self._stdout = stdout
        self._console = Console(file=stdout, highlight=False, markup=False, emoji=False)
        self._notices = Console(file=notices, highlight=False, markup=False, emoji=False)

    def show(self, event: StreamEvent) -> None:
        self._write(self._renderer.render(event))

    def notice(self, text: str, style: str = "dim") -> None:
        self._write(self._renderer.close())
        self._notices.print(Text(one_line(text), style), soft_wrap=True)
        self._notices.file.flush()

    def _write(self, text: Text) -> None:
        if not text.plain:
            return
        if self._console.color_system is None:
            # As Console would print it, in a twentieth of the time: 5,000 events/s are few for a pipe.
            self._stdout.write(text.plain)
        else:
            # soft_wrap: the terminal wraps, nothing is cropped, and a line can go on later.
            self._console.print(text, end="", soft_wrap=True)
        self._stdout.flush()


class JsonLines:
    """One frame a line, the bytes as received; on a terminal, what could steer it is written as JSON escapes."""

    def __init__(self, stdout: TextIO, notices: TextIO) -> None:
        self._stdout = stdout
        self._notices = notices
        self._escape = stdout.isatty()

    def show(self, event: StreamEvent) -> None:
        raw = neutral_json(event.raw) if self._escape else event.raw
        self._stdout.buffer.write(raw + b"\n")
        self._stdout.buffer.flush()

    def notice(self, text: str, style: str = "") -> None:
        print(f"yoi-runtime: {one_line(text)}", file=self._notices, flush=True)


def make_output(as_json: bool) -> EventOutput:
    """Return the output that was asked for, on this process's stdout and stderr."""
    return JsonLines(sys.stdout, sys.stderr) if as_json else ReadableLines(sys.stdout, sys.stderr)
