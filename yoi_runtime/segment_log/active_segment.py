"""The active segment: the one file of a log that is written to, at its end only.

Owns the descriptor and where the next record goes. Knows no watermark and no bounds: the writer does.
Format: docs/log-format.md, "Segments".
"""

from __future__ import annotations

import errno
from pathlib import Path

from yoi_runtime.errors import LogDiskError, LogFullError
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.platform import FileOps
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.record import RecordEncoder
from yoi_runtime.segment_log.segment import SegmentHeader

__all__ = ["NO_ROOM", "ActiveSegment", "refusal"]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def refusal(file: Path, offset: int, seq: int, error: OSError) -> LogFullError | LogDiskError:
    """Return what to raise when the disk refused what record ``seq`` needs and everything is as it was before."""
    if error.errno in NO_ROOM:
        return LogFullError(file, offset, seq, error.strerror or "no space left")
    return LogDiskError(file, offset, seq, error.errno, error.strerror or str(error))


class ActiveSegment:
    """A segment from its header on. ``offset``: where the next record begins; whoever has written one moves it."""

    __slots__ = (
        "_files",
        "begun_us",
        "encode",
        "fd",
        "first_seq",
        "header_length",
        "nonce",
        "number",
        "offset",
        "path",
    )

    def __init__(
        self, files: FileOps, path: Path, fd: int, header: SegmentHeader, header_length: int, begun_us: int
    ) -> None:
        self._files = files
        self.path, self.fd = path, fd
        self.number, self.nonce, self.first_seq = header.segment, header.nonce, header.first_seq
        self.header_length = self.offset = header_length
        self.begun_us = begun_us
        self.encode = RecordEncoder(header.log_id, header.segment, header.nonce).encode

    @classmethod
    def create(cls, segments: SegmentDirectory, files: FileOps, header: SegmentHeader, begun_us: int) -> ActiveSegment:
        """Put a segment with nothing but its header under its name; ``begun_us`` is the log's steady time.

        Temporary name, sync, rename: a file under a segment's name always has its header. The name is on the disk once
        the directory is synced.

        Raises:
            OSError: nothing bears the name.
        """
        line = header.encode()
        path = segments.path(header.segment)
        aside = path.with_suffix(".tmp")
        fd = files.create(aside)
        try:
            if files.pwrite(fd, line, 0) < len(line):
                raise OSError(errno.ENOSPC, "short write")
            files.fdatasync(fd)
            files.rename(aside, path)
        except BaseException:
            files.close(fd)
            raise
        return cls(files, path, fd, header, len(line), begun_us)

    @property
    def start(self) -> Position:
        """Return the place before the first record."""
        return Position(self.number, self.nonce, self.header_length, self.first_seq - 1)

    def write(self, data: bytes) -> None:
        """Write whole records at ``offset``. Raises ``OSError``: ``cut_back`` before anything else is written."""
        written = self._files.pwrite(self.fd, data, self.offset)
        if written != len(data):
            self.write_rest(data, written)

    def write_rest(self, data: bytes, written: int) -> None:
        """Finish a short write. What comes of it says why it was one: no room is an error of its own then."""
        while written < len(data):
            count = self._files.pwrite(self.fd, data[written:], self.offset + written)
            if count == 0:
                raise OSError(errno.ENOSPC, "short write")
            written += count

    def cut_back(self) -> None:
        """Bring the file back to ``offset``. Raises ``OSError``: what a failed write left is still there."""
        self._files.ftruncate(self.fd, self.offset)

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            self._files.close(fd)
