"""What a log is and holds: the facts of ``yoi-log inspect``, as data. ``inspection_text`` shows them to people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from yoi_log.log_place import LogPlace
from yoi_log.walk import Damage, Gone, walk
from yoi_runtime.catalog.catalog import Snapshot, read_snapshot
from yoi_runtime.catalog.fold import fold_chunk
from yoi_runtime.catalog.ledger import Ledger
from yoi_runtime.catalog.worker_state import Tally, WorkerState
from yoi_runtime.errors import LogFormatError, SegmentGoneError
from yoi_runtime.events.envelope import HEAD_PATTERN
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.watermark import Watermark

__all__ = ["DamagedPlace", "Inspection", "SegmentFacts", "WorkerFacts", "inspect_log"]


@dataclass(slots=True)
class SegmentFacts:
    """One segment file. ``events`` and the times are None where its records were not read or could not be."""

    number: int
    size_bytes: int
    nonce: str | None = None
    begun: str | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    events: int | None = None
    first_time: str | None = None
    last_time: str | None = None
    active: bool = False
    problem: str | None = None


@dataclass(slots=True)
class WorkerFacts:
    """One Worker: what of it is in the log, and what was rotated out. ``worker_id`` "" is the Runtime itself.

    ``events`` and ``size_bytes`` are None where no record was read.
    """

    worker_id: str
    events: int | None = 0
    size_bytes: int | None = 0
    first_worker_seq: int | None = None
    last_worker_seq: int | None = None
    first_time: str | None = None
    last_time: str | None = None
    status: str | None = None
    outcome: str | None = None
    run: int | None = None
    rotated_out: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class DamagedPlace:
    """Records that cannot be read, up to ``last_seq``; where they stood and why."""

    file: str
    offset: int
    first_seq: int
    last_seq: int
    reason: str


@dataclass(slots=True)
class Inspection:
    """A log at one moment. Positions are ``{segment, offset, seq}``; sizes are bytes."""

    log_id: str
    log_directory: str
    floor: dict[str, int]
    end: dict[str, int]
    durable: dict[str, int]
    oldest_cursor: str
    latest_cursor: str
    closed_cleanly: bool
    events: int
    size_bytes: int
    unshown_bytes: int
    rotated_out: dict[str, Any] | None
    retention: dict[str, Any] | None
    segments: list[SegmentFacts] = field(default_factory=list)
    workers: list[WorkerFacts] = field(default_factory=list)
    damaged: list[DamagedPlace] = field(default_factory=list)


def inspect_log(place: LogPlace, *, read_records: bool, progress: Callable[[int], None]) -> Inspection:
    """Look at the log of ``place``; ``progress`` is told how many more bytes were read.

    Without ``read_records`` only headers, watermark and catalog are looked at: no counts of Workers, no damage found.

    Raises:
        LogError: there is no log, or its watermark cannot be read.
        OSError: the disk refused.
    """
    reader = LogReader(place.log_directory)
    try:
        floor, mark = reader.floor(), reader.watermark
        snapshot = _snapshot(place, reader.log_id)
        inspection = _outline(reader, floor, mark, snapshot)
        if read_records:
            _read_records(reader, floor, snapshot, inspection, progress)
        elif snapshot is not None:
            inspection.workers = [
                _worker(state, WorkerFacts(worker_id, None, None))
                for worker_id, state in sorted(snapshot.ledger.workers.items())
            ]
        return inspection
    finally:
        reader.close()


def _snapshot(place: LogPlace, log_id: str) -> Snapshot | None:
    if place.data_directory is None:
        return None
    snapshot = read_snapshot(place.data_directory, REAL_PLATFORM)
    return snapshot if snapshot is not None and snapshot.log_id == log_id else None


def _outline(reader: LogReader, floor: Position, mark: Watermark, snapshot: Snapshot | None) -> Inspection:
    segments = [_segment(reader, number, mark) for number in reader.segment_numbers()]
    for one, following in pairwise(segments):
        if following.first_seq is not None:
            one.last_seq = following.first_seq - 1
    if segments and segments[-1].number == mark.shown.segment:
        segments[-1].last_seq = mark.shown.seq
    return Inspection(
        log_id=reader.log_id,
        log_directory=str(reader.directory),
        floor=_place(floor),
        end=_place(mark.shown),
        durable=_place(mark.synced),
        oldest_cursor=reader.token_at(floor),
        latest_cursor=reader.token_at(mark.shown),
        closed_cleanly=mark.clean,
        events=mark.shown.seq - floor.seq,
        size_bytes=sum(segment.size_bytes for segment in segments),
        unshown_bytes=_unshown_bytes(reader, mark.shown),
        rotated_out=_tally(snapshot.ledger.rotated_out) if snapshot is not None else None,
        retention=None
        if snapshot is None
        else {
            "retain_bytes": snapshot.retention.retain_bytes,
            "retain_age_seconds": snapshot.retention.retain_age_seconds,
            "retain_segments": snapshot.retention.retain_segments,
        },
        segments=segments,
    )


def _segment(reader: LogReader, number: int, mark: Watermark) -> SegmentFacts:
    try:
        facts = SegmentFacts(number, reader.segment_size(number), active=number == mark.shown.segment)
    except SegmentGoneError:
        return SegmentFacts(number, 0, problem="rotated out just now")
    directory = SegmentDirectory(reader.directory, REAL_PLATFORM)
    directory.log_id = reader.log_id
    try:
        header = directory.header(number)
    except (LogFormatError, SegmentGoneError) as error:
        facts.problem = error.reason if isinstance(error, LogFormatError) else "rotated out just now"
        return facts
    facts.nonce, facts.begun, facts.first_seq = f"{header.nonce:016x}", header.time, header.first_seq
    return facts


def _unshown_bytes(reader: LogReader, shown: Position) -> int:
    """Return how many bytes of the last segment readers may not see: not committed yet, or a torn tail."""
    try:
        return max(0, reader.segment_size(shown.segment) - shown.offset)
    except SegmentGoneError:
        return 0


def _read_records(
    reader: LogReader,
    floor: Position,
    snapshot: Snapshot | None,
    inspection: Inspection,
    progress: Callable[[int], None],
) -> None:
    workers: dict[str, WorkerFacts] = {}
    segments = {segment.number: segment for segment in inspection.segments}
    # The snapshot's ledger goes on from its own seq: what it has counted already is passed over by the fold.
    ledger = snapshot.ledger if snapshot is not None else Ledger()
    for step in walk(reader, floor, reader.end):
        if isinstance(step, Gone):
            continue
        if isinstance(step, Damage):
            error = step.error
            inspection.damaged.append(
                DamagedPlace(error.file.name, error.offset, error.seq, step.resume.seq, error.reason)
            )
            continue
        progress(len(step.data))
        fold_chunk(ledger, step.data)
        segment = segments.get(step.start.segment)
        _count_workers(step.data, workers)
        if segment is not None:
            _count_segment(step.data, step.records, segment)
    inspection.workers = [
        _worker(state, workers.pop(worker_id, None)) for worker_id, state in sorted(ledger.workers.items())
    ]
    inspection.workers += workers.values()


def _count_workers(data: bytes, workers: dict[str, WorkerFacts]) -> None:
    for found in HEAD_PATTERN.finditer(data):
        _, _, _, raw_id, worker_seq, raw_time, _ = found.groups()
        worker_id = raw_id.decode() if raw_id is not None else ""
        facts = workers.get(worker_id)
        if facts is None:
            facts = workers[worker_id] = WorkerFacts(worker_id)
        facts.events = (facts.events or 0) + 1
        facts.size_bytes = (facts.size_bytes or 0) + found.end() - found.start() + 1
        facts.last_time = raw_time.decode()
        facts.first_time = facts.first_time or facts.last_time
        if worker_seq is not None:
            facts.last_worker_seq = int(worker_seq)
            facts.first_worker_seq = facts.first_worker_seq or facts.last_worker_seq


def _count_segment(data: bytes, records: int, segment: SegmentFacts) -> None:
    segment.events = (segment.events or 0) + records
    first = HEAD_PATTERN.match(data)
    last = HEAD_PATTERN.search(data, data.rfind(b"\n", 0, -1) + 1)
    if first is not None and segment.first_time is None:
        segment.first_time = first["time"].decode()
    if last is not None:
        segment.last_time = last["time"].decode()


def _worker(state: WorkerState, facts: WorkerFacts | None = None) -> WorkerFacts:
    facts = facts or WorkerFacts(state.worker_id)
    facts.status, facts.outcome, facts.run = state.status, state.outcome, state.run
    facts.last_worker_seq = facts.last_worker_seq or state.worker_seq
    facts.rotated_out = _tally(state.rotated_out)
    return facts


def _tally(tally: Tally | None) -> dict[str, Any] | None:
    if tally is None or not tally.events:
        return None
    return {
        "events": tally.events,
        "last_seq": tally.last_seq,
        "last_worker_seq": tally.last_worker_seq,
        "from_time": tally.from_time,
        "to_time": tally.to_time,
    }


def _place(position: Position) -> dict[str, int]:
    return {"segment": position.segment, "offset": position.offset, "seq": position.seq}
