"""Which cursor is safe when events are dealt with out of order: the one before the oldest that is not."""

from __future__ import annotations

from collections import deque

__all__ = ["Frontier", "Pending"]


class Pending:
    """An item on its way; ``open`` counts those who have not dealt with it yet."""

    __slots__ = ("cursor", "open")

    def __init__(self, cursor: str | None, count: int) -> None:
        self.cursor = cursor
        self.open = count


class Frontier:
    """The items of one stream in their order, as long as one before them is open."""

    def __init__(self, cursor: str | None) -> None:
        """Begin at ``cursor``, when there is one."""
        self.safe_cursor = cursor
        self._pending: deque[Pending] = deque()

    def add(self, cursor: str | None, count: int = 1) -> Pending:
        """Note the next item, which ``count`` consumers have to deal with; without a cursor it gives no place."""
        pending = Pending(cursor, count)
        self._pending.append(pending)
        self._advance()
        return pending

    def dealt(self, pending: Pending) -> None:
        """Note that one of its consumers has dealt with an item."""
        pending.open -= 1
        self._advance()

    def _advance(self) -> None:
        while self._pending and self._pending[0].open == 0:
            passed = self._pending.popleft()
            if passed.cursor is not None:
                self.safe_cursor = passed.cursor
