"""Which page of the Workers a peer asks for, read from a query string. Specification: docs/protocol.md, "Pages".

A page begins after a Worker's id, not at a number: Workers that come or go between two pages make no other
one be passed over or shown twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from yoi_runtime.errors import RequestInvalidError

__all__ = ["MAX_PAGE_WORKERS", "PageRequest", "parse_page_request"]

# Also what a peer gets that does not ask: more than most Runtimes have, and 6 ms of a server's time.
MAX_PAGE_WORKERS = 1000
# A Worker's id is shorter; what sorts after it all the same is no reason for an error.
_MAX_AFTER_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class PageRequest:
    """At most ``limit`` Workers whose ids come after ``after`` ("": from the first), in the order of ASCII."""

    after: str = ""
    limit: int = MAX_PAGE_WORKERS


def parse_page_request(parameters: Iterable[tuple[str, str]]) -> PageRequest:
    """Read ``after`` and ``limit`` from names and values as decoded from the query string.

    Raises:
        RequestInvalidError: another parameter, one given twice, or a value outside of its bounds.
    """
    values: dict[str, str] = {}
    for name, value in parameters:
        if name not in ("after", "limit"):
            raise RequestInvalidError(name, "no such parameter")
        if name in values:
            raise RequestInvalidError(name, "is given more than once")
        values[name] = value
    return PageRequest(_after(values.get("after", "")), _limit(values.get("limit")))


def _after(text: str) -> str:
    if len(text) > _MAX_AFTER_CHARACTERS:
        raise RequestInvalidError("after", f"has more than {_MAX_AFTER_CHARACTERS} characters")
    return text


def _limit(text: str | None) -> int:
    if text is None:
        return MAX_PAGE_WORKERS
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_PAGE_WORKERS):
        raise RequestInvalidError("limit", f"is not a number from 1 to {MAX_PAGE_WORKERS}")
    return int(text)
