"""When a connected peer counts as gone: it has promised a heartbeat, and nothing comes. Judges; has no clock.

Counted in ticks, so many to a heartbeat, instead of in seconds: a loop that stood still for an hour (a blocking call)
comes back to one tick, and reads what came meanwhile before it can judge.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

__all__ = ["HEARTBEATS_UNTIL_GONE", "TICKS_PER_HEARTBEAT", "SilenceCount", "SilenceVerdict"]

TICKS_PER_HEARTBEAT: Final = 2
# docs/protocol.md, "v1": no frame for three times heartbeat_ms.
HEARTBEATS_UNTIL_GONE: Final = 3
_TICKS_UNTIL_STALLED: Final = 3
_TICKS_UNTIL_GONE: Final = HEARTBEATS_UNTIL_GONE * TICKS_PER_HEARTBEAT


class SilenceVerdict(Enum):
    """``STALLED`` is said once, when one and a half heartbeats have passed."""

    FINE = auto()
    STALLED = auto()
    GONE = auto()


class SilenceCount:
    """Counts the ticks since something was heard while somebody listened."""

    def __init__(self) -> None:
        self._ticks = 0

    def heard(self) -> None:
        """Note that a message came."""
        self._ticks = 0

    def tick(self, *, listening: bool) -> SilenceVerdict:
        """Judge anew. Not ``listening``: the messages may lie in a buffer of ours, so the peer is not to blame."""
        self._ticks = self._ticks + 1 if listening else 0
        if self._ticks >= _TICKS_UNTIL_GONE:
            return SilenceVerdict.GONE
        return SilenceVerdict.STALLED if self._ticks == _TICKS_UNTIL_STALLED else SilenceVerdict.FINE
