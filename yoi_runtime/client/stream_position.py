"""What the next request of a stream asks for: behind everything that has arrived.

Which cursor is safe to store is another question, and the consumer's side answers it: what was received need not be
asked for again by this stream, but a program that is killed now must get again what it had not dealt with.
"""

from __future__ import annotations

from yoi_runtime.protocol.stream_request import FromCursor, FromOldest, Start

__all__ = ["StreamPosition"]


class StreamPosition:
    """A connection that brought nothing has not moved it."""

    def __init__(self, start: Start) -> None:
        self.start = start

    def reached(self, cursor: str) -> None:
        """Note that everything before ``cursor`` has arrived."""
        self.start = FromCursor(cursor)

    def restarts(self, cursor: str | None) -> None:
        """Go on at ``cursor``, or at the oldest event there is: what lies before has been announced as a gap."""
        self.start = FromOldest() if cursor is None else FromCursor(cursor)
