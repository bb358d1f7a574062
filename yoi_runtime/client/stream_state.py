"""What a stream is doing, for people and supervisors to see."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self, TypeAlias

__all__ = ["OnState", "StateChange", "StateChanges", "StateDetail", "StreamLag", "StreamState"]

# Changes come at the pace of reconnects; who is behind by so many wants to know where things stand, not each step.
_MOST_UNREAD: Final = 1000


class StreamState(StrEnum):
    """connecting: a try is under way. replaying: what was in the log before comes. live: events come as they happen.
    stalled: connected, but nothing has come for longer than the Runtime ever keeps silent. waiting: until the next
    try. ended: for good.

    A Runtime that speaks v0 alone does not tell when a stream has caught up: there ``live`` is all there is.
    """

    CONNECTING = "connecting"
    REPLAYING = "replaying"
    LIVE = "live"
    STALLED = "stalled"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class StateDetail:
    """``tries``: how many in a row have not led to a healthy connection. ``delay_seconds``: of waiting.

    ``code``: why it waits or has ended, for programs: see docs/client.md, "Why a connection ended". ``reason``: the
    same for people. Both are empty where there is nothing to say.
    """

    tries: int = 0
    delay_seconds: float | None = None
    reason: str = ""
    code: str = ""


OnState: TypeAlias = Callable[[StreamState, StateDetail], None]
"""Called on the event loop at every change of state. What it raises ends the stream."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """One change, in the words of ``OnState``."""

    state: StreamState
    detail: StateDetail


@dataclass(frozen=True, slots=True)
class StreamLag:
    """How far a consumer is from the end of the log.

    ``events`` and ``bytes`` are what the Runtime last told of the whole log, not of the stream's part of it: None
    before it has. ``read_ahead_bytes`` have arrived and wait for the consumer.
    """

    events: int | None
    bytes: int | None
    read_ahead_bytes: int


class StateChanges:
    """The changes of one stream's state as an async iterator, from when it was made; ends after ``ended``."""

    def __init__(self) -> None:
        self._changes: deque[StateChange] = deque(maxlen=_MOST_UNREAD)
        self._arrived = asyncio.Event()
        self._ended = False

    def add(self, change: StateChange) -> None:
        """Note a change; the oldest is dropped when nobody has read for a thousand."""
        self._changes.append(change)
        self._ended = self._ended or change.state is StreamState.ENDED
        self._arrived.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StateChange:
        while not self._changes:
            if self._ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._changes.popleft()
