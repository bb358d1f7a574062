"""How often a notice of one name may be written: a burst, then silence until its window is over, then a count.

Pure: the time is handed in. A flood of one name hides none of another.
"""

from __future__ import annotations

__all__ = ["BURST", "WINDOW_SECONDS", "NoticeRate"]

# What a person reads of one kind before he has understood.
BURST = 20
WINDOW_SECONDS = 10.0


class _Window:
    __slots__ = ("began", "seen")

    def __init__(self, began: float) -> None:
        self.began = began
        self.seen = 0


class NoticeRate:
    """Windows by name; a window that is over and held nothing back is forgotten."""

    def __init__(self, burst: int = BURST, window_seconds: float = WINDOW_SECONDS) -> None:
        self._burst = burst
        self._window_seconds = window_seconds
        self._windows: dict[str, _Window] = {}

    def admits(self, name: str, now: float) -> bool:
        """Say whether one more of this name may be written now. Call ``over`` before."""
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = _Window(now)
        window.seen += 1
        return window.seen <= self._burst

    def over(self, now: float) -> list[tuple[str, int]]:
        """Forget the windows that are over; return what was held back in them, by name."""
        ended = [name for name, window in self._windows.items() if now - window.began >= self._window_seconds]
        windows = [(name, self._windows.pop(name).seen - self._burst) for name in ended]
        return [(name, held_back) for name, held_back in windows if held_back > 0]

    def rest(self) -> list[tuple[str, int]]:
        """Return what is being held back, and forget it."""
        return self.over(float("inf"))

    def seconds_left(self, now: float) -> float | None:
        """Return when the next count is due; None when nothing is held back."""
        begun = [window.began for window in self._windows.values() if window.seen > self._burst]
        return max(0.0, min(begun) + self._window_seconds - now) if begun else None
