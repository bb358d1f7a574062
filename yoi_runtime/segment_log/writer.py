"""The one writer of a log: append, roll, rotate out, close.

Owns the active segment and the lock. Decides nothing about events or retention. An append returns when
its bytes are written; ``commit`` moves the watermark behind it. Format: docs/log-format.md.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from yoi_runtime.errors import (
    LogBrokenError,
    LogClosedError,
    LogFormatError,
    LogFullError,
    LogNotFoundError,
    RecordTooLargeError,
)
from yoi_runtime.segment_log.commit import Commit, Durability
from yoi_runtime.segment_log.cursor import NO_WORKER, TokenEncoder
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.lock import WriterLock
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.record import RecordFormat
from yoi_runtime.segment_log.recovery import (
    RESERVE,
    Recovered,
    RecoveryReport,
    recover_last_segment,
    release_reserve,
)
from yoi_runtime.segment_log.retention import SteadyClock
from yoi_runtime.segment_log.segment import Previous, SegmentHeader
from yoi_runtime.segment_log.timestamp import TimestampFormat, parse_timestamp
from yoi_runtime.segment_log.watermark import Watermark, WatermarkFile, read_watermark

__all__ = ["Appended", "LogOptions", "LogWriter", "SealedSegment"]

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How a log is written. Sizes in bytes."""

    segment_bytes: int = 16 << 20
    durability: Durability = "synced"
    max_record_bytes: int = 256 << 10
    max_unsynced_bytes: int = 8 << 20
    append_deadline_seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.segment_bytes < 4096:
            raise ValueError(f"segment_bytes is {self.segment_bytes}; at least 4096 is needed")


class Appended(NamedTuple):
    """The cursor token of a record (63 ASCII bytes) and the place just after it."""

    token: bytes
    position: Position


class SealedSegment(NamedTuple):
    """A segment that will never change again; ``sealed_us`` is in the log's steady time."""

    number: int
    nonce: int
    first_seq: int
    last_seq: int
    size_bytes: int
    sealed_us: int


class LogWriter:
    """An open log. Every method may be called from any thread; ``append`` keeps one order for all."""

    def __init__(self, directory: Path, options: LogOptions, platform: Platform, *, background: bool = True) -> None:
        """Open the log in ``directory`` for writing, making it when missing; recovers it first.

        With ``background=False`` nothing is committed until somebody calls ``commit_once`` or ``close``.

        Raises:
            LogHeldError: another writer has it.
            LogFormatError: a file here is of another format version; nothing was changed.
            OSError: nothing was lost; the log is as it was, or recovered.
        """
        self.directory = directory
        self.options = options
        self._platform = platform
        self._files = platform.files
        self._lock = threading.RLock()
        self._closed = False
        self._fd = -1
        self._segments = SegmentDirectory(directory, platform)
        self._timestamp = TimestampFormat()
        self._files.make_directory(directory)
        self._writer_lock = WriterLock(directory, platform)
        try:
            self._open(background)
        except BaseException:
            if self._fd >= 0:
                self._files.close(self._fd)
            self._writer_lock.release()
            raise

    def _open(self, background: bool) -> None:
        files = self._files
        files.sync_directory(self.directory.parent)
        self._remove_leftovers()
        mark = self._last_watermark()
        numbers = self._segments.numbers()
        recovered = self._recover(numbers, mark)
        self.recovery: RecoveryReport | None = recovered.report if recovered is not None else None
        self.log_id = self._log_id(numbers, mark)
        newest_us = self._newest_time_us(numbers)
        self.steady_clock = SteadyClock(self._platform.clock, newest_us)
        previous = recovered.previous if recovered is not None else None
        if previous is None and mark is not None:
            # Every segment is gone, the watermark is not: number on, so that no place is named twice.
            previous = Previous(mark.shown.segment, mark.shown.nonce, mark.shown.offset, mark.shown.seq)
        self._seq = previous.last_seq if previous is not None else 0
        number = previous.segment + 1 if previous is not None else 1
        self._sealed = self._list_sealed(numbers, previous)
        self._slots = WatermarkFile(self.directory, self._platform, self.log_id, mark.generation if mark else 0)
        self._commit = Commit(
            self.directory, self._platform, self._slots, self.options.durability, self.options.max_unsynced_bytes
        )
        try:
            try:
                self._begin_segment(number, previous)
            except OSError as error:
                if error.errno not in _NO_ROOM or not release_reserve(self.directory, self._platform):
                    raise
                self._begin_segment(number, previous)
            self._slots.sync()
            files.sync_directory(self.directory)
        except BaseException:
            self._slots.close()
            raise
        self._make_reserve()
        if background:
            self._commit.start()

    # Opening, step by step.

    def _remove_leftovers(self) -> None:
        for name in self._files.list_directory(self.directory):
            if name.endswith(".tmp"):
                self._files.unlink(self.directory / name)

    def _last_watermark(self) -> Watermark | None:
        try:
            return read_watermark(self.directory, self._platform)
        except (LogNotFoundError, LogFormatError):
            # Recovery can do without: it then has only the segments to go by.
            return None

    def _recover(self, numbers: list[int], mark: Watermark | None) -> Recovered | None:
        if not numbers:
            return None
        return recover_last_segment(self._segments, numbers[-1], mark, self._platform)

    def _log_id(self, numbers: list[int], mark: Watermark | None) -> str:
        for number in reversed(numbers):
            try:
                return self._segments.header(number).log_id
            except LogFormatError as error:
                if "format version" in error.reason:
                    raise
        return mark.log_id if mark is not None else self._platform.random_bytes(8).hex()

    def _newest_time_us(self, numbers: list[int]) -> int | None:
        for number in reversed(numbers):
            try:
                return parse_timestamp(self._segments.header(number).time)
            except (LogFormatError, ValueError):
                continue
        return None

    def _list_sealed(self, numbers: list[int], previous: Previous | None) -> list[SealedSegment]:
        """Describe the segments on disk; a damaged header borrows from its neighbours."""
        sealed: list[SealedSegment] = []
        next_first = previous.last_seq + 1 if previous is not None else 1
        next_us = self.steady_clock.now_us()
        for number in reversed(numbers):
            try:
                header = self._segments.header(number)
                nonce, first_seq, begun_us = header.nonce, header.first_seq, parse_timestamp(header.time)
            except (LogFormatError, ValueError):
                nonce, first_seq, begun_us = 0, next_first, next_us
            sealed.append(SealedSegment(number, nonce, first_seq, next_first - 1, self._segments.size(number), next_us))
            next_first, next_us = first_seq, begun_us
        sealed.reverse()
        return sealed

    def _make_reserve(self) -> None:
        """Hold back one segment's bytes for a recovery on a full disk; do without where they cannot be had."""
        path = self.directory / RESERVE
        try:
            fd = self._files.open_write(path)
            try:
                if self._files.stat(fd).size < self.options.segment_bytes:
                    self._files.allocate(fd, self.options.segment_bytes)
            finally:
                self._files.close(fd)
        except OSError:
            release_reserve(self.directory, self._platform)

    # The active segment.

    def _begin_segment(self, number: int, previous: Previous | None) -> None:
        """Create segment ``number`` whole and durable, then make it the active one.

        Temporary name, sync, rename, directory sync: a file under a segment's name always has its header.
        """
        nonce = int.from_bytes(self._platform.random_bytes(8), "big")
        header = SegmentHeader(
            self.log_id, number, nonce, self._seq + 1, self._timestamp(self.steady_clock.now_us()), previous
        ).encode()
        path = self._segments.path(number)
        aside = path.with_suffix(".tmp")
        fd = self._files.create(aside)
        try:
            if self._files.pwrite(fd, header, 0) < len(header):
                raise OSError(errno.ENOSPC, "short write")
            self._files.fdatasync(fd)
            self._files.rename(aside, path)
            self._files.sync_directory(self.directory)
        except OSError:
            self._files.close(fd)
            raise
        if self._fd >= 0:
            self._files.close(self._fd)
        self._fd, self._path, self._number, self._nonce = fd, path, number, nonce
        self._offset = self._header_length = len(header)
        self._first_seq = self._seq + 1
        self._records = RecordFormat(nonce)
        self._tokens = TokenEncoder(self.log_id, number, nonce)
        self.begun_us = self.steady_clock.now_us()
        self._commit.begin_segment(fd, path, Position(number, nonce, self._offset, self._seq))

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
        return Position(self._number, self._nonce, self._header_length, self._first_seq - 1)

    @property
    def sealed(self) -> Sequence[SealedSegment]:
        """Return the sealed segments, oldest first."""
        return tuple(self._sealed)

    @property
    def active_records(self) -> int:
        """Return how many records the active segment holds."""
        return self._seq + 1 - self._first_seq

    @property
    def active_bytes(self) -> int:
        """Return the size of the active segment."""
        return self._offset

    def append(self, body: bytes, worker: bytes = NO_WORKER, worker_seq: int = 0) -> Appended:
        """Append one record around ``body`` and return its cursor; rolls first when the segment is full.

        Args:
            body: members of the envelope after ``seq``, UTF-8 JSON without newline.
            worker, worker_seq: what the token is issued for (see ``cursor``).
        Raises:
            RecordTooLargeError: nothing was written.
            LogBusyError: the disk is behind and the deadline passed; nothing was written.
            LogFullError: no room; the segment is back at its former length. Later appends may succeed.
            LogBrokenError, LogClosedError: the writer is out of service.
            OSError: the disk refused; the segment is back at its former length.

        Durability: survives a killed process at once, a power cut once ``synced`` has passed it.
        """
        with self._lock:
            self._check_in_service()
            seq = self._seq + 1
            identity = self._records.identity(seq)
            size = RecordFormat.size(identity, body)
            if size > self.options.max_record_bytes:
                raise RecordTooLargeError(self.directory, size, self.options.max_record_bytes)
            if self._commit.unsynced_bytes + size > self.options.max_unsynced_bytes:
                self._commit.wait_for_room(self.options.append_deadline_seconds)
            if self._offset + size > self.options.segment_bytes and self.active_records:
                self.roll()
                identity = self._records.identity(seq)
            end = self._offset + size
            token = self._tokens.encode(end, seq, worker, worker_seq)
            self._write(RecordFormat.build(token, identity, body), seq)
            self._offset, self._seq = end, seq
            position = Position(self._number, self._nonce, end, seq)
            self._commit.note_appended(position, size)
            return Appended(token, position)

    def _write(self, record: bytes, seq: int) -> None:
        try:
            written = self._files.pwrite(self._fd, record, self._offset)
            while written < len(record):
                count = self._files.pwrite(self._fd, record[written:], self._offset + written)
                if count == 0:
                    raise OSError(errno.ENOSPC, "short write")
                written += count
        except OSError as error:
            self._cut_back(seq)
            if error.errno in _NO_ROOM:
                raise LogFullError(self._path, self._offset, seq, error.strerror or "no space left") from error
            raise

    def _cut_back(self, seq: int) -> None:
        try:
            self._files.ftruncate(self._fd, self._offset)
        except OSError as error:
            raise self._commit.break_off(f"seq {seq} could not be taken back: {error.strerror}") from error

    def _check_in_service(self) -> None:
        if self._commit.failure is not None and isinstance(self._commit.failure, LogBrokenError):
            raise self._commit.failure
        if self._closed:
            raise LogClosedError(self.directory)

    def roll(self) -> SealedSegment:
        """Seal the active segment, durably, and open the next one; blocks for the sync.

        Raises:
            LogFullError: no room for a new segment; the active one stays active, and nothing was lost.
            LogBrokenError: the sync failed.
            OSError: the active segment stays active.
        """
        with self._lock:
            self._check_in_service()
            self._commit.seal()
            previous = Previous(self._number, self._nonce, self._offset, self._seq)
            sealed = SealedSegment(
                self._number, self._nonce, self._first_seq, self._seq, self._offset, self.steady_clock.now_us()
            )
            try:
                self._begin_segment(self._number + 1, previous)
            except OSError as error:
                if error.errno in _NO_ROOM:
                    raise LogFullError(
                        self._segments.path(self._number + 1), 0, self._seq + 1, error.strerror or "no space left"
                    ) from error
                raise
            self._sealed.append(sealed)
            return sealed

    def rotate_out(self, count: int) -> None:
        """Delete the ``count`` oldest sealed segments, oldest first: a crash midway leaves no hole.

        The caller has made durable what must outlive them.

        Raises:
            OSError: the segments before the one that failed are gone, the others stay.
        """
        with self._lock:
            for _ in range(count):
                self._files.unlink(self._segments.path(self._sealed[0].number))
                self._files.sync_directory(self.directory)
                del self._sealed[0]

    # Commit and close.

    def commit_once(self) -> bool:
        """Commit what was appended until now in the calling thread; False when there was nothing to do."""
        return self._commit.commit_once()

    def sync(self) -> None:
        """Commit everything appended so far; blocks for the disk. Raises ``LogBrokenError``."""
        with self._lock:
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
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._commit.seal()
                self._slots.write(self.end, self.end, clean=True)
                self._slots.sync()
            finally:
                self._commit.stop()
                self._slots.close()
                self._files.close(self._fd)
                self._writer_lock.release()

    @classmethod
    def open(cls, directory: Path, options: LogOptions | None = None, platform: Platform = REAL_PLATFORM) -> LogWriter:
        """Open with the defaults; errors as the constructor's."""
        return cls(directory, options or LogOptions(), platform)
