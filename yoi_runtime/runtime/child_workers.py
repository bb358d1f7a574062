"""Child processes as Workers of a Runtime: starts them, follows them, writes their ends, stops them all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from yoi_runtime.errors import LogBusyError, LogError, LogFullError, LogStoppedError
from yoi_runtime.events import Event
from yoi_runtime.notices import Notice, named
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.runtime.worker import Outcome, Worker
from yoi_runtime.workers.adapters import AdapterName, make_adapter
from yoi_runtime.workers.child_worker import ChildWorker
from yoi_runtime.workers.outcome import WorkerExit

__all__ = ["ChildWorkers"]

_log = logging.getLogger("yoi_runtime.runtime")

# How soon an end that the log refused is offered again.
_RETRY_FIRST_SECONDS: Final = 0.01
_RETRY_LAST_SECONDS: Final = 1.0


class _WorkerSink:
    """A Worker's side of ``EventSink``: what the log refuses, the child's pump keeps and offers again."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def emit(self, event: Event) -> str:
        return self._worker.offer(event)

    def emit_many(self, events: Sequence[Event]) -> int:
        try:
            return len(self._worker.offer_many(events))
        except (LogBusyError, LogFullError):
            return 0
        except LogStoppedError as error:
            if not isinstance(error.cause, (LogBusyError, LogFullError)):
                raise error.cause from error
            return len(error.cursors)

    async def ready(self) -> None:
        await self._worker.ready()


class ChildWorkers:
    """The child processes of one Runtime. Belongs to one event loop, on the main thread."""

    def __init__(self, runtime: Runtime, *, grace_seconds: float = 5.0, last_output_seconds: float = 10.0) -> None:
        """``grace_seconds``: how long a stopped child may take to end after SIGTERM before SIGKILL.

        ``last_output_seconds``: how long what it had written may then wait for the log.
        """
        self._runtime = runtime
        self._grace_seconds = grace_seconds
        self._last_output_seconds = last_output_seconds
        self._running: dict[asyncio.Task[WorkerExit], ChildWorker] = {}

    def start(
        self,
        worker_id: str,
        command: Sequence[str],
        *,
        adapter: AdapterName = "auto",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> asyncio.Task[WorkerExit]:
        """Start ``command`` as the Worker ``worker_id``; the task returns how it ended, after its end was written.

        Raises:
            AdapterError, WorkerIdInvalidError, WorkerRunningError, LogError: nothing was started.
            WorkerStartError: there is no process; the Worker's end (``failed``) was written.
        """
        made = make_adapter(adapter)
        worker = self._runtime.create_worker(worker_id, command=command)
        try:
            child = ChildWorker(
                worker_id,
                command,
                made,
                _WorkerSink(worker),
                cwd=cwd,
                env=env,
                grace_seconds=self._grace_seconds,
            )
            child.start()
        except BaseException:
            _end_or_warn(worker, "failed")
            raise
        task = asyncio.get_running_loop().create_task(self._follow(worker, child), name=f"worker {worker_id}")
        self._running[task] = child
        task.add_done_callback(lambda done: self._running.pop(done, None))
        return task

    @staticmethod
    async def _follow(worker: Worker, child: ChildWorker) -> WorkerExit:
        try:
            ended = await child.run()
        except BaseException:
            # The log is out of service, or we were cancelled: the child is gone, say so if that can be said.
            _end_or_warn(worker, "cancelled")
            raise
        await _end(worker, ended)
        return ended

    async def wait(self) -> None:
        """Return when no child runs any more; the tasks tell how each ended."""
        if self._running:
            await asyncio.wait(list(self._running))

    async def stop(self, reason: str) -> None:
        """Stop all children (SIGTERM, grace, SIGKILL) and return when their ends are written.

        Where the log takes nothing for ``last_output_seconds``, what they had written last is given up, and logged.
        """
        running = dict(self._running)
        if not running:
            return
        await asyncio.gather(*(child.stop(reason) for child in running.values()), return_exceptions=True)
        _, waiting = await asyncio.wait(list(running), timeout=self._last_output_seconds)
        if waiting:
            ids = ", ".join(sorted(running[task].worker_id for task in waiting))
            _log.error(
                "the log takes nothing: the last output of %s is given up",
                ids,
                extra=named(Notice.WORKER_OUTPUT_GIVEN_UP, workers=len(waiting)),
            )
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)


async def _end(worker: Worker, ended: WorkerExit) -> None:
    """Write a Worker's end, however long the log takes to have room for it."""
    delay = _RETRY_FIRST_SECONDS
    while True:
        try:
            worker.end(ended.outcome, ended.exit_code)
            return
        except (LogBusyError, LogFullError):
            await asyncio.sleep(delay)
            delay = min(2 * delay, _RETRY_LAST_SECONDS)


def _end_or_warn(worker: Worker, outcome: Outcome) -> None:
    try:
        worker.end(outcome)
    except (LogError, OSError) as error:
        _log.warning(
            "the end of Worker %s could not be written: %s",
            worker.worker_id,
            error,
            extra=named(Notice.WORKER_END_NOT_WRITTEN, worker_id=worker.worker_id),
        )
