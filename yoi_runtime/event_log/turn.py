"""One thread at a time in the log, and none within itself.

A signal handler or a finalizer runs in the middle of whatever its thread was doing. If that was an append,
a second append would take the same numbers and the same bytes of the file; waiting for the first one would
be for ever. So it is refused, with an error that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Protocol, TypeVar

from yoi_runtime.errors import LogReentryError

__all__ = ["Locked", "Turn"]

_T = TypeVar("_T")


class Locked(Protocol):
    """What turns are taken in: a log. Its ``lock`` is another one in a forked child."""

    lock: RLock

    @property
    def directory(self) -> Path: ...


class Turn:
    """Who holds the log's lock has the turn. ``interrupted``: something other than an error ended one (Ctrl-C).

    A context manager would have methods of Python's, and Ctrl-C may strike as those begin: the lock or ``held``
    would stay for ever. Between ``with lock`` and ``try`` it cannot strike, because nothing is called there.
    """

    __slots__ = ("_log", "held", "interrupted")

    def __init__(self, log: Locked) -> None:
        self._log = log
        self.held = False
        self.interrupted = False

    def take(self, action: Callable[[], _T]) -> _T:
        """Wait for one's turn and return what ``action`` returns. ``EventLog.append`` spells this out.

        Raises:
            LogReentryError: this very thread is in the middle of its turn; nothing was done.
        """
        with self._log.lock:
            if self.held:
                raise LogReentryError(self._log.directory)
            self.held = True
            try:
                return action()
            except Exception:
                raise
            except BaseException:
                self.interrupted = True
                raise
            finally:
                self.held = False

    def check_outside(self) -> None:
        """Raise ``LogReentryError`` when this thread is in the middle of its turn."""
        self.take(_nothing)


def _nothing() -> None:
    """Be what somebody does who only wants to know whether it is his turn."""
