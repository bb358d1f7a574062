"""Reading a log: the answers to cursors and event ids, on top of reading records.

Five answers, never merged: malformed, foreign, expired, unknown, ahead; and "not known yet", which is none of
them. Format: docs/log-format.md, "Reading".
"""

from __future__ import annotations

from yoi_runtime.errors import (
    CursorAheadError,
    CursorExpiredError,
    CursorForeignError,
    CursorMalformedError,
    CursorUnknownError,
    LogFormatError,
    LogUnavailableError,
    RecordCorruptError,
    SegmentGoneError,
)
from yoi_runtime.segment_log.cursor import Cursor, CursorToken, encode_token
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.record import MAX_RECORD_BYTES, RecordFormat, parse_event_id, scan_records, seq_of_line
from yoi_runtime.segment_log.record_reader import UNKNOWN_SEQ, Chunk, RecordReader
from yoi_runtime.segment_log.segment import SegmentHeader

__all__ = ["Chunk", "LogReader"]

# Long enough for the members of a record up to its seq.
_HEAD_BYTES = 256
_FIND_BYTES = 1 << 20
_FIRST_LOOK_BACK_BYTES = 4 << 10


class LogReader(RecordReader):
    """Reads the log in ``directory`` and resolves cursors into it. Call ``refresh`` to see what was committed since."""

    def resolve(self, cursor: Cursor) -> Position:
        """Return the place that ``cursor`` names, in a few reads, whatever the log's size. Looks for new commits itself.

        Raises:
            CursorForeignError, CursorExpiredError, CursorUnknownError, CursorAheadError: as their names say.
                Expired here means runtime-wide: *some* event after the cursor was rotated out.
            LogUnavailableError: written, but not committed yet, or not known to be until a writer opens the log.
            OSError: the disk refused; call again.
        """
        token = encode_token(cursor)
        if cursor.log_id != self.log_id:
            raise CursorForeignError(token, cursor.log_id, self.log_id)
        if (cursor.segment, cursor.offset) > (self.end.segment, self.end.offset):
            self.refresh()
        while True:
            # A segment whose header can be read is not below the floor, which then need not be looked for.
            if not self._has_header(cursor.segment):
                floor = self.floor()
                if cursor.segment < floor.segment:
                    return self._resolve_below(floor, cursor, token)
            try:
                return self._resolve_in_segment(cursor, token)
            except (SegmentGoneError, FileNotFoundError):
                known = self._listed
                self.relist()
                if self._listed == known:
                    raise CursorUnknownError(token, f"segment {cursor.segment} is missing") from None

    def _resolve_below(self, floor: Position, cursor: Cursor, token: CursorToken) -> Position:
        """Answer a cursor into a segment that is gone: good at the very point where the floor is now."""
        if cursor.seq < floor.seq:
            raise CursorExpiredError(token, self.token_at(floor))
        # The floor's header says how the segment before it ended. Of any other segment that is gone nothing can be
        # checked any more, and the cursor may be one of a lost tail, whose numbers other events bear.
        before = self._segments.header(floor.segment).previous
        end = (before.segment, before.nonce >> 32, before.valid_length, before.last_seq) if before is not None else ()
        if (cursor.segment, cursor.nonce_prefix, cursor.offset, cursor.seq) != end:
            raise CursorUnknownError(token, f"event {cursor.seq} is not known to be the last before the oldest one")
        return floor

    def _resolve_in_segment(self, cursor: Cursor, token: CursorToken) -> Position:
        number, end = cursor.segment, self.end
        try:
            header = self._segments.header(number)
            if header.nonce >> 32 != cursor.nonce_prefix:
                raise CursorUnknownError(token, f"segment {number} is another one of that number")
            limit = self._valid_end(number) if number <= end.segment else end
        except SegmentGoneError:
            if number > end.segment:
                raise CursorAheadError(token, f"segment {number} does not exist yet") from None
            raise
        except LogFormatError as error:
            # Nothing vouches for the place any more, and nothing will.
            raise CursorUnknownError(token, f"segment {number} cannot be read: {error.reason}") from error
        if (number, cursor.offset) > (limit.segment, limit.offset):
            # After a power cut the slot may be older than what was shown: a writer that opens the log will know.
            if number >= end.segment and cursor.offset <= self._segments.size(number):
                raise LogUnavailableError(self.directory, "the cursor's event is not committed, or not known to be")
            raise CursorAheadError(token, f"segment {number} ends before offset {cursor.offset}")
        position = Position(number, header.nonce, cursor.offset, cursor.seq)
        if not self._is_boundary(position, limit, header):
            raise CursorUnknownError(token, f"offset {cursor.offset} is not just after event {cursor.seq}")
        return position

    def find_event(self, event_id: str) -> Position:
        """Return the place just after the event ``event_id``. Looks for new commits itself.

        Reads one segment at most, and of others a header each: of few, because segments are in the order of their seqs.

        Raises:
            CursorMalformedError: not an event id.
            CursorUnknownError: no readable segment has this event; its segment may be gone.
        """
        named = parse_event_id(event_id)
        if named is None:
            raise CursorMalformedError(event_id, "it is not an event id")
        self.refresh()
        try:
            return self._find(event_id, *named)
        except SegmentGoneError:
            raise CursorUnknownError(event_id, "its segment was rotated out") from None

    def _find(self, event_id: str, nonce: int, seq: int) -> Position:
        number = self._segment_of(nonce, seq)
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

    def _segment_of(self, nonce: int, seq: int) -> int | None:
        """Return the number of the segment that event ``seq`` of segment ``nonce`` is in, None when there is none."""
        low, high = 0, len(self._numbers)
        try:
            while low < high:
                middle = (low + high) // 2
                if self._segments.header(self._numbers[middle]).first_seq <= seq:
                    low = middle + 1
                else:
                    high = middle
        except (LogFormatError, SegmentGoneError):
            # Without that header the order says nothing.
            return next((number for number in reversed(self._numbers) if self._has_nonce(number, nonce)), None)
        return self._numbers[low - 1] if low and self._has_nonce(self._numbers[low - 1], nonce) else None

    def _has_nonce(self, number: int, nonce: int) -> bool:
        try:
            return self._segments.header(number).nonce == nonce
        except (LogFormatError, SegmentGoneError):
            return False

    def _is_boundary(self, position: Position, limit: Position, header: SegmentHeader) -> bool:
        """Say whether a record ends at ``position`` and the next one, if readable, has the next seq."""
        if position.offset < header.length:
            return False
        if position.offset == limit.offset and limit.seq != UNKNOWN_SEQ:
            return position.seq == limit.seq
        around = self._pread(position.segment, 1 + _HEAD_BYTES, position.offset - 1)
        if around[:1] != b"\n":
            return False
        following = seq_of_line(around[1:])
        if following is None and limit.seq == UNKNOWN_SEQ:
            return self._ends_whole_record(position, header)
        return following is None or following == position.seq + 1

    def _ends_whole_record(self, position: Position, header: SegmentHeader) -> bool:
        """Say whether the record just before ``position`` is whole and bears its seq.

        Where no header says how a segment ends, bytes may stand there that a recovery has given up, and others bear
        their numbers since.
        """
        if position.offset == header.length:
            return position.seq == header.first_seq - 1
        size = _FIRST_LOOK_BACK_BYTES
        while True:
            start = max(header.length, position.offset - size)
            data = self._pread(position.segment, position.offset - start, start)
            begin = data.rfind(b"\n", 0, -1) + 1
            if begin or start == header.length or size >= MAX_RECORD_BYTES:
                return scan_records(data[begin:], RecordFormat(header.nonce), position.seq - 1).records == 1
            size *= 8
