"""A bell per log directory, inside one process: the writer rings it after each commit.

A ring is a hint and carries no data; whoever hears it looks at the watermark. A lost ring costs
delay, never records: readers in other processes hear nothing and poll.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from yoi_runtime.segment_log.platform import abandon_after_fork

__all__ = ["Doorbell", "doorbell_of"]

_bells: dict[str, Doorbell] = {}
_bells_lock = threading.Lock()


class Doorbell:
    """Calls everybody who listens. Safe from any thread; listeners run in the ringing thread and must return at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: tuple[Callable[[], None], ...] = ()
        self._ringers = 0
        abandon_after_fork(self)

    def abandon_in_child(self) -> None:
        """Forget the parent's writer and listeners in a forked child: neither is here."""
        self._lock = threading.Lock()
        self._listeners = ()
        self._ringers = 0

    @property
    def has_ringer(self) -> bool:
        """Return whether the writer is in this process: what it commits is rung for, and nobody needs to look by himself."""
        return self._ringers > 0

    def attach(self) -> None:
        """Promise to ring after each commit, until ``detach``."""
        with self._lock:
            self._ringers += 1

    def detach(self) -> None:
        """Take the promise back, after a last ring: who listens looks by himself from now on."""
        with self._lock:
            self._ringers -= 1
        self.ring()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Add a listener; returns the call that removes it again (calling it twice is harmless)."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

        return lambda: self._remove(listener)

    def _remove(self, listener: Callable[[], None]) -> None:
        with self._lock:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

    def ring(self) -> None:
        for listener in self._listeners:
            try:
                listener()
            except RuntimeError:  # call_soon_threadsafe of a closed event loop: nobody listens there any more
                self._remove(listener)


def doorbell_of(directory: Path) -> Doorbell:
    """Return the one bell of ``directory`` in this process."""
    key = str(directory.resolve())
    with _bells_lock:
        return _bells.setdefault(key, Doorbell())
