"""What can be set about the connections of a stream, and what tests put in the place of clock and chance."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["ClientSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Defaults fit a Backend beside its Runtime or across the world.

    ``protocol``: auto tries v1, and v0 with a Runtime that offers nothing else. ``max_tries``: after so many tries in a
    row without a healthy connection ``StreamConnectError`` is raised; None: never give up. ``ssl_context``: for wss with
    an authority of your own. ``verify_crc``: recompute the checksum of each event that has one.
    """

    protocol: Literal["auto", "v0", "v1"] = "auto"
    # From the look-up of the name to the upgrade.
    connect_timeout_seconds: float = 10.0
    close_timeout_seconds: float = 2.0
    # Of a plain HTTP request: a page of a transcript.
    request_timeout_seconds: float = 30.0
    # Finds a half-open connection within half a minute. v1's heartbeat, which the Runtime sets, does so too.
    ping_interval_seconds: float = 20.0
    ping_timeout_seconds: float = 10.0
    # Eight times the largest frame of the protocol.
    max_frame_bytes: int = 4 * 1024 * 1024
    # Enough to keep the socket busy while an event is dealt with; one batch more may wait, whatever its size.
    read_ahead_bytes: int = 256 * 1024
    # How much of what was done is done again after a crash, when a cursor store is used.
    save_interval_seconds: float = 1.0
    max_tries: int | None = None
    ssl_context: ssl.SSLContext | None = None
    # A sixth of the speed of a backlog. The server has checked the record, and TCP the way.
    verify_crc: bool = False

    random: Callable[[], float] = random.random
    monotonic_seconds: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
