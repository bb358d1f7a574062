"""An outlet that keeps what is sent, and is as slow as the test wants it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.server.frames import messages_in
from tests.support.deadline import wait_until_async
from yoi_runtime.server.subscriber import OutletClosedError

__all__ = ["RecordingOutlet"]


class RecordingOutlet:
    """Takes messages while ``open``; ``send`` waits while it is ``blocked``."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.sends = 0
        self.in_place = 0
        self.closed: tuple[int, str] | None = None
        self.gone = False
        self._free = asyncio.Event()
        self._free.set()

    async def send(self, messages: list[bytes]) -> None:
        self.take(messages)
        await self._free.wait()

    def take(self, messages: list[bytes]) -> None:
        assert messages, "nothing is sent for nothing"
        assert self.closed is None, "nothing comes after the close"
        if self.gone:
            raise OutletClosedError
        self.sends += 1
        self.messages += messages

    async def send_frames(self, frames: bytes) -> None:
        await self.send(messages_in(frames))

    def begin(self, frames: bytes) -> bool:
        self.in_place += 1
        self.take(messages_in(frames))
        return self._free.is_set()

    async def finish(self) -> None:
        await self._free.wait()

    def close(self, code: int, reason: str) -> None:
        self.closed = code, reason

    def block(self) -> None:
        self._free.clear()

    def unblock(self) -> None:
        self._free.set()

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(message) for message in self.messages]

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the envelopes of the log's own events, without a snapshot at the beginning."""
        found = [frame["envelope"] for frame in self.frames if frame["kind"] == "event"]
        return [event for event in found if not event["event_id"].startswith("snapshot:")]

    @property
    def seqs(self) -> list[int]:
        return [event["seq"] for event in self.events]

    async def wait_for(self, count: int) -> list[bytes]:
        """Return the first ``count`` messages, when they are there."""
        await wait_until_async(lambda: len(self.messages) >= count, message=f"{count} messages")
        return self.messages[:count]

    async def refusal(self) -> dict[str, Any]:
        """Return the diagnostic that ended the stream, with the close code in it."""
        await wait_until_async(lambda: self.closed is not None, message="closed")
        assert self.closed is not None
        problem = self.frames[-1]["diagnostic"]
        assert self.closed[1] == problem["code"]
        return {**problem, "close_code": self.closed[0]}
