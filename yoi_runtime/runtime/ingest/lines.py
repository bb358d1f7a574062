"""The lines of the ingest protocol, both ways: what a peer may say, and how it is answered. Pure.

A line is one JSON object. Each line of the peer gets one line back, in order. Specification: docs/ingest.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from json import dumps
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from yoi_runtime.errors import EventInvalidError, IngestRefusedError
from yoi_runtime.events import RESERVED_EVENT_NAMES, Event, TextDone, decode_parsed, is_event_key, parse_json, traced
from yoi_runtime.events.complaint import first_complaint
from yoi_runtime.events.scalars import I32, Str, WorkerId
from yoi_runtime.events.strict_json import json_path
from yoi_runtime.events.trace_context import TRACEPARENT

__all__ = [
    "FATAL_CODES",
    "MAX_LINE_BYTES",
    "PASSING_CODES",
    "PROTOCOL",
    "End",
    "EventLine",
    "Hello",
    "PeerLine",
    "RefusalCode",
    "ack_line",
    "ended_line",
    "hello_line",
    "parse_line",
    "refusal_line",
]

PROTOCOL: Final = "yoi.ingest.v1"
# As of a child's output: four times the largest record.
MAX_LINE_BYTES: Final = 1024 * 1024


class RefusalCode(StrEnum):
    """Why a line or a connection was refused; a released code is never renamed."""

    LINE_TOO_LONG = "line_too_long"
    LINE_INVALID = "line_invalid"
    EVENT_INVALID = "event_invalid"
    EVENT_RESERVED = "event_reserved"
    EVENT_TOO_LARGE = "event_too_large"
    KEY_INVALID = "key_invalid"
    END_INVALID = "end_invalid"
    HELLO_EXPECTED = "hello_expected"
    HELLO_INVALID = "hello_invalid"
    PROTOCOL_UNKNOWN = "protocol_unknown"
    WORKER_RUNNING = "worker_running"
    FORBIDDEN = "forbidden"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    UNAVAILABLE = "unavailable"
    SHUTTING_DOWN = "shutting_down"


PASSING_CODES: Final = frozenset(
    {
        RefusalCode.WORKER_RUNNING,
        RefusalCode.TOO_MANY_CONNECTIONS,
        RefusalCode.UNAVAILABLE,
        RefusalCode.SHUTTING_DOWN,
    }
)
"""What another connection, a little later, may not meet again."""

FATAL_CODES: Final = PASSING_CODES | {
    RefusalCode.HELLO_EXPECTED,
    RefusalCode.HELLO_INVALID,
    RefusalCode.PROTOCOL_UNKNOWN,
    RefusalCode.FORBIDDEN,
}
"""After these the connection is closed; after the others the next line is read."""


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Hello(_Said):
    """The first line: which Worker this is. ``durable``: acknowledge what survives a power cut, and nothing before.

    ``reconnects``: when the Runtime stops, this peer comes back; who follows the Worker is not told that it is over.
    ``ends_run``: it has said the end of this run, and comes back because that was not answered.
    """

    kind: Literal["hello"]
    protocol: Str
    worker_id: WorkerId
    # Lists, as they are in JSON; a strict tuple would take none.
    command: Annotated[list[Str], Field(min_length=1)] | None = None
    durable: bool = False
    reconnects: bool = False
    ends_run: Annotated[int, Field(ge=1)] | None = None


class End(_Said):
    """The last line: how the Worker ended."""

    kind: Literal["end"]
    outcome: Literal["completed", "failed", "cancelled", "crashed"] = "completed"
    exit_code: I32 | None = None


class EventLine(NamedTuple):
    """An event, and the key by which it counts once."""

    event: Event
    key: str | None


PeerLine: TypeAlias = Hello | End | EventLine

_EVENT_MEMBERS = frozenset({"event", "data", "key", TRACEPARENT})
_TEXT_MEMBERS = frozenset({"text", "key", TRACEPARENT})


def parse_line(line: bytes) -> PeerLine:
    """Return what a line says; it comes without its newline.

    Raises:
        IngestRefusedError: it is none of the protocol's lines. ``code`` is a ``RefusalCode``.
    """
    try:
        said = parse_json(line)
    except EventInvalidError as error:
        raise IngestRefusedError(RefusalCode.LINE_INVALID, error.reason, error.where) from None
    if not isinstance(said, dict):
        raise IngestRefusedError(RefusalCode.LINE_INVALID, "a line is one JSON object")
    if "event" in said:
        _check_members(said, _EVENT_MEMBERS)
        return EventLine(_traced(said, _event(said)), _key(said))
    if "text" in said:
        _check_members(said, _TEXT_MEMBERS)
        return EventLine(_traced(said, _text(said["text"])), _key(said))
    match said.get("kind"):
        case "hello":
            return _hello(said)
        case "end":
            try:
                return End.model_validate(said)
            except ValidationError as error:
                raise _complaint(RefusalCode.END_INVALID, error) from None
        case _:
            reason = 'it has neither "event" nor "text", and its "kind" is neither "hello" nor "end"'
            raise IngestRefusedError(RefusalCode.LINE_INVALID, reason)


def _check_members(said: Mapping[str, object], known: frozenset[str]) -> None:
    if not said.keys() <= known:
        where = json_path([next(name for name in said if name not in known)])
        names = ", ".join(sorted(known))
        raise IngestRefusedError(RefusalCode.LINE_INVALID, f"there is no such member; there are {names}", where)


def _event(said: Mapping[str, object]) -> Event:
    name = said["event"]
    if isinstance(name, str) and name in RESERVED_EVENT_NAMES:
        raise IngestRefusedError(RefusalCode.EVENT_RESERVED, f"{name} is said by the Runtime only", "event")
    try:
        return decode_parsed(said)
    except EventInvalidError as error:
        raise IngestRefusedError(RefusalCode.EVENT_INVALID, error.reason, error.where) from None


def _text(text: object) -> Event:
    if not isinstance(text, str):
        raise IngestRefusedError(RefusalCode.EVENT_INVALID, "it is no string", "text")
    return TextDone(text=text)


def _traced(said: Mapping[str, object], event: Event) -> Event:
    if (traceparent := said.get(TRACEPARENT)) is None:
        return event
    if not isinstance(traceparent, str):
        raise IngestRefusedError(RefusalCode.EVENT_INVALID, "it is no string", TRACEPARENT)
    try:
        return traced(event, traceparent)
    except EventInvalidError as error:
        raise IngestRefusedError(RefusalCode.EVENT_INVALID, error.reason, error.where) from None


def _key(said: Mapping[str, object]) -> str | None:
    if "key" not in said:
        return None
    key = said["key"]
    if not isinstance(key, str) or not is_event_key(key):
        reason = "a key is a string of 1 to 64 of the characters A-Z a-z 0-9 . _ : -"
        raise IngestRefusedError(RefusalCode.KEY_INVALID, reason, "key")
    return key


def _hello(said: Mapping[str, object]) -> Hello:
    # First: what else a hello of another version may hold is not known.
    if "protocol" in said and said["protocol"] != PROTOCOL:
        raise IngestRefusedError(RefusalCode.PROTOCOL_UNKNOWN, f"this Runtime speaks {PROTOCOL}", "protocol")
    try:
        return Hello.model_validate(said)
    except ValidationError as error:
        raise _complaint(RefusalCode.HELLO_INVALID, error) from None


def _complaint(code: RefusalCode, error: ValidationError) -> IngestRefusedError:
    where, reason = first_complaint(error)
    return IngestRefusedError(code, reason, where)


# Answers, each with its newline.


def hello_line(number: int, log_id: str, worker_id: str, run: int) -> bytes:
    """Answer a hello: the Worker runs, for the ``run``-th time."""
    said = {
        "kind": "hello",
        "line": number,
        "protocol": PROTOCOL,
        "log_id": log_id,
        "worker_id": worker_id,
        "run": run,
        "max_line_bytes": MAX_LINE_BYTES,
    }
    return _line(said)


def ack_line(number: int, cursor: str, *, repeated: bool = False) -> bytes:
    """Answer an event that is in the log at ``cursor``; ``repeated``: since an earlier line."""
    # Spelled out, there is one for each event; nothing in it needs an escape.
    return b'{"kind":"ack","line":%d,"cursor":"%s"%s}\n' % (
        number,
        cursor.encode(),
        b',"repeated":true' if repeated else b"",
    )


def ended_line(number: int) -> bytes:
    """Answer an end: the Worker has ended."""
    return b'{"kind":"ended","line":%d}\n' % number


def refusal_line(code: str, reason: str, where: str = "", number: int | None = None) -> bytes:
    """Answer a line that was refused; without ``number`` it is the connection."""
    said: dict[str, object] = {"kind": "error"}
    if number is not None:
        said["line"] = number
    said |= {"code": code, "message": reason}
    if where:
        said["where"] = where
    said["fatal"] = code in FATAL_CODES
    return _line(said)


def _line(said: Mapping[str, object]) -> bytes:
    return dumps(said, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
