"""Taking note of what is turned away: counted each time, said in the log at most once in a while.

Who turns a server's limits against it must not fill its disk with lines about that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from yoi_runtime.notices import Notice, named
from yoi_runtime.server.limits import LimitCounters, RefusedBecause

__all__ = ["Refusals"]

_log = logging.getLogger("yoi_runtime.server")

_LOG_SECONDS = 10.0
# What an operator may want to do something about. The others are the peer's own fault, and told to it.
_LOUD = frozenset(
    {
        RefusedBecause.SUBSCRIBERS,
        RefusedBecause.SUBSCRIBERS_PER_TOKEN,
        RefusedBecause.SUBSCRIBERS_PER_WORKER,
        RefusedBecause.UNFINISHED,
        RefusedBecause.DESCRIPTORS,
        RefusedBecause.FLOOD,
    }
)


class Refusals:
    """One per server process."""

    def __init__(self, counters: LimitCounters, monotonic_seconds: Callable[[], float] = time.monotonic) -> None:
        self._counters = counters
        self._clock = monotonic_seconds
        self._told_at: dict[RefusedBecause, float] = {}
        self._untold: dict[RefusedBecause, int] = {}

    def note(self, reason: RefusedBecause) -> None:
        self._counters.refused[reason] += 1
        self._untold[reason] = self._untold.get(reason, 0) + 1
        now = self._clock()
        if reason not in self._told_at or now - self._told_at[reason] >= _LOG_SECONDS:
            self._told_at[reason] = now
            level = logging.WARNING if reason in _LOUD else logging.INFO
            text, count = "refused, because of %s: %d since this was last said", self._untold.pop(reason)
            _log.log(level, text, reason, count, extra=named(Notice.REFUSED, reason=reason, count=count))
