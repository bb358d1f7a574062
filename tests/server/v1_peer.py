"""A v1 client that is not ours: the ``websockets`` library, frames as they come, batches taken apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

__all__ = ["V1Peer", "v1_subscribed"]

_DEADLINE_SECONDS = 15.0


class V1Peer:
    """One connection. ``log`` is every frame so far, those of a batch one by one; ``sizes`` of every message."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.log: list[dict[str, Any]] = []
        self.sizes: list[int] = []
        self.batches = 0
        self._ready: list[dict[str, Any]] = []

    async def frame(self) -> dict[str, Any]:
        """Return the next frame."""
        while not self._ready:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                message = await self._connection.recv(decode=False)
            self.sizes.append(len(message))
            frame = json.loads(message)
            if frame["kind"] == "batch":
                assert len(frame["frames"]) > 1, "one event alone comes alone"
                self.batches += 1
                self._ready += frame["frames"]
            else:
                self._ready.append(frame)
        self.log.append(self._ready.pop(0))
        return self.log[-1]

    async def until(self, kind: str) -> dict[str, Any]:
        """Return the next frame of this kind; the others are in ``log``."""
        while (frame := await self.frame())["kind"] != kind:
            pass
        return frame

    async def events(self, count: int) -> list[dict[str, Any]]:
        """Return the envelopes of the next ``count`` events."""
        return [(await self.until("event"))["envelope"] for _ in range(count)]

    async def closed(self) -> tuple[int, str]:
        """Return code and reason of the close frame, which must come next."""
        with pytest.raises(ConnectionClosed) as closed:
            await self.frame()
        assert closed.value.rcvd is not None, "the connection ended without a close frame"
        return closed.value.rcvd.code, closed.value.rcvd.reason


@asynccontextmanager
async def v1_subscribed(url: str, path: str, **query: str) -> AsyncIterator[V1Peer]:
    """Open the v1 stream at ``path`` (``from_`` is sent as ``from``)."""
    pairs = {name.rstrip("_"): value for name, value in query.items()}
    address = url.replace("http", "ws", 1) + path + ("?" + urlencode(pairs) if pairs else "")
    async with connect(
        address, proxy=None, subprotocols=[Subprotocol("yoi.events.v1")], close_timeout=2, max_size=None
    ) as connection:
        assert connection.subprotocol == "yoi.events.v1"
        yield V1Peer(connection)
