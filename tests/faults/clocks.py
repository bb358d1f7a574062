"""A clock that stands still until a test moves it."""

from __future__ import annotations

__all__ = ["ManualClock"]

# 2026-11-22T00:00:00Z: a round figure, so that times in a failing test can be read.
_START_US = 1_795_305_600_000_000


class ManualClock:
    """Wall and monotonic clock, moved apart or together; neither moves by itself."""

    def __init__(self, now_us: int = _START_US, monotonic_seconds: float = 1000.0) -> None:
        self._now_us = now_us
        self._monotonic = monotonic_seconds

    def now_us(self) -> int:
        return self._now_us

    def monotonic(self) -> float:
        return self._monotonic

    def pass_seconds(self, seconds: float) -> None:
        """Let time go by, on both clocks."""
        if seconds < 0:
            raise ValueError(f"time does not go back by {-seconds} s; see jump_wall")
        self._now_us += int(seconds * 1_000_000)
        self._monotonic += seconds

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an administrator does; the monotonic clock does not notice."""
        self._now_us += int(seconds * 1_000_000)
