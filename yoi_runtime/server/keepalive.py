"""Pings for all sockets of a server from one task: half-open peers are found, slow ones left alone.

Each socket is looked at every 5 s: 10,000 of them every second took 126 ms a second on a busy machine. A ping goes out
after 20 s, and never while a write is pending: on a slow link it would queue behind the data and its answer come too
late, though the peer is well. The write's own stall limit watches it then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import cycle
from typing import Protocol

from yoi_runtime.notices import Notice, named

__all__ = ["PING_SECONDS", "PONG_SECONDS", "Keepalive", "Pingable"]

_log = logging.getLogger("yoi_runtime.server")

PING_SECONDS = 20.0
PONG_SECONDS = 10.0
_TICK_SECONDS = 1.0
# At each tick of ``run`` one of so many parts of all sockets is looked at.
_PARTS = 5


class Pingable(Protocol):
    """A socket as the keepalive sees it."""

    def is_writing(self) -> bool: ...
    def send_ping(self) -> None: ...
    def drop(self) -> None: ...


class _Pulse:
    __slots__ = ("pinged_at", "quiet_since")

    def __init__(self, now: float) -> None:
        self.quiet_since = now
        self.pinged_at: float | None = None


class Keepalive:
    """Watches sockets; ``tick`` does the work and may be called by hand with a time of one's own."""

    def __init__(
        self, clock: Callable[[], float], ping_seconds: float = PING_SECONDS, pong_seconds: float = PONG_SECONDS
    ) -> None:
        self._clock = clock
        self._ping_seconds = ping_seconds
        self._pong_seconds = pong_seconds
        self._parts: tuple[dict[Pingable, _Pulse], ...] = tuple({} for _ in range(_PARTS))

    def _part_of(self, peer: Pingable) -> dict[Pingable, _Pulse]:
        return self._parts[hash(peer) % _PARTS]

    def watch(self, peer: Pingable) -> None:
        self._part_of(peer)[peer] = _Pulse(self._clock())

    def forget(self, peer: Pingable) -> None:
        self._part_of(peer).pop(peer, None)

    def heard(self, peer: Pingable) -> None:
        """Take note of a pong."""
        pulse = self._part_of(peer).get(peer)
        if pulse is not None:
            pulse.quiet_since, pulse.pinged_at = self._clock(), None

    def tick(self) -> None:
        """Look at all sockets."""
        for part in range(_PARTS):
            self._look_at(part)

    def _look_at(self, part: int) -> None:
        """Ping who is due; drop who did not answer."""
        now = self._clock()
        for peer, pulse in list(self._parts[part].items()):
            try:
                self._look_at_one(peer, pulse, now)
            except Exception:  # noqa: BLE001 - nobody would be pinged any more, and no half-open peer found
                _log.exception("the keepalive failed at a peer, and goes on", extra=named(Notice.GUARD_FAILED))

    def _look_at_one(self, peer: Pingable, pulse: _Pulse, now: float) -> None:
        if peer.is_writing():
            pulse.quiet_since, pulse.pinged_at = now, None
        elif pulse.pinged_at is not None:
            if now - pulse.pinged_at >= self._pong_seconds:
                self.forget(peer)
                peer.drop()
        elif now - pulse.quiet_since >= self._ping_seconds:
            pulse.pinged_at = now
            peer.send_ping()

    async def run(self) -> None:
        """Look at one part after the other, one every second, until cancelled."""
        for part in cycle(range(_PARTS)):
            await asyncio.sleep(_TICK_SECONDS)
            self._look_at(part)
