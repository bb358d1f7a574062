"""What may be asked of a transcript, and what whoever keeps it gives back. Specification: docs/transcript.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from yoi_runtime.errors import RequestInvalidError

__all__ = ["DEFAULT_LIMIT", "MAX_LIMIT", "TranscriptPage", "TranscriptQuery", "parse_transcript_query"]

DEFAULT_LIMIT = 100
MAX_LIMIT = 1_000
# The largest integer that every JSON reader keeps exactly; no index comes near it.
_MAX_START = 2**53 - 1
_NAMES = ("start", "limit", "thinking")


@dataclass(frozen=True, slots=True)
class TranscriptQuery:
    """A page of a transcript. ``start`` None: from the oldest item that is kept."""

    start: int | None = None
    limit: int = DEFAULT_LIMIT
    thinking: bool = False

    def parameters(self) -> dict[str, str]:
        """Return the query that ``parse_transcript_query`` reads this from, defaults left out."""
        query = {} if self.start is None else {"start": str(self.start)}
        if self.limit != DEFAULT_LIMIT:
            query["limit"] = str(self.limit)
        if self.thinking:
            query["thinking"] = "1"
        return query


@dataclass(frozen=True, slots=True)
class TranscriptPage:
    """An answer: the bytes of a ``TranscriptAnswer`` and the tag that tells it from every other.

    ``body`` None: whoever asked has the answer of this tag already.
    """

    etag: str
    body: bytes | None


def parse_transcript_query(parameters: Iterable[tuple[str, str]]) -> TranscriptQuery:
    """Read a query string's names and values, repeated and empty ones included.

    Raises:
        RequestInvalidError: a name that there is not, or one twice, or a value out of its range.
    """
    pairs = list(parameters)
    for name, count in Counter(name for name, _ in pairs).items():
        if name not in _NAMES:
            raise RequestInvalidError(name, "no such parameter")
        if count > 1:
            raise RequestInvalidError(name, "is given more than once")
    values = dict(pairs)
    start = _number("start", values["start"], 0, _MAX_START) if "start" in values else None
    limit = _number("limit", values["limit"], 1, MAX_LIMIT) if "limit" in values else DEFAULT_LIMIT
    thinking = values.get("thinking", "0")
    if thinking not in ("0", "1"):
        raise RequestInvalidError("thinking", "is neither 1 nor 0")
    return TranscriptQuery(start, limit, thinking == "1")


def _number(name: str, text: str, least: int, most: int) -> int:
    # The length first: int() of a long text is slow, and refused from 4300 digits on.
    if len(text) <= 16 and text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise RequestInvalidError(name, f"is not a whole number from {least} to {most}")
