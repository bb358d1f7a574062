"""One Worker as its owner holds it: emits events, and ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal, Self

from yoi_runtime.event_log.author import Author
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
        self,
        author: Author,
        run: int,
        log: EventLog,
        on_end: Callable[[Worker, Outcome, int | None, bool], None],
    ) -> None:
        self.worker_id = author.worker_id
        self.run = run
        self.author = author
        self._log = log
        self._append = log.append
        self._on_end = on_end

    @property
    def ended(self) -> bool:
        return self.author.ended

    def emit(self, event: Event) -> CursorToken:
        """Append an event of this Worker and return the cursor after it; does not wait for the disk.

        Raises:
            WorkerEndedError: the Worker has ended; nothing was written.
            EventInvalidError, LogError, OSError: as ``EventLog.append``.
        """
        append = self._append
        return append(event, self.worker_id, self.author)

    def offer(self, event: Event) -> CursorToken:
        """Like ``emit``, for a caller that keeps a refused event and offers it again: no loss is noted."""
        return self._log.offer(event, self.worker_id, self.author)

    def emit_many(self, events: Sequence[Event]) -> list[CursorToken]:
        """Append events of this Worker in one go and return their cursors: three times as fast as one by one.

        Each is an event like any other; no other Worker's come between them.

        Raises:
            LogStoppedError: the first ``len(error.cursors)`` are in the log, the others are not.
            WorkerEndedError, EventInvalidError, LogError, OSError: nothing was written.
        """
        return self._log.append_many(events, self.worker_id, self.author)

    def offer_many(self, events: Sequence[Event], keys: Sequence[str | None] | None = None) -> list[CursorToken]:
        """Like ``emit_many``, for a caller that keeps refused events and offers them again: no loss is noted.

        ``keys``: of each event the key that its record is to bear, or None. Whether there is one of that key already
        is the caller's affair.
        """
        return self._log.offer_many(events, self.worker_id, self.author, keys)

    async def ready(self) -> None:
        """Wait until the log takes more events. Raises ``LogBrokenError``, ``LogClosedError``."""
        await self._log.room()

    def end(
        self, outcome: Outcome = "completed", exit_code: int | None = None, *, restart_pending: bool = False
    ) -> None:
        """End the Worker: a ``worker_ended`` record. Ending twice is harmless; the first outcome stays.

        ``restart_pending``: it is going to run again under its id; who follows it is not told that it is over.

        Raises:
            LogError, OSError: the end was not written and the Worker is still running.
        """
        self._on_end(self, outcome, exit_code, restart_pending)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end("completed" if kind is None else "failed")
