"""``yoi-runtime serve``: a Runtime and its server, or a server alone, until a signal."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yoi_runtime.cli.exit_codes import note, say, signal_exit_code
from yoi_runtime.cli.extras import load_event_server
from yoi_runtime.cli.served_runtime import ServedRuntime, ServeOptions
from yoi_runtime.cli.service_manager import ServiceManager, keep_watch
from yoi_runtime.cli.signals import StopSignals
from yoi_runtime.cli.worker_plan import WorkerPlan
from yoi_runtime.notices import Notice
from yoi_runtime.server.access import is_loopback
from yoi_runtime.transcript.reader import TranscriptReader
from yoi_runtime.workers.outcome import WorkerExit

if TYPE_CHECKING:
    from yoi_runtime.server.event_server import EventServer
    from yoi_runtime.server.sibling_metrics import SiblingPlace

__all__ = ["Kinship", "describe_exit", "serve", "serve_read_only", "tell_exit", "warn_when_public"]


async def serve(options: ServeOptions, workers: Sequence[WorkerPlan]) -> int:
    """Serve until a signal and return its exit code; ends of Workers are told and change nothing.

    Raises:
        MissingExtraError, LogError, OSError: see ``ServedRuntime.start``.
        WorkerStartError: a command could not be started; the others were stopped.
        LogBrokenError: a Worker found the log out of service; everything was stopped.
    """
    manager = ServiceManager.take_from(os.environ)
    with StopSignals() as signals:
        served = await ServedRuntime.start(options)
        _leave_what_stays()
        reason = "a Worker could not be started"
        signalled = asyncio.create_task(signals.wait())
        watching = asyncio.create_task(keep_watch(manager, served.problem), name="watchdog")
        try:
            followed = [asyncio.create_task(_tell_end(plan.worker_id, plan.start(served.children))) for plan in workers]
            warn_when_public(options)
            print(f"yoi-runtime: {served.description}", flush=True)
            note(f"serving {served.url}", Notice.SERVING, url=served.url, log_id=served.runtime.log_id)
            manager.ready(f"serving {served.url}")
            reason = "the log is out of service"
            await _until_signal_or_failure(signalled, followed)
            reason = f"signal {signalled.result().name}"
        finally:
            signalled.cancel()
            watching.cancel()
            manager.stopping(reason)
            note(f"stopping: {reason}", Notice.STOPPING, reason=reason)
            await served.stop(reason)
            note("stopped", Notice.STOPPED)
        return signal_exit_code(signalled.result())


@dataclass(frozen=True, slots=True)
class Kinship:
    """What ties a server process to the one that started it. ``listening``: sockets that are bound already.

    ``parent``: descriptor of a pipe from it, whose end means that nobody new is to be let in. ``siblings``: where the
    processes ask each other for their metrics, if they can.
    """

    listening: Sequence[socket.socket]
    parent: int
    siblings: SiblingPlace | None


async def serve_read_only(options: ServeOptions, kinship: Kinship | None = None) -> int:
    """Serve a directory that another process writes, until a signal; return its exit code.

    ``kinship``: of one of several processes on one address.

    Raises:
        MissingExtraError, OSError: nothing is served.
        LogNotFoundError: nothing has ever been written there.
    """
    manager, listening = ServiceManager(), kinship.listening if kinship is not None else None
    if kinship is None:
        manager = ServiceManager.take_from(os.environ)
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
            siblings=kinship.siblings if kinship is not None else None,
        )
        _leave_what_stays()
        watching = asyncio.create_task(keep_watch(manager, lambda _: None), name="watchdog")
        if kinship is not None:
            _refuse_at_end_of(kinship.parent, server)
        reason = "failed"
        try:
            if listening is None:
                warn_when_public(options)
            print(f"yoi-runtime: serving {server.url} (read-only, data {options.data_dir})", flush=True)
            note(f"serving {server.url}, read-only", Notice.SERVING, url=server.url)
            manager.ready(f"serving {server.url}, read-only")
            number = await signals.wait()
            reason = f"signal {number.name}"
            return signal_exit_code(number)
        finally:
            watching.cancel()
            manager.stopping(reason)
            note(f"stopping: {reason}", Notice.STOPPING, reason=reason)
            await server.stop()
            note("stopped", Notice.STOPPED)
            if reader is not None:
                reader.close()


def _leave_what_stays() -> None:
    """Have the garbage collector pass over what is here at the start: modules, models, schemas, all of which stay.

    They are 55,000 objects. To look through them takes 15 to 30 ms, in which nobody is served; without them it is microseconds.
    """
    gc.collect()
    gc.freeze()


def _refuse_at_end_of(descriptor: int, server: EventServer) -> None:
    """Let nobody new in once the other end of a pipe is closed."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(descriptor, 64):
            loop.remove_reader(descriptor)
            server.refuse()

    loop.add_reader(descriptor, readable)


def describe_exit(worker_id: str, ended: WorkerExit) -> str:
    """Say in a line how a Worker ended."""
    return f"Worker {worker_id} {ended.outcome} ({ended.description})"


def tell_exit(worker_id: str, ended: WorkerExit) -> None:
    """Tell how a Worker ended."""
    fields = {"worker_id": worker_id, "outcome": ended.outcome, "exit_code": ended.exit_code, "signal": ended.signal}
    say(describe_exit(worker_id, ended), Notice.WORKER_ENDED, **fields)


def warn_when_public(options: ServeOptions) -> None:
    """Warn when others than this machine can connect, and nobody is asked for a token or all can listen in."""
    host, access = options.bind.host or "every address", options.access
    if is_loopback(options.bind.host):
        return
    if access.token_file is None:
        sentence = f"warning: everybody who reaches {host} can read every event: no token is asked for"
        say(sentence, Notice.EVERYBODY_CAN_READ)
    if access.tls is None:
        sentence = f"warning: without TLS whoever is on the way to {host} can read tokens and events"
        say(sentence, Notice.WITHOUT_TLS)


async def _tell_end(worker_id: str, task: asyncio.Task[WorkerExit]) -> None:
    tell_exit(worker_id, await task)


async def _until_signal_or_failure(signalled: asyncio.Task[object], followed: Sequence[asyncio.Task[None]]) -> None:
    """Return when there is a signal; raise what a Worker's task raised."""
    waiting: set[asyncio.Task[object]] = {signalled, *followed}
    while not signalled.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
