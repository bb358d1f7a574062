"""Cutting a payload that is too large for a record: its longest string, on a code point; and saying so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from yoi_runtime.errors import RecordTooLargeError
from yoi_runtime.events import Alert, Event
from yoi_runtime.events.strict_json import json_path

__all__ = ["Cut", "cut_event", "cut_to_fit"]

# A payload with more long strings than this is not text but data; it is refused instead.
_MOST_CUTS = 8


class Cut(NamedTuple):
    """A payload that fits. ``cut_bytes`` of UTF-8 went from the ends of ``strings`` strings, ``path`` the first of them."""

    payload: bytes
    path: str
    strings: int
    cut_bytes: int


def cut_event(event: Event, payload: bytes, max_bytes: int, directory: Path, now_ms: int) -> tuple[bytes, Alert]:
    """Return the payload of ``event`` cut to ``max_bytes``, and the alert that says what was cut.

    Raises:
        RecordTooLargeError: nothing in it can be cut; ``directory`` is the log's.
    """
    size = len(payload)
    cut = cut_to_fit(payload, max_bytes)
    if cut is None:
        raise RecordTooLargeError(directory, size, max_bytes)
    # A name that is text of somebody's own may be long.
    name = event.event_name[:64]
    more = f" and of {cut.strings - 1} more strings" if cut.strings > 1 else ""
    message = (
        f"{name} of {size} bytes was too large for the log: "
        f"{cut.cut_bytes} bytes were cut from the end of {cut.path}{more}"
    )
    return cut.payload, Alert(level="warn", source="worker", message=message, timestamp_ms=now_ms)


def cut_to_fit(payload: bytes, max_bytes: int) -> Cut | None:
    """Shorten the longest string of ``payload`` (the next longest if that is not enough) until it fits.

    Returns None when strings are not what makes it large. ``path`` is one such as ``data.output``.
    """
    tree = json.loads(payload)
    path, strings, cut_bytes = "", 0, 0
    while len(payload) > max_bytes:
        holder, key, parts = _longest_string(tree)
        if holder is None or strings == _MOST_CUTS:
            return None
        text: str = holder[key]
        kept = _shorten(text, len(payload) - max_bytes)
        path, strings, cut_bytes = path or json_path(parts), strings + 1, cut_bytes + _size(text) - _size(kept)
        holder[key] = kept
        payload = json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()
    return Cut(payload, path, strings, cut_bytes)


def _shorten(text: str, excess: int) -> str:
    """Return a beginning of ``text`` whose JSON form is at least ``excess`` bytes shorter, "" if need be."""
    size = _json_size(text)
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if size - _json_size(text[:middle]) >= excess:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _size(text: str) -> int:
    return len(text.encode())


def _json_size(text: str) -> int:
    return _size(json.dumps(text, ensure_ascii=False))


def _longest_string(tree: dict[str, Any]) -> tuple[Any, Any, tuple[str | int, ...]]:
    """Return (holder, key, parts of the path) of the string with the most UTF-8 bytes in ``data``; names of members stay."""
    best: tuple[Any, Any, tuple[str | int, ...]] = (None, None, ())
    most = 0
    pending: list[tuple[Any, Any, tuple[str | int, ...]]] = [(tree, "data", ("data",))] if "data" in tree else []
    while pending:
        holder, key, parts = pending.pop()
        value = holder[key]
        if isinstance(value, str):
            if (size := _size(value)) > most:
                most, best = size, (holder, key, parts)
        elif isinstance(value, dict):
            pending += [(value, name, (*parts, name)) for name in value]
        elif isinstance(value, list):
            pending += [(value, index, (*parts, index)) for index in range(len(value))]
    return best
