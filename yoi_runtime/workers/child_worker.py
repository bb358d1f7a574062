"""A Worker that is a child process: follows its output and ends with it.

    pipe -> LineSplitter -> Adapter -> EventSink.emit_many
    terminal -> TerminalText -> LineSplitter -> …

Output waits rather than vanishes: while the sink takes nothing, the pipe is not read and the child
blocks in ``write``. Memory per Worker is two chunks and two unfinished lines.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from yoi_runtime.errors import EventInvalidError, LogError, RecordTooLargeError
from yoi_runtime.events.conversation_events import Status
from yoi_runtime.events.event import Event
from yoi_runtime.workers.adapters import Adapter, NowMs, StreamName, quote, wall_clock_ms, worker_alert
from yoi_runtime.workers.child_process import ChildProcess
from yoi_runtime.workers.event_sink import EventSink
from yoi_runtime.workers.line_splitter import Line, LineSplitter
from yoi_runtime.workers.outcome import WorkerExit, worker_exit
from yoi_runtime.workers.pipe_reader import PipeReader
from yoi_runtime.workers.terminal import TerminalOptions
from yoi_runtime.workers.terminal_text import TerminalText
from yoi_runtime.workers.worker_id import check_worker_id

__all__ = ["MAX_LINE_BYTES", "ChildWorker"]

# Four times the largest record: a line whose event the sink has to cut still arrives whole.
MAX_LINE_BYTES: Final = 1024 * 1024
# About 3 ms of work; other tasks of the loop run in between.
LINES_PER_TURN: Final = 200
# A line of 1 MiB full of small objects takes 250 ms to decode, this one 8 ms.
LONG_LINE_BYTES: Final = 32 * 1024
RETRY_FIRST_SECONDS: Final = 0.01
RETRY_LAST_SECONDS: Final = 1.0


class ChildWorker:
    """One run of one Worker. Belongs to one loop, on the thread that ``ChildProcess.start`` asks for.

    The adapter keeps state: give each run its own.
    """

    def __init__(
        self,
        worker_id: str,
        command: Sequence[str],
        adapter: Adapter,
        sink: EventSink,
        *,
        first: Event | None = None,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        terminal: TerminalOptions | None = None,
        grace_seconds: float = 5.0,
        max_line_bytes: int = MAX_LINE_BYTES,
        now_ms: NowMs = wall_clock_ms,
    ) -> None:
        """Prepare; nothing is started. ``first``: what is to be told of this run before its first line.

        Raises:
            WorkerIdInvalidError: the id breaks the grammar.
        """
        self.worker_id = check_worker_id(worker_id)
        self._command = list(command)
        self._adapter = adapter
        self._sink = sink
        self._first = first
        self._cwd = cwd
        self._env = env
        self._terminal = terminal
        self._grace_seconds = grace_seconds
        self._max_line_bytes = max_line_bytes
        self._now_ms = now_ms
        self._child: ChildProcess | None = None
        self._stop_reason: str | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None before the start."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """Start the process; ``run`` must follow. For who wants to know that it started before its first event.

        Raises:
            WorkerStartError: no process exists and nothing was emitted.
        """
        if self._child is None:
            self._child = ChildProcess.start(
                self.worker_id, self._command, cwd=self._cwd, env=self._env, terminal=self._terminal
            )

    async def run(self) -> WorkerExit:
        """Follow the process to its end: ``status`` running, its lines, ``status`` idle. Call it once.

        Starts the process unless ``start`` did. Returns when the process has ended and all its
        output was emitted. Another process that still holds its pipes is followed until they were
        quiet for 1 s, for 10 s at most; then an ``alert`` says that they were closed.

        When this is cancelled, or the sink fails, the process group is killed at once; what it had
        not yet emitted is lost.

        Raises:
            WorkerStartError: no process exists and nothing was emitted.
            LogBrokenError: the sink takes nothing more; likewise any other error of the sink's
                that ``EventSink`` does not call passing.
        """
        if self._child is None and self._stop_reason is not None:
            return WorkerExit("cancelled", None, None, self._stop_reason)
        self.start()
        child = self._child
        assert child is not None
        try:
            await self._emit(Status(status="running"))
            if self._first is not None:
                await self._emit(self._first)
            await self._follow(child)
            returncode = await child.wait()
            if child.stdout.abandoned or child.stderr.abandoned:
                message = (
                    "the Worker's process has ended, another still held its output; what that writes is not followed"
                )
                await self._emit(worker_alert("warn", message, self._now_ms))
            await self._emit(Status(status="idle"))
        finally:
            try:
                await child.kill("the Worker is no longer followed")
            finally:
                child.close()
        return worker_exit(returncode, child.stop_reason)

    async def stop(self, reason: str) -> None:
        """End the process, with the grace given at the start; return when it is gone.

        ``run`` still emits what the process had written, then returns ``cancelled``; or its own
        outcome when it had ended before. Before the start: ``run`` will start nothing. May be
        repeated.
        """
        if self._stop_reason is None:
            self._stop_reason = reason
        if self._child is not None:
            await self._child.stop(reason, self._grace_seconds)

    async def _follow(self, child: ChildProcess) -> None:
        """Emit both streams to their ends; the first error of either ends both."""
        pumps = [
            asyncio.create_task(self._pump("stdout", child.stdout, self._adapter.stdout_line)),
            asyncio.create_task(self._pump("stderr", child.stderr, self._adapter.stderr_line)),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
            for pump in done:
                pump.result()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, stream: StreamName, pipe: PipeReader, translate: Callable[[Line], list[Event]]) -> None:
        splitter = LineSplitter(self._max_line_bytes)
        terminal = self._terminal
        shown = TerminalText(terminal.columns) if terminal is not None and not terminal.keep_codes else None
        while chunk := await pipe.read():
            lines = splitter.feed(chunk if shown is None else shown.feed(chunk))
            while batch := list(itertools.islice(lines, LINES_PER_TURN)):
                await self._emit_lines(stream, batch, translate)
            # read() returns at once while the pipe has bytes: a line without end would hold the loop.
            await asyncio.sleep(0)
        if shown is not None:
            await self._emit_lines(stream, [*splitter.feed(shown.finish())], translate)
        last = splitter.finish()
        if last is not None:
            await self._emit_lines(stream, [last], translate)
        if stream == "stdout":
            # As if the end were one more line.
            await self._emit_lines(stream, [splitter.end()], lambda _: self._adapter.stdout_end())

    async def _emit_lines(
        self, stream: StreamName, lines: list[Line], translate: Callable[[Line], list[Event]]
    ) -> None:
        await self._sink.ready()
        held: list[tuple[Line, Event]] = []
        for line in lines:
            if len(line.data) >= LONG_LINE_BYTES:
                # What came before it does not wait for it.
                await self._emit_held(stream, held)
                held = [(line, event) for event in await asyncio.to_thread(translate, line)]
            else:
                held += [(line, event) for event in translate(line)]
        await self._emit_held(stream, held)
        await asyncio.sleep(0)

    async def _emit_held(self, stream: StreamName, held: list[tuple[Line, Event]]) -> None:
        """Emit the events of some lines together, however long the log takes to have room for them."""
        delay = RETRY_FIRST_SECONDS
        while held:
            try:
                taken = self._sink.emit_many([event for _, event in held])
            except (EventInvalidError, RecordTooLargeError):
                # One by one it shows which.
                for line, event in held:
                    await self._emit_or_refuse(stream, line, event)
                return
            held = held[taken:]
            if held:
                delay = RETRY_FIRST_SECONDS if taken else delay
                await asyncio.sleep(delay)
                delay = min(2 * delay, RETRY_LAST_SECONDS)
                await self._sink.ready()

    async def _emit_or_refuse(self, stream: StreamName, line: Line, event: Event) -> None:
        try:
            await self._emit(event)
        except EventInvalidError as error:
            await self._emit_refusal(stream, line, str(error))
        except RecordTooLargeError as error:
            # Not the error's text: it names a directory of ours.
            reason = f"a record of {error.size_bytes} bytes is over the limit of {error.limit_bytes}"
            await self._emit_refusal(stream, line, reason)

    async def _emit_refusal(self, stream: StreamName, line: Line, reason: str) -> None:
        message = f"{stream} line {line.number}: its event was refused: {quote(reason)}"
        await self._emit(worker_alert("error", message, self._now_ms))

    async def _emit(self, event: Event) -> None:
        """Emit, however long the log takes to have room: a held event holds its stream, and so the pipe."""
        delay = RETRY_FIRST_SECONDS
        while True:
            try:
                self._sink.emit(event)
                return
            except LogError as error:
                if not error.is_passing:
                    raise
                await asyncio.sleep(delay)
                delay = min(2 * delay, RETRY_LAST_SECONDS)
            await self._sink.ready()
