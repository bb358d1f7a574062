"""The URL paths of a Runtime's HTTP server, and the addresses a client makes of them.

Templates name their variable in braces, ``{worker_id}``; what fills it matches ``[A-Za-z0-9_-]{1,64}``
and so needs no escaping.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from yoi_runtime.errors import RequestInvalidError, WorkerIdInvalidError

__all__ = [
    "EVENTS_STATUS",
    "EVENTS_WS",
    "HEALTHZ",
    "READYZ",
    "RUNTIME",
    "WORKER",
    "WORKERS",
    "WORKER_EVENTS_WS",
    "WORKER_TRANSCRIPT",
    "events_url",
    "worker_events_path",
    "worker_path",
    "worker_transcript_path",
]

EVENTS_WS = "/v1/events/ws"
WORKER_EVENTS_WS = "/v1/workers/{worker_id}/events/ws"
RUNTIME = "/v1/runtime"
WORKERS = "/v1/workers"
WORKER = "/v1/workers/{worker_id}"
WORKER_TRANSCRIPT = "/v1/workers/{worker_id}/transcript"
EVENTS_STATUS = "/v1/events/status"
HEALTHZ = "/healthz"
READYZ = "/readyz"

_WORKER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WEBSOCKET_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
# urlsplit drops some of these silently; an address that holds one was not meant.
_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")


def worker_path(worker_id: str) -> str:
    """Build the path of one Worker.

    Raises:
        WorkerIdInvalidError: the id breaks the grammar.
    """
    return WORKER.format(worker_id=_checked(worker_id))


def worker_events_path(worker_id: str) -> str:
    """Build the path of one Worker's event stream.

    Raises:
        WorkerIdInvalidError: the id breaks the grammar.
    """
    return WORKER_EVENTS_WS.format(worker_id=_checked(worker_id))


def worker_transcript_path(worker_id: str) -> str:
    """Build the path of one Worker's transcript.

    Raises:
        WorkerIdInvalidError: the id breaks the grammar.
    """
    return WORKER_TRANSCRIPT.format(worker_id=_checked(worker_id))


def events_url(base_url: str, worker_id: str | None = None, **parameters: str | None) -> str:
    """Build the ws or wss address of an event stream: everything, or one Worker's.

    Args:
        base_url: where the Runtime is, http(s) or ws(s), with a path when a proxy puts it under one.
        parameters: the query in this order; those that are None are left out. See ``StreamRequest.parameters``.
    Raises:
        RequestInvalidError: ``base_url`` is no such address, or holds a user, query or fragment; it is not quoted.
        WorkerIdInvalidError: the id breaks the grammar.
    """
    if _BLANK_OR_CONTROL.search(base_url):
        raise RequestInvalidError("url", "has a blank or control character in it")
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port  # port raises when it is not a number up to 65535
    except ValueError:
        raise RequestInvalidError("url", "is not a URL") from None
    scheme = _WEBSOCKET_SCHEMES.get(parts.scheme)
    if scheme is None or not host:
        raise RequestInvalidError("url", "must begin with http://, https://, ws:// or wss:// and a host")
    if "@" in parts.netloc:
        raise RequestInvalidError("url", "must hold no user and password; a token goes into the Authorization header")
    if "?" in base_url or "#" in base_url:
        raise RequestInvalidError("url", "must end before the query")
    path = parts.path.rstrip("/") + (EVENTS_WS if worker_id is None else worker_events_path(worker_id))
    query = urlencode([(name, value) for name, value in parameters.items() if value is not None], quote_via=quote)
    return urlunsplit((scheme, parts.netloc, path, query, ""))


def _checked(worker_id: str) -> str:
    if _WORKER_ID.fullmatch(worker_id) is None:
        raise WorkerIdInvalidError(worker_id)
    return worker_id
