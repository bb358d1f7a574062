"""One thread at a time in the log, and none within itself.

A signal handler or a finalizer runs in the middle of whatever its thread was doing. If that was an append,
a second append would take the same numbers and the same bytes of the file; waiting for the first one would
be for ever. So it is refused, with an error that says so.
"""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

from yoi_runtime.errors import LogReentryError

__all__ = ["Turn"]


class Turn:
    """A lock for ``with``. ``interrupted`` is set when something other than an error ended a turn (Ctrl-C)."""

    __slots__ = ("_directory", "_held", "_lock", "interrupted")

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.RLock()
        self._held = False
        self.interrupted = False

    def __enter__(self) -> None:
        """Wait for one's turn.

        Raises:
            LogReentryError: this very thread is in the middle of its turn; nothing was done.
        """
        self._lock.acquire()
        if self._held:
            self._lock.release()
            raise LogReentryError(self._directory)
        # A handler that ran before this line found nothing begun, and has ended by now.
        self._held = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self.interrupted = True
        self._held = False
        self._lock.release()

    def check_outside(self) -> None:
        """Raise ``LogReentryError`` when this thread is in the middle of its turn."""
        with self:
            pass
