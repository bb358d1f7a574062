"""How each kind of event looks to a person: one function per event name, and one for all that have none. Pure.

The data may come from any Runtime of any version: a field may be missing or of another type, and every
string is a stranger's. ``_text`` and ``_short`` are the only ways by which a value becomes text.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from rich.text import Text

from yoi_runtime.cli.terminal_text import neutral, one_line

__all__ = ["Line", "Look", "Stream", "look_of"]

_SHORT = 200
_QUIET, _GOOD, _WARN, _BAD, _STRONG = "dim", "green", "yellow", "bold red", "bold"

Data: TypeAlias = Mapping[str, object]


class Line(NamedTuple):
    """A look that begins a line and ends it.

    ``completes``: the stream (kind, part) of which this is the whole, ``length`` characters long: nothing new to
    somebody who saw all its pieces. ``rest``: what is new to somebody who saw only how it began.
    """

    text: Text
    completes: tuple[str, str] | None = None
    length: int = 0
    rest: Text | None = None


class Stream(NamedTuple):
    """A piece of text, ``length`` characters of the event's, that continues the line of its stream (kind, part).

    ``limit``: how many characters of the whole stream are shown. Not ``begins``: it is shown on the open line of
    its stream or not at all; when something came between, the whole is shown once it is complete.
    """

    kind: str
    part: str
    text: Text
    length: int
    limit: int | None = None
    begins: bool = True


Look: TypeAlias = Line | Stream


def look_of(event_name: str, data: Data) -> Look:
    """Return how an event looks; every event has a look."""
    item = data.get("item")
    if event_name == "system_item" and isinstance(item, dict) and item.get("kind") == "yoi.event":
        # How a Worker's v0 stream carries an event that upstream's vocabulary does not have.
        inner = item.get("data")
        return look_of(_raw(item, "event"), inner if isinstance(inner, dict) else {})
    look = _LOOKS.get(event_name)
    return look(data) if look is not None else _any_event(event_name, data)


def _raw(data: Data, name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _short(data: Data, name: str, limit: int = _SHORT) -> str:
    """Return a field on one line, whatever its type."""
    value = data.get(name)
    if value is None:
        return "?"
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), limit)


def _line(text: str, style: str = "") -> Line:
    return Line(Text(text, style))


def _any_event(event_name: str, data: Data) -> Line:
    text = Text(one_line(event_name, _SHORT) or "?", _QUIET)
    if data:
        text.append(" " + one_line(json.dumps(data, ensure_ascii=False), _SHORT))
    return Line(text)


# Output


def _delta(kind: str, style: str) -> Callable[[Data], Look]:
    return lambda data: Stream(kind, "", Text(neutral(_raw(data, "text")), style), len(_raw(data, "text")))


def _done(kind: str, style: str) -> Callable[[Data], Look]:
    return lambda data: Line(Text(neutral(_raw(data, "text")), style), (kind, ""), len(_raw(data, "text")))


def _tool_call_start(data: Data) -> Look:
    text = Text("→ ", "cyan").append(_short(data, "name"), "bold cyan").append(" ")
    return Stream("tool", _raw(data, "id"), text, 0)


def _tool_call_args_delta(data: Data) -> Look:
    piece = _raw(data, "json")
    return Stream("tool", _raw(data, "id"), Text(one_line(piece), "cyan"), len(piece), _SHORT, begins=False)


def _tool_call_done(data: Data) -> Look:
    arguments = _raw(data, "arguments")
    shown = Text(one_line(arguments, _SHORT), "cyan")
    text = Text("→ ", "cyan").append(_short(data, "name"), "bold cyan").append(" ").append_text(shown)
    return Line(text, ("tool", _raw(data, "id")), len(arguments), shown)


def _tool_result(data: Data) -> Look:
    mark, style = ("✗", _BAD) if data.get("is_error") is True else ("←", _GOOD)
    text = Text(f"{mark} {_short(data, 'summary')}", style)
    if output := _raw(data, "output"):
        text.append(f"  (output: {len(output)} characters)", _QUIET)
    return Line(text)


def _usage(data: Data) -> Look:
    return _line(f"tokens: {_short(data, 'input_tokens')} in, {_short(data, 'output_tokens')} out", _QUIET)


# Conversation


def _user_message(data: Data) -> Look:
    segments = data.get("segments")
    parts = [_segment(part) for part in segments if isinstance(part, dict)] if isinstance(segments, list) else []
    return _line("» " + " ".join(parts), _STRONG)


def _segment(part: Data) -> str:
    match part.get("kind"):
        case "text":
            return neutral(_raw(part, "content"))
        case "paste":
            return f"[pasted: {_short(part, 'chars')} characters]"
        case "file_ref":
            return f"@{_short(part, 'path')}"
        case "knowledge_ref":
            return f"#{_short(part, 'slug')}"
        case "workflow_invoke":
            return f"/{_short(part, 'slug')}"
        case _:
            return f"[{_short(part, 'kind')}]"


def _status(data: Data) -> Look:
    marks = {"running": ("●", _GOOD), "idle": ("○", _QUIET), "paused": ("◐", _WARN)}
    mark, style = marks.get(_raw(data, "status"), ("·", _QUIET))
    return _line(f"{mark} {_short(data, 'status')}", style)


def _alert(data: Data) -> Look:
    level = _raw(data, "level")
    return _line(f"⚠ {_short(data, 'level')}: {neutral(_raw(data, 'message'))}", _BAD if level == "error" else _WARN)


def _error(data: Data) -> Look:
    return _line(f"✗ {_short(data, 'code')}: {neutral(_raw(data, 'message'))}", _BAD)


def _llm_retry(data: Data) -> Look:
    attempts = f"attempt {_short(data, 'failed_attempt')} of {_short(data, 'max_attempts')}"
    return _line(f"⚠ LLM call failed, {attempts}, next in {_short(data, 'wait_ms')} ms: {_short(data, 'error')}", _WARN)


def _run_end(data: Data) -> Look:
    return _line(f"■ run {_short(data, 'result')}", _STRONG)


# The Runtime's own


def _runtime_started(data: Data) -> Look:
    return _line(f"Runtime started (version {_short(data, 'version')}, process {_short(data, 'pid')})", _STRONG)


def _runtime_stopping(data: Data) -> Look:
    return _line(f"Runtime stopping: {_short(data, 'reason')}", _STRONG)


def _worker_created(data: Data) -> Look:
    return _line(f"Worker {_short(data, 'worker_id')} created", _QUIET)


def _worker_started(data: Data) -> Look:
    text = Text(f"Worker {_short(data, 'worker_id')} started, run {_short(data, 'run')}", _STRONG)
    command = data.get("command")
    if isinstance(command, list):
        text.append(": " + one_line(shlex.join(str(word) for word in command), _SHORT), _QUIET)
    return Line(text)


def _worker_ended(data: Data) -> Look:
    outcome = _raw(data, "outcome")
    style = {"completed": "bold green", "cancelled": "bold yellow"}.get(outcome, _BAD)
    code = f" (exit code {_short(data, 'exit_code')})" if data.get("exit_code") is not None else ""
    return _line(f"Worker {_short(data, 'worker_id')} ended: {_short(data, 'outcome')}{code}", style)


def _log_recovered(data: Data) -> Look:
    kept, dropped = _short(data, "kept_events"), _short(data, "dropped_bytes")
    return _line(f"⚠ log recovered: {kept} events kept, {dropped} bytes dropped: {_short(data, 'reason')}", _WARN)


def _events_lost(data: Data) -> Look:
    between = f"{_short(data, 'from_time')} to {_short(data, 'to_time')}"
    return _line(f"✗ {_short(data, 'count')} events could not be written, {between}", _BAD)


def _quiet(event_name: str, *names: str) -> Callable[[Data], Look]:
    """Return the look of a mere mark in the course of things: its name and a few of its fields."""
    words = event_name.replace("_", " ")
    return lambda data: _line(" ".join([words, *(_short(data, name) for name in names)]), _QUIET)


_LOOKS: Mapping[str, Callable[[Data], Look]] = {
    "text_delta": _delta("text", ""),
    "text_done": _done("text", ""),
    "thinking_start": lambda data: Stream("thinking", "", Text("", "dim italic"), 0),
    "thinking_delta": _delta("thinking", "dim italic"),
    "thinking_done": _done("thinking", "dim italic"),
    "tool_call_start": _tool_call_start,
    "tool_call_args_delta": _tool_call_args_delta,
    "tool_call_done": _tool_call_done,
    "tool_result": _tool_result,
    "usage": _usage,
    "user_message": _user_message,
    "invoke_start": _quiet("invoke_start", "kind"),
    "turn_start": _quiet("turn_start", "turn"),
    "turn_end": _quiet("turn_end", "turn", "result"),
    "llm_call_start": _quiet("llm_call_start", "llm_call"),
    "llm_call_end": _quiet("llm_call_end", "llm_call"),
    "llm_retry": _llm_retry,
    "run_end": _run_end,
    "status": _status,
    "alert": _alert,
    "error": _error,
    "runtime_started": _runtime_started,
    "runtime_stopping": _runtime_stopping,
    "worker_created": _worker_created,
    "worker_started": _worker_started,
    "worker_ended": _worker_ended,
    "log_recovered": _log_recovered,
    "events_lost": _events_lost,
    "lost": lambda data: _line("✗ an event was damaged and could not be saved", _BAD),
}
