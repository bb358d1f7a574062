"""What a peer asks of an event stream, read from query string and offered subprotocols.

Judges the request's form only. Whether the cursor is any good, whether there is such a Worker and
whether this server speaks the version are answered elsewhere. Specification: docs/protocol.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from yoi_runtime.errors import RequestInvalidError
from yoi_runtime.protocol.versions import ProtocolVersion, choose_version

__all__ = [
    "FromCursor",
    "FromEventId",
    "FromNow",
    "FromOldest",
    "Start",
    "StreamRequest",
    "parse_stream_request",
]

_START_PARAMETERS = ("cursor", "last_event_id", "from")
_V1_PARAMETERS = ("batch", "events")
_EVENT_NAME = re.compile(r"[a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class FromNow:
    """Begin with the next event."""


@dataclass(frozen=True, slots=True)
class FromOldest:
    """Begin with the oldest event still there."""


@dataclass(frozen=True, slots=True)
class FromCursor:
    """Go on after ``token``: any text, as the peer sent it, empty and overlong ones included."""

    token: str


@dataclass(frozen=True, slots=True)
class FromEventId:
    """Go on after the event ``event_id``: any text, as the peer sent it."""

    event_id: str


Start: TypeAlias = FromNow | FromOldest | FromCursor | FromEventId


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """A request of sound form. ``worker_id`` None: every Worker and the Runtime; ``events`` None: every event."""

    version: ProtocolVersion = ProtocolVersion.V0
    worker_id: str | None = None
    start: Start = FromNow()
    batch: bool = False
    events: frozenset[str] | None = None

    def parameters(self) -> dict[str, str]:
        """Return the query that ``parse_stream_request`` reads this request from, defaults left out."""
        query: dict[str, str] = {}
        match self.start:
            case FromNow():
                pass
            case FromOldest():
                query["from"] = "oldest"
            case FromCursor(token):
                query["cursor"] = token
            case FromEventId(event_id):
                query["last_event_id"] = event_id
            case _:
                assert_never(self.start)
        if self.batch:
            query["batch"] = "1"
        if self.events is not None:
            query["events"] = ",".join(sorted(self.events))
        return query


def parse_stream_request(
    worker_id: str | None, parameters: Iterable[tuple[str, str]], subprotocols: Iterable[str]
) -> StreamRequest:
    """Read a request.

    Args:
        worker_id: from the path, None on the endpoint for everything; not judged here.
        parameters: names and values as decoded from the query string, repeated and empty ones included.
        subprotocols: the names offered in ``Sec-WebSocket-Protocol``.
    Raises:
        RequestInvalidError: the request breaks a rule: ``runtime.invalid_request``, in either version.
    """
    version = choose_version(subprotocols)
    pairs = list(parameters)
    _check_names(version, Counter(name for name, _ in pairs))
    values = dict(pairs)
    return StreamRequest(version, worker_id, _start(values), _batch(values), _events(values))


def _check_names(version: ProtocolVersion, given: Counter[str]) -> None:
    if sum(given[name] for name in _START_PARAMETERS) > 1:
        where = next(name for name in _START_PARAMETERS if given[name])
        raise RequestInvalidError(where, "give at most one of cursor, last_event_id and from, and it once")
    match version:
        case ProtocolVersion.V0:
            for name in _V1_PARAMETERS:
                if name in given:
                    raise RequestInvalidError(name, "belongs to yoi.events.v1; this request offers no subprotocol")
        case ProtocolVersion.V1:
            for name, count in given.items():
                if name not in _START_PARAMETERS and name not in _V1_PARAMETERS:
                    raise RequestInvalidError(name, "no such parameter")
                if count > 1:
                    raise RequestInvalidError(name, "is given more than once")
        case _:
            assert_never(version)


def _start(values: dict[str, str]) -> Start:
    if "cursor" in values:
        return FromCursor(values["cursor"])
    if "last_event_id" in values:
        return FromEventId(values["last_event_id"])
    match values.get("from", "now"):
        case "now":
            return FromNow()
        case "oldest":
            return FromOldest()
        case _:
            raise RequestInvalidError("from", "is neither oldest nor now")


def _batch(values: dict[str, str]) -> bool:
    match values.get("batch", "0"):
        case "0":
            return False
        case "1":
            return True
        case _:
            raise RequestInvalidError("batch", "is neither 1 nor 0")


def _events(values: dict[str, str]) -> frozenset[str] | None:
    if "events" not in values:
        return None
    names = values["events"].split(",")
    if not all(_EVENT_NAME.fullmatch(name) for name in names):
        raise RequestInvalidError("events", "is not a list of event names with commas between them")
    return frozenset(names)
