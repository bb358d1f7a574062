"""The view: what one process shows of a log, shared by all its subscribers. No sockets here.

One task follows the watermark, folds each new record into the ledger once, and only then lets
subscribers see it: whoever reads up to ``end`` finds the Workers' state at least that new. When it looks, ``LookOut`` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from yoi_runtime.catalog.catalog import Snapshot, read_snapshot
from yoi_runtime.catalog.fold import fold_and_place
from yoi_runtime.catalog.ledger import Ledger
from yoi_runtime.catalog.place_file import BLOCK_BYTES, bytes_to_grid
from yoi_runtime.catalog.worker_state import WorkerState
from yoi_runtime.errors import LogError, LogUnavailableError, RecordCorruptError, SegmentGoneError
from yoi_runtime.notices import Notice, named
from yoi_runtime.segment_log.cursor import NO_WORKER, CursorToken, worker_tag
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.server.chunk_cache import ChunkCache, Encoder, SharedChunk
from yoi_runtime.server.look_out import LookOut
from yoi_runtime.server.own_reading import OwnReading
from yoi_runtime.server.wake_ups import Sleeper, WakeUps

__all__ = ["CACHE_BYTES", "LogView"]

_log = logging.getLogger("yoi_runtime.server")

# One read and fold of this many bytes holds the event loop for about 2 ms.
CHUNK_BYTES = BLOCK_BYTES
# Chunks in memory, which subscribers at the same place share: the last moments of a log and what is asked for often.
CACHE_BYTES = 64 << 20
# How often to look which segments are gone, so that their bytes are freed within 5 s.
_RELIST_SECONDS = 2.0


class LogView:
    """Shows the log in ``log_directory``. Belongs to one event loop."""

    def __init__(
        self, data_dir: Path, log_directory: Path, platform: Platform = REAL_PLATFORM, cache_bytes: int = CACHE_BYTES
    ) -> None:
        """Open the log for reading; call ``start`` next.

        Raises:
            LogNotFoundError: there is no log yet.
            LogFormatError: its watermark cannot be read.
        """
        self._data_dir = data_dir
        self.platform = platform
        self._reader = LogReader(log_directory, platform)
        self._ledger = Ledger()
        self._retention: RetentionPolicy | None = None
        self._noted_damage: set[tuple[int, int]] = set()
        self.epoch = 0
        self._end = self._reader.end
        self._caught_up = False
        self._closing = False
        self._finished = False
        self.hurried = False
        self._failure: Exception | None = None
        self._look_out = LookOut(log_directory, platform.clock)
        self.wake_ups = WakeUps()
        self._own_reading = OwnReading(self._reader, platform)
        self._cache = ChunkCache(cache_bytes)
        self._task: asyncio.Task[None] | None = None
        self._accounting: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read what the ledger does not know yet, then follow the log in a task.

        Raises:
            LogError, OSError: the log cannot be read.
        """
        await self._fold_from(await self._load_ledger())
        self._caught_up = True
        self._look_out.start()
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="log view")

    async def _load_ledger(self) -> Position:
        """Take over the catalog's snapshot, and return the place from which the log has to be read on."""
        snapshot, floor = await self._snapshot_and_floor()
        while (accounted_seq := _accounted_seq(snapshot)) < floor.seq:
            # Segments went between the two looks; what went was counted in a newer snapshot before.
            snapshot, floor = await self._snapshot_and_floor()
            if _accounted_seq(snapshot) == accounted_seq:
                break
        if snapshot is None:
            self._ledger = Ledger()
            self._ledger.seq = self._ledger.unaccounted_seq = floor.seq
            return floor
        self._ledger = snapshot.ledger
        self._account_for(floor)
        return max(snapshot.as_of, floor)

    async def _snapshot_and_floor(self) -> tuple[Snapshot | None, Position]:
        # The snapshot first: the log, looked at later, reaches at least as far.
        snapshot = await self._read_snapshot()
        self._reader.refresh()
        self._reader.relist()
        if snapshot is not None and (snapshot.log_id != self._reader.log_id or snapshot.as_of > self._reader.end):
            snapshot = None
        self._retention = snapshot.retention if snapshot is not None else None
        return snapshot, self._reader.floor()

    async def _read_snapshot(self) -> Snapshot | None:
        # In a thread: 6 ms for every 1,000 Workers, of which decoding holds the interpreter for 2.
        return await asyncio.to_thread(read_snapshot, self._data_dir, self.platform)

    def _account_for(self, floor: Position) -> None:
        """Do not trust the ledger below ``floor`` if it does not know what of whom is gone."""
        if self._ledger.accounted_seq < floor.seq:
            self._ledger.unaccounted_seq = floor.seq

    # What there is.

    @property
    def log_id(self) -> str:
        return self._reader.log_id

    @property
    def end(self) -> Position:
        """Return the place up to which events may be sent."""
        return self._end

    @property
    def synced(self) -> Position:
        """Return the place up to which the log survives a power cut."""
        return self._reader.watermark.synced

    @property
    def ready(self) -> bool:
        """Return whether the view has caught up and still follows the log."""
        return self._caught_up and self._failure is None and not self._closing

    @property
    def closing(self) -> bool:
        return self._closing

    @property
    def finished(self) -> bool:
        """Return whether the view closes and has shown the last that it will show."""
        return self._finished

    @property
    def failure(self) -> Exception | None:
        """Return what ended the following of the log, None while it goes on."""
        return self._failure

    @property
    def damaged_places(self) -> int:
        return len(self._noted_damage)

    @property
    def retention(self) -> RetentionPolicy | None:
        """Return the rule by which the log is kept, None when no catalog says it."""
        return self._retention

    def bytes_after(self, position: Position) -> int:
        """Return how many bytes of the log lie between ``position`` and ``end``."""
        if position.segment == self._end.segment:
            return max(0, self._end.offset - position.offset)
        total = self._end.offset - position.offset
        for number in self._reader.segment_numbers():
            if position.segment <= number < self._end.segment:
                with contextlib.suppress(SegmentGoneError):
                    total += self._reader.segment_size(number)
        return max(0, total)

    @property
    def ledger(self) -> Ledger:
        """Return the state of all Workers as of ``end``."""
        return self._ledger

    def worker(self, worker_id: str) -> WorkerState | None:
        """Return the state of a Worker as of ``end``, None when there is no such Worker."""
        return self._ledger.workers.get(worker_id)

    def floor(self) -> Position:
        """Return the oldest place that can be read from. Raises ``LogUnavailableError``."""
        return self._reader.floor()

    @property
    def reader(self) -> LogReader:
        """Return the reader, for questions about cursors and segments."""
        return self._reader

    def token(self, position: Position, worker_id: str | None = None, worker_seq: int | None = None) -> CursorToken:
        """Return the cursor token of a place, issued for a Worker's stream or (None) for everything.

        Without the Worker's number at the place it is issued for everything: a wrong one would make a wrong receipt.
        """
        if worker_id is None or worker_seq is None:
            return self._reader.token_at(position, NO_WORKER, 0)
        return self._reader.token_at(position, worker_tag(worker_id), worker_seq)

    # Following.

    async def _follow(self) -> None:
        monotonic = self.platform.clock.monotonic
        relist_at = monotonic() + _RELIST_SECONDS
        while not self._closing:
            try:
                if not self._caught_up:
                    await self._reopen()
                self._reader.refresh()
                if self._reader.end > self._end:
                    self._look_out.found_news()
                    await self._fold_from(self._end)
                    continue
                if monotonic() >= relist_at:
                    relist_at = monotonic() + _RELIST_SECONDS
                    self._look_around()
                    if not self._caught_up:
                        continue
                self._failure = None
            except Exception as error:  # noqa: BLE001 - whatever it is, subscribers must not wait on a dead task
                if self._failure is None:
                    text = "the log cannot be followed, will try again: %s"
                    _log.error(text, error, exc_info=_is_bug(error), extra=named(Notice.LOG_NOT_FOLLOWED))
                self._failure = error
                self._wake()
            await self._look_out.next_look()
        await self._finish()

    async def _finish(self) -> None:
        """Show what was committed before the view began to close."""
        try:
            if self._caught_up:
                self._reader.refresh()
                await self._fold_from(self._end)
        except (LogError, OSError) as error:
            _log.error("the last events cannot be shown: %s", error, extra=named(Notice.LOG_NOT_SHOWN_TO_ITS_END))
        self._finished = True
        self._wake()

    def _look_around(self) -> None:
        """See whether the log is still this one, and let go of what was rotated out; failing that, next time."""
        try:
            if self._reader.is_replaced():
                self._let_go()
            else:
                self._look_at_segments()
        except (OSError, LogUnavailableError) as error:
            # No readable segment at the moment is what the middle of a rotation looks like, too.
            told = named(Notice.LOG_DIRECTORY_UNREADABLE)
            _log.warning("the log's directory cannot be looked at, will try again: %s", error, extra=told)

    def _let_go(self) -> None:
        """Part with a log that is no longer the one in the directory; whoever follows it is told."""
        _log.warning("the log was removed or replaced by another one", extra=named(Notice.LOG_REPLACED))
        self._caught_up = False
        self._look_out.look_elsewhere()
        self.epoch += 1
        self._wake()

    async def _reopen(self) -> None:
        """Go over to the log that is in the directory now.

        Raises:
            LogError, OSError: there is none yet.
        """
        self._reader.close()
        self._cache.clear()
        self._reader = LogReader(self._reader.directory, self.platform)
        self._look_out.look_elsewhere()
        self._own_reading = OwnReading(self._reader, self.platform)
        await self._fold_from(await self._load_ledger())
        self._caught_up = True

    async def _fold_from(self, position: Position) -> None:
        """Fold committed records into the ledger, a bounded piece at a time, and show them."""
        target, over_something = self._reader.end, False
        while position < target:
            try:
                chunk = self._read_through_cache(position)
            except RecordCorruptError as error:
                self.note_damage(error)
                position, over_something = self._reader.after_damage(error), True
                continue
            except SegmentGoneError:
                # What was rotated out before it was read here, the snapshot has.
                position, over_something = await self._load_ledger(), True
                continue
            if chunk is None:
                break
            changed = fold_and_place(self._ledger, chunk, self._own_reading.places_for(chunk))
            position = chunk.end
            if self._caught_up:
                self._end = position
                if over_something:
                    # Whose the records were that were not read, nobody knows here: all have to look.
                    self._wake()
                    over_something = False
                else:
                    self.wake_ups.wake(changed)
            if position < target:
                await asyncio.sleep(0)
        if over_something or self._end != max(position, target):
            self._end = max(position, target)
            self._wake()

    def _wake(self) -> None:
        self.wake_ups.wake_all()

    async def relist(self) -> None:
        """Look which segments are gone, and return when the ledger knows what of whom went with them.

        Raises:
            LogError, OSError: the directory or the catalog cannot be read; call again.
        """
        self._look_at_segments()
        while self._accounting is not None:
            # Shared by all who wait, and not ended by one of them who leaves.
            await asyncio.shield(self._accounting)
            # Not listed again by each of thousands: that would last until the next rotation, and so without end.
            self._account_below_floor()

    def _look_at_segments(self) -> None:
        """Look which segments are gone, and have the ledger know what of whom went with them."""
        self._reader.relist()
        floor = self._reader.floor()
        self._own_reading.segments.forget_below(floor.segment)
        self._account_below_floor()

    def _account_below_floor(self) -> None:
        """Begin to read what the catalog says of what lies below the floor last seen, unless that is known."""
        if self._accounting is None and self._ledger.accounted_seq < self._reader.floor().seq:
            self._accounting = asyncio.get_running_loop().create_task(self._take_over_rotation(), name="rotation")
            # Whoever waits is told what went wrong; if nobody does, the next look tries again.
            self._accounting.add_done_callback(lambda task: None if task.cancelled() else task.exception())

    async def _take_over_rotation(self) -> None:
        """Take over from the catalog what of whom was rotated out below the present floor."""
        try:
            reader, floor = self._reader, self._reader.floor()
            # Counted before it is deleted: a snapshot read now knows of all below the floor.
            snapshot = await self._read_snapshot()
            if reader is not self._reader:
                return
            if snapshot is not None and snapshot.log_id == reader.log_id:
                self._take_over(snapshot)
            self._account_for(floor)
        finally:
            self._accounting = None

    def _take_over(self, snapshot: Snapshot) -> None:
        ledger = self._ledger
        if snapshot.ledger.accounted_seq <= ledger.accounted_seq:
            return
        ledger.rotated_out = snapshot.ledger.rotated_out
        ledger.unaccounted_seq = max(ledger.unaccounted_seq, snapshot.ledger.unaccounted_seq)
        ledger.forgotten_seq = snapshot.ledger.forgotten_seq
        forgotten = [
            worker_id
            for worker_id, known in ledger.workers.items()
            if known.seq <= snapshot.as_of.seq and known.ended and worker_id not in snapshot.ledger.workers
        ]
        for worker_id in forgotten:
            del ledger.workers[worker_id]
        if forgotten:
            # Whoever still follows one of them has to be told.
            self._wake()
        for worker_id, state in snapshot.ledger.workers.items():
            if worker_id in ledger.workers:
                ledger.workers[worker_id].rotated_out = state.rotated_out

    def note_damage(self, error: RecordCorruptError) -> None:
        """Log a damaged place, once, however many subscribers come upon it: the operator needs file and offset."""
        place = (error.segment, error.offset)
        if place not in self._noted_damage:
            self._noted_damage.add(place)
            told = named(Notice.RECORD_DAMAGED, segment=error.segment, offset=error.offset, seq=error.seq)
            _log.error("damaged record: %s", error, extra=told)

    async def beyond(self, position: Position) -> None:
        """Wait until there is an event after ``position``, or the view has finished or fails."""
        await self._shown(position.seq + 1)

    async def reach(self, position: Position) -> None:
        """Wait until everything up to ``position`` is shown, or the view has finished or fails."""
        await self._shown(position.seq)

    async def _shown(self, seq: int) -> None:
        # By seq: the end of a segment and the beginning of the next are one place under two names.
        epoch, sleeper = self.epoch, Sleeper(None)
        self.wake_ups.add(sleeper)
        try:
            while self._end.seq < seq and not self._finished and self._failure is None and self.epoch == epoch:
                await sleeper.sleep()
        finally:
            self.wake_ups.remove(sleeper)

    # Reading.

    def read(self, position: Position) -> SharedChunk | None:
        """Return records after ``position``, at most about 128 KiB; None at ``end``. Errors: ``LogReader.read``.

        Subscribers at the same place get the same object.
        """
        if position.seq >= self._end.seq:
            return None
        chunk = self._read_through_cache(position)
        if chunk is None:
            raise LogUnavailableError(self._reader.directory, "its segments are missing")
        # The watermark may have moved after the last fold: what is not folded is not shown.
        return chunk if chunk.end <= self._end else _cut_at(chunk, self._end)

    def read_own(self, position: Position, worker_id: str, worker_seq: int | None) -> SharedChunk | None:
        """Return a Worker's own records after ``position``, and as many of others as were read along; None at ``end``.

        There may be none in what is returned: then none stands before its ``end``. ``worker_seq`` is that of the
        Worker's newest record before ``position``, if known. Errors: ``LogReader.read``.
        """
        if position.seq >= self._end.seq:
            return None
        own = self._own_reading.read(position, self._end, worker_id, worker_seq)
        return own if own is not None else self.read(position)

    def _read_through_cache(self, position: Position) -> SharedChunk | None:
        cached = self._cache.get(position, CHUNK_BYTES)
        if cached is not None:
            return cached
        chunk = self._own_reading.read_block(position) or self._reader.read(position, bytes_to_grid(position.offset))
        return self._cache.keep(position, chunk) if chunk is not None else None

    def encoded(self, chunk: SharedChunk, encode: Encoder) -> bytes:
        """Return ``encode(chunk.data, chunk.records)``, made once for all who are at that place."""
        return self._cache.encoded(chunk, encode)

    def begin_closing(self) -> None:
        """Show what is committed, and then nothing more: subscribers say goodbye when they have sent it."""
        self._closing = True
        self._look_out.ring()

    def hurry(self) -> None:
        """Make subscribers say goodbye wherever they are."""
        self.hurried = True

    async def close(self) -> None:
        """Stop following and close every file."""
        self.begin_closing()
        if self._task is not None:
            self._look_out.close()
            await self._task
            self._task = None
        if self._accounting is not None:
            await asyncio.gather(self._accounting, return_exceptions=True)
        self._reader.close()

    def check_available(self) -> None:
        """Raise ``LogUnavailableError`` when the log cannot be shown at present."""
        if self._failure is not None:
            raise LogUnavailableError(self._reader.directory, "the log can no longer be followed")
        if not self._caught_up:
            raise LogUnavailableError(self._reader.directory, "the server is still reading the log")


def _is_bug(error: Exception) -> bool:
    return not isinstance(error, LogError | OSError)


def _accounted_seq(snapshot: Snapshot | None) -> int:
    return snapshot.ledger.accounted_seq if snapshot is not None else 0


def _cut_at(chunk: SharedChunk, end: Position) -> SharedChunk:
    """Return the part of ``chunk`` before ``end``, which lies within."""
    data = chunk.data[: end.offset - chunk.start.offset]
    return SharedChunk(data, chunk.start, end, end.seq - chunk.start.seq)
