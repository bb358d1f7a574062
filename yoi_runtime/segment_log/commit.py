"""Commit: moving the watermark over appended records, off the appending thread.

One background thread takes whatever was appended since its last turn, calls ``fdatasync`` once for
all of it, publishes the watermark and then wakes whoever waits: group commit. With
``durability="written"`` it publishes ``shown`` and leaves the sync, and ``synced`` after it, to a second
thread: what is shown does not wait for the disk.

The first failed sync is final: the kernel may have dropped the pages and reports it once, so a retry
that succeeds would prove nothing. The watermark then stays where it is, for good.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from yoi_runtime.errors import LogBrokenError, LogBusyError, LogClosedError, LogError
from yoi_runtime.latencies import Latencies
from yoi_runtime.segment_log.doorbell import doorbell_of
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.watermark import WatermarkFile

__all__ = ["Commit", "Durability"]

# Somebody appends as fast as he can, and nobody waits for the disk: every turn of this thread then takes the
# interpreter from him twice. With a pause of 0.5 ms between turns that come with this many bytes one thread appended
# 134,000 events/s, with 2 ms 149,000, with 5 ms 155,000; what readers are shown is that much older.
#
# Several waiters were woken: most append again at once. Pausing for them, until as many wait again and for no longer
# than the sync took, brings them into one sync: 100 tasks on a disk that syncs in 2 ms got 24,000 events/s, not 15,000.
_STREAMING_BYTES = 32 << 10
_PAUSE_SECONDS = 0.004

# How often, while something is appended, the thread makes sure that it goes where readers look (12 µs).
_LOOK_SECONDS = 1.0

_Future = asyncio.Future[None]
# What is waited for, and how to wake who waits: by a call, or by a future and its loop.
_Waiter = tuple[Callable[[], bool], Callable[[], None] | tuple[asyncio.AbstractEventLoop, _Future]]

Durability = Literal["synced", "written"]


class Commit:
    """The committed end of one open log. Its public members may be read from any thread."""

    def __init__(
        self,
        directory: Path,
        platform: Platform,
        slots: WatermarkFile,
        durability: Durability,
        max_unsynced_bytes: int,
        lost_because: Callable[[], str | None],
    ) -> None:
        """Begin with nothing; ``lost_because`` says why the directory is no longer the writer's (``WriterLock``)."""
        self._directory = directory
        self._files = platform.files
        self._clock = platform.clock
        self._slots = slots
        self._durability = durability
        self._max_unsynced_bytes = max_unsynced_bytes
        self._lost_because = lost_because
        self._looked_at = platform.clock.monotonic()
        self._doorbell = doorbell_of(directory)
        # Held during a sync and while the active file changes; never taken by an append.
        self._sync_mutex = threading.Lock()
        # Held while the watermark moves; taken after the other by whoever needs both.
        self._mark_mutex = threading.Lock()
        # Guards what waiters look at. No Condition and no Event: their methods are Python's, and Ctrl-C in one of them
        # keeps its lock taken for ever.
        self._turn = threading.RLock()
        self._waiters: list[_Waiter] = []
        # How many waiters there were before the last commit, if that woke more than one of them.
        self._gathering = 0
        self._sync_seconds = 0.0
        # When the sync that runs now began, None between two.
        self._syncing_since: float | None = None
        self.sync_latencies = Latencies()
        self._fd = -1
        self._path = directory
        # Locked while there is nothing to do; the thread takes it, whoever has work releases it.
        self._bell = _told_nothing()
        # Likewise, of the thread that syncs what was shown before.
        self._sync_bell = _told_nothing()
        self.idle = False
        self._stopping = False
        # How many waiters end the pause; 0 when there is none.
        self._pausing_for = 0
        self._failure: LogError | None = None
        self._threads: list[threading.Thread] = []
        self.shown = self.synced = Position(0, 0, 0, 0)
        self.last: tuple[int, int, int, int] = self.shown
        self.appended_bytes = 0
        self._shown_bytes = self._synced_bytes = 0
        # How far ``appended_bytes`` may go without waiting for anything; nowhere once the log is out of service.
        self.ceiling_bytes = max_unsynced_bytes

    # The appending side.

    @property
    def appended(self) -> Position:
        """Return the place after the last appended record."""
        return Position(*self.last)

    @property
    def unsynced_bytes(self) -> int:
        """Return how many appended bytes still wait for the disk."""
        return self.appended_bytes - self._synced_bytes

    @property
    def failure(self) -> LogError | None:
        """Return what put the log out of service, None while it is in service."""
        return self._failure

    def stuck_seconds(self) -> float:
        """Return how long the sync that runs now has been running; without end where nobody commits any more."""
        if self._failure is not None or not all(thread.is_alive() for thread in self._threads):
            return math.inf
        since = self._syncing_since
        return 0.0 if since is None else self._clock.monotonic() - since

    def begin_segment(self, fd: int, path: Path, start: Position) -> None:
        """Go on with a new active file whose header is on the disk. Everything before is synced (``seal``)."""
        with self._sync_mutex, self._mark_mutex:
            self._fd, self._path = fd, path
            self.last = start
            self._publish(shown=start, synced=start)

    def hold(self) -> None:
        """Have every append ask before it writes, until the next segment is begun; everything is synced (``seal``)."""
        with self._turn:
            self.ceiling_bytes = -1

    def note_appended(self, end: tuple[int, int, int, int], size_bytes: int) -> None:
        """Take note of appended records; called by the appending thread, waits for nothing.

        ``end`` is the Position after them, as it stands in memory: made into a named tuple only for who looks.
        """
        self.appended_bytes += size_bytes
        self.last = end
        if self.idle:
            self.wake()

    def wake(self) -> None:
        """Have the thread look again, if it sleeps or pauses. Safe from any thread."""
        _tell(self._bell)

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
            self.ceiling_bytes = -1
            self._wake()
        # The threads have nothing more to do.
        self.wake()
        _tell(self._sync_bell)
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
        reached = threading.Lock()
        reached.acquire()
        waiter = (ready, reached.release)
        # -1 is for ever to a lock: what is left of a deadline that has passed must not be taken for that.
        seconds = -1 if deadline_seconds is None else min(max(deadline_seconds, 0.0), threading.TIMEOUT_MAX)
        if self._join(waiter) and not reached.acquire(timeout=seconds):
            with self._turn:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        if ready():
            return
        if self._failure is not None:
            raise self._failure
        raise LogBusyError(self._directory, self.unsynced_bytes, deadline_seconds or 0.0)

    async def _wait_async(self, ready: Callable[[], bool]) -> None:
        if ready():
            return
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if self._join((ready, (loop, future))):
            await future
        if self._failure is not None and not ready():
            raise self._failure

    def _join(self, waiter: _Waiter) -> bool:
        """Add a waiter and end the thread's pause; False when there is nothing to wait for any more."""
        with self._turn:
            if waiter[0]() or self._failure is not None:
                return False
            self._waiters.append(waiter)
        if 0 < self._pausing_for <= len(self._waiters):
            self.wake()
        return True

    # The committing side.

    def start(self) -> None:
        """Start what works in the background."""
        committing = self.commit_once
        if self._durability == "written":
            committing = self._show_and_pass_on
            syncing = (self._sync_what_is_passed_on,)
            self._threads.append(threading.Thread(target=self._run, args=syncing, name="yoi-sync", daemon=True))
        turns = (lambda: self._take_turns(committing),)
        self._threads.append(threading.Thread(target=self._run, args=turns, name="yoi-commit", daemon=True))
        for thread in self._threads:
            thread.start()
        self._doorbell.attach()

    def stop(self) -> None:
        """Stop the threads; waiters that were not served get ``LogClosedError``. Call after ``seal``."""
        self._stopping = True
        self.wake()
        _tell(self._sync_bell)
        for thread in self._threads:
            thread.join()
        if self._threads:
            self._doorbell.detach()
        with self._turn:
            if self._failure is None:
                self._failure = LogClosedError(self._directory)
            self.ceiling_bytes = -1
            self._wake()

    def abandon_in_child(self) -> None:
        """Be out of service in a forked child, with locks that none of the parent's threads holds."""
        self._failure = LogClosedError(self._directory)
        self._sync_mutex = threading.Lock()
        self._mark_mutex = threading.Lock()
        self._turn = threading.RLock()
        self._waiters = []
        self._threads = []
        # Nothing is taken from here on.
        self.ceiling_bytes = -1

    def commit_once(self) -> bool:
        """Commit what was appended until now; False when there was nothing, or the log is out of service."""
        with self._sync_mutex:
            target, target_bytes = self.appended, self.appended_bytes
            if target == self.synced or self._failure is not None:
                return False
            try:
                if self._durability == "written":
                    self._show()
                self._syncing_since = begun = self._clock.monotonic()
                self._files.fdatasync(self._fd)
                self._sync_seconds = self._clock.monotonic() - begun
                self.sync_latencies.add(self._sync_seconds)
                self._synced_bytes = max(self._synced_bytes, target_bytes)
                with self._mark_mutex:
                    self._shown_bytes = max(self._shown_bytes, target_bytes)
                    self._publish(shown=max(self.shown, target), synced=target)
            except OSError as error:
                self.break_off(f"sync failed: {error.strerror or error}")
                return False
            finally:
                self._syncing_since = None
            return True

    def _show(self) -> bool:
        """Show what was appended until now, synced or not; False when there was nothing. Raises ``OSError``."""
        with self._mark_mutex:
            target, target_bytes = self.appended, self.appended_bytes
            if target <= self.shown or self._failure is not None:
                return False
            self._shown_bytes = target_bytes
            self._publish(shown=target, synced=self.synced)
            return True

    def _show_and_pass_on(self) -> bool:
        """Show what was appended until now, and have it synced; False when there was nothing."""
        try:
            if not self._show():
                return False
        except OSError as error:
            self.break_off(f"the watermark could not be written: {error.strerror or error}")
            return False
        _tell(self._sync_bell)
        return True

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            # Without this thread nothing is committed any more: whoever waits has to be told.
            self.break_off(f"the commit thread failed: {error!r}")
            raise

    def _take_turns(self, turn: Callable[[], bool]) -> None:
        """Take turns for as long as there is something to do in them, and sleep until there is again."""
        while True:
            self._look_at_place()
            before = self._shown_bytes
            if turn():
                if self._gathering and self._durability == "synced":
                    self._pause(self._gathering, min(self._sync_seconds, _PAUSE_SECONDS))
                elif self._shown_bytes - before >= _STREAMING_BYTES:
                    self._pause(1, _PAUSE_SECONDS)
                continue
            self.idle = True
            # Looked at again after _idle is set, so that an append between the two is not slept over.
            if self.appended == self.shown and not self._stopping and self._failure is None:
                self._bell.acquire()
            self.idle = False
            if self._stopping or self._failure is not None:
                return

    def _sync_what_is_passed_on(self) -> None:
        while not self._stopping and self._failure is None:
            if not self.commit_once():
                self._sync_bell.acquire()

    def _look_at_place(self) -> None:
        """Break off when the directory was removed or replaced, sooner than the next roll or maintenance would."""
        now = self._clock.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            why = self._lost_because()
        except OSError:  # it cannot be told now
            return
        if why is not None:
            self.break_off(why)

    def _pause(self, waiters: int, seconds: float) -> None:
        """Do nothing for so long, or until there are so many waiters."""
        self._bell.acquire(blocking=False)  # of somebody whose record is synced by now
        self._pausing_for = waiters
        # Looked at after _pausing_for is set, so that nobody who comes between the two waits for the pause.
        if len(self._waiters) < waiters and not self._stopping:
            self._bell.acquire(timeout=seconds)
        self._pausing_for = 0

    def _publish(self, shown: Position, synced: Position) -> None:
        # The slot before the memory: whoever is woken may be told of nothing that a reader elsewhere cannot see.
        self._slots.write(shown, synced)
        with self._turn:
            self.shown, self.synced = shown, synced
            if self._failure is None:
                self.ceiling_bytes = self._synced_bytes + self._max_unsynced_bytes
            self._wake()
        self._doorbell.ring()

    def _wake(self) -> None:
        """Wake whoever has waited long enough; called with ``_turn``."""
        self._gathering = 0
        if not self._waiters:
            return
        waiting: list[_Waiter] = []
        futures: dict[asyncio.AbstractEventLoop, list[_Future]] = {}
        for waiter in self._waiters:
            ready, whom = waiter
            if self._failure is None and not ready():
                waiting.append(waiter)
            elif isinstance(whom, tuple):
                futures.setdefault(whom[0], []).append(whom[1])
            else:
                whom()
        if len(self._waiters) > len(waiting) + 1:
            self._gathering = len(self._waiters)
        self._waiters = waiting
        # One call for all of a loop: each writes to its self-pipe.
        for loop, resolved in futures.items():
            try:
                loop.call_soon_threadsafe(_resolve, resolved)
            except RuntimeError:  # the loop was closed; nobody waits there any more
                continue


def _told_nothing() -> threading.Lock:
    """Return a bell: a lock that is taken until somebody tells whoever waits for it."""
    bell = threading.Lock()
    bell.acquire()
    return bell


def _tell(bell: threading.Lock) -> None:
    try:
        bell.release()
    except RuntimeError:  # it was told already
        return


def _resolve(futures: list[_Future]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
