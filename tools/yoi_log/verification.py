"""Reading everything and naming every defect: ``yoi-log verify``, as data. ``verification_text`` shows it to people.

Each segment is read by itself (``segment_scan``), and then held against its neighbours, the watermark, the indexes and
the catalog. What is damaged among these witnesses is a defect of its own and costs only what nobody else can say.
Transcripts are witnesses of nothing: they are made from the log, and are held against it last.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from yoi_log.book_check import check_catalog, check_index, check_places
from yoi_log.defect import Defect
from yoi_log.helper_processes import helper_processes
from yoi_log.log_place import LogPlace
from yoi_log.segment_check import SegmentCheck, Witness, check_segment
from yoi_log.segment_scan import SegmentScan, scan_segment
from yoi_log.transcript_file import has_transcripts, taken_transcripts, transcript_path
from yoi_log.transcript_verification import TranscriptReport, verify_transcripts
from yoi_log.worker_numbers import WorkerNumbers
from yoi_runtime.catalog.catalog import CATALOG, Snapshot, read_snapshot
from yoi_runtime.errors import LogFormatError, LogNotFoundError, TranscriptUnavailableError
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.watermark import COMMITTED, Watermark, read_watermark

__all__ = ["Checked", "Verification", "check_log", "counts_before", "read_mark", "verify_log"]

WentBy: TypeAlias = Literal["watermark", "segments"]


@dataclass(slots=True)
class Verification:
    """What was read, and every defect. ``went_by``: up to the watermark, or, without a sound one, all that the segments hold.

    ``unshown_bytes`` follow the end and are no part of the log: not committed yet, or a torn tail. ``transcripts`` is
    None where none are kept.
    """

    log_id: str
    log_directory: str
    went_by: WentBy
    end: dict[str, int]
    segments: int = 0
    events: int = 0
    size_bytes: int = 0
    unshown_bytes: int = 0
    indexes: int = 0
    catalog: bool = False
    transcripts: TranscriptReport | None = None
    defects: list[Defect] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.defects


class Checked(NamedTuple):
    """A verification, and the segments it was made of."""

    verification: Verification
    segments: list[SegmentCheck]


def verify_log(place: LogPlace, progress: Callable[[int], None] = lambda _: None) -> Verification:
    """Read everything there is, the transcripts too, and hold it against everything else; changes nothing.

    Raises:
        LogNotFoundError, OSError: as ``check_log``.
    """
    with helper_processes(_bytes_of(place)) as helpers:
        if place.data_directory is None or not has_transcripts(place.data_directory):
            return check_log(place, progress, helpers).verification
        return _verify_all(place, transcript_path(place.data_directory), progress, helpers)


def _verify_all(
    place: LogPlace, transcripts: Path, progress: Callable[[int], None], helpers: Executor | None
) -> Verification:
    found: Verification | None = None
    try:
        # Taken before the watermark is read: what a Runtime that writes both has folded is then not past it.
        with taken_transcripts(transcripts) as uri:
            beside = helpers.submit(verify_transcripts, uri, place.log_directory) if helpers is not None else None
            found = check_log(place, progress, helpers).verification
            report, defects = beside.result() if beside is not None else verify_transcripts(uri, place.log_directory)
        found.transcripts = report
        found.defects += defects
    except TranscriptUnavailableError as error:
        found = found or check_log(place, progress, helpers).verification
        found.transcripts = TranscriptReport(unread=error.reason)
    return found


def check_log(
    place: LogPlace, progress: Callable[[int], None] = lambda _: None, helpers: Executor | None = None
) -> Checked:
    """Read the log of ``place`` with its books and hold each against the others; changes nothing.

    A log that a writer holds is read up to its watermark; what is rotated out meanwhile is passed over.

    Raises:
        LogNotFoundError: there is no segment.
        OSError: the disk refused.
    """
    # Before the watermark: a snapshot of later would know more than is read here.
    catalog_file = place.data_directory / CATALOG if place.data_directory is not None else None
    snapshot = read_snapshot(place.data_directory, REAL_PLATFORM) if place.data_directory is not None else None
    mark, mark_problem = read_mark(place)
    directory = SegmentDirectory(place.log_directory, REAL_PLATFORM)
    numbers = [n for n in directory.numbers() if mark is None or n <= mark.shown.segment]
    if not numbers:
        raise LogNotFoundError(place.log_directory)
    scans = _scan(directory, numbers, mark, progress, helpers)
    log_id = _log_id(mark, scans)
    found = Verification(log_id, str(place.log_directory), "segments" if mark is None else "watermark", {})
    if mark_problem is not None:
        found.defects.append(Defect("watermark_damaged", COMMITTED, None, None, None, mark_problem))
    checks = _check_segments(scans, log_id, mark)
    workers = WorkerNumbers(counts_before(snapshot, checks[0].first_seq - 1, log_id))
    for check in checks:
        found.defects += [*check.defects, *workers.follow(check)]
        found.events += sum(run.last_seq - run.first_seq + 1 for run in check.runs)
        found.size_bytes += check.scan.size
    found.segments = len(checks)
    last = checks[-1]
    found.end = {"segment": last.number, "offset": last.end_offset, "seq": last.end_seq}
    found.unshown_bytes = max(0, _size_of(directory, last) - last.end_offset)
    if mark is not None and (last.number, last.end_offset, last.end_seq) < (
        mark.shown.segment,
        mark.shown.offset,
        mark.shown.seq,
    ):
        found.end = {"segment": mark.shown.segment, "offset": mark.shown.offset, "seq": mark.shown.seq}
    _check_unclosed(found, mark)
    for check in checks:
        present, defect = check_index(place.log_directory, check)
        found.indexes += present
        found.defects += [one for one in (defect, check_places(place.log_directory, check)) if one is not None]
    if catalog_file is not None:
        found.catalog = snapshot is not None
        found.defects += check_catalog(catalog_file, snapshot, checks, log_id)
    return Checked(found, checks)


def read_mark(place: LogPlace) -> tuple[Watermark | None, str | None]:
    """Return the watermark, or None and why there is none to go by."""
    try:
        return read_watermark(place.log_directory, REAL_PLATFORM), None
    except LogNotFoundError:
        return None, "there is no watermark"
    except LogFormatError as error:
        return None, error.reason


def _scan(
    directory: SegmentDirectory,
    numbers: list[int],
    mark: Watermark | None,
    progress: Callable[[int], None],
    helpers: Executor | None,
) -> list[SegmentScan]:
    paths = [directory.path(number) for number in numbers]
    ends = [mark.shown.offset if mark is not None and number == mark.shown.segment else None for number in numbers]
    scans = []
    for scan in (map if helpers is None else helpers.map)(_scan_one, paths, numbers, ends):
        # Rotated out since it was listed, if it was the oldest: otherwise the next check misses it.
        if scan is not None:
            progress(scan.size)
            scans.append(scan)
    if not scans:
        raise LogNotFoundError(directory.directory)
    return scans


def _scan_one(path: Path, number: int, until: int | None) -> SegmentScan | None:
    try:
        return scan_segment(path, number, lambda _: None, until)
    except FileNotFoundError:
        return None


def _bytes_of(place: LogPlace) -> int:
    return sum(path.stat().st_size for path in place.log_directory.glob("*.jsonl"))


def _log_id(mark: Watermark | None, scans: list[SegmentScan]) -> str:
    """Return whose log this is: the watermark's, else what most segments say."""
    if mark is not None:
        return mark.log_id
    said = [scan.header.log_id for scan in scans if scan.header is not None]
    said += [run.log_id for scan in scans for run in scan.runs]
    return max(said, key=said.count) if said else "0" * 16


def _check_segments(scans: list[SegmentScan], log_id: str, mark: Watermark | None) -> list[SegmentCheck]:
    """Hold each segment against the next one's header, and the last against the watermark."""
    checks: list[SegmentCheck] = []
    witnesses = [Witness.of_next(scan, following, log_id) for scan, following in pairwise(scans)]
    witnesses.append(Witness.of_mark(scans[-1], mark))
    for scan, witness in zip(scans, witnesses, strict=True):
        checks.append(check_segment(scan, checks[-1] if checks else None, witness, log_id))
    if mark is not None and scans[-1].number < mark.shown.segment:
        first = checks[-1].number + 1
        reason = "the segment file is missing, and the watermark stands in it or behind it"
        checks[-1].defects.append(
            Defect(
                "segment_missing",
                scans[-1].path.with_name(f"{first:020d}.jsonl").name,
                None,
                checks[-1].end_seq + 1 if mark.shown.seq > checks[-1].end_seq else None,
                mark.shown.seq if mark.shown.seq > checks[-1].end_seq else None,
                reason,
            )
        )
    return checks


def counts_before(snapshot: Snapshot | None, seq: int, log_id: str) -> dict[str, int] | None:
    """Return each Worker's last worker_seq up to ``seq``, after which the log begins; None where nobody knows."""
    if seq == 0:
        return {}
    if snapshot is None or snapshot.log_id != log_id:
        return None
    ledger = snapshot.ledger
    if ledger.unaccounted_seq or ledger.forgotten_seq or ledger.rotated_out.last_seq != seq:
        return None
    return {
        name: state.rotated_out.last_worker_seq if state.rotated_out is not None else 0
        for name, state in ledger.workers.items()
    }


def _size_of(directory: SegmentDirectory, last: SegmentCheck) -> int:
    try:
        return last.scan.path.stat().st_size
    except FileNotFoundError:
        return last.scan.size


def _check_unclosed(found: Verification, mark: Watermark | None) -> None:
    if mark is not None and mark.clean and found.unshown_bytes:
        reason = f"{found.unshown_bytes} bytes follow the end of a log that was closed in good order"
        name = f"{mark.shown.segment:020d}.jsonl"
        found.defects.append(Defect("bytes_after_end", name, mark.shown.offset, None, None, reason))
