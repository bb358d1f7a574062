"""Reading the records of a log, in the writer's process or any other: what there is, and on from a place.

Reads never look past the watermark, never write, and keep no partial line between two calls: every
read begins again at a record boundary. A reader opens no file for writing and works in a directory
it may not write to. Not safe for use from two threads at once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from yoi_runtime.errors import (
    LogFormatError,
    LogNotFoundError,
    LogUnavailableError,
    RecordCorruptError,
    SegmentGoneError,
)
from yoi_runtime.segment_log.cursor import CursorToken, TokenEncoder
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.record import (
    MAX_RECORD_BYTES,
    RecordFormat,
    next_whole_record,
    scan_records,
)
from yoi_runtime.segment_log.segment import Previous, SegmentHeader
from yoi_runtime.segment_log.watermark import COMMITTED, SLOTS_BYTES, Watermark, read_open_watermark

__all__ = ["UNKNOWN_SEQ", "Chunk", "RecordReader"]

_OPEN_FILES = 32
# Long enough for the members of a record up to its seq.
_HEAD_BYTES = 256
# Stands for the seq at the end of a segment when no header says it.
UNKNOWN_SEQ = -1


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole, checked records of one segment, each with its newline: those after ``start`` up to ``end``."""

    data: bytes
    start: Position
    end: Position
    records: int


class RecordReader:
    """Reads the log in ``directory``. Call ``refresh`` to see what was committed since."""

    def __init__(self, directory: Path, platform: Platform = REAL_PLATFORM) -> None:
        """Open the log for reading.

        Raises:
            LogNotFoundError: no writer has finished opening a log here.
            LogFormatError: the watermark cannot be read.
        """
        self.directory = directory
        self._platform = platform
        self._files = platform.files
        self._segments = SegmentDirectory(directory, platform)
        self._open: OrderedDict[int, int] = OrderedDict()
        # Not before somebody needs it: to open a log and resume in it takes the same time whatever its size.
        self._listed: list[int] | None = None
        self._seen_slots: bytes | None = None
        try:
            self._mark_fd = self._files.open_read(directory / COMMITTED)
        except (FileNotFoundError, NotADirectoryError):
            raise LogNotFoundError(directory) from None
        try:
            self._mark = read_open_watermark(self._mark_fd, directory / COMMITTED, platform)
            self._segments.log_id = self._mark.log_id
        except BaseException:
            self._files.close(self._mark_fd)
            raise

    # What there is.

    @property
    def log_id(self) -> str:
        return self._mark.log_id

    @property
    def watermark(self) -> Watermark:
        """Return the watermark as of the last ``refresh``."""
        return self._mark

    @property
    def end(self) -> Position:
        """Return the place after the last record that may be shown, as of the last ``refresh``."""
        return self._mark.shown

    def refresh(self) -> bool:
        """Look for newly committed records; True when the watermark moved.

        Slots that are byte for byte those of the last look are not decoded again: pollers look often and see little.

        Raises:
            LogFormatError: the watermark cannot be read.
            LogNotFoundError, OSError: the directory cannot be looked at; the next call finds what this one did not.
        """
        seen = self._files.pread(self._mark_fd, SLOTS_BYTES, 0)
        if seen == self._seen_slots:
            return False
        mark = read_open_watermark(self._mark_fd, self.directory / COMMITTED, self._platform)
        # All of it: a writer that Ctrl-C met between slot and memory writes the same generation again.
        moved = mark != self._mark
        if mark.shown.segment != self._mark.shown.segment:
            self.relist()
        self._mark = mark
        self._segments.log_id = mark.log_id
        # Last: what failed before this is looked at again. These bytes were read before the mark: where they are older,
        # the next look decodes once more, and nothing is missed.
        self._seen_slots = seen
        return moved

    def is_replaced(self) -> bool:
        """Return whether another log stands in the directory than the one that was opened, or none."""
        try:
            fd = self._files.open_read(self.directory / COMMITTED)
        except (FileNotFoundError, NotADirectoryError):
            return True
        try:
            return self._files.stat(fd).inode != self._files.stat(self._mark_fd).inode
        finally:
            self._files.close(fd)

    def relist(self) -> None:
        """Look which segments there are, and let go of deleted ones so that their bytes are freed."""
        self._listed = self._segments.numbers()
        # A recovery puts a copy in the place of a segment: its name stays, the file that was opened is gone too.
        for number in [number for number, fd in self._open.items() if not self._files.stat(fd).links]:
            self._files.close(self._open.pop(number))

    @property
    def _numbers(self) -> list[int]:
        if self._listed is None:
            self._listed = self._segments.numbers()
        return self._listed

    def segment_numbers(self) -> list[int]:
        """Return the numbers of the segments, oldest first, as of the last listing."""
        return list(self._numbers)

    def oldest_number(self) -> int:
        """Return the number of the oldest segment, as of the last listing; 0 when there is none."""
        return self._numbers[0] if self._numbers else 0

    def segment_size(self, number: int) -> int:
        """Return the size in bytes of a segment. Raises ``SegmentGoneError``."""
        return self._segments.size(number)

    def header(self, number: int) -> SegmentHeader:
        """Return the header of a segment. Raises ``SegmentGoneError``, ``LogFormatError``."""
        return self._segments.header(number)

    def read_span(self, number: int, offset: int, size: int) -> bytes:
        """Return bytes of a segment as they are, unchecked; the caller knows that they lie below the watermark.

        Raises:
            FileNotFoundError: the segment was rotated out.
            OSError: the disk refused; call again.
        """
        return self._pread(number, size, offset)

    def readable_bytes(self) -> int:
        """Return the size in bytes of all segments, up to the watermark."""
        total = 0
        for number in self._numbers:
            try:
                total += self.end.offset if number == self.end.segment else self._segments.size(number)
            except SegmentGoneError:
                continue
        return total

    def floor(self) -> Position:
        """Return the oldest place that can be read from.

        Raises:
            LogUnavailableError: no segment can be read at all.
        """
        for _ in range(2):
            for number in self._numbers:
                try:
                    return self.start_of(number)
                except (LogFormatError, SegmentGoneError):
                    continue
            # All that was listed may have been rotated out since.
            self.relist()
        raise LogUnavailableError(self.directory, "no readable segment")

    def start_of(self, number: int) -> Position:
        """Return the place before the first record of a segment. Raises ``SegmentGoneError``, ``LogFormatError``."""
        header = self._segments.header(number)
        return Position(number, header.nonce, header.length, header.first_seq - 1)

    def token_at(self, position: Position, worker: bytes = bytes(5), worker_seq: int = 0) -> CursorToken:
        """Return the cursor token of a place."""
        encoder = TokenEncoder(self.log_id, position.segment, position.nonce)
        return CursorToken(encoder.encode(position.offset, position.seq, worker, worker_seq).decode("ascii"))

    def _valid_end(self, number: int) -> Position:
        """Return where segment ``number`` ends for readers: the watermark, else what the next header says.

        When no header says it, that is the end of the file, with the seq ``UNKNOWN_SEQ``: damage to one header is
        no damage to the records before it.

        Raises:
            SegmentGoneError: there is no such file (any more).
            LogFormatError: its header cannot be read, or is that of another history of the log.
        """
        header = self._segments.header(number)
        if number == self.end.segment:
            limit = self.end
        elif (previous := self._previous_of(self._after(number))) is not None and previous.segment == number:
            limit = Position(number, previous.nonce, previous.valid_length, previous.last_seq)
        else:
            limit = Position(number, header.nonce, self._segments.size(number), UNKNOWN_SEQ)
        if limit.nonce != header.nonce:
            raise LogFormatError(self._segments.path(number), "it is another segment than the one that was sealed here")
        return limit

    def _previous_of(self, number: int | None) -> Previous | None:
        """Return what the header of segment ``number`` says of the one before, None when it says nothing to go by."""
        if number is None:
            return None
        try:
            header = self._segments.header(number)
        except LogFormatError:
            return None
        # Not the segment that the watermark means: no witness against the one before.
        return header.previous if number != self.end.segment or header.nonce == self.end.nonce else None

    def _after(self, number: int) -> int | None:
        """Return the next segment's number, looking at the directory again when it is not known."""
        if self._listed is None and self._has_header(number + 1):
            return number + 1
        for _ in range(2):
            index = bisect_right(self._numbers, number)
            if index < len(self._numbers):
                return self._numbers[index]
            self.relist()
        return None

    def _has_header(self, number: int) -> bool:
        """Say whether segment ``number`` is there and its header can be read."""
        try:
            self._segments.header(number)
        except (LogFormatError, SegmentGoneError):
            return False
        return True

    # Reading.

    def read(self, position: Position, max_bytes: int) -> Chunk | None:
        """Return the records after ``position``, at least one and at most about ``max_bytes``; None at the end.

        A single record longer than ``max_bytes`` comes alone and whole.

        Raises:
            SegmentGoneError: the segment was rotated out.
            RecordCorruptError: the next record cannot be read; says where to go on. Nothing is skipped unless
                the caller goes there.
            OSError: the disk refused; call again.
        """
        while True:
            end = self.end
            if position.segment > end.segment or position[:3] == end[:3]:
                return None
            try:
                limit = self._valid_end(position.segment)
            except LogFormatError as error:
                raise self._unreadable(position, error.reason) from error
            except SegmentGoneError:
                raise self._missing(position) from None
            if position.offset < limit.offset and position.seq != limit.seq:
                return self._read_segment(position, limit, max_bytes)
            if position.segment == end.segment:
                return None
            start = self._next_start(position.segment)
            if start.seq != position.seq:
                raise self._gap(position, start)
            position = start

    def _read_segment(self, position: Position, limit: Position, max_bytes: int) -> Chunk:
        form = RecordFormat(position.nonce)
        left = limit.offset - position.offset
        want = max(max_bytes, _HEAD_BYTES)
        try:
            data = self._pread(position.segment, min(want, left), position.offset)
            if b"\n" not in data:
                # One record longer than asked for: it comes alone.
                while len(data) == min(want, left) < left and b"\n" not in data and want < MAX_RECORD_BYTES:
                    want *= 4
                    data = self._pread(position.segment, min(want, left), position.offset)
                data = data[: data.find(b"\n") + 1] or data
            scan = scan_records(data, form, position.seq)
            if limit.seq != UNKNOWN_SEQ and scan.records > limit.seq - position.seq:
                # Bytes were taken out of the file, and what lies beyond the watermark has moved below its offset.
                data = b"".join(line + b"\n" for line in data.split(b"\n")[: limit.seq - position.seq])
                scan = scan_records(data, form, position.seq)
            if scan.records == 0:
                reason = scan.reason or "bytes are missing at its end"
                path = self._segments.path(position.segment)
                raise self._damage(path, position, reason, self._way_around(position, limit, form))
        except FileNotFoundError:
            raise self._missing(position) from None
        end = Position(position.segment, position.nonce, position.offset + scan.length, position.seq + scan.records)
        return Chunk(data[: scan.length], position, end, scan.records)

    def _way_around(self, position: Position, limit: Position, form: RecordFormat) -> Position:
        """Return the next place after damage at ``position`` from which records can be read."""
        data = self._pread(position.segment, limit.offset - position.offset, position.offset)
        found = next_whole_record(data, form, position.seq)
        if found is not None and (limit.seq == UNKNOWN_SEQ or found[1] <= limit.seq):
            return Position(position.segment, position.nonce, position.offset + found[0], found[1] - 1)
        return limit if limit.seq != UNKNOWN_SEQ else self._next_start(position.segment)

    def _next_start(self, number: int) -> Position:
        """Return the beginning of the first readable segment after ``number``; the end of the log when there is none."""
        following = self._after(number)
        while following is not None and following <= self.end.segment:
            try:
                return self.start_of(following)
            except (LogFormatError, SegmentGoneError):
                following = self._after(following)
        return self.end

    def _gap(self, position: Position, start: Position) -> RecordCorruptError:
        """Report what is missing between the end of a segment and the next readable one."""
        following = self._after(position.segment)
        if following is None or (following > position.segment + 1 and following == start.segment):
            path = self._segments.path(position.segment + 1)
            return self._damage(path, position, "the segment file is missing", start)
        reason = "records are missing before the next segment"
        try:
            self._segments.header(following)
        except LogFormatError as error:
            reason = error.reason
        except SegmentGoneError:
            reason = "the segment file is missing"
        return self._damage(self._segments.path(following), position, reason, start)

    def _unreadable(self, position: Position, reason: str) -> RecordCorruptError:
        """Report a segment that cannot be read from ``position`` on, and go on at the next one that can."""
        path = self._segments.path(position.segment)
        return self._damage(path, position, reason, self._next_start(position.segment))

    def _missing(self, position: Position) -> SegmentGoneError | RecordCorruptError:
        """Tell a rotated-out segment from one that is missing in the middle."""
        self.relist()
        if not self._numbers or position.segment < self._numbers[0]:
            return SegmentGoneError(self.directory, position.segment)
        return self._unreadable(position, "the segment file is missing")

    def _damage(self, path: Path, position: Position, reason: str, resume: Position) -> RecordCorruptError:
        return RecordCorruptError(
            path,
            position.segment,
            position.offset,
            position.seq + 1,
            reason,
            resume_segment=resume.segment,
            resume_offset=resume.offset,
            resume_seq=resume.seq,
        )

    def after_damage(self, error: RecordCorruptError) -> Position:
        """Return the place at which to go on after ``error``.

        Raises:
            SegmentGoneError: that segment was rotated out meanwhile.
        """
        number = error.resume_segment
        if number == self.end.segment:
            nonce = self.end.nonce
        else:
            try:
                nonce = self._segments.header(number).nonce
            except LogFormatError:
                nonce = 0  # the next read reports it
            except SegmentGoneError:
                self.relist()
                if not self._numbers or number < self._numbers[0]:
                    raise
                nonce = 0
        return Position(number, nonce, error.resume_offset, error.resume_seq)

    # Files.

    def _pread(self, number: int, size: int, offset: int) -> bytes:
        fd = self._open.get(number)
        if fd is None:
            fd = self._files.open_read(self._segments.path(number))
            self._open[number] = fd
            if len(self._open) > _OPEN_FILES:
                self._files.close(self._open.popitem(last=False)[1])
        else:
            self._open.move_to_end(number)
        return self._files.pread(fd, size, offset)

    def close(self) -> None:
        """Close every file. Closing twice is harmless."""
        fds = [*self._open.values(), *([self._mark_fd] if self._mark_fd >= 0 else [])]
        # Forgotten first: a close that fails has closed all the same, and the number may be another file's by now.
        self._open.clear()
        self._mark_fd = -1
        with ExitStack() as every_one:
            for fd in fds:
                every_one.callback(self._files.close, fd)
