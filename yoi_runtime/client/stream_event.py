"""What a stream hands over: events, announced gaps between them, and (to nobody but the stream) mere places.

An event is kept as the bytes that came. Taking it apart waits until somebody asks; the envelope is found by the fixed
order of its members, and by parsing it all where that order is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Final, TypeAlias, cast

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from yoi_runtime.checksum import crc32
from yoi_runtime.errors import FrameInvalidError
from yoi_runtime.events.codec import decode_payload, decode_payload_object
from yoi_runtime.events.envelope import payload_end
from yoi_runtime.events.event import Event
from yoi_runtime.events.output_events import TextDelta, TextDone, ThinkingDelta, ToolCallArgsDelta
from yoi_runtime.events.trace_context import TRACEPARENT, traceparent_fault
from yoi_runtime.protocol.diagnostics import ReceivedLost
from yoi_runtime.protocol.frames import EventFrame

__all__ = [
    "EVENT_ID",
    "SEQ",
    "WORKER_SEQ",
    "Place",
    "StreamEvent",
    "StreamGap",
    "StreamItem",
    "crc_matches",
    "event_of_frame",
    "event_of_line",
    "events_of_lines",
    "unwrapped",
]

# The head of a record as a peer sends it: the order of members is the log's, what stands between quotes is not looked
# at. Nothing is ever tried twice (the second plus): a record of 500 bytes takes 0.2 µs, the log's own HEAD_PATTERN 0.6.
# A quote in one of the values could only be an escaped one, and then what follows here does not follow there.
_HEAD_MATCH = re.compile(
    rb'\{"kind":"event","envelope":\{"cursor":"([^"]++)","event_id":"([^"]++)","seq":([0-9]{1,20}+)'
    rb',"worker_id":(?:null|"([^"]++)"),"worker_seq":(?:null|([0-9]{1,20}+)),"time":"([^"]++)"'
    rb',"payload":\{"event":"([^"]++)"'
).match
_CURSOR, EVENT_ID, SEQ, _WORKER_ID, WORKER_SEQ, _TIME, _NAME = range(1, 8)
_LAST_BYTE: Final = itemgetter(-1)
_CRC_TAIL: Final = len(b',"crc":"00000000"}')
_CRC_MARK: Final = b',"crc":"'
_PAYLOAD_MARK: Final = b',"payload":'
_DATA_MARK: Final = b'","data":'
_TRACEPARENT_MARK: Final = b'"%s":' % TRACEPARENT.encode()
# Nearly all events of a busy Worker; of nothing but text, so a parser of JSON alone leaves nothing to check.
_FLAT: Final[Mapping[bytes | None, Callable[[bytes], Event]]] = {
    cls.event_name.encode(): cls.__pydantic_validator__.validate_json
    for cls in (TextDelta, TextDone, ThinkingDelta, ToolCallArgsDelta)
}

_Head: TypeAlias = "re.Match[bytes] | tuple[bytes | None, ...]"


class StreamEvent:
    """An event as it came.

    ``raw`` is the frame, UTF-8 JSON: for v1 the log's own record. ``cursor`` is the point after the event,
    ``event_id`` its identity. Numbers and times that the Runtime did not send are None, and so is ``worker_id`` for an
    event of the Runtime itself. Equal when the bytes are.

    What stands between an envelope's quotes is first looked at when it is asked for: these members, too, raise
    ``FrameInvalidError`` when it is not JSON.
    """

    __slots__ = ("__dict__", "head", "raw")

    def __init__(self, raw: bytes, head: _Head) -> None:
        """``head``: the bytes of the envelope's members, by the names of this module; None for null."""
        self.raw = raw
        self.head = head

    def __repr__(self) -> str:
        return f"StreamEvent({self.event_name!r}, worker_id={self.worker_id!r}, event_id={self.event_id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StreamEvent) and self.raw == other.raw

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.raw)

    @property
    def cursor(self) -> str:
        return _text(self.head[_CURSOR])

    @property
    def event_id(self) -> str:
        return _text(self.head[EVENT_ID])

    @property
    def seq(self) -> int | None:
        return _number(self.head[SEQ])

    @property
    def worker_id(self) -> str | None:
        return _text_or_none(self.head[_WORKER_ID])

    @property
    def worker_seq(self) -> int | None:
        return _number(self.head[WORKER_SEQ])

    @property
    def time(self) -> str | None:
        """RFC 3339, UTC."""
        return _text_or_none(self.head[_TIME])

    @property
    def event_name(self) -> str:
        name = self.head[_NAME]
        # An escape may be that of a quote, and then this is but the beginning.
        return _text(name) if name is not None and b"\\" not in name else str(self.payload["event"])

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context that the event belongs to; None when it came with none.

        Raises:
            FrameInvalidError: the payload is not JSON.
        """
        if _TRACEPARENT_MARK not in self.raw:
            return None
        found = self.payload.get(TRACEPARENT)
        return found if isinstance(found, str) and traceparent_fault(found) is None else None

    @cached_property
    def payload(self) -> Mapping[str, object]:
        """``{"event": name, "data": {…}}`` as the Worker emitted it: v0's wrapping is taken off.

        Raises:
            FrameInvalidError: it is not JSON.
        """
        try:
            found: Mapping[str, object] = from_json(self.payload_json, allow_inf_nan=False)
        except ValueError as error:
            raise FrameInvalidError(f"payload: not JSON: {error}") from None
        return found

    @property
    def payload_json(self) -> bytes:
        """The payload as JSON, as its bytes came wherever that is possible.

        Raises:
            EventInvalidError: the frame does not end as a record does.
        """
        raw = self.raw
        # The members before the payload hold no quotes, so this is not somebody's text.
        start = raw.index(_PAYLOAD_MARK) + len(_PAYLOAD_MARK)
        return raw[start : payload_end(raw)]

    def decode(self) -> Event:
        """Return the typed event; a name we do not know gives an ``UnknownEvent``.

        Raises:
            EventInvalidError: a known event whose data breaks the vocabulary's rules.
        """
        found = self._flat()
        return found if found is not None else decode_payload(self.payload_json)

    def _flat(self) -> Event | None:
        """Decode the data of the frequent events in place, 1 µs instead of 3; None for whatever is not just so."""
        raw, head = self.raw, self.head
        decode_json = _FLAT.get(head[_NAME])
        if decode_json is None or not isinstance(head, re.Match):
            return None
        start = head.end(_NAME)
        if raw[start : start + len(_DATA_MARK)] != _DATA_MARK or raw[-_CRC_TAIL - 3 : -_CRC_TAIL] != b"}}}":
            return None
        try:
            return decode_json(raw[start + len(_DATA_MARK) : -_CRC_TAIL - 2])
        except ValidationError:
            return None  # told by the thorough way


class _ParsedEvent(StreamEvent):
    """An event whose payload had to be parsed: its members stand in another order, or v0 had it wrapped."""

    __slots__ = ()

    @property
    def payload_json(self) -> bytes:
        return to_json(self.payload)

    def decode(self) -> Event:
        return decode_payload_object(self.payload)


@dataclass(frozen=True, slots=True)
class StreamGap:
    """Events that cannot be read any more stood here; the stream goes on behind them.

    ``lost`` says how many, when the Runtime told. ``requested_cursor`` is the point before them, when there was one,
    ``cursor`` the point after. ``diagnostic`` is what the Runtime said, field by field; its ``code`` says why:
    ``runtime.cursor_expired`` or ``runtime.record_corrupt``.
    """

    requested_cursor: str | None
    cursor: str | None
    lost: ReceivedLost | None
    diagnostic: Mapping[str, object]

    @property
    def code(self) -> str:
        return str(self.diagnostic.get("code", ""))


@dataclass(frozen=True, slots=True)
class Place:
    """A cursor that came without an event: safe as soon as all before it has been dealt with."""

    cursor: str


StreamItem: TypeAlias = StreamEvent | StreamGap | Place


def events_of_lines(lines: Sequence[bytes]) -> list[StreamEvent] | None:
    """Return the events in frames whose members stand in the log's order; None if one of them is another frame.

    Of what comes after the event's name only the last byte is looked at.
    """
    heads = [*map(_HEAD_MATCH, lines)]
    if None in heads or {*map(_LAST_BYTE, lines)} != {ord("}")}:
        return None
    return [*map(StreamEvent, lines, cast("list[re.Match[bytes]]", heads))]


def event_of_line(line: bytes) -> StreamEvent | None:
    """Return the event in such a frame; None for any other frame."""
    events = events_of_lines((line,))
    return None if events is None else events[0]


def event_of_frame(frame: EventFrame) -> StreamEvent:
    """Return the event in a frame that has been parsed."""
    name = frame.event_name
    numbers = [None if number is None else b"%d" % number for number in (frame.seq, frame.worker_seq)]
    texts = [None if text is None else text.encode() for text in (frame.worker_id, frame.time)]
    head = (None, frame.cursor.encode(), frame.event_id.encode(), numbers[0], texts[0], numbers[1], texts[1])
    return _parsed_event(frame.raw, (*head, name.encode()), frame.payload)


def unwrapped(event: StreamEvent) -> StreamEvent:
    """Take an event outside upstream's vocabulary out of the ``system_item`` that carries it in v0."""
    if event.head[_NAME] != b"system_item":
        return event
    data = event.payload.get("data")
    item = data.get("item") if isinstance(data, dict) else None
    if not isinstance(item, dict) or item.get("kind") != "yoi.event":
        return event
    name, inner = item.get("event"), item.get("data")
    if not isinstance(name, str) or not name:
        return event
    payload = {member: value for member, value in item.items() if member != "kind"}
    if inner is None:
        # An event without data is wrapped with a null.
        payload.pop("data", None)
    head = (None, *(event.head[group] for group in range(_CURSOR, _NAME)), name.encode())
    return _parsed_event(event.raw, head, payload)


def _parsed_event(raw: bytes, head: _Head, payload: Mapping[str, object]) -> StreamEvent:
    event = _ParsedEvent(raw, head)
    event.__dict__["payload"] = payload
    return event


def crc_matches(raw: bytes) -> bool:
    """Say whether the checksum at the end of a frame is that of what stands before; True when it has none."""
    if raw[-_CRC_TAIL : -_CRC_TAIL + len(_CRC_MARK)] != _CRC_MARK:
        return True
    return raw[-_CRC_TAIL:] == b',"crc":"%08x"}' % crc32(raw[:-_CRC_TAIL])


def _text(value: bytes | None) -> str:
    assert value is not None
    try:
        return value.decode() if b"\\" not in value else str(from_json(b'"%s"' % value))
    except ValueError:
        raise FrameInvalidError("a member of the envelope is not JSON") from None


def _text_or_none(value: bytes | None) -> str | None:
    return None if value is None else _text(value)


def _number(value: bytes | None) -> int | None:
    return None if value is None else int(value)
