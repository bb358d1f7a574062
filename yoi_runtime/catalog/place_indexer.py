"""Makes the place files of sealed segments, in a thread of the writing process that takes its time.

Reads each segment once, record by record: a file is made of a segment that is whole and sound, or not at all.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from yoi_runtime.catalog.fold import fold_and_place
from yoi_runtime.catalog.ledger import Ledger
from yoi_runtime.catalog.place_file import Block, PlaceFile, bytes_to_grid, place_path, write_places
from yoi_runtime.catalog.places import Places
from yoi_runtime.checksum import crc32
from yoi_runtime.errors import LogError, RecordCorruptError
from yoi_runtime.notices import Notice, named
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.writer import SealedSegment

__all__ = ["SMALLEST_INDEXED_BYTES", "PlaceIndexer", "index_segment"]

_log = logging.getLogger("yoi_runtime.catalog")

# A smaller segment is read whole sooner than anybody would look up where to read.
SMALLEST_INDEXED_BYTES = 1 << 20
_LOOK_SECONDS = 1.0
# How long a segment is left alone whose file could not be made; twice as long each time that fails again.
_RETRY_SECONDS = 60.0
# Between two blocks of 0.4 ms each: it has a twentieth of a processor and an event loop beside it does not notice.
_PAUSE_SECONDS = 0.008


class PlaceIndexer:
    """Follows ``sealed``, the writer's list of sealed segments; newest first, because those are asked for most."""

    def __init__(self, log_directory: Path, sealed: Callable[[], Sequence[SealedSegment]], platform: Platform) -> None:
        self._log_directory = log_directory
        self._sealed = sealed
        self._platform = platform
        self._looked_at: set[int] = set()
        # Of a segment whose file could not be made: when it is its turn again, and how long it then waits.
        self._failed: dict[int, tuple[float, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="yoi-places", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, at the latest after the next block; what is half made is made another time."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            try:
                segments = self._sealed()
            except (LogError, OSError) as error:
                _log.warning(
                    "no place files are made for now, readers read whole segments: %s",
                    error,
                    extra=named(Notice.PLACE_FILES_PAUSED),
                )
                continue
            for segment in reversed(segments):
                if not self._is_due(segment):
                    continue
                try:
                    index_segment(self._log_directory, segment, self._platform, self._go_on)
                except (LogError, OSError) as error:
                    self._put_off(segment, error)
                    continue
                if self._stop.is_set():
                    return
                self._looked_at.add(segment.number)
                self._failed.pop(segment.number, None)

    def _is_due(self, segment: SealedSegment) -> bool:
        if segment.number in self._looked_at or segment.size_bytes < SMALLEST_INDEXED_BYTES:
            return False
        again, _ = self._failed.get(segment.number, (0.0, 0.0))
        return self._platform.clock.monotonic() >= again

    def _put_off(self, segment: SealedSegment, error: LogError | OSError) -> None:
        _, wait = self._failed.get(segment.number, (0.0, _RETRY_SECONDS))
        self._failed[segment.number] = (self._platform.clock.monotonic() + wait, 2 * wait)
        _log.warning(
            "segment %d has no place file, its readers read all of it; again in %.0f s: %s",
            segment.number,
            wait,
            error,
            extra=named(Notice.PLACE_FILE_NOT_MADE, segment=segment.number),
        )

    def _go_on(self) -> bool:
        return not self._stop.wait(_PAUSE_SECONDS)


def index_segment(
    log_directory: Path, segment: SealedSegment, platform: Platform, go_on: Callable[[], bool] = lambda: True
) -> bool:
    """Make the place file of a sealed segment unless there is a sound one; False when it is damaged or ``go_on`` says so.

    Raises:
        LogError, OSError: it cannot be read, or the file cannot be written.
    """
    known = PlaceFile.open(log_directory, segment.number, platform)
    if known is not None and known.start.nonce == segment.nonce and known.is_sound(platform):
        return True
    reader = LogReader(log_directory, platform)
    try:
        position = reader.start_of(segment.number)
        places, blocks, ledger = Places(position), list[Block](), Ledger()
        while position.offset < segment.size_bytes:
            try:
                chunk = reader.read(position, bytes_to_grid(position.offset))
            except RecordCorruptError:
                return False
            if chunk is None or chunk.start != position or not go_on():
                return False
            fold_and_place(ledger, chunk, places)
            blocks.append(Block(chunk.end, crc32(chunk.data)))
            position = chunk.end
        if position.seq != segment.last_seq or not blocks:
            return False
        write_places(log_directory, places, blocks, platform)
        reader.relist()
        if segment.number < reader.oldest_number():
            platform.files.unlink(place_path(log_directory, segment.number))
        return True
    finally:
        reader.close()
