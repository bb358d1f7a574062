"""``yoi-runtime run`` where a Runtime runs already: the command is a child of this process, its events go to that one."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from yoi_runtime.cli.exit_codes import say, signal_exit_code
from yoi_runtime.cli.remote_worker import RemoteWorker
from yoi_runtime.cli.server_file import read_server_file
from yoi_runtime.cli.signals import StopSignals
from yoi_runtime.cli.worker_plan import WorkerPlan
from yoi_runtime.errors import IngestLostError, WorkerStartError
from yoi_runtime.workers.adapters import make_adapter
from yoi_runtime.workers.child_worker import ChildWorker
from yoi_runtime.workers.outcome import WorkerExit
from yoi_runtime.workers.traced_sink import sink_in_trace

__all__ = ["join", "run_joined"]

# After a signal, how long what the command had written last may wait for the Runtime.
LAST_OUTPUT_SECONDS: Final = 10.0


async def join(data_dir: Path, worker: WorkerPlan, reconnect_seconds: float | None) -> RemoteWorker | None:
    """Open the Worker in the Runtime of ``data_dir``; None when nobody listens there.

    Raises:
        IngestRefusedError: the Runtime does not want it, because a Worker of this id runs, say.
        OSError: the socket may not be used.
    """
    remote = RemoteWorker(
        data_dir, worker.worker_id, command=worker.command, patience_seconds=reconnect_seconds, tell=say
    )
    try:
        await remote.open()
    except IngestLostError:
        return None
    return remote


async def run_joined(
    remote: RemoteWorker, data_dir: Path, worker: WorkerPlan, signals: StopSignals
) -> WorkerExit | int:
    """Run one command to its end as the Worker ``remote``; return how it ended, or the exit code of a signal to us.

    Raises:
        WorkerStartError: the command could not be started; the Worker's end (``failed``) was written.
        IngestLostError, IngestRefusedError: the Runtime was away for too long; the command was killed.
    """
    try:
        sink, alert = sink_in_trace(remote, worker.env if worker.env is not None else os.environ)
        child = ChildWorker(
            worker.worker_id,
            worker.command,
            make_adapter(worker.adapter),
            sink,
            first=alert,
            cwd=worker.cwd,
            env=worker.env,
            terminal=worker.terminal,
            grace_seconds=worker.stop_grace_seconds,
        )
        try:
            child.start()
        except WorkerStartError:
            await remote.end("failed")
            raise
        info = read_server_file(data_dir)
        serves = f", which serves {info.url}" if info is not None else ""
        say(f"joined the Runtime of {data_dir}{serves}; its settings hold")
        following = asyncio.create_task(_follow(child, remote), name=f"worker {worker.worker_id}")
        signalled = asyncio.create_task(signals.wait())
        try:
            await asyncio.wait({following, signalled}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                return following.result()
            await _stop(child, following, remote, f"signal {signalled.result().name}")
            return signal_exit_code(signalled.result())
        finally:
            for task in (following, signalled):
                task.cancel()
            await asyncio.gather(following, signalled, return_exceptions=True)
    finally:
        await remote.close()


async def _follow(child: ChildWorker, remote: RemoteWorker) -> WorkerExit:
    """Follow the command until its end is in the log."""
    ended = await child.run()
    await remote.end(ended.outcome, ended.exit_code)
    return ended


async def _stop(child: ChildWorker, following: asyncio.Task[WorkerExit], remote: RemoteWorker, reason: str) -> None:
    """Stop the command, and see that what it had written and its end are in the log, unless that takes too long."""
    await child.stop(reason)
    try:
        async with asyncio.timeout(LAST_OUTPUT_SECONDS):
            await following
    except TimeoutError:
        say(f"the Runtime takes nothing: the last {remote.unacknowledged} lines are given up")
