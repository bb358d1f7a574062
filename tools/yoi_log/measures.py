"""What one pass over a log can measure in bounded memory: durations, the longest few of something, names and counts."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Durations", "Longest", "NameCounts"]

_T = TypeVar("_T")
# Neighbouring buckets differ by a twentieth: a percentile is told that exactly.
_STEP = math.log(1.05)
_OTHERS = "(others)"


class Durations:
    """Count, sum, extremes and percentiles of durations in seconds, in at most a few hundred buckets."""

    def __init__(self) -> None:
        self.count = 0
        self.total_seconds = 0.0
        self.longest_seconds = 0.0
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Take one more in; a clock that was set back gives 0."""
        seconds = max(0.0, seconds)
        self.count += 1
        self.total_seconds += seconds
        self.longest_seconds = max(self.longest_seconds, seconds)
        self._buckets[math.floor(math.log(max(seconds, 1e-6)) / _STEP)] += 1

    def percentile(self, share: float) -> float:
        """Return the duration that ``share`` (0 to 1) of all do not exceed, to 5 %; 0 when there are none."""
        wanted, seen = share * self.count, 0
        for bucket, count in sorted(self._buckets.items()):
            seen += count
            if seen >= wanted:
                return min(self.longest_seconds, math.exp((bucket + 1) * _STEP))
        return 0.0

    def summary(self) -> dict[str, float | int]:
        """Return it as a JSON object; seconds to the microsecond."""
        return {
            "count": self.count,
            "total_seconds": round(self.total_seconds, 6),
            "p50_seconds": round(self.percentile(0.5), 6),
            "p95_seconds": round(self.percentile(0.95), 6),
            "longest_seconds": round(self.longest_seconds, 6),
        }


class Longest(Generic[_T]):
    """The ``most`` things with the greatest measure."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[float, int, _T]] = []
        self._offered = 0

    def offer(self, measure: float, thing: _T) -> None:
        """Keep ``thing`` if it is among the greatest; of equal ones the earlier stays."""
        self._offered += 1
        entry = (measure, -self._offered, thing)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        elif entry[:2] > self._heap[0][:2]:
            heapq.heapreplace(self._heap, entry)

    def __iter__(self) -> Iterator[_T]:
        """Yield them, the greatest first."""
        return (entry[2] for entry in sorted(self._heap, key=lambda entry: entry[:2], reverse=True))


class NameCounts:
    """Counts by name, of at most ``most`` names: what more there are is counted together."""

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        if name not in self._counts and len(self._counts) >= self._most:
            name = _OTHERS
        self._counts[name] += 1

    def by_count(self) -> dict[str, int]:
        """Return name and count, the most frequent first."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))
