"""What of a damaged log can be put together again: decided from scans alone, written by ``repair``.

Whole records know where they belong, so each goes to its own segment and offset, in whatever file it was found. How
segments begin and end is told by headers, by the next header, by the watermark; a header that is gone is made again from
its neighbours. Between the records stay holes, of which the seqs are known and in most cases the bytes.

Where one segment cannot be put together, the copy's history begins after it, as if it had been rotated out; where it
is the last one, it ends there. Decision: docs/decisions/0021-repair-fills.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from yoi_log.filler import LostEvent, smallest_sizes
from yoi_log.segment_scan import Run, SegmentScan
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.record import seal_object
from yoi_runtime.segment_log.segment import LONGEST_HEADER_BYTES, MAX_HEADER_BYTES, Previous, SegmentHeader
from yoi_runtime.segment_log.watermark import Watermark

__all__ = ["Dropped", "Hole", "Placed", "Plan", "PlannedSegment", "plan_salvage"]


class Placed(NamedTuple):
    """A run, and the file it is copied from."""

    run: Run
    path: Path


@dataclass(slots=True)
class Hole:
    """Lost events where ``first_seq`` to ``last_seq`` stood, in the ``size`` bytes from ``start`` on.

    ``bytes_at``: the file and offset where its damaged bytes are, when they are where they were.
    """

    segment: int
    start: int
    size: int
    first_seq: int
    last_seq: int
    bytes_at: tuple[Path, int] | None = None

    @property
    def events(self) -> int:
        return self.last_seq - self.first_seq + 1


@dataclass(slots=True)
class PlannedSegment:
    """A segment of the copy: a header, then runs and holes in order. ``remade``: the header's bytes were not found."""

    number: int
    nonce: int
    first_seq: int
    header: bytes
    remade: bool
    pieces: list[Placed | Hole] = field(default_factory=list)
    end_offset: int = 0
    end_seq: int = 0


@dataclass(frozen=True, slots=True)
class Dropped:
    """A stretch of the log that is not in the copy, with what was whole in it."""

    first_segment: int
    last_segment: int
    first_seq: int | None
    last_seq: int | None
    reason: str


@dataclass(slots=True)
class Plan:
    """The copy to be."""

    log_id: str
    segments: list[PlannedSegment] = field(default_factory=list)
    begins_after: Dropped | None = None
    ends_before: Dropped | None = None

    def begin_after(self, number: int, last_seq: int | None, reason: str) -> None:
        """Let the history begin after segment ``number``."""
        before, first = self.begins_after, self.segments[0] if self.segments else None
        if before is not None:
            first_segment, first_seq = before.first_segment, before.first_seq
        else:
            first_segment = first.number if first is not None else number
            first_seq = first.first_seq if first is not None else None
        self.begins_after = Dropped(first_segment, number, first_seq, last_seq, reason)
        self.segments = [segment for segment in self.segments if segment.number > number]


class _End(NamedTuple):
    """How a segment ended, by somebody's word. ``final``: nothing after it can be part of the log."""

    nonce: int
    length: int | None
    seq: int
    final: bool


class _CannotError(Exception):
    """A segment cannot be put together; says why."""


def plan_salvage(scans: Sequence[SegmentScan], log_id: str, mark: Watermark | None, before_oldest: int | None) -> Plan:
    """Decide what the copy holds. ``before_oldest``: the seq before the oldest segment, by the catalog, if it says."""
    found = _Found(scans, log_id, mark)
    plan = Plan(log_id)
    last = found.last_number
    ends = dict(found.ends())
    for number in found.numbers(before_oldest):
        end = ends.get(number)
        before = plan.segments[-1] if plan.segments else None
        try:
            known_before = before_oldest if plan.begins_after is None else None
            plan.segments.append(_put_together(found, number, before, end, known_before))
        except _CannotError as error:
            known = end.seq if end is not None else None
            if number == last and before is not None:
                first = before.end_seq + 1
                plan.ends_before = Dropped(number, number, first, known, str(error))
            else:
                plan.begin_after(number, known, str(error))
    return plan


class _Found:
    """Everything that the files tell, by segment."""

    def __init__(self, scans: Sequence[SegmentScan], log_id: str, mark: Watermark | None) -> None:
        self.log_id = log_id
        self.mark = mark if mark is not None and mark.log_id == log_id else None
        self._headers: dict[int, list[tuple[SegmentHeader, Path]]] = {}
        self._runs: dict[int, list[Placed]] = {}
        self._named = {scan.number for scan in scans}
        for scan in scans:
            if scan.header is not None and scan.header.log_id == log_id:
                at = self._headers.setdefault(scan.header.segment, [])
                # The file that bears the name is asked first.
                at.insert(0 if scan.header.segment == scan.number else len(at), (scan.header, scan.path))
            for run in scan.runs:
                if run.log_id == log_id:
                    self._runs.setdefault(run.segment, []).append(Placed(run, scan.path))
        said = [*self._headers, *self._runs, *([self.mark.shown.segment] if self.mark is not None else [])]
        self.last_number = max(said, default=0)
        self._chosen = dict(self._choose())
        self.filler_bytes = self._longest_filler()

    def numbers(self, before_oldest: int | None = None) -> range:
        """Return the segments that there are, or should be: one before them, where the catalog misses its events."""
        known = [number for number in {*self._headers, *self._runs, *self._named} if number <= self.last_number]
        if not known:
            return range(0)
        header = self.header(min(known))
        previous = header.previous if header is not None else None
        if previous is not None and before_oldest is not None and previous.last_seq > before_oldest:
            known.append(previous.segment)
        return range(min(known), self.last_number + 1)

    def _choose(self) -> Iterator[tuple[int, tuple[int | None, SegmentHeader | None]]]:
        """Choose each segment's nonce and header, from the newest back: the next header vouches for the one before."""
        vouched = (
            self.mark.shown.nonce if self.mark is not None and self.mark.shown.segment == self.last_number else None
        )
        for number in range(self.last_number, 0, -1):
            headers = [header for header, _ in self._headers.get(number, ())]
            nonce = vouched or (headers[0].nonce if headers else None) or self._most_common_nonce(number)
            header = next((one for one in headers if one.nonce == nonce), None)
            yield number, (nonce, header)
            previous = header.previous if header is not None else None
            vouched = previous.nonce if previous is not None and previous.segment == number - 1 else None

    def _most_common_nonce(self, number: int) -> int | None:
        counted = Counter[int]()
        for run, _ in self._runs.get(number, ()):
            counted[run.nonce] += run.last_seq - run.first_seq + 1
        return counted.most_common(1)[0][0] if counted else None

    def _longest_filler(self) -> int:
        """Return how many bytes are enough for a filler, whosesoever the event was."""
        runs = [placed.run for placed in chain.from_iterable(self._runs.values())]
        worker_id = max((worker_id for run in runs for worker_id in run.workers), key=len, default="")
        seqs = [run.last_seq for run in runs] + ([self.mark.shown.seq] if self.mark is not None else [])
        longest = LostEvent(max(seqs, default=0), worker_id, max(seqs, default=0), "1970-01-01T00:00:00.000000Z")
        return smallest_sizes([longest])[0]

    def nonce(self, number: int) -> int | None:
        return self._chosen.get(number, (None, None))[0]

    def header(self, number: int) -> SegmentHeader | None:
        return self._chosen.get(number, (None, None))[1]

    def header_path(self, number: int, header: SegmentHeader) -> Path:
        return next(path for other, path in self._headers[number] if other == header)

    def runs(self, number: int) -> list[Placed]:
        """Return the runs of a segment in the order of their seqs, the longer one first where two begin alike."""
        nonce = self.nonce(number)
        own = [placed for placed in self._runs.get(number, ()) if placed.run.nonce == nonce]
        return sorted(own, key=lambda placed: (placed.run.first_seq, -placed.run.last_seq))

    def ends(self) -> Iterator[tuple[int, _End]]:
        """Yield how each segment ended, where somebody says it."""
        for number in range(1, self.last_number + 1):
            following = self.header(number + 1)
            if following is not None and following.previous is not None and following.previous.segment == number:
                said = following.previous
                yield number, _End(said.nonce, said.valid_length, said.last_seq, final=True)
            elif self.mark is not None and self.mark.shown.segment == number:
                shown = self.mark.shown
                yield number, _End(shown.nonce, shown.offset, shown.seq, final=self.mark.clean)
            elif (runs := self.runs(number + 1)) and runs[0].run.start <= MAX_HEADER_BYTES:
                # Nobody says how long it was, but the first record of the next one says where the seqs went on.
                yield number, _End(0, None, runs[0].run.first_seq - 1, final=True)


def _put_together(
    found: _Found, number: int, before: PlannedSegment | None, end: _End | None, before_oldest: int | None
) -> PlannedSegment:
    nonce = found.nonce(number)
    if nonce is None and before is not None:
        # Its events are lost with their ids; a new nonce lets those of nobody else be given again.
        nonce = int.from_bytes(REAL_PLATFORM.random_bytes(8), "big")
    elif nonce is None:
        raise _CannotError("nothing of the segment was found, and no neighbour says what it was")
    runs = found.runs(number)
    header = found.header(number)
    first_seq = _first_seq(number, before, header, runs, before_oldest)
    line, remade = _header_line(found, number, nonce, first_seq, before, header, runs)
    planned = PlannedSegment(number, nonce, first_seq, line, remade, [], len(line), first_seq - 1)
    for placed in runs:
        if placed.run.first_seq <= planned.end_seq or placed.run.start < planned.end_offset:
            continue  # found twice
        if end is not None and end.final and placed.run.last_seq > end.seq:
            continue  # behind the valid length: no part of the log
        _append_hole(planned, placed, placed.run.start - planned.end_offset, placed.run.first_seq - 1)
        planned.pieces.append(placed)
        planned.end_offset, planned.end_seq = placed.run.end, placed.run.last_seq
    if end is None and number < found.last_number:
        end = _made_up_end(found, number, planned.end_seq)
    if end is not None and end.seq > planned.end_seq:
        length = end.length
        if length is None:
            length = planned.end_offset + (end.seq - planned.end_seq) * found.filler_bytes
        _append_hole(planned, None, length - planned.end_offset, end.seq)
        planned.end_offset, planned.end_seq = length, end.seq
    return planned


def _made_up_end(found: _Found, number: int, end_seq: int) -> _End:
    """Share lost events out between a segment of which nobody says how it ended and the next: to that, what it can take."""
    following = found.runs(number + 1)
    end = dict(found.ends()).get(number + 1)
    if following:
        room, seq = following[0].run.start, following[0].run.first_seq - 1
    elif end is not None:
        room, seq = end.length or 0, end.seq
    else:
        return _End(0, None, end_seq, final=True)
    takes = max(0, room - LONGEST_HEADER_BYTES) // found.filler_bytes
    return _End(0, None, max(end_seq, seq - takes), final=True)


def _first_seq(
    number: int,
    before: PlannedSegment | None,
    header: SegmentHeader | None,
    runs: list[Placed],
    before_oldest: int | None,
) -> int:
    if before is not None:
        return before.end_seq + 1
    if header is not None:
        return header.first_seq
    if number == 1:
        return 1
    if before_oldest is not None and (not runs or before_oldest < runs[0].run.first_seq):
        return before_oldest + 1
    if runs and runs[0].run.start <= MAX_HEADER_BYTES:
        return runs[0].run.first_seq
    raise _CannotError("its header is damaged, and nobody says with which seq it began")


def _header_line(
    found: _Found,
    number: int,
    nonce: int,
    first_seq: int,
    before: PlannedSegment | None,
    header: SegmentHeader | None,
    runs: list[Placed],
) -> tuple[bytes, bool]:
    """Return the header of the copy, as long as it was, and whether it was made again."""
    if before is None and number != 1 and header is None:
        previous: Previous | None = Previous(number - 1, 0, 0, first_seq - 1)
    elif before is None:
        previous = header.previous if header is not None else None
    else:
        previous = Previous(before.number, before.nonce, before.end_offset, before.end_seq)
    if header is not None and (header.first_seq, header.previous) == (first_seq, previous):
        with found.header_path(number, header).open("rb") as file:
            return file.read(header.length), False
    length = header.length if header is not None else None
    if length is None and runs and runs[0].run.first_seq == first_seq:
        length = runs[0].run.start
    time = header.time if header is not None else _time_near(found, number, runs)
    made = SegmentHeader(found.log_id, number, nonce, first_seq, time, previous).encode()
    if length is None:
        return made, True
    padded = _padded_header(made, length)
    if padded is None:
        raise _CannotError(f"its header is damaged, and has no room in the {length} bytes before its first record")
    return padded, True


def _padded_header(header: bytes, length: int) -> bytes | None:
    """Return a header line made ``length`` bytes long with spaces, which JSON does not see; None when it is longer."""
    spaces = length - len(header)
    if spaces < 0 or length > MAX_HEADER_BYTES:
        return None
    body = header[: header.rindex(b',"crc":')]
    return seal_object(body + b" " * spaces + b"}") + b"\n"


def _time_near(found: _Found, number: int, runs: list[Placed]) -> str:
    """Return a time for a header made again: the newest header's before it, else its own first record's."""
    for other in range(number - 1, 0, -1):
        if (header := found.header(other)) is not None:
            return header.time
        if other < min(found.numbers(), default=0):
            break
    following = found.header(number + 1)
    if following is not None:
        return following.time
    if runs:
        return min(part.from_time for part in runs[0].run.workers.values())
    return "1970-01-01T00:00:00.000000Z"


def _append_hole(planned: PlannedSegment, following: Placed | None, size: int, last_seq: int) -> None:
    """Append what is lost between the end so far and the next run, if anything is."""
    events = last_seq - planned.end_seq
    if events == 0 and not size:
        return
    if events <= 0 or size <= 0:
        raise _CannotError(f"{size} bytes at offset {planned.end_offset} are too few or too many for {events} events")
    hole = Hole(planned.number, planned.end_offset, size, planned.end_seq + 1, last_seq)
    before = planned.pieces[-1] if planned.pieces else None
    if isinstance(before, Placed):
        at = before.run.file_offset + before.run.end - before.run.start
        hole.bytes_at = (before.path, at)
    elif following is not None and size <= following.run.file_offset:
        hole.bytes_at = (following.path, following.run.file_offset - size)
    if following is not None and hole.bytes_at is not None:
        path, at = hole.bytes_at
        if path != following.path or at + size != following.run.file_offset:
            hole.bytes_at = None  # bytes were taken out or put in
    planned.pieces.append(hole)
