"""Walking a log from one place to another: chunks of whole, checked records, and the damage between them.

Every command that reads goes this way, so that damage is met in one place and passed over in none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from yoi_runtime.errors import RecordCorruptError, SegmentGoneError
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import Chunk, LogReader

__all__ = ["CHUNK_BYTES", "Damage", "Gone", "walk"]

CHUNK_BYTES = 1 << 20


class Damage(NamedTuple):
    """Records that cannot be read: what is wrong, where, and the place behind it."""

    error: RecordCorruptError
    resume: Position

    @property
    def records(self) -> int:
        """Return how many records are lost in it."""
        return max(0, self.resume.seq - (self.error.seq - 1))


class Gone(NamedTuple):
    """Segments that a Runtime rotated out while they were being read; the walk goes on at ``resume``."""

    start: Position
    resume: Position


def walk(reader: LogReader, start: Position, end: Position) -> Iterator[Chunk | Damage | Gone]:
    """Yield everything between two places, in order. ``end`` is a place of the log's present: ``reader.end``.

    Raises:
        LogUnavailableError: no segment can be read at all.
        OSError: the disk refused.
    """
    position = start
    while position < end and position.seq < end.seq:
        try:
            chunk = reader.read(position, CHUNK_BYTES)
        except RecordCorruptError as error:
            resume = _behind(reader, error)
            yield Damage(error, resume)
            position = resume
            continue
        except SegmentGoneError:
            reader.relist()
            floor = reader.floor()
            yield Gone(position, floor)
            position = floor
            continue
        if chunk is None:
            return
        if chunk.end > end:
            chunk = _cut(chunk, end)
        yield chunk
        position = chunk.end


def _behind(reader: LogReader, error: RecordCorruptError) -> Position:
    try:
        return reader.after_damage(error)
    except SegmentGoneError:
        return reader.floor()


def _cut(chunk: Chunk, end: Position) -> Chunk:
    """Return the part of ``chunk`` before ``end``, which lies within it."""
    return Chunk(chunk.data[: end.offset - chunk.start.offset], chunk.start, end, end.seq - chunk.start.seq)
