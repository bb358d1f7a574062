"""``yoi-runtime run``: one command as a Worker, served until it ends."""

from __future__ import annotations

import asyncio

from yoi_runtime.cli.exit_codes import say, signal_exit_code
from yoi_runtime.cli.serve import tell_exit, warn_when_public
from yoi_runtime.cli.served_runtime import ServedRuntime, ServeOptions
from yoi_runtime.cli.signals import StopSignals
from yoi_runtime.cli.worker_plan import WorkerPlan
from yoi_runtime.notices import Notice
from yoi_runtime.workers.outcome import WorkerExit

__all__ = ["exit_code_passed_on", "run"]


async def run(options: ServeOptions, worker: WorkerPlan, linger_seconds: float) -> int:
    """Run one command to its end, serve on for ``linger_seconds``, and return its exit code.

    A signal stops the command and is the exit code; one that comes while lingering ends that, nothing more.

    Raises:
        MissingExtraError, LogError, OSError: see ``ServedRuntime.start``.
        WorkerStartError: the command could not be started.
        LogBrokenError: the log went out of service; the command was stopped.
    """
    with StopSignals() as signals:
        served = await ServedRuntime.start(options)
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
