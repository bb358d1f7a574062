"""One connection: reads lines, appends their events, answers each when the log has it. The shell around ``Conversation``.

Backpressure both ways: while the log has no room, and while the peer does not read its answers, the socket is not read
and the peer blocks in its write. Memory is one chunk, an unfinished line, and the answers that were not read.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeVar

from yoi_runtime.errors import (
    EventInvalidError,
    LogBrokenError,
    LogClosedError,
    LogError,
    LogStoppedError,
    RecordTooLargeError,
    WorkerEndedError,
    WorkerRunningError,
)
from yoi_runtime.notices import Notice, named
from yoi_runtime.runtime.ingest.answers import Answers
from yoi_runtime.runtime.ingest.conversation import Conversation, Heard, Phase, Refused
from yoi_runtime.runtime.ingest.key_window import KeyWindow
from yoi_runtime.runtime.ingest.lines import (
    MAX_LINE_BYTES,
    End,
    EventLine,
    Hello,
    RefusalCode,
    ack_line,
    ended_line,
    hello_line,
    refusal_line,
)
from yoi_runtime.runtime.worker import Outcome, Worker
from yoi_runtime.runtime.worker_end import (
    RETRY_FIRST_SECONDS,
    RETRY_LAST_SECONDS,
    end_or_warn,
    write_when_there_is_room,
)
from yoi_runtime.workers.line_splitter import LineSplitter
from yoi_runtime.workers.worker_counts import IngestCounts

__all__ = ["Connection", "Host"]

_log = logging.getLogger("yoi_runtime.runtime")

_READ_BYTES = 64 * 1024
# About 2 ms of work; other connections have their turn in between.
_LINES_PER_TURN = 200
# A connection that says nothing is none.
HELLO_SECONDS: Final = 10.0
# After the last answer: until the peer has closed, lest it finds its connection reset before it has read that.
_LINGER_SECONDS = 1.0
# For the answers to what a peer said that has closed its side.
_LAST_ANSWERS_SECONDS = 10.0

_T = TypeVar("_T")


class Host(Protocol):
    """What connections ask of the Runtime they lead to."""

    counts: IngestCounts

    @property
    def log_id(self) -> str: ...
    def create_worker(self, worker_id: str, *, command: list[str] | None = None) -> Worker: ...
    def is_over(self, worker_id: str, run: int) -> bool: ...
    def end_run(self, worker_id: str, run: int, outcome: Outcome, exit_code: int | None) -> None: ...
    async def durable(self, cursor: str) -> None: ...
    async def settled(self) -> None: ...
    async def window_of(self, worker_id: str, *, is_new: bool) -> KeyWindow:
        """Return a Worker's newest keys; raises ``LogError``, ``OSError``: they cannot be read now."""
        ...

    def give_back(self, worker_id: str, window: KeyWindow) -> None: ...


class Connection:
    """One peer, from its hello to its end. ``run`` is its whole life; belongs to one event loop."""

    def __init__(self, connection: socket.socket, host: Host) -> None:
        self._socket = connection
        self._host = host
        self._counts = host.counts
        self._conversation = Conversation()
        self._splitter = LineSplitter(MAX_LINE_BYTES)
        self._answers = Answers(connection, host.durable)
        self._worker: Worker | None = None
        self._hello: Hello | None = None
        self._window: KeyWindow | None = None
        self._pending: list[tuple[int, EventLine]] = []
        self._pending_keys: set[str] = set()

    async def run(self) -> None:
        """Serve the peer until it is gone, has said its end, or said something fatal. Closes the socket.

        When this is cancelled the Runtime stops: the Worker ends ``cancelled``.
        """
        try:
            is_over = await self._read_all()
            await self._crashed()
            if not is_over:
                # Perhaps it only said that nothing more comes, and still reads.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_ANSWERS_SECONDS):
                        await self._answers.finish()
        except asyncio.CancelledError:
            self._say_last(RefusalCode.SHUTTING_DOWN, "the Runtime stops")
            self._end_now("cancelled", restart_pending=self._hello is not None and self._hello.reconnects)
            raise
        except WorkerEndedError:
            # The Runtime stops, and was quicker.
            self._say_last(RefusalCode.SHUTTING_DOWN, "the Runtime stops")
        except (LogError, OSError) as error:
            # The text of the error names files of ours: it goes to our own log alone.
            _log.warning("a local program's events cannot be taken: %s", error, extra=named(Notice.INGEST_WITHOUT_LOG))
            self._say_last(RefusalCode.UNAVAILABLE, "the log takes nothing at present")
            self._give_back_keys()
            await self._answers.cancel()
            self._socket.close()
            await self._end_some_time()
        finally:
            self._give_back_keys()
            await self._answers.cancel()
            self._socket.close()

    async def _read_all(self) -> bool:
        """Take what the peer says until it is gone; True when nothing more is to be said, and all is answered."""
        deadline = asyncio.get_running_loop().time() + HELLO_SECONDS
        while chunk := await self._read(deadline if self._conversation.phase is Phase.START else None):
            lines = self._splitter.feed(chunk)
            while batch := list(itertools.islice(lines, _LINES_PER_TURN)):
                await self._answers.room()
                for line in batch:
                    await self._take(self._conversation.hear(line))
                    if self._conversation.phase is Phase.OVER:
                        await self._finish()
                        return True
                await self._flush()
                await asyncio.sleep(0)
        await self._answers.room()
        return False

    async def _read(self, deadline: float | None) -> bytes:
        """Return the next bytes, ``b""`` when the peer is gone, or has not said who it is for too long."""
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.get_running_loop().sock_recv(self._socket, _READ_BYTES)
        except (ConnectionResetError, TimeoutError):
            # Reset: it closed without reading its answers. What it had sent came before this.
            return b""

    async def _take(self, heard: Heard | Refused) -> None:
        match heard:
            case Refused(_, code, answer):
                await self._flush()
                self._counts.refused[code] += 1
                self._answers.put(answer)
            case Heard(number, Hello() as hello):
                self._open(number, hello)
            case Heard(number, EventLine() as line):
                await self._take_event(number, line)
            case Heard(number, End() as end):
                await self._flush()
                await self._end(number, end)

    def _open(self, number: int, hello: Hello) -> None:
        self._hello, run = hello, hello.ends_run
        # Who comes back to end a run begins none, unless he has news.
        if run is None or not self._host.is_over(hello.worker_id, run):
            if not self._begin(number, hello):
                return
            assert self._worker is not None
            run = self._worker.run
        self._answers.put(hello_line(number, self._host.log_id, hello.worker_id, run))

    def _begin(self, number: int, hello: Hello) -> bool:
        """Begin a run; False when somebody else is this Worker, and line ``number`` was answered so."""
        try:
            self._worker = self._host.create_worker(hello.worker_id, command=hello.command)
        except WorkerRunningError as error:
            self._refuse_running(number, error)
            return False
        if hello.ends_run is None or self._worker.run != hello.ends_run + 1:
            # Somebody else has been this Worker meanwhile: what was looked up is not all.
            self._window = None
        return True

    def _refuse_running(self, number: int, error: WorkerRunningError) -> None:
        self._counts.refused[RefusalCode.WORKER_RUNNING] += 1
        self._answers.put(refusal_line(RefusalCode.WORKER_RUNNING, str(error), "worker_id", number))
        self._conversation.phase = Phase.OVER

    @property
    def _durable(self) -> bool:
        return self._hello is not None and self._hello.durable

    # Events.

    async def _take_event(self, number: int, line: EventLine) -> None:
        if line.key is not None:
            if line.key in self._pending_keys:
                await self._flush()
            cursor = (await self._keys()).cursor_of(line.key)
            if cursor is None and self._worker is None:
                if not self._begin(number, self._said_hello):
                    return
                cursor = (await self._keys()).cursor_of(line.key)
            if cursor is not None:
                await self._flush()
                self._counts.repeated += 1
                self._answers.put(ack_line(number, cursor, repeated=True), cursor if self._durable else None)
                return
            self._pending_keys.add(line.key)
        if self._worker is None and not self._begin(number, self._said_hello):
            return
        self._pending.append((number, line))

    async def _keys(self) -> KeyWindow:
        if self._window is None:
            # What came without a key before the first that has one cannot be in the window.
            await self._flush()
            is_new = self._worker is not None and self._worker.run == 1
            window = self._host.window_of(self._said_hello.worker_id, is_new=is_new)
            self._window = await self._held_back(window)
        return self._window

    @property
    def _said_hello(self) -> Hello:
        assert self._hello is not None
        return self._hello

    async def _held_back(self, until: Awaitable[_T]) -> _T:
        """Wait for the log, and be counted among those who do."""
        self._counts.waiting += 1
        try:
            return await until
        finally:
            self._counts.waiting -= 1

    async def _flush(self) -> None:
        """Append the events that were heard, however long the log takes to have room for them, and answer each."""
        pending, self._pending = self._pending, []
        self._pending_keys.clear()
        worker = self._worker
        delay = RETRY_FIRST_SECONDS
        while pending:
            assert worker is not None
            await self._held_back(worker.ready())
            try:
                cursors, stopped = _offer(worker, [line for _, line in pending])
            except (EventInvalidError, RecordTooLargeError) as error:
                if len(pending) == 1:
                    self._refuse(pending[0][0], error)
                else:
                    # One by one it shows which.
                    for one in pending:
                        self._pending = [one]
                        await self._flush()
                return
            if cursors:
                taken, pending = pending[: len(cursors)], pending[len(cursors) :]
                self._counts.accepted += len(taken)
                if self._window is not None:
                    # Whatever comes now: what is in the log must not be taken again.
                    self._window.add([line.key for _, line in taken], cursors)
                answers = [ack_line(number, cursor) for (number, _), cursor in zip(taken, cursors, strict=True)]
                self._answers.put(b"".join(answers), cursors[-1] if self._durable else None)
                delay = RETRY_FIRST_SECONDS
            if stopped is not None:
                raise stopped
            if pending:
                await self._held_back(asyncio.sleep(delay))
                delay = min(2 * delay, RETRY_LAST_SECONDS)

    def _refuse(self, number: int, error: EventInvalidError | RecordTooLargeError) -> None:
        code = RefusalCode.EVENT_TOO_LARGE if isinstance(error, RecordTooLargeError) else RefusalCode.EVENT_INVALID
        self._counts.refused[code] += 1
        if isinstance(error, RecordTooLargeError):
            # Not the error's text: it names a directory of ours.
            reason = (
                f"a record of {error.size_bytes} bytes is over the limit of {error.limit_bytes}, and has no text to cut"
            )
            self._answers.put(refusal_line(code, reason, "data", number))
        else:
            self._answers.put(refusal_line(code, error.reason, error.where, number))

    # The end.

    async def _end(self, number: int, end: End) -> None:
        try:
            if (worker := self._worker) is not None:
                await self._persist(lambda: worker.end(end.outcome, end.exit_code))
            else:
                hello = self._said_hello
                assert hello.ends_run is not None
                run = hello.ends_run
                await self._persist(lambda: self._host.end_run(hello.worker_id, run, end.outcome, end.exit_code))
        except WorkerRunningError as error:
            self._refuse_running(number, error)
            return
        self._give_back_keys()
        if self._durable:
            await self._host.settled()
        self._answers.put(ended_line(number))

    async def _finish(self) -> None:
        """Send the last answers, then wait a little until the peer closes."""
        await self._answers.finish()
        with contextlib.suppress(OSError, TimeoutError):
            self._socket.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(_LINGER_SECONDS):
                while await asyncio.get_running_loop().sock_recv(self._socket, _READ_BYTES):
                    continue

    def _give_back_keys(self) -> None:
        """Leave the Worker's keys to its next connection, which may come as soon as the Worker has ended."""
        window, self._window = self._window, None
        if window is None:
            return
        hello = self._said_hello
        # Who came to end a run knows all keys for as long as nobody else has begun another.
        if self._worker is not None or (
            hello.ends_run is not None and self._host.is_over(hello.worker_id, hello.ends_run)
        ):
            self._host.give_back(hello.worker_id, window)

    async def _crashed(self) -> None:
        """End a Worker whose connection is gone without an end; nothing where it has ended."""
        if self._worker is not None:
            await self._persist(partial(self._worker.end, "crashed"))
            self._give_back_keys()

    def _end_now(self, outcome: Outcome, *, restart_pending: bool = False) -> None:
        if (worker := self._worker) is not None:
            end_or_warn(worker.worker_id, partial(worker.end, outcome, restart_pending=restart_pending))

    async def _end_some_time(self) -> None:
        """End the Worker ``crashed`` as soon as the log takes that, if it ever does: before, nobody can be that Worker."""
        worker = self._worker
        while worker is not None and not worker.ended:
            try:
                await self._persist(partial(worker.end, "crashed"))
            except (LogBrokenError, LogClosedError):
                self._end_now("crashed")  # which says that it cannot
                return
            except (LogError, OSError):
                await asyncio.sleep(RETRY_LAST_SECONDS)

    async def _persist(self, write: Callable[[], object]) -> None:
        """Write something, however long the log takes to have room for it."""
        await self._held_back(write_when_there_is_room(write))

    def _say_last(self, code: RefusalCode, reason: str) -> None:
        """Say why it is over, if the peer has room for it now."""
        self._counts.refused[code] += 1
        with contextlib.suppress(OSError):
            self._socket.send(refusal_line(code, reason), socket.MSG_DONTWAIT)


class _Offered(NamedTuple):
    """The cursors of those events, from the first on, for which the log had room; and why it will take no others."""

    cursors: Sequence[str]
    stopped: LogError | OSError | None = None


def _offer(worker: Worker, lines: list[EventLine]) -> _Offered:
    """Append events.

    Raises:
        EventInvalidError, RecordTooLargeError: one of them will never be taken; nothing was written.
        WorkerEndedError, LogError, OSError: nothing was written, and nothing more will be taken.
    """
    events = [line.event for line in lines]
    keys = [line.key for line in lines]
    try:
        return _Offered(worker.offer_many(events, keys))
    except LogStoppedError as error:
        passing = isinstance(error.cause, LogError) and error.cause.is_passing
        return _Offered(error.cursors, None if passing else error.cause)
    except LogError as error:
        if not error.is_passing:
            raise
        return _Offered(())
