"""What can be set about the connections of a stream, and what tests put in the place of clock and chance."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

__all__ = ["ClientSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Defaults fit a Backend beside its Runtime or across the world.

    ``max_tries``: after so many tries in a row without a healthy connection ``StreamConnectError`` is raised; None:
    never give up. ``ssl_context``: for wss with an authority of your own.
    """

    connect_timeout_seconds: float = 10.0
    close_timeout_seconds: float = 2.0
    # Finds a half-open connection within half a minute, where v0 has no frames in quiet times.
    ping_interval_seconds: float = 20.0
    ping_timeout_seconds: float = 10.0
    # Eight times the largest frame of the protocol.
    max_frame_bytes: int = 4 * 1024 * 1024
    # Enough to keep the socket busy while an event is dealt with; parsed, it takes about ten times as much.
    read_ahead_bytes: int = 256 * 1024
    max_tries: int | None = None
    ssl_context: ssl.SSLContext | None = None

    random: Callable[[], float] = random.random
    monotonic_seconds: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
