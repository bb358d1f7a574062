"""``yoi-runtime emit``: what another program prints, as a Worker in the log of a Runtime that runs already."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yoi_runtime.cli.exit_codes import ExitCode, say, signal_exit_code
from yoi_runtime.cli.input_reader import InputReader
from yoi_runtime.cli.remote_worker import RemoteWorker
from yoi_runtime.cli.signals import StopSignals
from yoi_runtime.errors import EventInvalidError, RecordTooLargeError
from yoi_runtime.events import Event, Status
from yoi_runtime.workers.adapters import Adapter, AdapterName, make_adapter, quote, wall_clock_ms, worker_alert
from yoi_runtime.workers.child_worker import MAX_LINE_BYTES
from yoi_runtime.workers.event_sink import EventSink
from yoi_runtime.workers.line_splitter import Line, LineSplitter
from yoi_runtime.workers.traced_sink import sink_in_trace

__all__ = ["EmitRequest", "emit"]

# A Runtime that is starting in the same script may take so long to listen.
OPEN_SECONDS: Final = 3.0
# After a signal, how long the rest may take to be acknowledged.
_LAST_SECONDS = 10.0
_LINES_PER_TURN = 200


@dataclass(frozen=True, slots=True)
class EmitRequest:
    """Whose Worker the input is, and how it is read. ``reconnect_seconds``: how long the Runtime may be away."""

    data_dir: Path
    worker_id: str
    adapter: AdapterName = "auto"
    durable: bool = False
    tee: bool = False
    reconnect_seconds: float | None = None


async def emit(request: EmitRequest) -> int:
    """Send standard input to its end, and return the exit code: 0 when the Runtime has all of it.

    A signal ends the Worker ``cancelled`` after what was read, unless its end was said already, and is the exit code.

    Raises:
        AdapterError: there is none of this name.
        IngestLostError, IngestRefusedError, OSError: the Runtime does not take it.
        BrokenPipeError: nobody reads what is passed through.
    """
    with StopSignals() as signals:
        remote = RemoteWorker(
            request.data_dir,
            request.worker_id,
            durable=request.durable,
            patience_seconds=request.reconnect_seconds,
            tell=say,
        )
        try:
            await remote.open(OPEN_SECONDS)
            signalled = await _send_until_signal(remote, request, signals)
            if signalled is not None:
                async with asyncio.timeout(_LAST_SECONDS):
                    await remote.end("cancelled")
                return signal_exit_code(signalled)
        except TimeoutError:
            say(f"{remote.unacknowledged} lines were not acknowledged")
            assert signals.received is not None
            return signal_exit_code(signals.received)
        finally:
            await remote.close()
    refused, first = remote.refusals
    if refused:
        say(f"{refused} events were refused; the first: {first}")
        return ExitCode.FAILED
    return ExitCode.OK


async def _send_until_signal(remote: RemoteWorker, request: EmitRequest, signals: StopSignals) -> signal.Signals | None:
    """Send the input; return the signal that came before all of it was acknowledged, None when there was none."""
    sending = asyncio.create_task(_send_input(remote, request))
    waiting = asyncio.create_task(signals.wait())
    try:
        await asyncio.wait({sending, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            return waiting.result()
        sending.result()
    except BrokenPipeError:
        # Who takes what is passed through has gone, and so must we, in order.
        await remote.end("cancelled")
        raise
    finally:
        for task in (sending, waiting):
            task.cancel()
        await asyncio.gather(sending, waiting, return_exceptions=True)
    return None


async def _send_input(remote: RemoteWorker, request: EmitRequest) -> None:
    adapter, splitter = make_adapter(request.adapter), LineSplitter(MAX_LINE_BYTES)
    # Most likely that of the program before us in the pipe, too: one shell started both.
    sink, alert = sink_in_trace(remote, os.environ)
    sink.emit(Status(status="running"))
    if alert is not None:
        sink.emit(alert)
    reader = InputReader(sys.stdin.fileno())
    while chunk := await reader.read():
        if request.tee:
            _pass_through(chunk)
        lines = splitter.feed(chunk)
        while batch := list(itertools.islice(lines, _LINES_PER_TURN)):
            await _send_lines(sink, adapter, batch)
    last = splitter.finish()
    if last is not None:
        await _send_lines(sink, adapter, [last])
    await _send(sink, adapter.stdout_end())
    await _send(sink, [Status(status="idle")])
    await remote.end("completed")


async def _send_lines(sink: EventSink, adapter: Adapter, lines: Sequence[Line]) -> None:
    await sink.ready()
    said = [(line, adapter.stdout_line(line)) for line in lines]
    try:
        await _send(sink, [event for _, events in said for event in events])
    except (EventInvalidError, RecordTooLargeError):
        # None of them was taken. One by one it shows which.
        for line, events in said:
            for event in events:
                try:
                    await _send(sink, [event])
                except (EventInvalidError, RecordTooLargeError) as error:
                    await _send(sink, [_refused(line, error)])


async def _send(sink: EventSink, events: Sequence[Event]) -> None:
    while events:
        events = events[sink.emit_many(events) :]
        await sink.ready()


def _refused(line: Line, error: EventInvalidError | RecordTooLargeError) -> Event:
    # Not the text of the second: it names a directory of ours.
    reason = str(error) if isinstance(error, EventInvalidError) else f"{error.size_bytes} bytes are too many"
    return worker_alert("error", f"stdin line {line.number}: its event was refused: {quote(reason)}", wall_clock_ms)


def _pass_through(chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]
