"""The keys of a Worker's newest events, read back from the log: what a restarted Runtime knows of what it was sent.

Reads backwards, segment by segment: by a place file where there is one, and otherwise the whole segment, once for all
Workers that ask. A segment whose index does not name the Worker is not looked into. What is read is bounded, and a
reading that is under way can be ended from another thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from yoi_runtime.catalog.place_file import PlaceFile
from yoi_runtime.catalog.places import places_after
from yoi_runtime.catalog.segment_index import read_index
from yoi_runtime.errors import LogClosedError, LogFormatError, RecordCorruptError, SegmentGoneError
from yoi_runtime.events import keyed_records
from yoi_runtime.runtime.ingest.key_window import KEPT_KEYS
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.record import check_crc

__all__ = ["KeyHistory"]

# Of one Worker's own records, looked up by their places; of a segment that has none, of all its records.
_READ_BYTES: Final = 64 << 20
_SCAN_BYTES = 1 << 20
# Records that lie so near to each other are read together.
_SPAN_BYTES = 256 << 10
# What a killed Runtime left without place files is two segments or so; their keys take about 8 MB each.
_KEPT_SCANS = 4

_Found = tuple[str, str]
# Offset and length of records of one Worker, in order.
_Span = Sequence[tuple[int, int]]


class _Scan(NamedTuple):
    """The keys of all Workers in a segment, and how much had to be read for them."""

    found: dict[str, list[_Found]]
    size_bytes: int


class KeyHistory:
    """Reads the log in ``log_directory``. For one thread at a time; everything appended has to be committed before."""

    def __init__(self, log_directory: Path, platform: Platform) -> None:
        self._directory = log_directory
        self._platform = platform
        self._scans: OrderedDict[Position, _Scan] = OrderedDict()
        self._stopped = False

    def stop(self) -> None:
        """Have a reading that is under way, and every later one, end with ``LogClosedError``; from any thread."""
        self._stopped = True

    def newest_of(self, worker_id: str, most: int = KEPT_KEYS) -> list[_Found]:
        """Return the newest keys of a Worker and the cursors of their events, oldest first, at most so many.

        Damaged records are passed over; readers report them.

        Raises:
            LogError, OSError: the log cannot be read; call again.
            LogClosedError: ``stop`` was called.
        """
        reader = LogReader(self._directory, self._platform)
        try:
            found = list(islice(self._newest_first(reader, worker_id), most))
        finally:
            reader.close()
        return found[::-1]

    def _newest_first(self, reader: LogReader, worker_id: str) -> Iterator[_Found]:
        bytes_left = _READ_BYTES
        for number in reversed(reader.segment_numbers()):
            self._go_on()
            if bytes_left <= 0:
                return
            try:
                start = reader.start_of(number)
                if number < reader.end.segment:
                    tallies = read_index(self._directory, number, start.nonce, self._platform)
                    if tallies is not None and worker_id not in tallies:
                        continue
                    places = self._places_in(start, worker_id)
                    if places is not None:
                        for span in _spans_newest_first(places):
                            self._go_on()
                            if bytes_left <= 0:
                                return
                            bytes_left -= sum(length for _, length in span)
                            yield from _keys_in_span(reader, number, span)
                        continue
                scan = self._scan(reader, start)
                bytes_left -= scan.size_bytes
                yield from reversed(scan.found.get(worker_id, ()))
            except (LogFormatError, SegmentGoneError, FileNotFoundError):
                # Its header is damaged, or it was rotated out meanwhile.
                continue

    def _go_on(self) -> None:
        if self._stopped:
            raise LogClosedError(self._directory)

    def _places_in(self, start: Position, worker_id: str) -> list[tuple[int, int]] | None:
        """Return (offset, length) of a Worker's records in a sealed segment, None when no place file says it."""
        file = PlaceFile.open(self._directory, start.segment, self._platform)
        if file is None or file.start != start:
            return None
        places = file.places_of(worker_id, self._platform)
        return places_after(places, 0, len(places)) if places is not None else None

    def _scan(self, reader: LogReader, start: Position) -> _Scan:
        """Read the segment that begins at ``start``, as far as it is committed."""
        known = self._scans.get(start)
        if known is not None:
            self._scans.move_to_end(start)
            return known
        found: dict[str, list[_Found]] = {}
        position, size_bytes = start, 0
        while position.segment == start.segment:
            self._go_on()
            try:
                chunk = reader.read(position, _SCAN_BYTES)
            except RecordCorruptError as error:
                position = reader.after_damage(error)
                continue
            if chunk is None or chunk.start.segment != start.segment:
                break
            for record in keyed_records(chunk.data):
                found.setdefault(record.worker_id, []).append((record.key, record.cursor))
            size_bytes += len(chunk.data)
            position = chunk.end
        scan = _Scan(found, size_bytes)
        # One that is still written to has other keys the next time.
        if start.segment < reader.end.segment:
            self._scans[start] = scan
            if len(self._scans) > _KEPT_SCANS:
                self._scans.popitem(last=False)
        return scan


def _spans_newest_first(places: _Span) -> Iterator[_Span]:
    """Cut ``places`` into spans, the last first, each of them short enough to be read in one piece."""
    end = len(places)
    while end:
        last_offset, last_length = places[end - 1]
        begin = end - 1
        while begin and last_offset + last_length - places[begin - 1][0] <= _SPAN_BYTES:
            begin -= 1
        yield places[begin:end]
        end = begin


def _keys_in_span(reader: LogReader, number: int, span: _Span) -> list[_Found]:
    """Return the keys of the sound records of a span, newest first."""
    begin, end = span[0][0], sum(span[-1])
    data = reader.read_span(number, begin, end - begin)
    lines = [data[offset - begin : offset - begin + length] for offset, length in span]
    own = b"".join(line for line in lines if check_crc(line[:-1]))
    return [(record.key, record.cursor) for record in reversed(keyed_records(own))]
