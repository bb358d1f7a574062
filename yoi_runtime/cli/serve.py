"""``yoi-runtime serve``: a Runtime and its server, or a server alone, until a signal."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from yoi_runtime.cli.exit_codes import say, signal_exit_code
from yoi_runtime.cli.extras import load_event_server
from yoi_runtime.cli.served_runtime import ServedRuntime, ServeOptions
from yoi_runtime.cli.signals import StopSignals
from yoi_runtime.cli.worker_plan import WorkerPlan
from yoi_runtime.server.access import is_loopback
from yoi_runtime.transcript.reader import TranscriptReader
from yoi_runtime.workers.outcome import WorkerExit

__all__ = ["describe_exit", "serve", "serve_read_only", "warn_when_public"]


async def serve(options: ServeOptions, workers: Sequence[WorkerPlan]) -> int:
    """Serve until a signal and return its exit code; ends of Workers are told and change nothing.

    Raises:
        MissingExtraError, LogError, OSError: see ``ServedRuntime.start``.
        WorkerStartError: a command could not be started; the others were stopped.
        LogBrokenError: a Worker found the log out of service; everything was stopped.
    """
    with StopSignals() as signals:
        served = await ServedRuntime.start(options)
        reason = "a Worker could not be started"
        signalled = asyncio.create_task(signals.wait())
        try:
            followed = [asyncio.create_task(_tell_end(plan.worker_id, plan.start(served.children))) for plan in workers]
            warn_when_public(options)
            print(f"yoi-runtime: {served.description}", flush=True)
            reason = "the log is out of service"
            await _until_signal_or_failure(signalled, followed)
            reason = f"signal {signalled.result().name}"
        finally:
            signalled.cancel()
            await served.stop(reason)
        return signal_exit_code(signalled.result())


async def serve_read_only(options: ServeOptions, listening: Sequence[socket.socket] | None = None) -> int:
    """Serve a directory that another process writes, until a signal; return its exit code.

    ``listening``: sockets that are bound already, instead of an address.

    Raises:
        MissingExtraError, OSError: nothing is served.
        LogNotFoundError: nothing has ever been written there.
    """
    with StopSignals() as signals:
        reader = TranscriptReader(options.data_dir) if options.transcripts is not None else None
        server = await load_event_server().start(
            options.data_dir,
            *options.bind,
            listening=listening,
            cache_bytes=options.cache_bytes,
            transcripts=reader,
            access=options.access,
            limits=options.limits,
        )
        try:
            if listening is None:
                warn_when_public(options)
            print(f"yoi-runtime: serving {server.url} (read-only, data {options.data_dir})", flush=True)
            return signal_exit_code(await signals.wait())
        finally:
            await server.stop()
            if reader is not None:
                reader.close()


def describe_exit(worker_id: str, ended: WorkerExit) -> str:
    """Say in a line how a Worker ended."""
    return f"Worker {worker_id} {ended.outcome} ({ended.description})"


def warn_when_public(options: ServeOptions) -> None:
    """Warn when others than this machine can connect, and nobody is asked for a token or all can listen in."""
    host, access = options.bind.host or "every address", options.access
    if is_loopback(options.bind.host):
        return
    if access.token_file is None:
        say(f"warning: everybody who reaches {host} can read every event: no token is asked for")
    if access.tls is None:
        say(f"warning: without TLS whoever is on the way to {host} can read tokens and events")


async def _tell_end(worker_id: str, task: asyncio.Task[WorkerExit]) -> None:
    say(describe_exit(worker_id, await task))


async def _until_signal_or_failure(signalled: asyncio.Task[object], followed: Sequence[asyncio.Task[None]]) -> None:
    """Return when there is a signal; raise what a Worker's task raised."""
    waiting: set[asyncio.Task[object]] = {signalled, *followed}
    while not signalled.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
