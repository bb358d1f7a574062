"""What opening a log for writing does with what the last writer left.

After a clean close: nothing but a look at the last segment's size. Otherwise the last segment is read;
its whole, valid, contiguous records stay *in place*, because cursors name their offsets: that prefix is
copied to a temporary file, synced and renamed over the segment. The copy has fresh pages, so the sync
means something even after an earlier one failed. A torn tail is dropped by that, and nothing else is.

Corruption is another thing than a torn tail: the valid prefix ends before the watermark, or a valid
record follows the bad one. Then every byte is kept (copied in the same way), numbering goes on after the
highest seq that was ever shown or found, and readers get ``RecordCorruptError`` for the place.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from yoi_runtime.errors import LogFormatError
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.record import RecordFormat, cursor_of_line, next_whole_record, scan_records
from yoi_runtime.segment_log.segment import Previous, SegmentHeader
from yoi_runtime.segment_log.watermark import Watermark

__all__ = ["RESERVE", "Recovered", "RecoveryReport", "recover_last_segment", "release_reserve"]

RESERVE = "RESERVE"
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What was done to ``segment``, for people and for the ``log_recovered`` event.

    ``kept_records`` valid records stayed; ``dropped_bytes`` of a torn tail went; ``corrupt_reason``
    is set when there is damage, which begins at ``corrupt_offset``.
    """

    segment: int
    kept_records: int
    dropped_bytes: int
    corrupt_offset: int | None = None
    corrupt_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """How the log ends now: ``previous`` for the next segment's header, and what was done (None: nothing)."""

    previous: Previous
    report: RecoveryReport | None


def recover_last_segment(
    directory: SegmentDirectory, number: int, mark: Watermark | None, platform: Platform
) -> Recovered:
    """Bring segment ``number``, the last one, to a state that a new segment can follow.

    Raises:
        OSError: the segment is as it was; a left-over ``.tmp`` file is harmless.
    """
    path = directory.path(number)
    try:
        header = directory.header(number)
    except LogFormatError as error:
        return _headless_segment(directory, number, mark, error.reason, platform)
    promised = (
        mark.shown if mark is not None and mark.shown.segment == number and mark.shown.nonce == header.nonce else None
    )
    size = directory.size(number)
    if promised is not None and mark is not None and mark.clean and size == promised.offset:
        return Recovered(Previous(number, header.nonce, promised.offset, promised.seq), None)

    data = _read_all(path, platform)
    form = RecordFormat(header.nonce)
    scan = scan_records(data[header.length :], form, header.first_seq - 1)
    valid_length = header.length + scan.length
    last_seq = header.first_seq - 1 + scan.records
    rest = data[valid_length:]
    later = next_whole_record(rest[rest.find(b"\n") + 1 :], form, last_seq) if b"\n" in rest else None
    too_short = promised is not None and valid_length < promised.offset
    if later is not None or too_short:
        reason = scan.reason or "bytes are missing"
        # The same bytes on fresh pages: what follows will be shown, and what is kept here has been.
        _rewrite(path, data, platform)
        return _corrupt_segment(header, data, valid_length, last_seq, promised, reason, scan.records)

    _rewrite(path, data[:valid_length], platform)
    report = RecoveryReport(number, scan.records, len(rest))
    return Recovered(Previous(number, header.nonce, valid_length, last_seq), report)


def _corrupt_segment(
    header: SegmentHeader,
    data: bytes,
    valid_length: int,
    last_seq: int,
    promised: Position | None,
    reason: str,
    records: int,
) -> Recovered:
    """Keep the bytes of a damaged file; find where its last whole record ends and which seq to go on after."""
    form = RecordFormat(header.nonce)
    end, seq = valid_length, last_seq
    while (found := next_whole_record(data[end:], form, seq)) is not None:
        start, seq = end + found[0], found[1]
        scan = scan_records(data[start:], form, seq - 1)
        end, seq = start + scan.length, seq - 1 + scan.records
        records += scan.records
    if promised is not None:
        end, seq = max(end, promised.offset), max(seq, promised.seq)
    report = RecoveryReport(header.segment, records, 0, valid_length, reason)
    return Recovered(Previous(header.segment, header.nonce, end, seq), report)


def _headless_segment(
    directory: SegmentDirectory, number: int, mark: Watermark | None, reason: str, platform: Platform
) -> Recovered:
    """Go on after a last segment whose header cannot be read; the bytes are kept, readers report it.

    The watermark on disk may be older than the last record: seqs go on after the highest that any record bears.
    """
    data = _read_all(directory.path(number), platform)
    before = [other for other in directory.numbers() if other < number]
    pieces = [data, *(_read_all(directory.path(other), platform) for other in before[-1:])]
    last_seq = _highest_seq(pieces, directory.log_id)
    nonce, length = 0, len(data)
    if mark is not None:
        last_seq = max(last_seq, mark.shown.seq)
        if mark.shown.segment == number:
            nonce, length = mark.shown.nonce, max(length, mark.shown.offset)
    _rewrite(directory.path(number), data, platform)
    return Recovered(Previous(number, nonce, length, last_seq), RecoveryReport(number, 0, 0, 0, reason))


def _highest_seq(pieces: list[bytes], log_id: str | None) -> int:
    """Return the highest seq of the whole records in ``pieces``: of this log, or of any when none is of this one."""
    lines = (line for piece in pieces for line in piece.split(b"\n"))
    cursors = [cursor for line in lines if (cursor := cursor_of_line(line)) is not None]
    own = [cursor.seq for cursor in cursors if cursor.log_id == log_id]
    return max(own or [cursor.seq for cursor in cursors], default=0)


def _read_all(path: Path, platform: Platform) -> bytes:
    files = platform.files
    fd = files.open_read(path)
    try:
        pieces, offset = [], 0
        while piece := files.pread(fd, _READ_BYTES, offset):
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)
    finally:
        files.close(fd)


def _rewrite(path: Path, data: bytes, platform: Platform) -> None:
    """Put ``data`` in the place of the file at ``path``, atomically and durably."""
    try:
        _write_aside(path, data, platform)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not release_reserve(path.parent, platform):
            raise
        _write_aside(path, data, platform)
    files = platform.files
    files.rename(_aside(path), path)
    files.sync_directory(path.parent)


def _aside(path: Path) -> Path:
    return path.with_suffix(".tmp")


def _write_aside(path: Path, data: bytes, platform: Platform) -> None:
    files = platform.files
    fd = files.create(_aside(path))
    try:
        written = 0
        while written < len(data):
            count = files.pwrite(fd, data[written : written + _READ_BYTES], written)
            if count == 0:
                raise OSError(errno.ENOSPC, "short write")
            written += count
        files.fdatasync(fd)
    finally:
        files.close(fd)


def release_reserve(directory: Path, platform: Platform) -> bool:
    """Give the reserved bytes back to the file system; False when there were none."""
    try:
        platform.files.unlink(directory / RESERVE)
    except FileNotFoundError:
        return False
    return True
