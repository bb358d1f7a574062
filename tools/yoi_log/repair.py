"""A sound copy of a damaged log, and what could not be saved: ``yoi-log repair``, as data.

Scans every file, plans (``salvage``), says whose the lost events were (``lost_owners``), writes, makes indexes and catalog
again, and verifies the copy before it gets its name. Decision: docs/decisions/0021-repair-fills.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from yoi_log.book_check import tallies_of
from yoi_log.defect import Defect
from yoi_log.filler import fill, share_out, smallest_sizes
from yoi_log.log_place import LogPlace
from yoi_log.lost_owners import Owned, own_lost_events
from yoi_log.new_directory import new_directory, writer_kept_out
from yoi_log.salvage import Dropped, Hole, Plan, PlannedSegment, plan_salvage
from yoi_log.segment_check import SegmentCheck
from yoi_log.segment_scan import SegmentScan, scan_segment
from yoi_log.transcript_copy import copy_transcripts, keep_sound_transcripts
from yoi_log.verification import Verification, check_log, counts_before, read_mark
from yoi_runtime.catalog.catalog import CATALOG, Catalog, Snapshot, read_snapshot
from yoi_runtime.catalog.segment_index import write_index
from yoi_runtime.errors import LogFormatError
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.timestamp import parse_timestamp
from yoi_runtime.segment_log.watermark import Watermark, WatermarkFile

__all__ = ["LostPlace", "Repair", "repair_log"]

_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LostPlace:
    """Events that could not be saved; in the copy ``lost`` records stand for them.

    ``workers``: worker -> [first, last] worker_seq; events beyond those are given to nobody.
    """

    file: str
    offset: int
    first_seq: int
    last_seq: int
    workers: dict[str, list[int]]
    unowned: int


@dataclass(slots=True)
class Repair:
    """What was copied, and what not. What ``begins_after`` and ``ends_before`` name is not in the copy at all.

    ``found`` are the defects of the original. ``torn_bytes`` followed its end.
    ``transcripts``: what became of them, None where none are kept.
    """

    log_id: str
    source: str
    copy: str
    events: int = 0
    segments: int = 0
    end: dict[str, int] = field(default_factory=dict)
    lost: list[LostPlace] = field(default_factory=list)
    begins_after: Dropped | None = None
    ends_before: Dropped | None = None
    remade: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    torn_bytes: int = 0
    transcripts: str | None = None
    found: list[Defect] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not (self.lost or self.begins_after or self.ends_before)


def repair_log(place: LogPlace, target: Path, progress: Callable[[int], None] = lambda _: None) -> Repair:
    """Make the directory ``target`` with a sound copy of the log; the original is only read, and kept from writers.

    Raises:
        LogHeldError: a writer has the log; nothing was made.
        LogFormatError: nothing in the files says what log this is, or the copy did not turn out sound; nothing was made.
        OSError: ``target`` exists, or the disk refused; nothing was made.
    """
    with writer_kept_out(place.log_directory), new_directory(target) as aside:
        checked = check_log(place, progress)
        directory = SegmentDirectory(place.log_directory, REAL_PLATFORM)
        scans = [scan_segment(directory.path(number), number, progress) for number in directory.numbers()]
        log_id = checked.verification.log_id
        mark, _ = read_mark(place)
        snapshot = _snapshot(place, log_id)
        before_oldest = snapshot.ledger.accounted_seq if snapshot is not None else None
        plan = plan_salvage(scans, log_id, mark, before_oldest)
        _fill_or_drop(plan, snapshot)
        _miss_the_oldest(plan, before_oldest)
        if not plan.segments:
            raise LogFormatError(place.log_directory, "nothing in its files can be put together to a log")
        repair = Repair(log_id, str(place.log_directory), str(target), found=checked.verification.defects)
        log = aside / "log"
        log.mkdir(mode=0o750)
        _Writer(plan, log, repair, snapshot).write()
        repair.begins_after, repair.ends_before = plan.begins_after, plan.ends_before
        _tell_leftovers(repair, scans, plan, log_id)
        _write_mark(log, plan, mark)
        _make_books(place, aside, snapshot, repair)
        # They may know what the log has lost.
        repair.transcripts = copy_transcripts(place, aside, log_id, log_id) or keep_sound_transcripts(aside)
        return repair


def _snapshot(place: LogPlace, log_id: str) -> Snapshot | None:
    if place.data_directory is None:
        return None
    snapshot = read_snapshot(place.data_directory, REAL_PLATFORM)
    return snapshot if snapshot is not None and snapshot.log_id == log_id else None


def _owners(plan: Plan, snapshot: Snapshot | None) -> list[Owned]:
    newest = {} if snapshot is None else {n: (s.seq, s.worker_seq) for n, s in snapshot.ledger.workers.items() if s.seq}
    before = counts_before(snapshot, plan.segments[0].first_seq - 1, plan.log_id)
    return own_lost_events(plan.segments, before, newest)


def _sizes(owned: Owned) -> list[int] | None:
    return share_out(smallest_sizes(owned.events), owned.hole.size, owned.sizes)


def _fill_or_drop(plan: Plan, snapshot: Snapshot | None) -> None:
    """Take out of the plan what cannot be filled: history begins after it, or ends before it in the last segment."""
    while plan.segments:
        worst = None
        for owned in _owners(plan, snapshot):
            if owned.unowned:
                worst = owned.hole, f"{owned.unowned} events of Workers have no place among the lost ones"
            elif _sizes(owned) is None:
                worst = owned.hole, f"{owned.hole.events} events cannot be stood for in {owned.hole.size} bytes"
        if worst is None:
            return
        hole, reason = worst
        segment = next(one for one in plan.segments if one.number == hole.segment)
        if segment is plan.segments[-1]:
            plan.ends_before = Dropped(segment.number, segment.number, hole.first_seq, segment.end_seq, reason)
            del segment.pieces[segment.pieces.index(hole) :]
            segment.end_offset, segment.end_seq = hole.start, hole.first_seq - 1
        else:
            plan.begin_after(segment.number, segment.end_seq, reason)


def _miss_the_oldest(plan: Plan, before_oldest: int | None) -> None:
    """Note events before the copy that were not rotated out, by the catalog, and of which no segment tells."""
    first = plan.segments[0] if plan.segments else None
    if first is None or plan.begins_after is not None or before_oldest is None or first.first_seq - 1 <= before_oldest:
        return
    reason = "the segment files are missing"
    plan.begins_after = Dropped(first.number - 1, first.number - 1, before_oldest + 1, first.first_seq - 1, reason)


class _Writer:
    """Writes the segments of a plan."""

    def __init__(self, plan: Plan, log: Path, repair: Repair, snapshot: Snapshot | None) -> None:
        self._plan, self._log, self._repair = plan, log, repair
        self._owned: Iterator[Owned] = iter(_owners(plan, snapshot))

    def write(self) -> None:
        for segment in self._plan.segments:
            if segment.remade:
                self._repair.remade.append(f"the header of segment {segment.number}")
            with (self._log / segment_name(segment.number)).open("wb") as file:
                file.write(segment.header)
                for piece in segment.pieces:
                    if isinstance(piece, Hole):
                        self._fill(segment, file)
                    else:
                        with piece.path.open("rb") as source:
                            _copy(source, file, piece.run.file_offset, piece.run.end - piece.run.start)
                        self._repair.events += piece.run.last_seq - piece.run.first_seq + 1
                assert file.tell() == segment.end_offset, "what is planned is what is written"
            self._repair.segments += 1
        last = self._plan.segments[-1]
        self._repair.end = {"segment": last.number, "offset": last.end_offset, "seq": last.end_seq}

    def _fill(self, segment: PlannedSegment, file: BinaryIO) -> None:
        owned = next(self._owned)
        sizes = _sizes(owned)
        assert sizes is not None, "what cannot be filled was taken out of the plan"
        file.write(fill(self._plan.log_id, segment.number, segment.nonce, owned.hole.start, owned.events, sizes))
        self._repair.lost.append(_lost_place(owned))


def _copy(source: BinaryIO, target: BinaryIO, offset: int, size: int) -> None:
    source.seek(offset)
    while size:
        data = source.read(min(size, _COPY_BYTES))
        if not data:
            raise OSError(f"{source.name}: it got shorter while it was copied")
        target.write(data)
        size -= len(data)


def _lost_place(owned: Owned) -> LostPlace:
    workers: dict[str, list[int]] = {}
    for event in owned.events:
        if event.worker_id is not None:
            workers.setdefault(event.worker_id, [event.worker_seq, 0])[1] = event.worker_seq
    hole, unowned = owned.hole, sum(event.worker_id is None for event in owned.events)
    return LostPlace(segment_name(hole.segment), hole.start, hole.first_seq, hole.last_seq, workers, unowned)


def _tell_leftovers(repair: Repair, scans: list[SegmentScan], plan: Plan, log_id: str) -> None:
    """Note what is in the files and not in the copy, and no lost event: a torn tail, what belongs to another log."""
    for scan in scans:
        if scan.header is not None and scan.header.log_id != log_id:
            repair.left_out.append(f"{scan.path.name}: it is a segment of another log, {scan.header.log_id}")
        elif scan.header is not None and scan.header.segment != scan.number:
            repair.left_out.append(f"{scan.path.name}: it is a copy of segment {scan.header.segment}")
    last = plan.segments[-1]
    for scan in scans:
        if scan.number == last.number:
            repair.torn_bytes = max(0, scan.size - last.end_offset)


def _write_mark(log: Path, plan: Plan, mark: Watermark | None) -> None:
    last = plan.segments[-1]
    end = Position(last.number, last.nonce, last.end_offset, last.end_seq)
    slots = WatermarkFile(log, REAL_PLATFORM, plan.log_id, mark.generation if mark is not None else 0)
    slots.write(end, end, clean=True)
    slots.close()


def _make_books(place: LogPlace, aside: Path, snapshot: Snapshot | None, repair: Repair) -> None:
    """Write indexes and catalog from the copy itself, and verify all of it."""
    copy = LogPlace(aside / "log", aside)
    if snapshot is not None and place.data_directory is not None:
        (aside / CATALOG).write_bytes((place.data_directory / CATALOG).read_bytes())
    verification = _with_books(copy, snapshot)
    if verification.defects and (aside / CATALOG).exists():
        # What it says cannot be brought together with what is left of the log.
        (aside / CATALOG).unlink()
        snapshot = None
        verification = _with_books(copy, None)
    if snapshot is None:
        repair.remade.append("the catalog")
    if verification.defects:
        first = verification.defects[0]
        raise LogFormatError(
            place.log_directory, f"the copy is not sound: {first.file}: {first.reason}", first.offset or 0
        )


def _with_books(copy: LogPlace, snapshot: Snapshot | None) -> Verification:
    checked = check_log(LogPlace(copy.log_directory, None))
    for check in checked.segments:
        write_index(copy.log_directory, check.number, check.nonce, tallies_of(check), REAL_PLATFORM)
    assert copy.data_directory is not None
    now_us = _newest_time_us(checked.segments)
    retention = snapshot.retention if snapshot is not None else None
    catalog = Catalog(copy.data_directory, copy.log_directory, REAL_PLATFORM, lambda: now_us, retention)
    last = checked.segments[-1]
    catalog.save(Position(last.number, last.nonce, last.end_offset, last.end_seq))
    return check_log(copy).verification


def _newest_time_us(checks: list[SegmentCheck]) -> int:
    """Return the log's own time at its end: by it nobody has been gone long enough to be forgotten."""
    times = [check.scan.header.time for check in checks if check.scan.header is not None]
    try:
        return parse_timestamp(times[-1])
    except (IndexError, ValueError):
        return 0
