"""Where something is in a log."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Position"]


class Position(NamedTuple):
    """A point between two records of one log; ordered as the log is.

    ``nonce`` is the segment's random number (64 bits): it tells this segment from another that
    bore the same number. ``offset`` is in bytes. ``seq`` is the number of the last record before
    this point (0 at the beginning of a log).

    The end of one segment and the beginning of the next are the same place under two names;
    ``seq`` is equal there.
    """

    segment: int
    nonce: int
    offset: int
    seq: int
