"""Commit: moving the watermark over appended records, off the appending thread.

One background thread takes whatever was appended since its last turn, calls ``fdatasync`` once for
all of it, publishes the watermark and then wakes whoever waits: group commit. With
``durability="written"`` it publishes ``shown`` before the sync and ``synced`` after it.

The first failed sync is final: the kernel may have dropped the pages and reports it once, so a retry
that succeeds would prove nothing. The watermark then stays where it is, for good.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from yoi_runtime.errors import LogBrokenError, LogBusyError, LogClosedError, LogError
from yoi_runtime.segment_log.doorbell import doorbell_of
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.watermark import WatermarkFile

__all__ = ["Commit", "Durability"]

# Somebody appends as fast as he can: every turn of this thread then takes the interpreter from him twice. With a
# pause between turns that come with this many bytes, one thread appends 1.4 times as much; a turn is 2 ms longer.
_STREAMING_BYTES = 32 << 10
_PAUSE_SECONDS = 0.002

_Waiter = tuple[Callable[[], bool], asyncio.AbstractEventLoop, asyncio.Future[None]]

Durability = Literal["synced", "written"]


class Commit:
    """The committed end of one open log. ``appended`` and ``unsynced_bytes`` may be read from any thread."""

    def __init__(
        self,
        directory: Path,
        platform: Platform,
        slots: WatermarkFile,
        durability: Durability,
        max_unsynced_bytes: int,
    ) -> None:
        self._directory = directory
        self._files = platform.files
        self._clock = platform.clock
        self._slots = slots
        self._durability = durability
        self._max_unsynced_bytes = max_unsynced_bytes
        self._doorbell = doorbell_of(directory)
        # Held during a sync and while the active file changes; never taken by an append.
        self._sync_mutex = threading.Lock()
        # Guards what waiters look at. Taken by itself it costs a third of what it costs through the condition.
        self._turn_lock = threading.RLock()
        self._turn = threading.Condition(self._turn_lock)
        self._waiters: list[_Waiter] = []
        self._fd = -1
        self._path = directory
        self._work = threading.Event()
        self._pause = threading.Event()
        self._idle = False
        self._stopping = False
        self._failure: LogError | None = None
        self._thread: threading.Thread | None = None
        nowhere = Position(0, 0, 0, 0)
        self.appended = self.shown = self.synced = nowhere
        self._appended_bytes = 0
        self._synced_bytes = 0

    # The appending side.

    @property
    def unsynced_bytes(self) -> int:
        """Return how many appended bytes still wait for the disk."""
        return self._appended_bytes - self._synced_bytes

    def takes(self, size_bytes: int) -> bool:
        """Return whether an append of that size has nothing to wait for and nothing to fail of."""
        unsynced_bytes = self._appended_bytes - self._synced_bytes
        return self._failure is None and unsynced_bytes + size_bytes <= self._max_unsynced_bytes

    @property
    def failure(self) -> LogError | None:
        """Return what put the log out of service, None while it is in service."""
        return self._failure

    def begin_segment(self, fd: int, path: Path, start: Position) -> None:
        """Go on with a new active file whose header is on the disk. Everything before is synced (``seal``)."""
        with self._sync_mutex:
            self._fd, self._path = fd, path
            self.appended = start
            self._publish(shown=start, synced=start)

    def note_appended(self, end: Position, size_bytes: int) -> None:
        """Take note of one appended record; called by the appending thread, waits for nothing."""
        self._appended_bytes += size_bytes
        self.appended = end
        if self._idle:
            self._work.set()

    def seal(self) -> None:
        """Sync and publish everything appended; the active file may then be closed.

        Raises:
            LogBrokenError: the sync failed, now or before.
        """
        while self.commit_once():
            pass
        if self._failure is not None:
            raise self._failure

    def break_off(self, reason: str) -> LogBrokenError:
        """Put the log out of service for good; returns the error that says so."""
        where = self.synced
        failure = LogBrokenError(self._path, where.offset, where.seq, reason)
        with self._turn:
            if self._failure is None:
                self._failure = failure
            self._wake()
        return failure

    # Waiting.

    def wait_for_room(self, deadline_seconds: float) -> None:
        """Block until fewer bytes than the bound wait for the disk.

        Raises:
            LogBusyError: the deadline passed.
            LogBrokenError, LogClosedError: it will never happen.
        """
        self._wait(self._has_room, deadline_seconds)

    async def room(self) -> None:
        """Like ``wait_for_room``, without a deadline, for a coroutine."""
        await self._wait_async(self._has_room)

    def wait_synced(self, position: Position, deadline_seconds: float | None) -> None:
        """Block until the record that ends at ``position`` survives a power cut.

        Raises:
            LogBusyError: the deadline passed.
            LogBrokenError, LogClosedError: it will never happen.
        """
        self._wait(lambda: self.synced >= position, deadline_seconds)

    async def synced_at(self, position: Position) -> None:
        """Like ``wait_synced``, without a deadline, for a coroutine."""
        await self._wait_async(lambda: self.synced >= position)

    def _has_room(self) -> bool:
        return self.unsynced_bytes < self._max_unsynced_bytes

    def _wait(self, ready: Callable[[], bool], deadline_seconds: float | None) -> None:
        if ready():
            return
        with self._turn:
            self._turn.wait_for(lambda: ready() or self._failure is not None, deadline_seconds)
        if ready():
            return
        if self._failure is not None:
            raise self._failure
        raise LogBusyError(self._directory, self.unsynced_bytes, deadline_seconds or 0.0)

    async def _wait_async(self, ready: Callable[[], bool]) -> None:
        if ready():
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._turn_lock:
            if not ready() and self._failure is None:
                self._waiters.append((ready, loop, future))
            else:
                future.set_result(None)
        await future
        if self._failure is not None and not ready():
            raise self._failure

    # The committing side.

    def start(self) -> None:
        """Start the background thread."""
        self._thread = threading.Thread(target=self._run, name="yoi-commit", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; waiters that were not served get ``LogClosedError``. Call after ``seal``."""
        self._stopping = True
        self._pause.set()
        self._work.set()
        if self._thread is not None:
            self._thread.join()
        with self._turn:
            if self._failure is None:
                self._failure = LogClosedError(self._directory)
            self._wake()

    def abandon_in_child(self) -> None:
        """Be out of service in a forked child, with locks that none of the parent's threads holds."""
        self._failure = LogClosedError(self._directory)
        self._sync_mutex = threading.Lock()
        self._turn_lock = threading.RLock()
        self._turn = threading.Condition(self._turn_lock)
        self._waiters = []
        self._thread = None

    def commit_once(self) -> bool:
        """Commit what was appended until now; False when there was nothing, or the log is out of service."""
        with self._sync_mutex:
            target, target_bytes = self.appended, self._appended_bytes
            if target == self.synced or self._failure is not None:
                return False
            try:
                if self._durability == "written" and target > self.shown:
                    self._publish(shown=target, synced=self.synced)
                self._files.fdatasync(self._fd)
                self._synced_bytes = max(self._synced_bytes, target_bytes)
                self._publish(shown=target, synced=target)
            except OSError as error:
                self.break_off(f"sync failed: {error.strerror or error}")
                return False
            return True

    def _run(self) -> None:
        try:
            self._take_turns()
        except BaseException as error:
            # Without this thread nothing is committed any more: whoever waits has to be told.
            self.break_off(f"the commit thread failed: {error!r}")
            raise

    def _take_turns(self) -> None:
        while True:
            before = self._synced_bytes
            if self.commit_once():
                if self._synced_bytes - before >= _STREAMING_BYTES:
                    self._pause.wait(_PAUSE_SECONDS)
                continue
            self._idle = True
            # Looked at again after _idle is set, so that an append between the two is not slept over.
            if self.appended == self.synced and not self._stopping and self._failure is None:
                self._work.wait()
            self._idle = False
            self._work.clear()
            if self._stopping or self._failure is not None:
                return

    def _publish(self, shown: Position, synced: Position) -> None:
        # The slot before the memory: whoever is woken may be told of nothing that a reader elsewhere cannot see.
        self._slots.write(shown, synced)
        with self._turn:
            self.shown, self.synced = shown, synced
            self._wake()
        self._doorbell.ring()

    def _wake(self) -> None:
        self._turn.notify_all()
        if not self._waiters:
            return
        waiting: list[_Waiter] = []
        reached: list[_Waiter] = []
        for waiter in self._waiters:
            (reached if self._failure is not None or waiter[0]() else waiting).append(waiter)
        self._waiters = waiting
        for loop in {loop for _, loop, _ in reached}:
            futures = [future for _, other, future in reached if other is loop]
            try:
                loop.call_soon_threadsafe(_resolve, futures)
            except RuntimeError:  # the loop was closed; nobody waits there any more
                continue


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
