"""Reading a log, in the writer's process or any other: resolve a cursor, read on from a place.

Reads never look past the watermark, never write, and keep no partial line between two calls: every
read begins again at a record boundary. A reader opens no file for writing and works in a directory
it may not write to. Not safe for use from two threads at once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from yoi_runtime.errors import (
    CursorAheadError,
    CursorExpiredError,
    CursorForeignError,
    CursorMalformedError,
    CursorUnknownError,
    LogFormatError,
    LogNotFoundError,
    LogUnavailableError,
    RecordCorruptError,
    SegmentGoneError,
)
from yoi_runtime.segment_log.cursor import Cursor, CursorToken, TokenEncoder, encode_token
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.record import RecordFormat, next_whole_record, parse_event_id, scan_records, seq_of_line
from yoi_runtime.segment_log.watermark import COMMITTED, Watermark, read_open_watermark

__all__ = ["Chunk", "LogReader"]

_OPEN_FILES = 32
# Long enough for the members of a record up to its seq.
_HEAD_BYTES = 256
_MAX_RECORD_BYTES = 16 << 20
_FIND_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole, checked records of one segment, each with its newline: those after ``start`` up to ``end``."""

    data: bytes
    start: Position
    end: Position
    records: int


class LogReader:
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
        try:
            self._mark_fd = self._files.open_read(directory / COMMITTED)
        except (FileNotFoundError, NotADirectoryError):
            raise LogNotFoundError(directory) from None
        try:
            self._mark = read_open_watermark(self._mark_fd, directory / COMMITTED, platform)
            self._numbers = self._segments.numbers()
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
        """Look for newly committed records; True when the watermark moved (6 µs when it did not).

        Raises:
            LogFormatError: the watermark cannot be read.
        """
        mark = read_open_watermark(self._mark_fd, self.directory / COMMITTED, self._platform)
        if mark.generation == self._mark.generation and mark.log_id == self._mark.log_id:
            return False
        if mark.shown.segment != self._mark.shown.segment:
            self.relist()
        self._mark = mark
        return True

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
        self._numbers = self._segments.numbers()
        for number in [number for number in self._open if not self._numbers or number < self._numbers[0]]:
            self._files.close(self._open.pop(number))

    def segment_numbers(self) -> list[int]:
        """Return the numbers of the segments, oldest first, as of the last listing."""
        return list(self._numbers)

    def segment_size(self, number: int) -> int:
        """Return the size in bytes of a segment. Raises ``SegmentGoneError``."""
        return self._segments.size(number)

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
        for number in self._numbers:
            try:
                return self.start_of(number)
            except (LogFormatError, SegmentGoneError):
                continue
        raise LogUnavailableError(self.directory, "no readable segment")

    def start_of(self, number: int) -> Position:
        """Return the place before the first record of a segment. Raises ``SegmentGoneError``, ``LogFormatError``."""
        header = self._segments.header(number)
        return Position(number, header.nonce, header.length, header.first_seq - 1)

    def token_at(self, position: Position, worker: bytes = bytes(5), worker_seq: int = 0) -> CursorToken:
        """Return the cursor token of a place."""
        encoder = TokenEncoder(self.log_id, position.segment, position.nonce)
        return CursorToken(encoder.encode(position.offset, position.seq, worker, worker_seq).decode("ascii"))

    # Cursors.

    def resolve(self, cursor: Cursor) -> Position:
        """Return the place that ``cursor`` names, in two reads at most, whatever the log's size.

        Raises:
            CursorForeignError, CursorExpiredError, CursorUnknownError, CursorAheadError: as their names say.
                Expired here means runtime-wide: *some* event after the cursor was rotated out.
            LogUnavailableError: written, but not committed yet, or not known to be until a writer opens the log.
        """
        token = encode_token(cursor)
        if cursor.log_id != self.log_id:
            raise CursorForeignError(token, cursor.log_id, self.log_id)
        floor, end = self.floor(), self.end
        if cursor.segment < floor.segment:
            if cursor.seq >= floor.seq:
                return floor
            raise CursorExpiredError(token, self.token_at(floor))
        if cursor.segment > end.segment:
            raise CursorAheadError(token, f"segment {cursor.segment} does not exist yet")
        try:
            header = self._segments.header(cursor.segment)
        except SegmentGoneError:
            self.relist()
            if cursor.segment < self.floor().segment:
                return self.resolve(cursor)
            raise CursorUnknownError(token, f"segment {cursor.segment} is missing") from None
        except LogFormatError as error:
            raise LogUnavailableError(self.directory, f"segment {cursor.segment}: {error.reason}") from error
        if header.nonce >> 32 != cursor.nonce_prefix:
            raise CursorUnknownError(token, f"segment {cursor.segment} is another one of that number")
        limit = self._valid_end(cursor.segment)
        if cursor.offset > limit.offset:
            if cursor.segment == end.segment and cursor.offset <= self._segments.size(cursor.segment):
                raise LogUnavailableError(self.directory, "the cursor's event is not committed yet")
            raise CursorAheadError(token, f"segment {cursor.segment} ends at offset {limit.offset}")
        position = Position(cursor.segment, header.nonce, cursor.offset, cursor.seq)
        if not self._is_boundary(position, limit, header.length):
            raise CursorUnknownError(token, f"offset {cursor.offset} is not just after event {cursor.seq}")
        return position

    def find_event(self, event_id: str) -> Position:
        """Return the place just after the event ``event_id``; reads one segment at most.

        Raises:
            CursorMalformedError: not an event id.
            CursorUnknownError: no readable segment has this event; its segment may be gone.
        """
        named = parse_event_id(event_id)
        if named is None:
            raise CursorMalformedError(event_id, "it is not an event id")
        nonce, seq = named
        number = next((number for number in reversed(self._numbers) if self._has_nonce(number, nonce)), None)
        if number is None:
            raise CursorUnknownError(event_id, "no segment here has this event")
        position = self.start_of(number)
        while position.seq < seq:
            try:
                chunk = self.read(position, _FIND_BYTES)
            except RecordCorruptError as error:
                position = self.after_damage(error)
                continue
            if chunk is None or chunk.start.segment != number:
                break
            if chunk.end.seq < seq:
                position = chunk.end
                continue
            offset = 0
            for _ in range(seq - chunk.start.seq):
                offset = chunk.data.index(b"\n", offset) + 1
            return Position(number, position.nonce, chunk.start.offset + offset, seq)
        raise CursorUnknownError(event_id, "its segment does not hold it")

    def _has_nonce(self, number: int, nonce: int) -> bool:
        try:
            return self._segments.header(number).nonce == nonce
        except (LogFormatError, SegmentGoneError):
            return False

    def _is_boundary(self, position: Position, limit: Position, header_length: int) -> bool:
        """Say whether a record ends at ``position`` and the next one, if readable, has the next seq."""
        if position.offset < header_length:
            return False
        if position.offset == limit.offset:
            return position.seq == limit.seq
        around = self._pread(position.segment, 1 + _HEAD_BYTES, position.offset - 1)
        if around[:1] != b"\n":
            return False
        following = seq_of_line(around[1:])
        return following is None or following == position.seq + 1

    def _valid_end(self, number: int) -> Position:
        """Return where segment ``number`` ends for readers: the watermark, or what the next header says."""
        header = self._segments.header(number)
        if number == self.end.segment:
            return self.end
        following = self._after(number)
        if following is None:
            return self.end
        after = self._segments.header(following)
        previous = after.previous
        if previous is not None and previous.segment == number:
            return Position(number, header.nonce, previous.valid_length, previous.last_seq)
        return Position(number, header.nonce, self._segments.size(number), after.first_seq - 1)

    def _after(self, number: int) -> int | None:
        """Return the next segment's number, looking at the directory again when it is not known."""
        for _ in range(2):
            for other in self._numbers:
                if other > number:
                    return other
            self.relist()
        return None

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
            if position.segment > self.end.segment:
                return None
            try:
                limit = self._valid_end(position.segment)
            except LogFormatError as error:
                raise self._unreadable_segment(position, error.reason) from error
            except SegmentGoneError:
                raise self._missing_segment(position) from None
            if position.offset < limit.offset:
                return self._read_segment(position, limit, max_bytes)
            if position.segment == self.end.segment:
                return None
            following = self._after(position.segment)
            if following is None:
                return None
            try:
                start = self.start_of(following)
            except LogFormatError as error:
                raise self._unreadable_segment(Position(following, 0, 0, limit.seq), error.reason) from error
            except SegmentGoneError:
                raise self._missing_segment(Position(following, 0, 0, limit.seq)) from None
            if start.seq != position.seq:
                path = self._segments.path(following)
                raise self._damage(path, position, "records are missing before the next segment", start)
            position = start

    def _read_segment(self, position: Position, limit: Position, max_bytes: int) -> Chunk:
        form = RecordFormat(position.nonce)
        want = max(max_bytes, _HEAD_BYTES)
        while True:
            size = min(want, limit.offset - position.offset)
            try:
                data = self._pread(position.segment, size, position.offset)
            except FileNotFoundError:
                raise self._missing_segment(position) from None
            if b"\n" in data or want >= _MAX_RECORD_BYTES or len(data) == limit.offset - position.offset:
                break
            if len(data) < size:
                break
            want *= 4
        scan = scan_records(data, form, position.seq)
        if scan.records == 0:
            reason = scan.reason or "bytes are missing at its end"
            raise self._damage(
                self._segments.path(position.segment), position, reason, self._way_around(position, limit, form)
            )
        end = Position(position.segment, position.nonce, position.offset + scan.length, position.seq + scan.records)
        return Chunk(data[: scan.length], position, end, scan.records)

    def _way_around(self, position: Position, limit: Position, form: RecordFormat) -> Position:
        """Return the next place after damage at ``position`` from which records can be read."""
        data = self._pread(position.segment, limit.offset - position.offset, position.offset)
        skip = data.find(b"\n") + 1
        found = next_whole_record(data[skip:], form, position.seq) if skip else None
        if found is not None:
            return Position(position.segment, position.nonce, position.offset + skip + found[0], found[1] - 1)
        return limit

    def _unreadable_segment(self, position: Position, reason: str) -> RecordCorruptError:
        """Report a segment whose header is damaged, and go on at the next segment that has one."""
        number: int | None = position.segment
        while number is not None and number < self.end.segment:
            number = self._after(number)
            if number is None:
                break
            try:
                start = self.start_of(number)
            except (LogFormatError, SegmentGoneError):
                continue
            return self._damage(self._segments.path(position.segment), position, reason, start)
        return self._damage(self._segments.path(position.segment), position, reason, self.end)

    def _missing_segment(self, position: Position) -> SegmentGoneError | RecordCorruptError:
        """Tell a rotated-out segment from one that is missing in the middle."""
        self.relist()
        if not self._numbers or position.segment < self._numbers[0]:
            return SegmentGoneError(self.directory, position.segment)
        return self._unreadable_segment(position, "the segment file is missing")

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
        header = self._segments.header(error.resume_segment)
        return Position(error.resume_segment, header.nonce, error.resume_offset, error.resume_seq)

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
        while self._open:
            self._files.close(self._open.popitem()[1])
        if self._mark_fd >= 0:
            self._files.close(self._mark_fd)
            self._mark_fd = -1
