"""The newest keys of Workers, and where the event of each stands: what makes a repeated line count once. Pure.

A window is complete from the moment it is filled from the log (``key_history``), because nobody but the listener
writes keys; it may be forgotten between two connections, and is filled again.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["KEPT_KEYS", "KeyWindow", "KeyWindows"]

# A client repeats what was not acknowledged, some thousands of lines at most; 10,000 take about 3 MB.
KEPT_KEYS: Final = 10_000
# Of Workers without a connection, all together: about 60 MB.
_IDLE_KEYS = 200_000


class KeyWindow:
    """The newest ``kept`` keys of one Worker."""

    def __init__(self, found: Iterable[tuple[str, str]] = (), kept: int = KEPT_KEYS) -> None:
        """``found``: keys and the cursors of their events, oldest first."""
        self._kept = kept
        self._cursors: dict[str, str] = {}
        self._order: deque[str] = deque()
        for key, cursor in found:
            self._add(key, cursor)

    def __len__(self) -> int:
        return len(self._cursors)

    def cursor_of(self, key: str) -> str | None:
        """Return the cursor of the event that bears ``key``, None when it is not among the newest."""
        return self._cursors.get(key)

    def add(self, keys: Sequence[str | None], cursors: Sequence[str]) -> None:
        """Take in events that were just appended."""
        for key, cursor in zip(keys, cursors, strict=True):
            if key is not None:
                self._add(key, cursor)

    def _add(self, key: str, cursor: str) -> None:
        # The first counts: what came later under the same key was before anybody looked.
        if key in self._cursors:
            return
        self._cursors[key] = cursor
        self._order.append(key)
        if len(self._order) > self._kept:
            del self._cursors[self._order.popleft()]


class KeyWindows:
    """The windows of Workers; those without a connection are kept while there is room."""

    def __init__(self, idle_keys: int = _IDLE_KEYS) -> None:
        self._most_idle_keys = idle_keys
        self._idle: OrderedDict[str, KeyWindow] = OrderedDict()
        self._idle_keys = 0

    def take(self, worker_id: str) -> KeyWindow | None:
        """Hand over the window of a Worker to its connection, None when it has to be filled from the log."""
        window = self._idle.pop(worker_id, None)
        if window is not None:
            self._idle_keys -= len(window)
        return window

    def give_back(self, worker_id: str, window: KeyWindow) -> None:
        """Keep the window of a Worker whose connection is gone; those not used for longest make room."""
        self._idle[worker_id] = window
        self._idle_keys += len(window)
        while self._idle_keys > self._most_idle_keys:
            _, forgotten = self._idle.popitem(last=False)
            self._idle_keys -= len(forgotten)
