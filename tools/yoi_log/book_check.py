"""The books held against the log: index and place file of a segment against its records, the catalog against all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from yoi_log.defect import Defect
from yoi_log.segment_check import SegmentCheck
from yoi_runtime.catalog.catalog import Snapshot
from yoi_runtime.catalog.place_file import PlaceFile, place_path
from yoi_runtime.catalog.segment_index import index_path, read_index
from yoi_runtime.catalog.worker_state import Tally
from yoi_runtime.segment_log.platform import REAL_PLATFORM

__all__ = ["check_catalog", "check_index", "check_places", "tallies_of"]


def tallies_of(check: SegmentCheck) -> dict[str, Tally]:
    """Return the tallies of a segment as its index should have them."""
    tallies: dict[str, Tally] = {}
    for run in check.runs:
        for worker_id, part in run.workers.items():
            part_tally = Tally(part.events, part.last_seq, part.last_worker_seq, part.from_time, part.to_time)
            tallies.setdefault(worker_id, Tally()).merge(part_tally)
    return tallies


def check_index(log_directory: Path, check: SegmentCheck) -> tuple[bool, Defect | None]:
    """Say whether a sealed segment has an index, and what is wrong with it. Having none is no defect: it is made again."""
    path = index_path(log_directory, check.number)
    if not path.exists():
        return False, None
    tallies = read_index(log_directory, check.number, check.nonce, REAL_PLATFORM)
    if tallies is None:
        return True, Defect("index_damaged", path.name, None, None, None, "it is damaged, or that of another segment")
    counted = tallies_of(check)
    # Of a damaged segment the index may know more than its records still tell.
    if tallies == counted or check.defects:
        return True, None
    differ = sorted(name for name in tallies.keys() | counted.keys() if tallies.get(name) != counted.get(name))
    names = ", ".join(name or "the Runtime" for name in differ[:5])
    reason = f"it does not agree with the segment's records about {names}"
    return True, Defect("index_wrong", path.name, None, check.first_seq, check.end_seq, reason)


def check_places(log_directory: Path, check: SegmentCheck) -> Defect | None:
    """Say what is wrong with the place file of a segment. Having none is no defect: it is made a while later."""
    path = place_path(log_directory, check.number)
    if not path.exists():
        return None
    places = PlaceFile.open(log_directory, check.number, REAL_PLATFORM)
    if places is not None and places.start.nonce == check.nonce and places.is_sound(REAL_PLATFORM):
        return None
    return Defect("places_damaged", path.name, None, None, None, "it is damaged, or that of another segment")


def check_catalog(
    path: Path, snapshot: Snapshot | None, checks: Sequence[SegmentCheck], log_id: str
) -> Iterator[Defect]:
    """Yield what the catalog says that the log does not bear out."""
    if snapshot is None:
        kind, reason = ("catalog_damaged", "it is not sound") if path.exists() else ("catalog_missing", "there is none")
        yield Defect(
            "catalog_damaged" if kind == "catalog_damaged" else "catalog_missing", path.name, None, None, None, reason
        )
        return
    if snapshot.log_id != log_id:
        yield _wrong(path, f"it is that of another log, {snapshot.log_id}")
        return
    as_of, ledger, oldest = snapshot.as_of, snapshot.ledger, checks[0]
    end = checks[-1]
    if (as_of.segment, as_of.offset) > (end.number, end.end_offset) or as_of.seq > end.end_seq:
        yield _wrong(path, f"it is as of seq {as_of.seq}, and the log ends with seq {end.end_seq}")
        return
    here = next((check for check in checks if check.number == as_of.segment), None)
    if here is not None and here.nonce != as_of.nonce:
        yield _wrong(path, f"it is of another history: segment {as_of.segment} had another nonce then")
        return
    if ledger.accounted_seq < oldest.first_seq - 1:
        reason = f"it accounts for what was rotated out up to seq {ledger.accounted_seq} only"
        yield _wrong(path, reason, (ledger.accounted_seq + 1, oldest.first_seq - 1))
    yield from _check_workers(path, snapshot, checks)


def _check_workers(path: Path, snapshot: Snapshot, checks: Sequence[SegmentCheck]) -> Iterator[Defect]:
    """Compare each Worker's newest record up to the snapshot, where that lies at an end of a segment, as it always does."""
    as_of, newest = snapshot.as_of, dict[str, tuple[int, int]]()
    for check in checks:
        for run in check.runs:
            if run.last_seq > as_of.seq:
                continue
            for worker_id, part in run.workers.items():
                newest[worker_id] = (part.last_worker_seq, part.last_seq)
    newest.pop("", None)
    for worker_id, (worker_seq, seq) in newest.items():
        state = snapshot.ledger.workers.get(worker_id)
        if state is None:
            yield _wrong(path, f"it does not know the Worker {worker_id}", (seq, seq), worker_id)
        elif (
            state.worker_seq < worker_seq
            or state.seq < seq
            or (
                (state.worker_seq, state.seq) != (worker_seq, seq)
                and not any(lost.first_seq <= state.seq <= lost.last_seq for check in checks for lost in check.lost)
            )
        ):
            reason = f"Worker {worker_id} is at worker_seq {worker_seq} in the log, and at {state.worker_seq} here"
            yield _wrong(path, reason, (seq, seq), worker_id)


def _wrong(path: Path, reason: str, seqs: tuple[int, int] | None = None, worker_id: str | None = None) -> Defect:
    first, last = seqs if seqs is not None else (None, None)
    return Defect("catalog_wrong", path.name, None, first, last, reason, worker_id)
