"""How late the event loop is, and where the log ended when: two things that a regular look is needed for.

Four times a second. The first says whether anything blocks this process; with the second, how far behind a subscriber is
can be said in seconds without reading anything.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Callable

from yoi_runtime.latencies import Latencies
from yoi_runtime.notices import Notice, named

__all__ = ["BLOCKED_SECONDS", "LOOK_SECONDS", "LoopWatch"]

_log = logging.getLogger("yoi_runtime.server")

LOOK_SECONDS = 0.25
# Late enough that a person watching would see events stop.
BLOCKED_SECONDS = 1.0
# Ten minutes of looks: who is further behind than that is behind since he came.
_LOOKS = 2400


class LoopWatch:
    """Looks from a task of its own (``run``). ``end_seq``: says up to which event the log is shown."""

    def __init__(self, clock: Callable[[], float], end_seq: Callable[[], int]) -> None:
        self._clock = clock
        self._end_seq = end_seq
        self._seqs: deque[int] = deque(maxlen=_LOOKS)
        self._times: deque[float] = deque(maxlen=_LOOKS)
        self.delays = Latencies()
        self.looked_at = clock()

    def look(self, late_seconds: float) -> None:
        """Take note of how late this look is, and of the end of the log."""
        self.delays.add(max(0.0, late_seconds))
        if late_seconds > BLOCKED_SECONDS:
            _log.warning(
                "the event loop was held up for %.1f s",
                late_seconds,
                extra=named(Notice.LOOP_BLOCKED, seconds=round(late_seconds, 3)),
            )
        self.looked_at = self._clock()
        seq = self._end_seq()
        if self._seqs and seq < self._seqs[-1]:
            # Another log: its numbers begin anew.
            self._seqs.clear()
            self._times.clear()
        if self._seqs and seq == self._seqs[-1]:
            # A quiet log is at its end now as it was then; one look is enough.
            self._times[-1] = self.looked_at
            return
        self._seqs.append(seq)
        self._times.append(self.looked_at)

    def seconds_since_end_was(self, seq: int) -> float | None:
        """Return how long ago event ``seq`` was the last of the log; None when that is longer than is remembered."""
        index = bisect_right(self._seqs, seq) - 1
        return None if index < 0 else max(0.0, self._clock() - self._times[index])

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            due = self._clock() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            self.look(self._clock() - due)
