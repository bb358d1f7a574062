"""Child processes as Workers of a Runtime: starts them, follows them, writes their ends, stops them all.

What runs again after its end, and when, is decided by ``workers.restart_policy``; here it is done.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from yoi_runtime.errors import LogError, LogStoppedError, WorkerRunningError, WorkerStartError
from yoi_runtime.events import Event
from yoi_runtime.notices import Notice, named
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.runtime.worker import Outcome, Worker
from yoi_runtime.runtime.worker_end import (
    RETRY_FIRST_SECONDS,
    RETRY_LAST_SECONDS,
    end_or_warn,
    write_when_there_is_room,
)
from yoi_runtime.workers.adapters import AdapterName, make_adapter, wall_clock_ms, worker_alert
from yoi_runtime.workers.child_worker import ChildWorker
from yoi_runtime.workers.outcome import WorkerExit
from yoi_runtime.workers.restart_policy import GiveUp, Restart, RestartDecision, RestartPolicy, Restarts
from yoi_runtime.workers.terminal import TerminalOptions
from yoi_runtime.workers.traced_sink import sink_in_trace

__all__ = ["ChildWorkers"]

_log = logging.getLogger("yoi_runtime.runtime")


class _WorkerSink:
    """A Worker's side of ``EventSink``: what the log refuses, the child's pump keeps and offers again."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def emit(self, event: Event) -> str:
        return self._worker.offer(event)

    def emit_many(self, events: Sequence[Event]) -> int:
        try:
            return len(self._worker.offer_many(events))
        except LogStoppedError as error:
            if not (isinstance(error.cause, LogError) and error.cause.is_passing):
                raise error.cause from error
            return len(error.cursors)
        except LogError as error:
            if not error.is_passing:
                raise
            return 0

    async def ready(self) -> None:
        await self._worker.ready()


@dataclass(slots=True)
class _Supervised:
    """A command that is a Worker for one run, or for several; ``child`` is that of its present run, if any."""

    worker_id: str
    command: Sequence[str]
    adapter: AdapterName
    cwd: Path | None
    env: Mapping[str, str] | None
    terminal: TerminalOptions | None
    grace_seconds: float
    restarts: Restarts
    child: ChildWorker | None = None
    stop_reason: str | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def stop(self, reason: str) -> None:
        if self.stop_reason is None:
            self.stop_reason = reason
        self.stopped.set()
        if self.child is not None:
            await self.child.stop(reason)

    async def pause(self, seconds: float) -> None:
        """Wait until the time is over, or somebody stops it."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopped.wait()
        except TimeoutError:
            return


class ChildWorkers:
    """The child processes of one Runtime. Belongs to one event loop, on the main thread."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        grace_seconds: float = 5.0,
        last_output_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """``grace_seconds``: how long a stopped child may take to end after SIGTERM before SIGKILL.

        ``last_output_seconds``: how long what it had written may then wait for the log. ``clock`` and ``jitter``
        (numbers in [0, 1)) are for restarts.
        """
        self._runtime = runtime
        self._grace_seconds = grace_seconds
        self._last_output_seconds = last_output_seconds
        self._clock = clock
        self._jitter = jitter
        self._running: dict[asyncio.Task[WorkerExit], _Supervised] = {}

    def start(
        self,
        worker_id: str,
        command: Sequence[str],
        *,
        adapter: AdapterName = "auto",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        terminal: TerminalOptions | None = None,
        restart: RestartPolicy | None = None,
        grace_seconds: float | None = None,
    ) -> asyncio.Task[WorkerExit]:
        """Start ``command`` as the Worker ``worker_id``; the task returns how it ended, after its end was written.

        ``restart``: when it runs again under its id; the task returns the end of its last run. ``terminal``: it has
        one of its own. ``env`` None: this process's environment, with the terminal's type. ``grace_seconds`` None:
        as of all.

        Raises:
            AdapterError, WorkerIdInvalidError, WorkerRunningError, LogError: nothing was started.
            WorkerStartError: there is no process; the Worker's end (``failed``) was written.
        """
        supervised = _Supervised(
            worker_id,
            command,
            adapter,
            cwd,
            env,
            terminal,
            self._grace_seconds if grace_seconds is None else grace_seconds,
            Restarts(restart or RestartPolicy(), self._jitter),
        )
        worker, child = self._prepare(supervised)
        try:
            child.start()
        except BaseException:
            _end_or_warn(worker, "failed")
            raise
        supervised.child = child
        supervise = self._supervise(supervised, worker, child)
        task = asyncio.get_running_loop().create_task(supervise, name=f"worker {worker_id}")
        self._running[task] = supervised
        task.add_done_callback(lambda done: self._running.pop(done, None))
        return task

    def _prepare(self, supervised: _Supervised) -> tuple[Worker, ChildWorker]:
        """Begin a run: its Worker, and what will be its process."""
        made = make_adapter(supervised.adapter)
        worker = self._runtime.create_worker(supervised.worker_id, command=supervised.command)
        try:
            environment = supervised.env if supervised.env is not None else os.environ
            sink, alert = sink_in_trace(_WorkerSink(worker), environment)
            child = ChildWorker(
                supervised.worker_id,
                supervised.command,
                made,
                sink,
                first=alert,
                cwd=supervised.cwd,
                env=supervised.env,
                terminal=supervised.terminal,
                grace_seconds=supervised.grace_seconds,
            )
        except BaseException:
            _end_or_warn(worker, "failed")
            raise
        return worker, child

    async def _supervise(self, supervised: _Supervised, worker: Worker, child: ChildWorker) -> WorkerExit:
        """Follow one run after the other; ``child`` was started. Return the end of the last."""
        while True:
            began = self._clock()
            try:
                ended = await child.run()
            except WorkerStartError as error:
                # A run after the first: the same command could be started before.
                _log.warning("%s", error, extra=named(Notice.WORKER_NOT_STARTED, worker_id=supervised.worker_id))
                ended = WorkerExit("failed", None, None)
            except BaseException:
                # The log is out of service, or we were cancelled: the child is gone, say so if that can be said.
                _end_or_warn(worker, "cancelled")
                raise
            finally:
                supervised.child = None
            now = self._clock()
            decision = supervised.restarts.after(ended, now - began, now)
            if not isinstance(decision, Restart) or supervised.stop_reason is not None:
                await self._end_finally(worker, ended, decision)
                return ended
            await _end(worker, ended, restart_pending=True)
            try:
                again = await self._begin_again(supervised, ended, decision)
            except BaseException:
                end_or_warn(supervised.worker_id, partial(self._runtime.end_restart, supervised.worker_id, "cancelled"))
                raise
            if again is None:
                return WorkerExit("cancelled", None, None, supervised.stop_reason)
            worker, child = again

    async def _end_finally(self, worker: Worker, ended: WorkerExit, decision: RestartDecision) -> None:
        if isinstance(decision, GiveUp):
            self._runtime.worker_counts.given_up += 1
            why = (
                f"gave up: it ended again after {decision.restarts} restarts within {decision.window_seconds:g} s"
                f" ({ended.description})"
            )
            _log.error(
                "Worker %s: %s",
                worker.worker_id,
                why,
                extra=named(Notice.WORKER_GIVEN_UP, worker_id=worker.worker_id, restarts=decision.restarts),
            )
            await write_when_there_is_room(lambda: worker.offer(worker_alert("error", why, wall_clock_ms)))
        await _end(worker, ended)

    async def _begin_again(
        self, supervised: _Supervised, ended: WorkerExit, decision: Restart
    ) -> tuple[Worker, ChildWorker] | None:
        """Wait and begin the next run, however long the log takes to have room for it; None when it was stopped."""
        worker_id, delay = supervised.worker_id, decision.delay_seconds
        level = logging.INFO if ended.outcome == "completed" else logging.WARNING
        message = "Worker %s %s (%s): restart %d in %.1f s"
        fields = named(
            Notice.WORKER_RESTARTED, worker_id=worker_id, outcome=ended.outcome, number=decision.number, delay=delay
        )
        _log.log(level, message, worker_id, ended.outcome, ended.description, decision.number, delay, extra=fields)
        await supervised.pause(delay)
        retry = RETRY_FIRST_SECONDS
        while supervised.stop_reason is None:
            try:
                worker, child = self._prepare(supervised)
            except WorkerRunningError:
                # Somebody else runs under the id at present; it comes to its turn when that has ended.
                await supervised.pause(delay)
            except LogError as error:
                if not error.is_passing:
                    raise
                await supervised.pause(retry)
                retry = min(2 * retry, RETRY_LAST_SECONDS)
            else:
                supervised.child = child
                self._runtime.worker_counts.restarts += 1
                return worker, child
        await write_when_there_is_room(lambda: self._runtime.end_restart(worker_id, "cancelled"))
        return None

    async def wait(self) -> None:
        """Return when no child runs any more, or will again; the tasks tell how each ended."""
        if self._running:
            await asyncio.wait(list(self._running))

    async def stop(self, reason: str) -> None:
        """Stop all children (SIGTERM, grace, SIGKILL) and return when their ends are written; none runs again.

        Where the log takes nothing for ``last_output_seconds``, what they had written last is given up, and logged.
        """
        running = dict(self._running)
        if not running:
            return
        await asyncio.gather(*(supervised.stop(reason) for supervised in running.values()), return_exceptions=True)
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


async def _end(worker: Worker, ended: WorkerExit, *, restart_pending: bool = False) -> None:
    await write_when_there_is_room(lambda: worker.end(ended.outcome, ended.exit_code, restart_pending=restart_pending))


def _end_or_warn(worker: Worker, outcome: Outcome) -> None:
    end_or_warn(worker.worker_id, lambda: worker.end(outcome))
