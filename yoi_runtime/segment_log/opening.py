"""What a writer finds when it opens a log: who it was, how it ended, which segments there are.

Each function looks at one thing; the order is the writer's. Only ``remove_leftovers``, ``recover`` and the reserve change
anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from yoi_runtime.errors import LogFormatError, LogNotFoundError, LogPlacementError, LogVersionError
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.recovery import RESERVE, RecoveryReport, recover_last_segment, release_reserve
from yoi_runtime.segment_log.segment import Previous
from yoi_runtime.segment_log.timestamp import parse_timestamp
from yoi_runtime.segment_log.watermark import Watermark, read_watermark

__all__ = [
    "last_watermark",
    "log_id_of",
    "make_reserve",
    "newest_time_us",
    "recover",
    "refuse_network_filesystem",
    "remove_leftovers",
]

# Where flock, rename or sync may not mean what they mean on a disk of this machine.
_NETWORK_FILESYSTEMS = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "lustre",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
    ]
)


def refuse_network_filesystem(directory: Path, platform: Platform) -> None:
    """Raise ``LogPlacementError`` when ``directory`` is, or would be, on a network file system."""
    kind = platform.files.filesystem_type(directory)
    if kind in _NETWORK_FILESYSTEMS:
        raise LogPlacementError(directory, kind)


def remove_leftovers(directory: Path, platform: Platform) -> None:
    """Delete what a writer that was killed left under temporary names."""
    for name in platform.files.list_directory(directory):
        if name.endswith(".tmp"):
            platform.files.unlink(directory / name)


def last_watermark(directory: Path, platform: Platform) -> Watermark | None:
    """Return the watermark on disk; None when there is no sound one: recovery then goes by the segments alone.

    Raises:
        LogVersionError: it is of a format version that this program does not know.
    """
    try:
        return read_watermark(directory, platform)
    except LogVersionError:
        raise
    except (LogNotFoundError, LogFormatError):
        return None


def log_id_of(segments: SegmentDirectory, numbers: Sequence[int], mark: Watermark | None, platform: Platform) -> str:
    """Return the log's id: that of the watermark if a segment bears it too, else the newest readable header's.

    Without either it is a new one. A segment that was copied here from another log does not make this that log.

    Raises:
        LogVersionError: the log is of a format version that this program does not know.
    """
    newest: str | None = None
    # From the newest on, which nearly always bears it: no need to look at the many old ones. Nor for the version's
    # sake, because a newer program that wrote here has begun a newer segment.
    for number in reversed(numbers):
        try:
            log_id = segments.header(number).log_id
        except LogVersionError:
            raise
        except LogFormatError:
            continue
        newest = newest or log_id
        if mark is None or log_id == mark.log_id:
            break
    else:
        # No segment bears the watermark's.
        if mark is not None and newest is None:
            return mark.log_id
        return newest or platform.random_bytes(8).hex()
    return log_id


def newest_time_us(segments: SegmentDirectory, numbers: Sequence[int]) -> int | None:
    """Return the steady time at which the newest readable segment was begun, None when there is none."""
    for number in reversed(numbers):
        try:
            return parse_timestamp(segments.header(number).time)
        except (LogFormatError, ValueError):
            continue
    return None


def recover(
    segments: SegmentDirectory, numbers: Sequence[int], mark: Watermark | None, platform: Platform
) -> tuple[RecoveryReport | None, Previous | None]:
    """Bring the last segment to a state that a new one can follow; return what was done, and how the log ends now.

    ``segments.log_id`` is the log's; a new log has no end, so that is None.

    Raises:
        OSError: as ``recover_last_segment``.
    """
    report: RecoveryReport | None = None
    previous: Previous | None = None
    if numbers:
        recovered = recover_last_segment(segments, numbers[-1], mark, platform)
        report, previous = recovered.report, recovered.previous
    if mark is None or mark.log_id != segments.log_id:
        return report, previous
    shown = mark.shown
    if previous is None or shown.segment > previous.segment:
        # Segments that were shown are gone: number on after them, so that no place is named twice.
        previous = Previous(shown.segment, shown.nonce, shown.offset, shown.seq)
        report = RecoveryReport(shown.segment, 0, 0, 0, "the segment file is missing")
    elif shown.segment == previous.segment and shown.nonce != previous.nonce:
        # A file of another history stands in its place: the next header goes on vouching for the lost one alone.
        previous = replace(previous, nonce=shown.nonce, last_seq=max(shown.seq, previous.last_seq))
        report = RecoveryReport(shown.segment, 0, 0, 0, "another segment stands in its place")
    return report, previous


def make_reserve(directory: Path, size_bytes: int, platform: Platform) -> None:
    """Hold back ``size_bytes`` for a recovery on a full disk; do without where they cannot be had."""
    files = platform.files
    try:
        fd = files.open_write(directory / RESERVE)
        try:
            if files.stat(fd).size < size_bytes:
                files.allocate(fd, size_bytes)
                files.fdatasync(fd)
                files.sync_directory(directory)
        finally:
            files.close(fd)
    except OSError:
        release_reserve(directory, platform)
