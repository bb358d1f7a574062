"""How long to wait before the next try: full jitter under a ceiling that doubles. Decides; never sleeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["FIRST_CEILING_SECONDS", "HEALTHY_SECONDS", "LAST_CEILING_SECONDS", "Backoff"]

FIRST_CEILING_SECONDS: Final = 0.25
LAST_CEILING_SECONDS: Final = 30.0
# A connection that lived this long was no part of the trouble. A mere connect proves nothing: a Runtime that
# accepts and drops in a circle would be called four times a second by every Backend.
HEALTHY_SECONDS: Final = 10.0
# A peer cannot send us to sleep for longer.
_MAX_ASKED_SECONDS: Final = 300.0


class Backoff:
    """The waits of one stream. ``tries`` counts those since the last ``reset``."""

    def __init__(self, random: Callable[[], float]) -> None:
        """Take ``random`` for the jitter: numbers in [0, 1)."""
        self._random = random
        self._ceiling_seconds = FIRST_CEILING_SECONDS
        self.tries = 0

    def next_delay_seconds(self, retry_after_ms: int | None = None) -> float:
        """Return the next wait: at least what the peer asked for, with the jitter on top.

        On top, so that those who were told the same do not come back at the same moment.
        """
        self.tries += 1
        jitter_seconds = self._random() * self._ceiling_seconds
        self._ceiling_seconds = min(2 * self._ceiling_seconds, LAST_CEILING_SECONDS)
        asked_seconds = min((retry_after_ms or 0) / 1000, _MAX_ASKED_SECONDS)
        return asked_seconds + jitter_seconds

    def connection_ended(self, lived_seconds: float) -> None:
        """Begin anew if the connection that has just ended was healthy."""
        if lived_seconds >= HEALTHY_SECONDS:
            self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self._ceiling_seconds = FIRST_CEILING_SECONDS
        self.tries = 0
