"""What is due as segments come and go: the books follow each roll, retention deletes, an old segment is sealed.

Decides nothing by itself: ``retention`` says what goes, the books what may. Everything here is done in the event log's
turn. The log is right without any of it; what fails is done again with the next roll or maintenance.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence

from yoi_runtime.errors import LogError
from yoi_runtime.event_log.bookkeeper import Bookkeeper
from yoi_runtime.notices import Notice, named
from yoi_runtime.segment_log.retention import RetentionPolicy, count_to_rotate_out
from yoi_runtime.segment_log.writer import LogWriter, SealedSegment

__all__ = ["Upkeep"]

_log = logging.getLogger("yoi_runtime.event_log")


class Upkeep:
    """Keeps a log within its retention, and the books in step with its segments.

    ``followed`` is the segment that the books are in; the appending side compares it with the writer's after each append.
    """

    __slots__ = ("_books", "_retention", "_writer", "followed")

    def __init__(self, writer: LogWriter, books: Bookkeeper, retention: RetentionPolicy) -> None:
        self._writer = writer
        self._books = books
        self._retention = retention
        self.followed = writer.active_number

    def roll(self) -> None:
        """Seal the active segment, and do what is due then. Errors: ``LogWriter.roll``."""
        self.catch_up()
        self._writer.roll()
        self.follow_roll()

    def maintain(self) -> None:
        """Rotate out what retention does not keep, and roll the active segment when it is old.

        Raises:
            LogError, OSError: as ``LogWriter.roll``; nothing was lost.
        """
        self._writer.check_place()
        age_us = self._writer.steady_clock.now_us() - self._writer.begun_us
        retain = self._retention.retain_age_seconds
        self.catch_up()
        # First: where there is no room for a roll, this makes some.
        self.rotate_out()
        # A quarter: nothing outlives its time by more than that.
        if retain is not None and self._writer.active_records and age_us > retain / 4 * 1_000_000:
            self._writer.roll()
            self.follow_roll()

    def catch_up(self) -> None:
        """Follow a roll that nobody followed yet: the append that made it failed after it."""
        if self._writer.active_number != self.followed:
            self.follow_roll()

    def follow_roll(self) -> None:
        """Let the books follow a roll, then retention. What fails is logged, and done again later."""
        self.followed = self._writer.active_number
        segment = self._writer.sealed_segments[-1]
        start = self._writer.active_start
        try:
            self._books.sealed(segment, start)
        except (LogError, OSError) as error:
            told = named(Notice.BOOKS_NOT_KEPT, segment=self.followed)
            _log.warning("the books could not follow the roll to segment %d: %s", self.followed, error, extra=told)
        try:
            self.rotate_out()
        except (LogError, OSError) as error:
            told = named(Notice.RETENTION_FAILED, segment=self.followed)
            _log.warning("retention could not follow the roll to segment %d: %s", self.followed, error, extra=told)

    def rotate_out(self) -> None:
        """Delete what retention does not keep, once the books have counted it as gone.

        Raises:
            LogError, OSError: what was not deleted is the next time.
        """
        sealed = self._writer.sealed_segments
        now_us = self._writer.steady_clock.now_us()
        count = count_to_rotate_out(sealed.ages(), self._writer.active_bytes, self._retention, now_us)
        # What a pass that did not come to its end has counted as gone goes now, whatever retention says today.
        counted_seq = self._books.counted_seq()
        for index, segment in enumerate(sealed):
            if segment.last_seq > counted_seq:
                break
            if segment.first_seq <= segment.last_seq:
                count = max(count, index + 1)
        if count:
            going, before = sealed[:count], len(sealed)
            # The books are about to be made durable: with an event in them that a power cut takes from the log, its
            # Worker's numbers would have a gap.
            self._writer.sync()
            self._count_as_gone(going)
            try:
                self._writer.rotate_out(count)
            finally:
                self._books.rotated_out(going[: before - len(sealed)])
            self._writer.make_reserve()

    def _count_as_gone(self, segments: Sequence[SealedSegment]) -> None:
        try:
            self._books.rotating_out(segments)
        except OSError as error:
            # Deleting makes room, but has to be written down first: that is what the reserve is for, too.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._writer.release_reserve():
                raise
            self._books.rotating_out(segments)
