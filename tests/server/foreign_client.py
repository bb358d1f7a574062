"""A Backend that is not ours: the ``websockets`` library, with a deadline on every wait.

It decodes JSON and nothing else: what the server says is looked at as any stranger would see it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

__all__ = ["DEADLINE_SECONDS", "Peer", "Refused", "refusal", "subscribed"]

# Generous: only a failing test reaches it.
DEADLINE_SECONDS = 20.0


@dataclass
class Refused:
    """How a handshake was refused."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def diagnostic(self) -> dict[str, Any]:
        assert set(self.body) == {"kind", "diagnostic"}
        assert self.body["kind"] == "diagnostic"
        return self.body["diagnostic"]

    @property
    def code(self) -> str:
        return self.diagnostic["code"]


class Peer:
    """One open stream, read frame by frame."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        # The cursor of the newest event seen, as a Backend would store it.
        self.cursor: str | None = None

    async def text(self) -> str:
        """Return the next message; it must be text."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            message = await self.connection.recv()
        assert isinstance(message, str), "frames are text messages"
        return message

    async def frame(self) -> dict[str, Any]:
        return json.loads(await self.text())

    async def event(self) -> dict[str, Any]:
        """Return the envelope of the next frame, which must be an event."""
        frame = await self.frame()
        assert frame["kind"] == "event", frame
        self.cursor = frame["envelope"]["cursor"]
        return frame["envelope"]

    async def events(self, count: int) -> list[dict[str, Any]]:
        return [await self.event() for _ in range(count)]

    async def texts(self, count: int) -> list[str]:
        """Return what the next ``count`` events, all of them ``text_delta``, say."""
        return [event["payload"]["data"]["text"] for event in await self.events(count)]

    async def until(self, done: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Return the events up to the first one for which ``done`` says so, that one included."""
        found = [await self.event()]
        while not done(found[-1]):
            found.append(await self.event())
        return found

    async def diagnostic(self) -> dict[str, Any]:
        """Return the next frame's diagnostic."""
        frame = await self.frame()
        assert frame["kind"] == "diagnostic", frame
        assert set(frame) == {"kind", "diagnostic"}
        return frame["diagnostic"]

    async def opened(self) -> dict[str, Any]:
        """Take the first frame of a stream of everything and return its diagnostic."""
        first = await self.diagnostic()
        assert first["code"] == "runtime.stream_opened", first
        self.cursor = first["resume_cursor"]
        return first

    async def snapshot(self) -> dict[str, Any]:
        """Take the first frame of a Worker's stream and return its envelope."""
        first = await self.event()
        assert first["event_id"] == f"snapshot:{first['cursor']}", first
        assert first["payload"]["event"] == "snapshot"
        return first

    async def closed(self) -> tuple[int, str]:
        """Return code and reason of the close frame, which must come next."""
        with pytest.raises(ConnectionClosed) as closed:
            await self.text()
        assert closed.value.rcvd is not None, "the connection ended without a close frame"
        return closed.value.rcvd.code, closed.value.rcvd.reason

    async def refused(self) -> dict[str, Any]:
        """Return the diagnostic that ends the stream, and check that the close frame says the same."""
        problem = await self.diagnostic()
        close_code, reason = await self.closed()
        assert reason == problem["code"]
        problem["close_code"] = close_code
        return problem


@asynccontextmanager
async def subscribed(url: str, path: str, *, subprotocols: str = "", **query: str) -> AsyncIterator[Peer]:
    """Open the stream at ``path`` with this query (``from_`` is sent as ``from``), offering subprotocols."""
    pairs = {name.rstrip("_"): value for name, value in query.items()}
    address = url.replace("http", "ws", 1) + path + ("?" + urlencode(pairs) if pairs else "")
    async with connect(
        address,
        proxy=None,
        subprotocols=[Subprotocol(name) for name in subprotocols.split(",") if name] or None,
        open_timeout=DEADLINE_SECONDS,
        close_timeout=2,
        ping_interval=None,
        # No pause in reading: a peer that is not asked for frames still answers a close.
        max_queue=None,
    ) as connection:
        yield Peer(connection)


async def refusal(
    url: str, path: str, *, headers: dict[str, str] | None = None, subprotocols: Sequence[str] = ()
) -> Refused:
    """Try to open a stream and return how that was refused before the upgrade."""
    address = url.replace("http", "ws", 1) + path
    with pytest.raises(InvalidStatus) as error:
        async with connect(
            address,
            proxy=None,
            additional_headers=headers,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            open_timeout=DEADLINE_SECONDS,
        ):
            pass
    response = error.value.response
    return Refused(
        response.status_code,
        {name.lower(): value for name, value in response.headers.raw_items()},
        json.loads(response.body or b"null"),
    )
