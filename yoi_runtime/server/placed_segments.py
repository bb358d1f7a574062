"""The places of one log's segments, for reading: noted by the fold, or from the files beside sealed segments. No sockets."""

from __future__ import annotations

import logging
from array import array
from collections import OrderedDict
from typing import Protocol

from yoi_runtime.catalog.place_file import Block, PlaceFile
from yoi_runtime.catalog.places import Places, places_after
from yoi_runtime.errors import LogFormatError, SegmentGoneError
from yoi_runtime.notices import Notice, named
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader

__all__ = ["PlacedSegment", "PlacedSegments"]

_log = logging.getLogger("yoi_runtime.server")

# Eight bytes each, and an eighth more while they grow: 18 MB in all, and some 250 bytes for each Worker of each segment.
_MAX_PLACES = 2_000_000
# Of one place file: whose places were looked up last.
_MAX_LOOKED_UP = 64


class PlacedSegment(Protocol):
    """The places of the records of a segment between ``start`` and ``end``."""

    @property
    def start(self) -> Position: ...
    @property
    def end(self) -> Position: ...
    def after(self, worker_id: str, offset: int, most: int) -> list[tuple[int, int]] | None:
        """Return (offset, length) of a Worker's next records; None when that cannot be said."""
        ...


class _FiledSegment:
    """A place file with what was looked up in it."""

    def __init__(self, file: PlaceFile, platform: Platform) -> None:
        self._file = file
        self._platform = platform
        self._looked_up: OrderedDict[str, array[int]] = OrderedDict()
        self.start = file.start
        self.end = file.end
        self.blocks = file.blocks

    def after(self, worker_id: str, offset: int, most: int) -> list[tuple[int, int]] | None:
        places = self._looked_up.get(worker_id)
        if places is None:
            try:
                places = self._file.places_of(worker_id, self._platform)
            except OSError:
                # Gone with its segment, or not to be read: the segment itself can tell.
                return None
            if places is None:
                return None
            self._looked_up[worker_id] = places
            if len(self._looked_up) > _MAX_LOOKED_UP:
                self._looked_up.popitem(last=False)
        return places_after(places, offset, most)


class PlacedSegments:
    """Everything that is known of where records stand. ``reader`` is the view's."""

    def __init__(self, reader: LogReader, platform: Platform) -> None:
        self._reader = reader
        self._platform = platform
        self._noted: OrderedDict[int, Places] = OrderedDict()
        # None: the disk refused the file, which is not asked for again.
        self._filed: dict[int, _FiledSegment | None] = {}

    def noted_before(self, start: Position) -> Places:
        """Return the places that what begins at ``start`` goes on; new ones where something lies between."""
        places = self._noted.get(start.segment)
        if places is None or places.end != start:
            places = self._noted[start.segment] = Places(start)
            while len(self._noted) > 1 and sum(noted.count for noted in self._noted.values()) > _MAX_PLACES:
                self._noted.popitem(last=False)
        return places

    def around(self, position: Position) -> PlacedSegment | None:
        """Return the places of the segment of ``position``, if they reach back that far."""
        places: PlacedSegment | None = self._noted.get(position.segment)
        if places is None or position.offset < places.start.offset:
            places = self._file_of(position.segment)
        if places is None or places.start.nonce != position.nonce or position.offset < places.start.offset:
            return None
        return places

    def block_at(self, position: Position) -> Block | None:
        """Return the block that begins at ``position``, None when none is known to."""
        filed = self._file_of(position.segment)
        if filed is None or filed.start.nonce != position.nonce:
            return None
        block = filed.blocks.get(position.offset)
        return block if block is not None and block.end.seq > position.seq else None

    def following(self, places: PlacedSegment) -> Position | None:
        """Return the beginning of the next segment, if ``places`` reach to the end of theirs and nothing lies between."""
        number = places.end.segment + 1
        try:
            previous = self._reader.header(number).previous
            start = self._reader.start_of(number)
        except (LogFormatError, SegmentGoneError):
            return None
        sealed = places.end.segment, places.end.nonce, places.end.offset, places.end.seq
        if previous is None or start.seq != places.end.seq:
            return None
        return start if sealed == (previous.segment, previous.nonce, previous.valid_length, previous.last_seq) else None

    def _file_of(self, number: int) -> _FiledSegment | None:
        if number >= self._reader.end.segment:
            return None
        if number in self._filed:
            return self._filed[number]
        try:
            opened = PlaceFile.open(self._reader.directory, number, self._platform)
        except OSError as error:
            _log.warning(
                "segment %d is read without its place file, which cannot be read: %s",
                number,
                error,
                extra=named(Notice.PLACE_FILE_UNREADABLE, segment=number),
            )
            self._filed[number] = None
            return None
        filed = _FiledSegment(opened, self._platform) if opened is not None else None
        # Good for a segment that ended just there, and for no other.
        if filed is not None and self.following(filed) is None:
            filed = None
        if filed is not None:
            self._filed[number] = filed
        return filed

    def forget_below(self, number: int) -> None:
        """Let go of segments that were rotated out."""
        for known in [known for known in self._filed if known < number]:
            del self._filed[known]
        for known in [known for known in self._noted if known < number]:
            del self._noted[known]
