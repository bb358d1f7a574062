"""The stage of a served replay: a scratch data directory into which a recorded log's own bytes come, as time goes by.

The segments are copied byte for byte up to the place that is shown, and a COMMITTED of our own moves along: a server on
the directory cannot tell it from a Runtime's, and every cursor, event id, seq and time is the recorded one. The recorded
log is only read. What the recording's catalog knows of events before its floor does not come along.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from yoi_runtime.errors import LogFormatError, SegmentGoneError
from yoi_runtime.runtime.runtime import LOG_DIRECTORY
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.doorbell import doorbell_of
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.watermark import WatermarkFile

__all__ = ["Stage"]

_COPY_BYTES = 1 << 20


class Stage:
    """The directory ``data_dir``, made new; it begins with no event. Belongs to one task."""

    def __init__(self, reader: LogReader, data_dir: Path) -> None:
        """Raise ``LogError`` when no segment of ``reader`` can be read, ``OSError`` when the disk refuses."""
        self.data_dir = data_dir
        self._source = reader
        self._headers = SegmentDirectory(reader.directory, REAL_PLATFORM)
        self._log = data_dir / LOG_DIRECTORY
        self._log.mkdir(parents=True)
        self._copied: dict[int, int] = {}
        self.shown = reader.floor()
        self._bell = doorbell_of(self._log)
        self._marks = WatermarkFile(self._log, REAL_PLATFORM, reader.log_id, 0)
        self._copy(self.shown.segment, self.shown.offset)
        self._marks.write(self.shown, self.shown)

    def show(self, end: Position, *, clean: bool = False) -> None:
        """Let everything up to ``end`` appear. ``clean``: the log was closed in good order there.

        Raises:
            OSError: the disk refused, or a recorded segment is gone.
        """
        for number in self._source.segment_numbers():
            if self.shown.segment <= number < end.segment:
                self._copy(number, self._length(number))
        # The bytes before the mark: a reader goes as far as that says.
        self._copy(end.segment, end.offset)
        self._marks.write(end, end, clean=clean)
        self.shown = end
        self._bell.ring()

    def _length(self, number: int) -> int:
        """Return how far a sealed segment goes: as the next one's header says, or all of it where none can be read."""
        following = min((other for other in self._source.segment_numbers() if other > number), default=None)
        if following is not None:
            try:
                before = self._headers.header(following).previous
            except (LogFormatError, SegmentGoneError):
                before = None
            if before is not None and before.segment == number:
                return before.valid_length
        return self._headers.size(number)

    def _copy(self, number: int, length: int) -> None:
        done = self._copied.get(number, 0)
        if done >= length:
            return
        name = segment_name(number)
        with (self._source.directory / name).open("rb") as source, (self._log / name).open("ab") as target:
            source.seek(done)
            while done < length and (piece := source.read(min(_COPY_BYTES, length - done))):
                target.write(piece)
                done += len(piece)
        self._copied[number] = done

    def strike(self) -> None:
        """Take the stage down: close and delete what it made."""
        self._marks.close()
        shutil.rmtree(self.data_dir, ignore_errors=True)
