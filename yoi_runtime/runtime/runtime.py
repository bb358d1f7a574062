"""The Runtime: opens the log, keeps the books on Workers, and says in the log what becomes of both."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from yoi_runtime.catalog.catalog import Catalog
from yoi_runtime.catalog.place_indexer import PlaceIndexer
from yoi_runtime.errors import LogClosedError, LogError, WorkerRunningError
from yoi_runtime.event_log.author import Author
from yoi_runtime.event_log.event_log import EventLog
from yoi_runtime.events import (
    LogRecovered,
    RuntimeStarted,
    RuntimeStopping,
    WorkerCreated,
    WorkerEnded,
    WorkerStarted,
)
from yoi_runtime.notices import Notice, named
from yoi_runtime.runtime.ingest.lines import RefusalCode
from yoi_runtime.runtime.ingest.listener import IngestListener
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.worker import Outcome, Worker
from yoi_runtime.runtime.worker_end import end_or_warn
from yoi_runtime.segment_log.cursor import CursorToken
from yoi_runtime.segment_log.figures import LogFigures
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform, abandon_after_fork
from yoi_runtime.segment_log.writer import LogWriter
from yoi_runtime.version import VERSION
from yoi_runtime.workers.worker_counts import IngestCounts, WorkerCounts
from yoi_runtime.workers.worker_id import check_worker_id

__all__ = ["LOG_DIRECTORY", "Runtime"]

LOG_DIRECTORY = "log"

_log = logging.getLogger("yoi_runtime.runtime")


class Runtime:
    """The one writer of ``data_dir``. Any thread may call any method."""

    def __init__(self, data_dir: Path, options: RuntimeOptions, platform: Platform) -> None:
        """Open the log in ``data_dir`` (made when missing), recover it, and start.

        Workers that the last process left running, or was about to run again, get ``worker_ended`` with outcome ``lost``.

        Raises:
            LogHeldError: another process is the Runtime of this directory.
            LogPlacementError: on a network file system, unless the options allow that; nothing was made.
            LogError, OSError: the log cannot be opened, or there can be no socket; nothing was lost.
        """
        self.data_dir = data_dir
        # Passable for a signal handler, whom the log refuses: a plain lock would wait for ever.
        self._lock = threading.RLock()
        # Held for a whole close; an RLock, because a close within a close on one thread has nothing to do.
        self._closing = threading.RLock()
        self._workers: dict[str, Worker] = {}
        self._closed = False
        self._platform = platform
        self._ingest: IngestListener | None = None
        # Written out beforehand: a name is zero before it is one.
        self._counts = WorkerCounts(ingest=IngestCounts(refused=Counter(dict.fromkeys(map(str, RefusalCode), 0))))
        writer = LogWriter(data_dir / LOG_DIRECTORY, options.log, platform)
        try:
            catalog = Catalog(data_dir, writer.directory, platform, writer.steady_clock.now_us, options.retention)
            self._ledger = catalog.ledger
            self._log = EventLog(writer, catalog, options.retention, platform)
            self._begin(writer, platform)
        except BaseException:
            writer.close()
            raise
        try:
            self._log.start_maintenance(options.maintenance_interval_seconds)
            self._place_indexer = PlaceIndexer(writer.directory, self._log.sealed_segments, platform)
        except BaseException:  # no thread to be had, say
            self._log.close()
            raise
        abandon_after_fork(self)
        if options.ingest:
            try:
                self.listen()
            except BaseException:
                self.close("cannot listen")
                raise

    def abandon_in_child(self) -> None:
        """Leave the log to the parent in a forked child: what is called there raises ``LogClosedError``, and nothing waits."""
        self._lock = threading.RLock()
        self._closing = threading.RLock()
        self._closed = True
        self._ingest = None

    def _begin(self, writer: LogWriter, platform: Platform) -> None:
        self._log.append(RuntimeStarted(version=VERSION, pid=platform.pid()))
        report = writer.recovery
        if report is not None:
            reason = "unclean end" if report.corrupt_reason is None else f"damage: {report.corrupt_reason}"
            self._log.append(
                LogRecovered(
                    segment=report.segment,
                    kept_events=report.kept_records,
                    dropped_bytes=report.dropped_bytes,
                    reason=reason,
                )
            )
        for state in list(self._ledger.workers.values()):
            # Who was going to run it again is gone.
            if not state.ended or state.restart_pending:
                self._log.append(WorkerEnded(worker_id=state.worker_id, outcome="lost"))

    @classmethod
    def open(
        cls, data_dir: Path | str, options: RuntimeOptions | None = None, platform: Platform = REAL_PLATFORM
    ) -> Runtime:
        """Open the Runtime of ``data_dir``. Errors: the constructor's."""
        return cls(Path(data_dir), options or RuntimeOptions(), platform)

    @property
    def log_id(self) -> str:
        """Return the id of this log's lifetime, 16 hex digits."""
        return self._log.log_id

    @property
    def log_directory(self) -> Path:
        return self._log.directory

    @property
    def figures(self) -> LogFigures:
        """Return what the writer of the log can tell of itself while it works."""
        return self._log.figures

    @property
    def worker_counts(self) -> WorkerCounts:
        """Return what is counted of Workers since the start."""
        return self._counts

    def create_worker(self, worker_id: str, *, command: Sequence[str] | None = None) -> Worker:
        """Start a Worker under ``worker_id``; one that ran before continues its numbers.

        ``command`` is recorded in ``worker_started`` for people to read; what of it is not UTF-8, as escapes.

        Raises:
            WorkerIdInvalidError: the id breaks the grammar.
            WorkerRunningError: it runs already.
            LogError, OSError: the log refused; the Worker does not run.
        """
        check_worker_id(worker_id)
        with self._lock:
            if self._closed:
                raise LogClosedError(self._log.directory)
            if worker_id in self._workers:
                raise WorkerRunningError(worker_id)
            known = self._ledger.workers.get(worker_id)
            run = known.run + 1 if known is not None else 1
            shown = None if command is None else tuple(_readable(part) for part in command)
            if known is None or known.created_at is None:
                self._log.append(WorkerCreated(worker_id=worker_id))
            self._log.append(WorkerStarted(worker_id=worker_id, run=run, command=shown))
            worker = Worker(Author(worker_id), run, self._log, self._end_worker)
            self._workers[worker_id] = worker
            return worker

    def _end_worker(self, worker: Worker, outcome: Outcome, exit_code: int | None, restart_pending: bool) -> None:
        ended = WorkerEnded(
            worker_id=worker.worker_id,
            outcome=outcome,
            exit_code=exit_code,
            restart_pending=True if restart_pending else None,
        )
        self._log.end(worker.author, ended)
        # Whoever ended it: Ctrl-C may have met him before he came to this.
        with self._lock:
            if self._workers.get(worker.worker_id) is worker:
                del self._workers[worker.worker_id]

    def end_restart(self, worker_id: str, outcome: Outcome) -> bool:
        """End a Worker that ended with ``restart_pending``: it will not run again. False when none waits under this id.

        Raises:
            LogError, OSError: the end was not written and the Worker is still expected to run again.
        """
        with self._lock:
            state = self._ledger.workers.get(worker_id)
            if worker_id in self._workers or state is None or not state.restart_pending:
                return False
            self._log.append(WorkerEnded(worker_id=worker_id, outcome=outcome))
            return True

    def is_over(self, worker_id: str, run: int) -> bool:
        """Say whether ``run`` is the newest run of a Worker, and has ended."""
        with self._lock:
            state = self._ledger.workers.get(worker_id)
            return worker_id not in self._workers and state is not None and state.run == run

    def end_run(self, worker_id: str, run: int, outcome: Outcome, exit_code: int | None = None) -> None:
        """Have the log say how the newest run of a Worker ended by the Worker's own account, which comes late.

        Until then the log may have said ``lost``, or ``crashed``, as a Runtime says that does not know. Nothing is
        written when it says the same already, or when the Worker has run again since.

        Raises:
            WorkerRunningError: it runs.
            LogError, OSError: the end was not written.
        """
        with self._lock:
            if worker_id in self._workers:
                raise WorkerRunningError(worker_id)
            state = self._ledger.workers.get(worker_id)
            if state is None or state.run != run:
                return
            if state.outcome != outcome or state.restart_pending:
                self._log.append(WorkerEnded(worker_id=worker_id, outcome=outcome, exit_code=exit_code))

    def running_workers(self) -> list[str]:
        """Return the ids of the Workers that run."""
        with self._lock:
            return sorted(self._workers)

    def listen(self) -> None:
        """Let programs of this machine bring their Workers through ``runtime.sock`` (docs/ingest.md), until the close.

        Listening twice is harmless.

        Raises:
            LogClosedError: the Runtime is closed.
            OSError: there can be no socket in the data directory; the Runtime goes on without.
        """
        with self._lock:
            if self._closed:
                raise LogClosedError(self._log.directory)
            if self._ingest is None:
                self._ingest = IngestListener(self, self._platform)

    def wait_durable(self, cursor: CursorToken, deadline_seconds: float | None = None) -> None:
        """Block until the event of ``cursor`` survives a power cut. Errors: ``EventLog.wait_durable``."""
        self._log.wait_durable(cursor, deadline_seconds)

    async def durable(self, cursor: CursorToken) -> None:
        """Wait until the event of ``cursor`` survives a power cut. Errors: ``EventLog.durable``."""
        await self._log.durable(cursor)

    async def settled(self) -> None:
        """Wait until everything that was appended before survives a power cut. Errors: ``EventLog.settled``."""
        await self._log.settled()

    def close(self, reason: str = "closed") -> None:
        """End the Workers that still run (outcome ``cancelled``) and close the log. Closing twice is harmless.

        Whoever calls returns when the log is closed. An end that the log refuses is logged, and written as
        ``lost`` at the next start.

        Raises:
            LogBrokenError: the last events could not be synced; the log is closed all the same.
            LogReentryError: called from a signal handler, in the middle of an append; nothing was done.
        """
        self._log.check_outside()
        with self._closing:
            with self._lock:
                if self._closed:
                    return
                self._closed = True
            # Outside of the lock, which a connection may wait for.
            if self._ingest is not None:
                self._ingest.stop()
            with self._lock:
                running = list(self._workers.values())
            try:
                self._place_indexer.stop()
                for worker in running:
                    self._end_at_close(worker)
                self._log.append(RuntimeStopping(reason=reason))
            except (LogError, OSError) as error:
                _log.warning(
                    "the end of the Runtime could not be written: %s",
                    error,
                    extra=named(Notice.RUNTIME_END_NOT_WRITTEN),
                )
            finally:
                self._log.close()

    @staticmethod
    def _end_at_close(worker: Worker) -> None:
        end_or_warn(worker.worker_id, lambda: worker.end("cancelled"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _readable(argument: str) -> str:
    """Return a command's argument without the lone surrogates that stand for bytes in it (PEP 383)."""
    return argument.encode("utf-8", "backslashreplace").decode("utf-8")
