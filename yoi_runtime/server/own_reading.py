"""One Worker's records out of a log, without reading the others': by the places that the fold noted. No sockets.

What is read here was checked when it was folded, or is checked again, record by record. Whatever does not fit
(no places, damage, a number that does not follow) is answered with None: then everything is read and judged.
"""

from __future__ import annotations

from itertools import pairwise

from yoi_runtime.catalog.places import Places
from yoi_runtime.checksum import crc32
from yoi_runtime.errors import SegmentGoneError
from yoi_runtime.events.envelope import HEAD_PATTERN
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import Chunk, LogReader
from yoi_runtime.segment_log.record import check_crc
from yoi_runtime.server.chunk_cache import SharedChunk
from yoi_runtime.server.placed_segments import PlacedSegments

__all__ = ["OwnReading"]

_MOST_PER_READ = 256
_MOST_BYTES_PER_READ = 128 << 10
# Own records that stand near to each other are read in one piece, if not more than this many times what is wanted.
_MOST_READ_ALONG = 3
# A Worker that owns this share of what follows reads it with everybody else, from the shared chunks.
_DENSE = 0.5
# Segments without a record of the Worker that are stepped over in one turn of the event loop.
_MOST_STEPS = 64


class OwnReading:
    """Reads for all subscribers of one view. ``reader`` is the view's."""

    def __init__(self, reader: LogReader, platform: Platform) -> None:
        self._reader = reader
        self.segments = PlacedSegments(reader, platform)
        # What was folded last, while the cache holds it: live records are read from it without a system call.
        self._newest: SharedChunk | None = None

    def places_for(self, chunk: SharedChunk) -> Places:
        """Return the places that ``chunk``, which is about to be folded, goes on."""
        self._newest = chunk
        return self.segments.noted_before(chunk.start)

    def read_block(self, position: Position) -> Chunk | None:
        """Return the whole block that begins at ``position``, checked by one checksum; None: read and check records.

        Raises:
            OSError: the disk refused; call again.
        """
        block = self.segments.block_at(position)
        if block is None or position.segment < self._reader.oldest_number():
            return None
        try:
            data = self._reader.read_span(position.segment, position.offset, block.end.offset - position.offset)
        except FileNotFoundError:
            return None
        if crc32(data) != block.crc or len(data) != block.end.offset - position.offset:
            return None
        return Chunk(data, position, block.end, block.end.seq - position.seq)

    def read(self, position: Position, end: Position, worker_id: str, worker_seq: int | None) -> SharedChunk | None:
        """Return a Worker's next records after ``position`` and before ``end``; None: read everything instead.

        Raises:
            OSError: the disk refused; call again.
        """
        start = position
        for _ in range(_MOST_STEPS):
            places = self.segments.around(position)
            # Of a segment that was rotated out: what of this Worker is lost is for others to say.
            if places is None or position.segment < self._reader.oldest_number():
                return None
            wanted = places.after(worker_id, position.offset, _MOST_PER_READ)
            if wanted is None:
                return None
            if position.segment == end.segment:
                # A file beside a segment that the view is still taking in knows more than may be shown.
                wanted = [place for place in wanted if place[0] < end.offset]
            if wanted:
                last = end if position.segment == end.segment and places.end >= end else None
                return self._read_places(start, position, wanted, last, worker_id, worker_seq)
            if position.segment == end.segment:
                return SharedChunk(b"", start, end, 0) if places.end >= end else None
            following = self.segments.following(places)
            if following is None:
                return None
            position = following
        return SharedChunk(b"", start, position, 0)

    def _read_places(
        self,
        start: Position,
        position: Position,
        wanted: list[tuple[int, int]],
        last: Position | None,
        worker_id: str,
        worker_seq: int | None,
    ) -> SharedChunk | None:
        """Read ``wanted``, or the first of them; ``last`` is where nothing more comes after all of them, if known."""
        known = len(wanted)
        wanted = _first(wanted)
        own_bytes = sum(length for _, length in wanted)
        last_offset, last_length = wanted[-1]
        if start == position and len(wanted) > 1 and own_bytes > _DENSE * (last_offset + last_length - position.offset):
            return None
        try:
            lines, folded = self._lines(position, wanted)
        except (FileNotFoundError, SegmentGoneError):
            return None
        worker = worker_id.encode("ascii")
        newest = _newest_of_folded(lines, worker, worker_seq) if folded else _newest_of(lines, worker, worker_seq)
        if newest is None:
            return None
        seq, own_seq = newest
        if last is not None and known == len(wanted) < _MOST_PER_READ:
            end = last
        else:
            end = position._replace(offset=last_offset + last_length, seq=seq)
        return SharedChunk(b"".join(lines), start, end, len(lines), own_seq)

    def _lines(self, position: Position, wanted: list[tuple[int, int]]) -> tuple[list[bytes], bool]:
        """Return the records, and whether they are of what was folded last: checked, and in memory since."""
        newest = self._newest
        if (
            newest is not None
            and newest.held_bytes
            and newest.start.segment == position.segment
            and newest.start.offset <= wanted[0][0]
            and wanted[-1][0] < newest.end.offset
        ):
            base, data = newest.start.offset, newest.data
            return [data[offset - base : offset - base + length] for offset, length in wanted], True
        lines = []
        for run in _runs(wanted):
            base, (last_offset, last_length) = run[0][0], run[-1]
            data = self._reader.read_span(position.segment, base, last_offset + last_length - base)
            lines += [data[offset - base : offset - base + length] for offset, length in run]
        return lines, False


def _first(wanted: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return as many of ``wanted`` as are read in one turn; at least one."""
    total = 0
    for index, (_, length) in enumerate(wanted):
        total += length
        if total > _MOST_BYTES_PER_READ and index:
            return wanted[:index]
    return wanted


def _runs(wanted: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Part ``wanted`` into runs, each of which is read in one piece."""
    runs = [[wanted[0]]]
    own_bytes = wanted[0][1]
    for _, place in pairwise(wanted):
        own_bytes += place[1]
        if place[0] + place[1] - runs[-1][0][0] <= _MOST_READ_ALONG * own_bytes:
            runs[-1].append(place)
        else:
            runs.append([place])
            own_bytes = place[1]
    return runs


def _newest_of(lines: list[bytes], worker: bytes, worker_seq: int | None) -> tuple[int, int] | None:
    """Return (seq, worker_seq) of the last of some records; None unless all are sound, this Worker's and without a gap."""
    seq = 0
    for line in lines:
        record = line[:-1]
        found = HEAD_PATTERN.match(record)
        if found is None or found["worker_id"] != worker or line[-1:] != b"\n" or not check_crc(record):
            return None
        number = int(found["worker_seq"])
        if worker_seq is not None and number != worker_seq + 1:
            return None
        worker_seq, seq = number, int(found["seq"])
    return None if worker_seq is None else (seq, worker_seq)


def _newest_of_folded(lines: list[bytes], worker: bytes, worker_seq: int | None) -> tuple[int, int] | None:
    """Like ``_newest_of``, of records that were checked a moment ago: none is missing if the last has the right number."""
    found = HEAD_PATTERN.match(lines[-1])
    if found is None or found["worker_id"] != worker:
        return None
    number = int(found["worker_seq"])
    if worker_seq is not None and number != worker_seq + len(lines):
        return None
    return int(found["seq"]), number
