"""Child processes as Workers of a Runtime: starts them, follows them, writes their ends, stops them all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from yoi_runtime.events import Event
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.runtime.worker import Worker
from yoi_runtime.workers.adapters import AdapterName, make_adapter
from yoi_runtime.workers.child_worker import ChildWorker
from yoi_runtime.workers.outcome import WorkerExit

__all__ = ["ChildWorkers"]


class _WorkerSink:
    """A Worker's side of ``EventSink``: what the log refuses, the child's pump keeps and offers again."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def emit(self, event: Event) -> str:
        return self._worker.offer(event)

    async def ready(self) -> None:
        await self._worker.ready()


class ChildWorkers:
    """The child processes of one Runtime. Belongs to one event loop, on the main thread."""

    def __init__(self, runtime: Runtime, *, grace_seconds: float = 5.0) -> None:
        """``grace_seconds``: how long a child may take to end after SIGTERM before SIGKILL."""
        self._runtime = runtime
        self._grace_seconds = grace_seconds
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
            WorkerIdInvalidError, WorkerRunningError, LogError: nothing was started.
            WorkerStartError: there is no process; the Worker's end (``failed``) was written.
        """
        worker = self._runtime.create_worker(worker_id, command=command)
        child = ChildWorker(
            worker_id,
            command,
            make_adapter(adapter),
            _WorkerSink(worker),
            cwd=cwd,
            env=env,
            grace_seconds=self._grace_seconds,
        )
        try:
            child.start()
        except BaseException:
            worker.end("failed")
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
            worker.end("cancelled")
            raise
        worker.end(ended.outcome, ended.exit_code)
        return ended

    async def wait(self) -> None:
        """Return when no child runs any more; the tasks tell how each ended."""
        if self._running:
            await asyncio.wait(list(self._running))

    async def stop(self, reason: str) -> None:
        """Stop all children (SIGTERM, grace, SIGKILL) and return when their ends are written."""
        running = dict(self._running)
        if running:
            await asyncio.gather(*(child.stop(reason) for child in running.values()), return_exceptions=True)
            await asyncio.wait(list(running))
