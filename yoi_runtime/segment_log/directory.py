"""The directory of a log: which segments there are and how each begins. Reads only, changes nothing."""

from __future__ import annotations

from pathlib import Path

from yoi_runtime.errors import LogFormatError, LogNotFoundError, SegmentGoneError
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.segment import MAX_HEADER_BYTES, SegmentHeader, segment_name, segment_numbers

__all__ = ["SegmentDirectory"]


class SegmentDirectory:
    """Segment numbers and headers of one log directory; headers never change and are kept.

    Once ``log_id`` is set, a segment of another log counts as damaged.
    """

    def __init__(self, directory: Path, platform: Platform) -> None:
        self.directory = directory
        self.log_id: str | None = None
        self._files = platform.files
        self._headers: dict[int, SegmentHeader] = {}

    def path(self, number: int) -> Path:
        """Return the path of segment ``number``, whether it exists or not."""
        return self.directory / segment_name(number)

    def numbers(self) -> list[int]:
        """Return the numbers of all segment files, ascending. Other names are passed over.

        Raises:
            LogNotFoundError: the directory does not exist.
        """
        try:
            names = self._files.list_directory(self.directory)
        except (FileNotFoundError, NotADirectoryError):
            raise LogNotFoundError(self.directory) from None
        found = segment_numbers(names)
        if found:
            for number in [known for known in self._headers if known < found[0]]:
                del self._headers[number]
        return found

    def header(self, number: int) -> SegmentHeader:
        """Return the header of segment ``number``.

        Raises:
            SegmentGoneError: the file does not exist.
            LogFormatError: its first line is not a sound header of this segment, or that of another log.
        """
        header = self._headers.get(number)
        if header is None:
            path = self.path(number)
            try:
                fd = self._files.open_read(path)
            except FileNotFoundError:
                raise SegmentGoneError(self.directory, number) from None
            try:
                header = SegmentHeader.decode(self._files.pread(fd, MAX_HEADER_BYTES, 0), path)
            finally:
                self._files.close(fd)
            self._headers[number] = header
        if self.log_id is not None and header.log_id != self.log_id:
            raise LogFormatError(self.path(number), f"it is a segment of another log, {header.log_id}")
        return header

    def size(self, number: int) -> int:
        """Return the size in bytes of segment ``number``.

        Raises:
            SegmentGoneError: the file does not exist.
        """
        try:
            fd = self._files.open_read(self.path(number))
        except FileNotFoundError:
            raise SegmentGoneError(self.directory, number) from None
        try:
            return self._files.stat(fd).size
        finally:
            self._files.close(fd)
