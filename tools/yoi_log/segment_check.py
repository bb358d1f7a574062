"""One scanned segment held against its neighbours: which of its runs stand where they belong, and what is missing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from yoi_log.defect import Defect, DefectKind
from yoi_log.segment_scan import Bad, Run, SegmentScan
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.watermark import COMMITTED, Watermark

__all__ = ["Lost", "SegmentCheck", "Witness", "check_segment"]


@dataclass(frozen=True, slots=True)
class Witness:
    """What somebody else says of how a segment ends. ``kind`` is the defect when the segment says otherwise."""

    nonce: int
    valid_length: int
    last_seq: int
    kind: DefectKind
    file: str

    @classmethod
    def of_next(cls, scan: SegmentScan, following: SegmentScan, log_id: str) -> Witness | None:
        """Return what the header of the next file says, None when it says nothing of this segment."""
        header = following.header
        if header is None or header.log_id != log_id or header.segment != following.number or header.previous is None:
            return None
        before = header.previous
        if before.segment != scan.number:
            return None
        return cls(before.nonce, before.valid_length, before.last_seq, "chain_broken", following.path.name)

    @classmethod
    def of_mark(cls, scan: SegmentScan, mark: Watermark | None) -> Witness | None:
        """Return what the watermark says, None when it is about another segment."""
        if mark is None or mark.shown.segment != scan.number:
            return None
        return cls(mark.shown.nonce, mark.shown.offset, mark.shown.seq, "watermark_wrong", COMMITTED)


@dataclass(frozen=True, slots=True)
class Lost:
    """Events that cannot be read; ``last_seq`` of a torn end may be unknown."""

    first_seq: int
    last_seq: int

    @property
    def events(self) -> int:
        return self.last_seq - self.first_seq + 1


@dataclass(slots=True)
class SegmentCheck:
    """A segment after the check. ``runs`` are those that stand where they belong, in order; ``lost`` what is not there."""

    scan: SegmentScan
    number: int
    nonce: int
    first_seq: int
    runs: list[Run] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    end_offset: int = 0
    end_seq: int = 0


def check_segment(scan: SegmentScan, before: SegmentCheck | None, witness: Witness | None, log_id: str) -> SegmentCheck:
    """Check one segment. ``before`` is the check of the file before it, ``witness`` what is said of its end."""
    own = [run for run in scan.runs if run.segment == scan.number and run.log_id == log_id]
    header = scan.header if scan.header is not None and scan.header.segment == scan.number else None
    if header is not None and header.log_id == log_id:
        nonce, first_seq, length = header.nonce, header.first_seq, header.length
    else:
        header = None
        nonce = _likely_nonce(own, witness)
        first_seq = before.end_seq + 1 if before is not None else own[0].first_seq if own else 1
        length = own[0].start if own and own[0].first_seq == first_seq else 0
    check = SegmentCheck(scan, scan.number, nonce, first_seq, end_offset=length, end_seq=first_seq - 1)
    _check_header(check, before, log_id)
    _check_pieces(check, own, witness, header is None)
    if witness is not None:
        _check_end(check, witness)
    return check


def _likely_nonce(own: list[Run], witness: Witness | None) -> int:
    counted = Counter[int]()
    for run in own:
        counted[run.nonce] += run.last_seq - run.first_seq + 1
    if counted:
        return counted.most_common(1)[0][0]
    return witness.nonce if witness is not None else 0


def _defect(
    check: SegmentCheck, kind: DefectKind, offset: int | None, lost: Lost | None, reason: str, path: Path | None = None
) -> None:
    first, last = (lost.first_seq, lost.last_seq) if lost is not None else (None, None)
    check.defects.append(Defect(kind, (path or check.scan.path).name, offset, first, last, reason))


def _check_header(check: SegmentCheck, before: SegmentCheck | None, log_id: str) -> None:
    scan, header = check.scan, check.scan.header
    if header is None:
        _defect(check, "header_damaged", 0, None, scan.header_problem or "there is no header")
    elif header.log_id != log_id:
        _defect(check, "header_damaged", 0, None, f"it is a segment of another log, {header.log_id}")
    elif header.segment != scan.number:
        reason = f"the header is that of segment {header.segment}: the file was renamed or copied"
        _defect(check, "header_damaged", 0, None, reason)
    else:
        previous = header.previous
        said = previous.last_seq if previous is not None else 0
        if header.first_seq != said + 1:
            reason = f"it begins with seq {header.first_seq}, and says that the segment before ended with {said}"
            _defect(check, "chain_broken", 0, None, reason)
        if previous is not None and previous.segment != scan.number - 1:
            reason = f"it says that it follows segment {previous.segment}"
            _defect(check, "chain_broken", 0, None, reason)
        if previous is None and scan.number != 1:
            _defect(check, "chain_broken", 0, None, "it says that it is the first, and does not bear the number 1")
    if before is not None:
        if scan.number != before.number + 1:
            missing = scan.path.with_name(segment_name(before.number + 1))
            lost = _between(before.end_seq, check.first_seq)
            if lost is not None:
                check.lost.append(lost)
            reason = "the segment file is missing"
            if scan.number > before.number + 2:
                reason = f"{scan.number - before.number - 1} segment files are missing"
            _defect(check, "segment_missing", None, lost, reason, missing)
        elif check.first_seq != before.end_seq + 1:
            reason = f"it begins with seq {check.first_seq}; the segment before ended with {before.end_seq}"
            _defect(check, "chain_broken", 0, None, reason)


def _between(end_seq: int, first_seq: int) -> Lost | None:
    return Lost(end_seq + 1, first_seq - 1) if first_seq > end_seq + 1 else None


def _check_pieces(check: SegmentCheck, own: list[Run], witness: Witness | None, headless: bool) -> None:
    """Go through the file in its order: what does not follow is a defect, and what is behind a gap is known to be lost."""
    limit = witness.valid_length if witness is not None else check.scan.size
    bad: tuple[int, str] | None = None
    last_piece: Bad | None = None
    for piece in check.scan.pieces:
        if piece.file_offset >= limit:
            break
        last_piece = piece if isinstance(piece, Bad) else None
        if isinstance(piece, Bad):
            bad = bad or (piece.file_offset, piece.reason)
            continue
        elsewhere = _misplaced(check, piece, own)
        if elsewhere is not None:
            lost = Lost(piece.first_seq, piece.last_seq)
            _defect(check, "record_misplaced", piece.file_offset, lost, elsewhere)
            if piece not in own or piece.first_seq <= check.end_seq or piece.nonce != check.nonce:
                bad = bad or (piece.file_offset, elsewhere)
                continue
        _take_run(check, piece, bad, headless)
        bad = None
    if witness is not None and check.end_seq < witness.last_seq:
        lost = Lost(check.end_seq + 1, witness.last_seq)
        check.lost.append(lost)
        offset, reason = bad or (check.end_offset, "bytes are missing at its end")
        _defect(check, "record_damaged" if bad else "records_missing", offset, lost, reason)
        check.end_seq, check.end_offset = witness.last_seq, witness.valid_length
    elif bad is None or (headless and not check.runs):
        return
    elif witness is not None or (last_piece is not None and last_piece.whole_lines):
        # Without a witness the last line may be a torn tail, which is no damage.
        _defect(check, "record_damaged", bad[0], None, bad[1])


def _misplaced(check: SegmentCheck, run: Run, own: list[Run]) -> str | None:
    """Say where a run belongs when that is not where it stands."""
    if run not in own:
        log = "" if run.segment != check.number else f" of another log, {run.log_id}"
        return f"its records belong to segment {run.segment}{log}"
    if run.nonce != check.nonce:
        return "its records belong to another segment of this number"
    if run.first_seq <= check.end_seq:
        return f"seq {run.first_seq} comes again after seq {check.end_seq}"
    if run.start != run.file_offset:
        return f"its records belong at offset {run.start}"
    return None


def _take_run(check: SegmentCheck, run: Run, bad: tuple[int, str] | None, headless: bool) -> None:
    lost = _between(check.end_seq, run.first_seq)
    if lost is not None:
        check.lost.append(lost)
        offset, reason = bad or (check.end_offset, "records are missing")
        _defect(check, "record_damaged" if bad else "records_missing", offset, lost, reason)
    elif bad is not None and not (headless and not check.runs):
        # Under a damaged header the first line is told as that.
        _defect(check, "record_damaged", bad[0], None, bad[1])
    check.runs.append(run)
    for one in run.breaks:
        reason = f"worker_seq {one.found} stands where {one.expected} should be"
        check.defects.append(
            Defect(
                "worker_seq_broken",
                check.scan.path.name,
                one.file_offset,
                one.seq,
                one.seq,
                reason,
                one.worker_id or None,
            )
        )
    check.end_offset, check.end_seq = run.end, run.last_seq


def _check_end(check: SegmentCheck, witness: Witness) -> None:
    """Hold the end of the segment against what is said of it, where nothing is lost that would explain it."""
    if witness.nonce != check.nonce:
        reason = (
            f"segment {check.number} has the nonce {check.nonce:016x}, and not {witness.nonce:016x} as is said here"
        )
    elif check.end_seq > witness.last_seq:
        reason = f"segment {check.number} ends with seq {check.end_seq}, and not {witness.last_seq} as is said here"
    elif check.end_offset != witness.valid_length:
        reason = f"segment {check.number} ends at {check.end_offset}, and not {witness.valid_length} as is said here"
    else:
        return
    check.defects.append(Defect(witness.kind, witness.file, None, None, None, reason))
