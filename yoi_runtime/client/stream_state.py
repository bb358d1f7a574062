"""What a stream is doing, for people and supervisors to see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

__all__ = ["OnState", "StateDetail", "StreamState"]


class StreamState(StrEnum):
    """connecting: a try is under way. live: frames come. waiting: until the next try. ended: for good.

    ``live`` says nothing of the distance to the end of the log: v0 does not tell when a stream has caught up.
    """

    CONNECTING = "connecting"
    LIVE = "live"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class StateDetail:
    """``tries``: how many in a row have not led to a healthy connection. ``delay_seconds``: of waiting.

    ``reason``: why it waits or has ended, for people; empty where there is nothing to say.
    """

    tries: int = 0
    delay_seconds: float | None = None
    reason: str = ""


OnState: TypeAlias = Callable[[StreamState, StateDetail], None]
"""Called on the event loop at every change of state. What it raises ends the stream."""
