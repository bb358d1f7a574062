"""The sealed segments of an open log. What was on disk at the opening is looked at when somebody asks for it.

Looking at every header makes an opening of 640 segments take 24 ms of CPU instead of 4; retention asks for the sizes of all
and the age of the oldest. A segment never changes, so looking later finds the same; whoever deletes or damages one by
hand in between has it described as if that had been so at the opening.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, overload

from yoi_runtime.errors import LogFormatError, SegmentGoneError
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.retention import Aged
from yoi_runtime.segment_log.segment import Previous
from yoi_runtime.segment_log.timestamp import parse_timestamp

__all__ = ["SealedSegment", "SealedSegments"]


class SealedSegment(NamedTuple):
    """A segment that will never change again; ``sealed_us`` is in the log's steady time."""

    number: int
    nonce: int
    first_seq: int
    last_seq: int
    size_bytes: int
    sealed_us: int


class _Begin(NamedTuple):
    """How a segment begins: at which seq, and when."""

    nonce: int
    first_seq: int
    begun_us: int


class _Found:
    """A segment that was found at the opening, before its successor ``following``."""

    __slots__ = ("_begin", "_size_bytes", "following", "number", "segments")

    def __init__(self, segments: SegmentDirectory, number: int, following: _Found | _Begin) -> None:
        self.segments = segments
        self.number = number
        self.following = following
        self._begin: _Begin | None = None
        self._size_bytes: int | None = None

    def begin(self) -> _Begin | None:
        """Return how it begins by its own header, None when that is damaged or the file is gone."""
        if self._begin is None:
            try:
                header = self.segments.header(self.number)
                self._begin = _Begin(header.nonce, header.first_seq, parse_timestamp(header.time))
            except (LogFormatError, SegmentGoneError, ValueError):
                return None
        return self._begin

    def end(self) -> _Begin:
        """Return how what follows it begins: the next segment whose header can be read, or the opening's own."""
        following = self.following
        while isinstance(following, _Found):
            begin = following.begin()
            if begin is not None:
                return begin
            following = following.following
        return following

    @property
    def size_bytes(self) -> int:
        if self._size_bytes is None:
            try:
                self._size_bytes = self.segments.size(self.number)
            except SegmentGoneError:
                self._size_bytes = 0
        return self._size_bytes

    @property
    def sealed_us(self) -> int:
        return self.end().begun_us

    def describe(self) -> SealedSegment:
        end = self.end()
        begin = self.begin() or _Begin(0, end.first_seq, end.begun_us)
        return SealedSegment(
            self.number, begin.nonce, begin.first_seq, end.first_seq - 1, self.size_bytes, end.begun_us
        )


class SealedSegments(Sequence[SealedSegment]):
    """Sealed segments, oldest first. Asking for one may read its header, so ``OSError`` is possible."""

    def __init__(
        self, segments: SegmentDirectory, numbers: Sequence[int], previous: Previous | None, now_us: int
    ) -> None:
        """Take those on disk; one with a damaged header borrows from its neighbours. ``previous``: how the last ends."""
        following: _Found | _Begin = _Begin(0, previous.last_seq + 1 if previous is not None else 1, now_us)
        found: list[_Found | SealedSegment] = []
        for number in reversed(numbers):
            following = _Found(segments, number, following)
            found.append(following)
        found.reverse()
        self._segments = found

    def __len__(self) -> int:
        return len(self._segments)

    @overload
    def __getitem__(self, index: int) -> SealedSegment: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SealedSegment, ...]: ...

    def __getitem__(self, index: int | slice) -> SealedSegment | tuple[SealedSegment, ...]:
        if isinstance(index, slice):
            return tuple(self[place] for place in range(*index.indices(len(self))))
        segment = self._segments[index]
        if isinstance(segment, _Found):
            segment = self._segments[index] = segment.describe()
        return segment

    @property
    def oldest_number(self) -> int:
        """Return the number of the oldest one, without a look at it."""
        return self._segments[0].number

    def ages(self) -> Sequence[Aged]:
        """Return the segments as retention looks at them: sizes and ages, each found out when it is looked at."""
        return self._segments

    def append(self, segment: SealedSegment) -> None:
        self._segments.append(segment)

    def drop_oldest(self) -> None:
        del self._segments[0]
