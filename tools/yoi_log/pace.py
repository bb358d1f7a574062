"""When a recorded moment is due: the recording's time against a clock, faster or slower, paused, and moved. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

__all__ = ["FLAT_OUT", "Pace", "parse_speed"]

FLAT_OUT = math.inf
_SPEED = re.compile(r"([0-9]+(?:\.[0-9]+)?)x?")


def parse_speed(text: str) -> float:
    """Read ``10x``, ``0.5`` or ``max``.

    Raises:
        ValueError: it is none of them; with a sentence for whoever typed it.
    """
    if text == "max":
        return FLAT_OUT
    found = _SPEED.fullmatch(text)
    if found is None or not float(found[1]):
        raise ValueError(f"{text!r} is no speed: give a factor such as 10x or 0.5, or max")
    return float(found[1])


class Pace:
    """Runs from the first moment it is asked about. Times of the recording are microseconds, of the clock seconds."""

    def __init__(self, speed: float, monotonic: Callable[[], float]) -> None:
        self._speed = speed
        self._monotonic = monotonic
        self._from_us: float | None = None
        self._from_seconds = 0.0
        self._paused = False

    @property
    def speed(self) -> float:
        return self._speed

    @property
    def paused(self) -> bool:
        return self._paused

    def wait_seconds(self, recorded_us: float) -> float:
        """Return how long it is until ``recorded_us`` is due: 0 or less when it is, infinity while paused before it."""
        if self._from_us is None:
            self.jump(recorded_us)
        ahead_us = recorded_us - self.now_us()
        if ahead_us <= 0:
            return 0.0
        return math.inf if self._paused else ahead_us / 1e6 / self._speed

    def now_us(self) -> float:
        """Return the moment of the recording that it is; flat out that is always later than any."""
        if self._from_us is None:
            return -math.inf
        if self._paused:
            return self._from_us
        if self._speed == FLAT_OUT:
            return math.inf
        return self._from_us + (self._monotonic() - self._from_seconds) * self._speed * 1e6

    def jump(self, recorded_us: float) -> None:
        """Make it be ``recorded_us`` now."""
        self._from_us, self._from_seconds = recorded_us, self._monotonic()

    def pause(self, recorded_us: float) -> None:
        """Stop at ``recorded_us``; what is due by then stays due."""
        self.jump(recorded_us)
        self._paused = True

    def go_on(self) -> None:
        """End a pause."""
        if self._paused and self._from_us is not None:
            self.jump(self._from_us)
        self._paused = False

    def change_speed(self, speed: float, recorded_us: float) -> None:
        """Go on from ``recorded_us`` at another speed."""
        self.jump(recorded_us)
        self._speed = speed
