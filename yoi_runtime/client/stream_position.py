"""Where a stream stands: what the next request asks for, and which cursor is safe to store.

The two differ: what was received need not be asked for again by this stream, but a program that is killed
now must get again what it had not dealt with.
"""

from __future__ import annotations

from yoi_runtime.protocol.stream_request import FromCursor, FromOldest, Start

__all__ = ["StreamPosition"]


class StreamPosition:
    """Moved from two sides: by what arrives (``opened``, ``received``, ``restarts``), and by the consumer
    (``taken``, ``ack``), which gets the same items in the same order.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._safe_cursor = start.token if isinstance(start, FromCursor) else None
        # Items received and not dealt with, the one in the consumer's hand included.
        self._open_items = 0
        self._holds_item = False
        self._cursor_in_hand: str | None = None
        # Behind the open items: safe as soon as there are none.
        self._cursor_behind: str | None = None

    @property
    def start(self) -> Start:
        """What to ask for in the next request. A connection that brought nothing has not moved it."""
        return self._start

    @property
    def safe_cursor(self) -> str | None:
        """The cursor behind everything the consumer has dealt with; None: no place is known yet."""
        return self._safe_cursor

    def opened(self, cursor: str) -> None:
        """Note where a stream begins, or any other cursor that came without an event."""
        self._start = FromCursor(cursor)
        if self._open_items:
            self._cursor_behind = cursor
        else:
            self._safe_cursor = cursor

    def received(self, cursor: str) -> None:
        """Note an event that goes to the consumer."""
        self._start = FromCursor(cursor)
        self._add_item()

    def restarts(self, cursor: str | None) -> None:
        """Note a gap that goes to the consumer: the stream goes on at ``cursor``, or at the oldest event there is."""
        self._start = FromOldest() if cursor is None else FromCursor(cursor)
        self._add_item()

    def _add_item(self) -> None:
        self._open_items += 1
        self._cursor_behind = None

    def taken(self, cursor: str | None) -> None:
        """Note that the consumer holds an item, whose cursor this is."""
        self._holds_item = True
        self._cursor_in_hand = cursor

    def ack(self) -> None:
        """Note that the consumer has dealt with the item in its hand. Without one, nothing happens."""
        if not self._holds_item:
            return
        self._holds_item = False
        self._open_items -= 1
        if self._cursor_in_hand is not None:
            self._safe_cursor = self._cursor_in_hand
        if not self._open_items and self._cursor_behind is not None:
            self._safe_cursor, self._cursor_behind = self._cursor_behind, None
