"""One Worker as its owner holds it: emits events, and ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

from yoi_runtime.errors import WorkerEndedError
from yoi_runtime.event_log.event_log import EventLog
from yoi_runtime.events import Event
from yoi_runtime.segment_log.cursor import CursorToken

__all__ = ["Outcome", "Worker"]

Outcome = Literal["completed", "failed", "cancelled", "crashed", "lost"]


class Worker:
    """A running Worker. Made by ``Runtime.create_worker``; any thread may call any method.

    As a context manager it ends ``completed``, or ``failed`` when the block raises.
    """

    def __init__(
        self, worker_id: str, run: int, log: EventLog, on_end: Callable[[Worker, Outcome, int | None], None]
    ) -> None:
        self.worker_id = worker_id
        self.run = run
        self._log = log
        self._on_end = on_end
        # Held while appending too: nothing of a Worker comes after its end.
        # Of the kind that a signal handler passes: the log then refuses it, where a plain lock would wait for ever.
        self._lock = threading.RLock()
        self._ended = False

    def abandon_in_child(self) -> None:
        """Let go, in a forked child, of a lock that one of the parent's threads may hold."""
        self._lock = threading.RLock()

    @property
    def ended(self) -> bool:
        return self._ended

    def emit(self, event: Event) -> CursorToken:
        """Append an event of this Worker and return the cursor after it; does not wait for the disk.

        Raises:
            WorkerEndedError: the Worker has ended; nothing was written.
            EventInvalidError, LogError, OSError: as ``EventLog.append``.
        """
        with self._lock:
            self._check_running()
            return self._log.append(event, self.worker_id)

    def offer(self, event: Event) -> CursorToken:
        """Like ``emit``, for a caller that keeps a refused event and offers it again: no loss is noted."""
        with self._lock:
            self._check_running()
            return self._log.offer(event, self.worker_id)

    async def ready(self) -> None:
        """Wait until the log takes more events. Raises ``LogBrokenError``, ``LogClosedError``."""
        await self._log.room()

    def end(self, outcome: Outcome = "completed", exit_code: int | None = None) -> None:
        """End the Worker: a ``worker_ended`` record. Ending twice is harmless; the first outcome stays.

        Raises:
            LogError, OSError: the end was not written and the Worker is still running.
        """
        with self._lock:
            if self._ended:
                return
            self._on_end(self, outcome, exit_code)
            self._ended = True

    def _check_running(self) -> None:
        if self._ended:
            raise WorkerEndedError(self.worker_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end("completed" if kind is None else "failed")
