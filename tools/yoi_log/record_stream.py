"""The records that a selection asks for, in order, from the segments that may hold them.

Reads a chunk at a time. Passes over what a sound index or the seqs in headers rule out; whatever is damaged in what is read
comes along as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from yoi_log.selection import Selection
from yoi_log.walk import Damage, Gone, walk
from yoi_runtime.catalog.segment_index import read_index
from yoi_runtime.errors import LogFormatError, SegmentGoneError
from yoi_runtime.events.envelope import HEAD_PATTERN, parse_head, payload_bytes
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import Chunk, LogReader

__all__ = ["Found", "Step", "Unreadable", "follow", "select", "select_tail"]


class Found(NamedTuple):
    """A record that was asked for. ``line`` is the whole frame, ``payload`` its payload object."""

    line: bytes
    payload: bytes
    seq: int
    worker_id: str | None
    time: str
    event_name: str


class Unreadable(NamedTuple):
    """A segment before the oldest readable one, whose header is damaged."""

    file: str
    reason: str


Step: TypeAlias = Found | Damage | Gone | Unreadable


def select(reader: LogReader, selection: Selection) -> Iterator[Step]:
    """Yield what ``selection`` asks for, up to the present end, and the damage on the way.

    Raises:
        CursorError, LogUnavailableError: as ``LogReader.resolve`` for the cursors of the selection.
        OSError: the disk refused.
    """
    for stretch in _stretches(reader, selection):
        yield from _read(reader, selection, stretch)


def select_tail(reader: LogReader, selection: Selection, count: int) -> Iterator[Step]:
    """Yield the last ``count`` records of ``select``, reading backwards by segments, and the damage in what was read."""
    kept: list[list[Step]] = []
    found = 0
    for stretch in reversed(list(_stretches(reader, selection))):
        if found >= count:
            break
        steps = list(_read(reader, selection, stretch))
        kept.append(steps)
        found += sum(isinstance(step, Found) for step in steps)
    passed = found - count
    for steps in reversed(kept):
        for step in steps:
            if isinstance(step, Found) and passed > 0:
                passed -= 1
                continue
            yield step


def follow(reader: LogReader, selection: Selection, start: Position, wait: Callable[[], object]) -> Iterator[Step]:
    """Yield what comes after ``start``, for ever; ``wait`` is called whenever there is nothing new.

    Ends when another log stands in the directory, or the last seq that is asked for has passed.
    """
    position = start
    while selection.last_seq is None or position.seq < selection.last_seq:
        if not reader.refresh():
            if reader.is_replaced():
                return
            wait()
            continue
        yield from _read(reader, selection, _Stretch(position, reader.end))
        position = reader.end


class _Stretch(NamedTuple):
    start: Position
    end: Position
    unreadable: Unreadable | None = None


def _stretches(reader: LogReader, selection: Selection) -> Iterator[_Stretch]:
    """Yield the parts of the log to read, in order: a segment each, or what lies around one that cannot be placed."""
    begin = reader.resolve(selection.after) if selection.after is not None else None
    finish = reader.resolve(selection.before) if selection.before is not None else reader.end
    starts = _starts(reader)
    if not starts and reader.end.seq:
        reader.floor()  # raises: of all that was written nothing can be read
    if begin is None and reader.segment_numbers() and starts and reader.segment_numbers()[0] < starts[0].segment:
        yield _unreadable(reader, starts[0])
    for index, start in enumerate(starts):
        end = min(starts[index + 1] if index + 1 < len(starts) else finish, finish)
        here = max(start, begin) if begin is not None else start
        if here.seq >= end.seq or here >= end:
            continue
        if selection.first_seq is not None and end.seq < selection.first_seq:
            continue
        if selection.last_seq is not None and here.seq >= selection.last_seq:
            continue
        # Between two starts that do not follow each other lies damage, of which no index tells.
        alone = index + 1 < len(starts) and starts[index + 1].segment == start.segment + 1
        if alone and not _may_hold(reader, selection, start):
            continue
        yield _Stretch(here, end)


def _starts(reader: LogReader) -> list[Position]:
    starts = []
    for number in reader.segment_numbers():
        try:
            if number <= reader.end.segment:
                starts.append(reader.start_of(number))
        except (LogFormatError, SegmentGoneError):
            continue
    return starts


def _unreadable(reader: LogReader, floor: Position) -> _Stretch:
    number = reader.segment_numbers()[0]
    try:
        reader.start_of(number)
        reason = "it was rotated out"
    except (LogFormatError, SegmentGoneError) as error:
        reason = getattr(error, "reason", str(error))
    return _Stretch(floor, floor, Unreadable(f"{number:020d}.jsonl", reason))


def _may_hold(reader: LogReader, selection: Selection, start: Position) -> bool:
    if not selection.worker_ids and selection.since is None and selection.until is None:
        return True
    tallies = read_index(reader.directory, start.segment, start.nonce, REAL_PLATFORM)
    return tallies is None or selection.may_be_in(tallies)


def _read(reader: LogReader, selection: Selection, stretch: _Stretch) -> Iterator[Step]:
    if stretch.unreadable is not None:
        yield stretch.unreadable
        return
    for step in walk(reader, stretch.start, stretch.end):
        if isinstance(step, Chunk):
            yield from _records(step, selection)
        else:
            yield step


def _records(chunk: Chunk, selection: Selection) -> Iterator[Found]:
    for match in HEAD_PATTERN.finditer(chunk.data):
        worker_id = match["worker_id"]
        # Told by the bytes, before the rest is looked at.
        if selection.worker_ids and (worker_id is None or worker_id.decode("ascii") not in selection.worker_ids):
            continue
        line = match[0]
        head = parse_head(line)
        if head is None:
            continue
        payload, time = payload_bytes(line, head), head.time.decode("ascii")
        if selection.takes(head.seq, head.worker_id, time, head.event_name, payload):
            yield Found(line, payload, head.seq, head.worker_id, time, head.event_name)
