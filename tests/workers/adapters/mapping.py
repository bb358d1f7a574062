"""Cases of the mapping tables in docs/adapters.md: lines of an agent, and the payloads they become."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

from yoi_runtime.events.codec import encode_payload
from yoi_runtime.events.event import Event
from yoi_runtime.workers.adapters import Adapter
from yoi_runtime.workers.line_splitter import Line

__all__ = ["NOW", "Case", "Payload", "event", "line", "payloads", "told"]

NOW = 1_700_000_000_000

Payload: TypeAlias = dict[str, Any]


class Case(NamedTuple):
    """``row``: the line as the table has it. ``before``: what came before it. ``events``: what becomes of ``message``."""

    row: str
    message: Payload
    events: list[Payload]
    before: tuple[Payload, ...] = ()


def event(name: str, /, **data: Any) -> Payload:
    return {"event": name, "data": data} if data else {"event": name}


def kept(kind: str, data: Any) -> Payload:
    return event("system_item", item={"kind": kind, "data": data})


def alert(level: str, message: str) -> Payload:
    return event("alert", level=level, source="worker", message=message, timestamp_ms=NOW)


def user_says(text: str) -> Payload:
    return event("user_message", segments=[{"kind": "text", "content": text}])


BEGIN = [event("invoke_start", kind="user_send"), event("turn_start", turn=1)]
END = [event("turn_end", turn=1, result="finished"), event("run_end", result="finished")]
LIMIT = [event("turn_end", turn=1, result="finished"), event("run_end", result="limit_reached")]


def call(call_id: str, name: str, arguments: str, **extra: Any) -> list[Payload]:
    """Return a whole call."""
    return [
        event("tool_call_start", id=call_id, name=name, **extra),
        event("tool_call_done", id=call_id, name=name, arguments=arguments, **extra),
    ]


def answer(call_id: str, summary: str, output: str | None = None, *, is_error: bool = False, **extra: Any) -> Payload:
    data: dict[str, Any] = {"id": call_id, "summary": summary, "is_error": is_error, **extra}
    if output is not None:
        data["output"] = output
    return event("tool_result", **data)


def usage(tokens_in: int | None, tokens_out: int | None, read: int | None = None) -> Payload:
    data: dict[str, Any] = {"input_tokens": tokens_in, "output_tokens": tokens_out}
    return event("usage", **data, **({} if read is None else {"cache_read_input_tokens": read}))


def line(message: object, number: int = 1) -> Line:
    """Return a message as a line, or a text as it is."""
    text = message if isinstance(message, str) else json.dumps(message, ensure_ascii=False)
    return Line(text.encode("utf-8", "surrogatepass"), number)


def payloads(events: Iterable[Event]) -> list[Payload]:
    """Return events as they are written; whatever breaks the vocabulary's rules fails here."""
    return [json.loads(encode_payload(event)) for event in events]


def told(adapter: Adapter, *messages: object) -> list[Payload]:
    """Return what an adapter makes of some lines."""
    return [
        payload
        for number, message in enumerate(messages, 1)
        for payload in payloads(adapter.stdout_line(line(message, number)))
    ]
