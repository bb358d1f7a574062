"""How long the kit waits, and for what.

What the wire can tell a client (``retry_after_ms``, ``heartbeat_ms``) may be shortened: the client learns it. Its own
backoff may not, so waiting for it to come has a deadline and ends as soon as it has come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FAST_SCALE", "Timing"]

FAST_SCALE: Final = 0.25

# From docs/protocol.md, "Keepalive".
_PONG_SECONDS: Final = 10.0
# Timers end early by a millisecond here and there.
_EARLY_MS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Timing:
    """``patience_seconds``: for anything the client has to do. ``quiet_seconds``: nothing in this time is never.

    ``scale`` shortens quiet times and the delays that the script tells the client.
    """

    patience_seconds: float = 60.0
    quiet_seconds: float = 3.0
    scale: float = 1.0
    # For a client that has what it was sent, to have stored the cursor as well.
    settle_seconds: float = 0.2

    @property
    def scaled_quiet_seconds(self) -> float:
        return self.quiet_seconds * self.scale

    @property
    def pong_seconds(self) -> float:
        return min(_PONG_SECONDS, self.patience_seconds)

    @property
    def handed_over_seconds(self) -> float:
        """For the events of one connection to be handed over, before it is broken."""
        return min(10.0, self.patience_seconds)

    def told_ms(self, milliseconds: int) -> int:
        """Return a delay of the script as it is told on the wire."""
        return round(milliseconds * self.scale)

    def is_too_early(self, waited_seconds: float, not_before_ms: int) -> bool:
        return waited_seconds * 1000 + _EARLY_MS < self.told_ms(not_before_ms)
