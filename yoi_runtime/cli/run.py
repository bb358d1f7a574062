"""``yoi-runtime run``: one command as a Worker, served until it ends; or in a Runtime that serves already."""

from __future__ import annotations

import asyncio

from yoi_runtime.cli.exit_codes import say, signal_exit_code
from yoi_runtime.cli.joined_run import join, run_joined
from yoi_runtime.cli.remote_worker import RemoteWorker
from yoi_runtime.cli.serve import tell_exit, warn_when_public
from yoi_runtime.cli.served_runtime import ServedRuntime, ServeOptions
from yoi_runtime.cli.signals import StopSignals
from yoi_runtime.cli.worker_plan import WorkerPlan
from yoi_runtime.errors import LogHeldError
from yoi_runtime.notices import Notice
from yoi_runtime.workers.outcome import WorkerExit

__all__ = ["exit_code_passed_on", "run"]

# A Runtime that has just taken the log listens soon, and one that stops lets go of it.
_SETTLE_SECONDS = 5.0
_LOOK_SECONDS = 0.1


async def run(
    options: ServeOptions, worker: WorkerPlan, linger_seconds: float, reconnect_seconds: float | None = None
) -> int:
    """Run one command to its end and return its exit code.

    Where a Runtime runs on the data directory its events go there, which may be away for ``reconnect_seconds`` meanwhile.
    Otherwise a Runtime is opened and served, for ``linger_seconds`` after the end. A signal stops the command and is
    the exit code; one that comes while lingering ends that, nothing more.

    Raises:
        MissingExtraError, LogError, OSError: see ``ServedRuntime.start``.
        IngestRefusedError, IngestLostError: see ``run_joined``.
        WorkerStartError: the command could not be started.
        LogBrokenError: the log went out of service; the command was stopped.
    """
    with StopSignals() as signals:
        place = await _join_or_start(options, worker, reconnect_seconds)
        if isinstance(place, RemoteWorker):
            ended = await run_joined(place, options.data_dir, worker, signals)
            if isinstance(ended, int):
                return ended
            tell_exit(worker.worker_id, ended)
            return exit_code_passed_on(ended)
        return await _run_served(place, options, worker, linger_seconds, signals)


async def _join_or_start(
    options: ServeOptions, worker: WorkerPlan, reconnect_seconds: float | None
) -> RemoteWorker | ServedRuntime:
    """Join the Runtime of the data directory, or be it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SETTLE_SECONDS
    while True:
        joined = await join(options.data_dir, worker, reconnect_seconds)
        if joined is not None:
            return joined
        try:
            return await ServedRuntime.start(options)
        except LogHeldError:
            if loop.time() >= deadline:
                raise
        await asyncio.sleep(_LOOK_SECONDS)


async def _run_served(
    served: ServedRuntime, options: ServeOptions, worker: WorkerPlan, linger_seconds: float, signals: StopSignals
) -> int:
    reason = "the command ended"
    signalled = asyncio.create_task(signals.wait())
    try:
        ended = worker.start(served.children)
        warn_when_public(options)
        say(f"{served.description}", Notice.SERVING, url=served.url, log_id=served.runtime.log_id)
        await asyncio.wait({ended, signalled}, return_when=asyncio.FIRST_COMPLETED)
        if signalled.done() and not ended.done():
            reason = f"signal {signalled.result().name}"
            return signal_exit_code(signalled.result())
        tell_exit(worker.worker_id, ended.result())
        if linger_seconds:
            await asyncio.wait({signalled}, timeout=linger_seconds)
        return exit_code_passed_on(ended.result())
    finally:
        signalled.cancel()
        await served.stop(reason)


def exit_code_passed_on(ended: WorkerExit) -> int:
    """Return the exit code with which a process passes on how its command ended."""
    if ended.signal is not None:
        return signal_exit_code(ended.signal)
    return ended.exit_code if ended.exit_code is not None else 1
