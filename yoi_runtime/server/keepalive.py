"""Pings for all sockets of a server from one task: half-open peers are found, slow ones left alone.

A ping goes out every 20 s, and never while a write is pending: on a slow link it would queue behind the
data and its answer come too late, though the peer is well. The write's own stall limit watches it then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from yoi_runtime.notices import Notice, named

__all__ = ["PING_SECONDS", "PONG_SECONDS", "Keepalive", "Pingable"]

_log = logging.getLogger("yoi_runtime.server")

PING_SECONDS = 20.0
PONG_SECONDS = 10.0
_TICK_SECONDS = 1.0


class Pingable(Protocol):
    """A socket as the keepalive sees it."""

    def is_writing(self) -> bool: ...
    def is_flooding(self) -> bool: ...
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
        self._pulses: dict[Pingable, _Pulse] = {}

    def watch(self, peer: Pingable) -> None:
        self._pulses[peer] = _Pulse(self._clock())

    def forget(self, peer: Pingable) -> None:
        self._pulses.pop(peer, None)

    def heard(self, peer: Pingable) -> None:
        """Take note of a pong."""
        pulse = self._pulses.get(peer)
        if pulse is not None:
            pulse.quiet_since, pulse.pinged_at = self._clock(), None

    def tick(self) -> None:
        """Ping who is due; drop who did not answer, and who sends more than a peer has to say."""
        now = self._clock()
        for peer, pulse in list(self._pulses.items()):
            if peer.is_flooding():
                _log.warning(
                    "dropped a peer that sends far more than answers to pings",
                    extra=named(Notice.PEER_FLOODED, what="bytes"),
                )
                self.forget(peer)
                peer.drop()
            elif peer.is_writing():
                pulse.quiet_since, pulse.pinged_at = now, None
            elif pulse.pinged_at is not None:
                if now - pulse.pinged_at >= self._pong_seconds:
                    self.forget(peer)
                    peer.drop()
            elif now - pulse.quiet_since >= self._ping_seconds:
                pulse.pinged_at = now
                peer.send_ping()

    async def run(self) -> None:
        """Tick every second until cancelled."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self.tick()
