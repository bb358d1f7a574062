"""What a stream hands over: events, and announced gaps between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from yoi_runtime.events.codec import decode_payload_object
from yoi_runtime.events.event import Event
from yoi_runtime.protocol.diagnostics import ReceivedLost
from yoi_runtime.protocol.frames import EventFrame

__all__ = ["StreamEvent", "StreamGap"]


class StreamEvent:
    """An event as it came.

    ``cursor`` is the point after it, ``event_id`` its identity. Numbers and times that the Runtime did not send are
    None, and so is ``worker_id`` for an event of the Runtime itself.
    """

    def __init__(self, frame: EventFrame) -> None:
        self._frame = frame

    def __repr__(self) -> str:
        return f"StreamEvent({self.event_name!r}, worker_id={self.worker_id!r}, event_id={self.event_id!r})"

    @property
    def raw(self) -> bytes:
        """The whole message, UTF-8 JSON."""
        return self._frame.raw

    @property
    def cursor(self) -> str:
        return self._frame.cursor

    @property
    def event_id(self) -> str:
        return self._frame.event_id

    @property
    def seq(self) -> int | None:
        return self._frame.seq

    @property
    def worker_id(self) -> str | None:
        return self._frame.worker_id

    @property
    def worker_seq(self) -> int | None:
        return self._frame.worker_seq

    @property
    def time(self) -> str | None:
        """RFC 3339, UTC."""
        return self._frame.time

    @property
    def event_name(self) -> str:
        return str(self.payload["event"])

    @cached_property
    def payload(self) -> Mapping[str, object]:
        """``{"event": name, "data": {…}}`` as the Worker emitted it: v0's wrapping is taken off."""
        return _unwrapped(self._frame.payload)

    def decode(self) -> Event:
        """Return the typed event; a name we do not know gives an ``UnknownEvent``.

        Raises:
            EventInvalidError: a known event whose data breaks the vocabulary's rules.
        """
        return decode_payload_object(self.payload)


@dataclass(frozen=True, slots=True)
class StreamGap:
    """Events that can no longer be read stood here; the stream goes on behind them.

    ``lost`` says how many, when the Runtime told. ``requested_cursor`` is the point before them, when there was one,
    ``cursor`` the point after. ``diagnostic`` is what the Runtime said, field by field.
    """

    requested_cursor: str | None
    cursor: str | None
    lost: ReceivedLost | None
    diagnostic: Mapping[str, object]


def _unwrapped(payload: dict[str, object]) -> Mapping[str, object]:
    """Take an event outside upstream's vocabulary out of the ``system_item`` that carries it in v0."""
    data = payload.get("data")
    item = data.get("item") if payload["event"] == "system_item" and isinstance(data, dict) else None
    if not isinstance(item, dict) or item.get("kind") != "yoi.event":
        return payload
    name, inner = item.get("event"), item.get("data")
    if not isinstance(name, str) or not name:
        return payload
    # An event without data is wrapped with a null.
    return {"event": name} if inner is None else {"event": name, "data": inner}
