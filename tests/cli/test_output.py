from __future__ import annotations

import io
import json
import os
import pty
from collections.abc import Iterator
from typing import TextIO

import pytest

from yoi_runtime.cli.output import JsonLines, ReadableLines
from yoi_runtime.client.stream_event import StreamEvent, event_of_frame
from yoi_runtime.protocol.frames import EventFrame


def event(text: str, name: str = "text_delta") -> StreamEvent:
    payload: dict[str, object] = {"event": name, "data": {"text": text}}
    raw = json.dumps({"kind": "event", "envelope": {"payload": payload}}, ensure_ascii=False).encode()
    return event_of_frame(EventFrame(raw=raw, cursor="c", event_id="e", worker_id="w", payload=payload))


class Pipe:
    """A stdout that is no terminal; ``text`` is what was flushed."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self.stream = io.TextIOWrapper(io.BufferedWriter(self._bytes), "utf-8")

    @property
    def text(self) -> str:
        return self._bytes.getvalue().decode()


@pytest.fixture
def terminal() -> Iterator[tuple[TextIO, int]]:
    """Yield a stdout that is a terminal, and the descriptor that reads what comes out of it."""
    reading, writing = pty.openpty()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        yield stream, reading
    os.close(reading)


def test_lines_in_a_pipe_have_no_colour_and_come_at_once():
    out, err = Pipe(), Pipe()
    output = ReadableLines(out.stream, err.stream)
    output.show(event("Hello "))
    assert out.text == "--:--:-- w            Hello "
    output.show(event("[bold]you[/bold] :smile: 127.0.0.1"))
    assert out.text == "--:--:-- w            Hello [bold]you[/bold] :smile: 127.0.0.1"


def test_a_long_line_is_not_wrapped_and_keeps_its_blanks():
    out = Pipe()
    text = "  x " + "word " * 100
    ReadableLines(out.stream, Pipe().stream).show(event(text, "text_done"))
    assert out.text == f"--:--:-- w            {text.rstrip()}\n"


def test_a_notice_ends_the_line_that_is_open_and_goes_elsewhere():
    out, err = Pipe(), Pipe()
    output = ReadableLines(out.stream, err.stream)
    output.show(event("Hello"))
    output.notice("connection lost\x1b[2J")
    output.show(event(" again"))
    assert out.text == "--:--:-- w            Hello\n--:--:-- w             again"
    assert err.text == "connection lost␛[2J\n"


def test_a_terminal_gets_colours(terminal: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch):
    stream, reading = terminal
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ReadableLines(stream, stream).show(event("Hello\x1b[31m", "text_done"))
    shown = os.read(reading, 4096).decode()
    assert "\x1b[38;5;" in shown
    assert "Hello␛[31m" in shown
    assert "\x1b[31m" not in shown


def test_json_is_the_bytes_as_received():
    out = Pipe()
    shown = event("\x9b é\u2028")
    JsonLines(out.stream, Pipe().stream).show(shown)
    assert out.text.encode() == shown.raw + b"\n"


def test_json_on_a_terminal_has_the_same_value_and_cannot_steer_it(terminal: tuple[TextIO, int]):
    stream, reading = terminal
    JsonLines(stream, stream).show(event("\x9b31m é"))
    shown = os.read(reading, 4096).decode()
    assert "\x9b" not in shown
    assert json.loads(shown)["envelope"]["payload"]["data"]["text"] == "\x9b31m é"


def test_notices_beside_json_are_plain_lines():
    err = Pipe()
    JsonLines(Pipe().stream, err.stream).notice("connection\nlost", "bold")
    assert err.text == "yoi-runtime: connection⏎lost\n"
