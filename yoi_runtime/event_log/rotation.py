"""Rotating out: the books count what goes, durably, before the files are deleted. Called with the append lock."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from yoi_runtime.event_log.bookkeeper import Bookkeeper
from yoi_runtime.segment_log.retention import RetentionPolicy, count_to_rotate_out
from yoi_runtime.segment_log.writer import LogWriter, SealedSegment

__all__ = ["Rotation"]


class Rotation:
    """Keeps one log within its retention."""

    def __init__(self, writer: LogWriter, bookkeeper: Bookkeeper, retention: RetentionPolicy) -> None:
        self._writer = writer
        self._books = bookkeeper
        self._retention = retention

    def rotate_out(self) -> None:
        """Delete what retention does not keep, and what a pass that was ended had counted as gone already.

        Raises:
            LogError, OSError: not all of it was deleted; call again.
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
