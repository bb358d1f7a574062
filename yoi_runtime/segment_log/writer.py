"""The one writer of a log: append, roll, rotate out, close.

Owns the lock and all that changes the directory. Decides nothing about events or retention. An append returns when
its bytes are written; ``commit`` moves the watermark behind it. Format: docs/log-format.md.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TypeVar

from yoi_runtime.errors import LogBrokenError, LogClosedError, LogDiskError, LogFullError, RecordTooLargeError
from yoi_runtime.segment_log.active_segment import NO_ROOM, ActiveSegment, refusal
from yoi_runtime.segment_log.commit import Commit
from yoi_runtime.segment_log.cursor import NO_WORKER
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.figures import LogFigures
from yoi_runtime.segment_log.lock import WriterLock
from yoi_runtime.segment_log.opening import (
    last_watermark,
    log_id_of,
    make_reserve,
    newest_time_us,
    recover,
    refuse_network_filesystem,
    remove_leftovers,
)
from yoi_runtime.segment_log.options import LogOptions
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform, abandon_after_fork
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.recovery import release_reserve
from yoi_runtime.segment_log.retention import SteadyClock
from yoi_runtime.segment_log.sealed import SealedSegment, SealedSegments
from yoi_runtime.segment_log.segment import Previous, SegmentHeader
from yoi_runtime.segment_log.timestamp import TimestampFormat
from yoi_runtime.segment_log.watermark import WatermarkFile

__all__ = ["Appended", "LogOptions", "LogWriter", "SealedSegment"]

# Larger writes gain nothing, and what the disk refuses of one is taken back whole.
_RUN_BYTES = 256 << 10

_T = TypeVar("_T")

_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)


class Appended(NamedTuple):
    """The cursor token of a record (63 ASCII bytes) and the place just after it."""

    token: bytes
    position: Position


class LogWriter:
    """An open log. Every method may be called from any thread; ``append`` keeps one order for all."""

    def __init__(self, directory: Path, options: LogOptions, platform: Platform, *, background: bool = True) -> None:
        """Open the log in ``directory`` for writing, making it when missing; recovers it first.

        With ``background=False`` nothing is committed until somebody calls ``commit_once`` or ``close``.

        Raises:
            LogHeldError: another writer has it.
            LogPlacementError: on a network file system, unless the options allow that; nothing was made.
            LogVersionError: a file here is of another format version; nothing was changed.
            OSError: nothing was lost; the log is as it was, or recovered.
        """
        self.directory = directory
        self.options = options
        self._max_record_bytes, self._segment_bytes = options.max_record_bytes, options.segment_bytes
        self._platform = platform
        self._files = platform.files
        self._pwrite = platform.files.pwrite
        self.lock = threading.RLock()
        self._closed = False
        # Of a roll that is half done: the next segment, whose name may not be on the disk yet, and what the active one
        # is to be sealed as. Nothing is appended anywhere before it is finished.
        self._begun: tuple[ActiveSegment, SealedSegment] | None = None
        self._segments = SegmentDirectory(directory, platform)
        self._timestamp = TimestampFormat()
        if not options.allow_network_filesystem:
            refuse_network_filesystem(directory, platform)
        self._files.make_directory(directory)
        self._writer_lock = WriterLock(directory, platform)
        with ExitStack() as on_failure:
            on_failure.callback(self._writer_lock.release)
            self._open(on_failure)
            if background:
                self._commit.start()
            on_failure.pop_all()
        abandon_after_fork(self)

    def abandon_in_child(self) -> None:
        """Let go of everything in a forked child: the log stays the parent's. Its ``WriterLock`` does so by itself."""
        self.lock = threading.RLock()
        self._commit.abandon_in_child()
        if not self._closed:
            self._closed = True
            self._slots.close()
            self._active.close()
            if self._begun is not None:
                self._begun[0].close()

    def check_place(self) -> None:
        """Make sure that the directory is still the one that was opened, under the lock that was taken.

        Raises:
            LogBrokenError: it, or its lock, was removed or replaced; the writer is out of service for good.
            OSError: that cannot be told now.
        """
        with self.lock:
            self._check_in_service()
            if (why := self._writer_lock.lost_because()) is not None:
                raise self._commit.break_off(why)

    def _open(self, on_failure: ExitStack) -> None:
        files, platform, directory = self._files, self._platform, self.directory
        files.sync_directory(directory.parent)
        mark = last_watermark(directory, platform)
        numbers = self._segments.numbers()
        self.log_id = self._segments.log_id = log_id_of(self._segments, numbers, mark, platform)
        remove_leftovers(directory, platform)
        self.recovery, previous = recover(self._segments, numbers, mark, platform)
        self.steady_clock = SteadyClock(platform.clock, newest_time_us(self._segments, numbers))
        self.last_seq = previous.last_seq if previous is not None else 0
        self.sealed_segments = SealedSegments(self._segments, numbers, previous, self.steady_clock.now_us())
        self._slots = WatermarkFile(directory, platform, self.log_id, mark.generation if mark else 0)
        self._commit = Commit(
            directory,
            platform,
            self._slots,
            self.options.durability,
            self.options.max_unsynced_bytes,
            self._writer_lock.lost_because,
        )
        self.figures = LogFigures(self._commit)
        on_failure.callback(self._slots.close)
        number = previous.segment + 1 if previous is not None else 1
        self._active = self._with_reserve(lambda: self._create_segment(number, previous))
        on_failure.callback(self._active.close)
        self._with_reserve(self._begin_segment)
        self._slots.sync()
        files.sync_directory(directory)
        self.make_reserve()

    def _with_reserve(self, action: Callable[[], _T]) -> _T:
        """Return what ``action`` returns; where there is no room for it, do it again in that of the reserve."""
        try:
            return action()
        except OSError as error:
            if error.errno not in NO_ROOM or not self.release_reserve():
                raise
            return action()

    def release_reserve(self) -> bool:
        """Give the reserved bytes back to the file system, for what must be written on a full disk."""
        return release_reserve(self.directory, self._platform)

    def make_reserve(self) -> None:
        """Hold back one segment's bytes for a recovery on a full disk; do without where they cannot be had."""
        make_reserve(self.directory, self.options.segment_bytes, self._platform)

    # The active segment.

    def _create_segment(self, number: int, previous: Previous | None) -> ActiveSegment:
        """Return a new segment under its name. Raises ``OSError``: nothing bears the name."""
        nonce = int.from_bytes(self._platform.random_bytes(8), "big")
        begun_us = self.steady_clock.now_us()
        header = SegmentHeader(self.log_id, number, nonce, self.last_seq + 1, self._timestamp(begun_us), previous)
        return ActiveSegment.create(self._segments, self._files, header, begun_us)

    def _begin_segment(self) -> None:
        """Put the name of a new active segment on the disk, and let readers see its beginning."""
        self._files.sync_directory(self.directory)
        self._show_beginning()

    def _show_beginning(self) -> None:
        active = self._active
        self.active_number = active.number
        self._commit.begin_segment(active.fd, active.path, active.start)

    @property
    def end(self) -> Position:
        """Return the place after the last appended record, committed or not."""
        return self._commit.appended

    @property
    def shown(self) -> Position:
        """Return how far readers may look."""
        return self._commit.shown

    @property
    def synced(self) -> Position:
        """Return how far the log survives a power cut."""
        return self._commit.synced

    @property
    def closed(self) -> bool:
        """Return whether ``close`` was called."""
        return self._closed

    @property
    def active_start(self) -> Position:
        """Return the place before the first record of the active segment."""
        return self._active.start

    @property
    def sealed(self) -> Sequence[SealedSegment]:
        """Return the sealed segments, oldest first; looks at all of them, where ``sealed_segments`` looks at one."""
        with self.lock:
            return self.sealed_segments[:]

    @property
    def active_records(self) -> int:
        """Return how many records the active segment holds."""
        return self.last_seq + 1 - self._active.first_seq

    @property
    def active_bytes(self) -> int:
        """Return the size of the active segment."""
        return self._active.offset

    @property
    def begun_us(self) -> int:
        """Return when the active segment was begun, in the log's steady time."""
        return self._active.begun_us

    def append(self, body: bytes, worker: bytes = NO_WORKER, worker_seq: int = 0) -> Appended:
        """Append one record around ``body`` and return its cursor; rolls first when the segment is full.

        Args:
            body: members of the envelope after ``seq``, UTF-8 JSON without newline.
            worker, worker_seq: what the token is issued for (see ``cursor``).
        Raises:
            RecordTooLargeError: nothing was written.
            LogBusyError: the disk is behind and the deadline passed; nothing was written.
            LogFullError: no room; the segment is back at its former length. Later appends may succeed.
            LogDiskError: the disk refused for another reason; the segment is back at its former length.
            LogBrokenError, LogClosedError: the writer is out of service.

        Durability: survives a killed process at once, a power cut once ``synced`` has passed it.
        """
        with self.lock:
            token = self.append_held("", body, worker, worker_seq)
            return Appended(token, self.end)

    def append_held(self, head: str, tail: bytes, worker: bytes, worker_seq: int) -> bytes:
        """Like ``append`` of ``head`` (ASCII) + ``tail``, for a caller that holds ``lock``; returns the token."""
        seq = self.last_seq + 1
        # Before any check, all of which need its size: what is refused or comes after a roll is rare.
        active, commit = self._active, self._commit
        encode, offset = active.encode, active.offset
        token, record = encode(offset, seq, head, tail, worker, worker_seq)
        size = len(record)
        if (
            self._closed
            or size > self._max_record_bytes
            or offset + size > self._segment_bytes
            or commit.appended_bytes + size > commit.ceiling_bytes
        ):
            self._refuse_or_make_way(size)
            active = self._active
            offset = active.offset
            token, record = active.encode(offset, seq, head, tail, worker, worker_seq)
        pwrite = self._pwrite
        try:
            # ActiveSegment.write, spelled out, as Commit.note_appended below: this runs for every append.
            written = pwrite(active.fd, record, offset)
            if written != size:
                active.write_rest(record, written)
        except OSError as error:
            raise self._take_back(error, seq) from error
        end = offset + size
        active.offset, self.last_seq = end, seq
        commit.appended_bytes += size
        commit.last = (active.number, active.nonce, end, seq)
        if commit.idle:
            commit.wake()
        return token

    def append_run_held(
        self, heads: Sequence[str], tails: Sequence[bytes], worker: bytes, first_worker_seq: int | None
    ) -> list[bytes]:
        """Append the first of several records, of which ``append_held`` takes one, in one write.

        As many as fit into the active segment, below the bound on unsynced bytes and into _RUN_BYTES; at least one,
        and when even that does not fit, it is dealt with as by ``append``. They are in the log together or not at all.

        Args:
            heads, tails: of as many records.
            first_worker_seq: that of the first record, the others count on; None: they have none.
        Returns:
            The tokens of those that were appended.
        Raises:
            As ``append``; nothing was written.
        """
        active, commit, tokens, records = self._active, self._commit, list[bytes](), list[bytes]()
        start, seq = active.offset, self.last_seq
        worker_seq, step = (first_worker_seq, 1) if first_worker_seq is not None else (0, 0)
        # Below: where the next record has to end.
        most = min(self._segment_bytes, start + commit.ceiling_bytes - commit.appended_bytes, start + _RUN_BYTES)
        for head, tail in zip(heads, tails, strict=False):
            token, record = active.encode(start, seq + 1, head, tail, worker, worker_seq)
            if start + len(record) > most or len(record) > self._max_record_bytes:
                break
            tokens.append(token)
            records.append(record)
            start, seq, worker_seq = start + len(record), seq + 1, worker_seq + step
        if not records or self._closed:
            return [self.append_held(heads[0], tails[0], worker, first_worker_seq or 0)]
        data = b"".join(records)
        try:
            active.write(data)
        except OSError as error:
            raise self._take_back(error, self.last_seq + 1) from error
        active.offset, self.last_seq = start, seq
        commit.note_appended((active.number, active.nonce, start, seq), len(data))
        return tokens

    def _refuse_or_make_way(self, size: int) -> None:
        """Deal with what keeps an append of ``size`` bytes from going on at once. Errors: those of ``append``."""
        self._check_in_service()
        if size > self._max_record_bytes:
            raise RecordTooLargeError(self.directory, size, self._max_record_bytes)
        if self._commit.appended_bytes + size > self._commit.ceiling_bytes:
            self._commit.wait_for_room(self.options.append_deadline_seconds)
            self._check_in_service()
        is_full = self._active.offset + size > self._segment_bytes and self.active_records
        if is_full or self._begun is not None:
            self.roll()

    def _take_back(self, error: OSError, seq: int) -> LogFullError | LogDiskError:
        """Bring the segment back to its former length after a failed write; returns the error that says so.

        Raises:
            LogBrokenError: that failed too.
        """
        try:
            self._active.cut_back()
        except OSError as failed:
            raise self._commit.break_off(f"seq {seq} could not be taken back: {failed.strerror}") from failed
        return self._refusal(self._active.path, self._active.offset, error)

    def _refusal(self, file: Path, offset: int, error: OSError) -> LogFullError | LogDiskError:
        refused = refusal(file, offset, self.last_seq + 1, error)
        self.figures.note_refused(refused.seq, refused.reason)
        return refused

    def _check_in_service(self) -> None:
        if self._commit.failure is not None and isinstance(self._commit.failure, LogBrokenError):
            raise self._commit.failure
        if self._closed:
            raise LogClosedError(self.directory)

    def roll(self) -> SealedSegment:
        """Seal the active segment, durably, and open the next one; blocks for the sync.

        Raises:
            LogFullError: no room for a new segment; the active one stays active, and nothing was lost.
            LogDiskError: the disk refused it for another reason, or no descriptor was to be had; likewise. Where the new
                one had its name already, nothing is appended before the roll is finished: by the next append or roll.
            LogBrokenError: a sync failed, or the new segment could not be made known.
        """
        with self.lock:
            number = self.active_number + 1
            try:
                self.check_place()
                if self._begun is None:
                    self._begun = self._seal_and_create(number)
            except OSError as error:
                raise self._refusal(self._segments.path(number), 0, error) from error
            try:
                self._files.sync_directory(self.directory)
                (segment, sealed), before, self._begun = self._begun, self._active, None
                self.sealed_segments.append(sealed)
                self._active = segment
                before.close()
                self._show_beginning()
            except BaseException as error:
                if isinstance(error, OSError) and error.errno in _NO_DESCRIPTOR and self._begun is not None:
                    # Only the opening of a directory takes one, so no sync was tried: the next may be believed.
                    self._commit.hold()
                    raise self._refusal(self._segments.path(number), 0, error) from error
                # No way back: one more record in the old segment, and the new header's account of it is a lie that
                # recovery would believe. No way on either: the new name may not be on the disk.
                failure = self._commit.break_off(f"segment {number} could not be begun: {error}")
                if not isinstance(error, OSError):
                    raise
                raise failure from error
            return sealed

    def _seal_and_create(self, number: int) -> tuple[ActiveSegment, SealedSegment]:
        """Seal the active segment, and create the next one. Raises ``OSError``: nothing bears its name."""
        before = self._active
        self._commit.seal()
        previous = Previous(before.number, before.nonce, before.offset, self.last_seq)
        now_us = self.steady_clock.now_us()
        sealed = SealedSegment(before.number, before.nonce, before.first_seq, self.last_seq, before.offset, now_us)
        return self._create_segment(number, previous), sealed

    def mend(self) -> None:
        """Take back what an append or a roll had half done when Ctrl-C ended it; harmless when there is nothing.

        Raises:
            LogBrokenError, LogClosedError: the writer is out of service.
            OSError: call again before anything is appended.
        """
        with self.lock:
            self._check_in_service()
            if self._begun is not None:
                self.roll()
            begun = self._segments.path(self.active_number + 1)
            if begun.name in self._files.list_directory(self.directory):
                self._files.unlink(begun)
            # Also where it was deleted before, and this failed.
            self._files.sync_directory(self.directory)
            self._active.cut_back()
            if self.end.seq != self.last_seq:
                active = self._active
                self._commit.note_appended((active.number, active.nonce, active.offset, self.last_seq), 0)

    def rotate_out(self, count: int) -> None:
        """Delete the ``count`` oldest sealed segments, oldest first: a crash midway leaves no hole.

        The caller has made durable what must outlive them.

        Raises:
            ValueError: there are not so many; nothing was deleted.
            LogBrokenError, LogClosedError: the log is no longer this writer's; nothing was deleted.
            OSError: ``sealed`` says which are gone; call again for the others.
        """
        with self.lock:
            self._check_in_service()
            if count > len(self.sealed_segments):
                raise ValueError(f"{count} segments to rotate out, and {len(self.sealed_segments)} are sealed")
            for _ in range(count):
                try:
                    self._files.unlink(self._segments.path(self.sealed_segments.oldest_number))
                except FileNotFoundError:  # somebody deleted it by hand, or it went before and the sync failed
                    pass
                # Before it is forgotten: the next one must not go from the disk before it.
                self._files.sync_directory(self.directory)
                self.sealed_segments.drop_oldest()

    # Commit and close.

    def commit_once(self) -> bool:
        """Commit what was appended until now in the calling thread; False when there was nothing to do."""
        return self._commit.commit_once()

    def sync(self) -> None:
        """Commit everything appended so far; blocks for the disk. Raises ``LogBrokenError``."""
        with self.lock:
            self._check_in_service()
            self._commit.seal()

    def wait_synced(self, position: Position, deadline_seconds: float | None = None) -> None:
        """Block until ``position`` survives a power cut. Errors: ``Commit.wait_synced``."""
        self._commit.wait_synced(position, deadline_seconds)

    async def synced_at(self, position: Position) -> None:
        """Wait until ``position`` survives a power cut. Errors: ``Commit.synced_at``."""
        await self._commit.synced_at(position)

    async def room(self) -> None:
        """Wait until an append need not wait for the disk. Errors: ``Commit.room``."""
        await self._commit.room()

    def close(self) -> None:
        """Commit everything, mark the log clean, let the next writer in. Closing twice is harmless.

        Raises:
            LogBrokenError: the last records could not be synced; the log is closed all the same.
            OSError: the log is closed, and the next writer will recover it.
        """
        with self.lock, ExitStack() as finally_:
            if self._closed:
                return
            self._closed = True
            finally_.callback(self._writer_lock.release)
            finally_.callback(self._active.close)
            if self._begun is not None:
                finally_.callback(self._begun[0].close)
            finally_.callback(self._slots.close)
            finally_.callback(self._commit.stop)
            self._commit.seal()
            self._slots.write(self.end, self.end, clean=True)
            self._slots.sync()

    @classmethod
    def open(cls, directory: Path, options: LogOptions | None = None, platform: Platform = REAL_PLATFORM) -> LogWriter:
        """Open with the defaults; errors as the constructor's."""
        return cls(directory, options or LogOptions(), platform)
