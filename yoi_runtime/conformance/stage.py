"""Where one case is played: the way in for tests written in Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from yoi_runtime.conformance.case import Case
from yoi_runtime.conformance.deliveries import Deliveries
from yoi_runtime.conformance.listener import Listener
from yoi_runtime.conformance.player import Player
from yoi_runtime.conformance.result import CaseResult
from yoi_runtime.conformance.step_player import ClientControl
from yoi_runtime.conformance.timing import Timing
from yoi_runtime.protocol.versions import ProtocolVersion

__all__ = ["WORKER_ID", "Stage", "play"]

WORKER_ID = "conformance"


class Stage:
    """One case being played. Point one client at ``url``, report what it does, and wait for ``result``."""

    def __init__(self, url: str, deliveries: Deliveries, playing: asyncio.Task[CaseResult]) -> None:
        self.url = url
        self.worker_id = WORKER_ID
        self._deliveries = deliveries
        self._playing = playing

    def delivered(self, event_id: str) -> None:
        """Report that the client has handed this event to its consumer."""
        self._deliveries.delivered(event_id)

    def told(self, word: str) -> None:
        """Report that the consumer was told of a gap, or that the stream is over; ``word`` says of what."""
        self._deliveries.tell(word)

    def ended(self, exit_code: int = 0) -> None:
        """Report that the client has ended by itself and will not come back; not 0: with an error."""
        self._deliveries.ended(exit_code)

    async def result(self) -> CaseResult:
        """Wait until the case has been played; what is reported later does not count."""
        return await asyncio.shield(self._playing)


@asynccontextmanager
async def play(
    case: Case,
    *,
    mode: ProtocolVersion | str = ProtocolVersion.V1,
    timing: Timing | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    reports: bool = True,
    control: ClientControl | None = None,
) -> AsyncIterator[Stage]:
    """Play ``case`` on a port of its own while the block runs.

    Args:
        token: what the client sends as Bearer token; None: whatever it sends is fine.
        reports: False when nobody calls ``delivered`` and ``told``: then the wire alone is judged.
        control: the client as a process, for the cases that kill it.
    Raises:
        OSError: the address cannot be listened on.
    """
    deliveries = Deliveries(reported=reports)
    player = Player(case, ProtocolVersion(mode), timing or Timing(), deliveries, token, control)
    async with Listener(host, port) as listener:
        listener.put("", player.take)
        playing = asyncio.create_task(player.run(), name=f"conformance {case.name}")
        try:
            yield Stage(listener.url(""), deliveries, playing)
        finally:
            playing.cancel()
            await asyncio.wait({playing})
