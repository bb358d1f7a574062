"""A Runtime and its server in the test's own process, on a free port, and what tests do to their log."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.server.foreign_client import Peer, Refused, refusal, subscribed
from tests.support.deadline import wait_until_async
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import LOG_DIRECTORY, Runtime
from yoi_runtime.runtime.worker import Worker
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.server.event_server import EventServer
from yoi_runtime.server.log_view import LogView

__all__ = [
    "EVERYTHING",
    "SMALL",
    "Answer",
    "Serving",
    "http_get",
    "records_of",
    "rotate_out_all_before_now",
    "serving",
    "stream_path",
]

EVERYTHING = "/v1/events/ws"
# The smallest segments there are (about ten short records each), and two of them kept.
SMALL = RuntimeOptions(segment_bytes=4096, retain_segments=3)


def stream_path(worker_id: str | None) -> str:
    """Return the path of a Worker's stream, of the stream of everything for None."""
    return EVERYTHING if worker_id is None else f"/v1/workers/{worker_id}/events/ws"


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Serving:
    """What a test holds: the Runtime writes, the server shows."""

    runtime: Runtime
    server: EventServer

    def subscribed(self, worker_id: str | None = None, **query: str) -> AbstractAsyncContextManager[Peer]:
        """Connect as a Backend; an ``async with`` that gives a ``Peer``."""
        return subscribed(self.server.url, stream_path(worker_id), **query)

    async def refusal(self, path: str, **options: Any) -> Refused:
        """Ask for a stream and return how it was refused before the upgrade."""
        return await refusal(self.server.url, path, **options)

    async def get(self, path: str, **options: Any) -> Answer:
        return await asyncio.to_thread(http_get, self.server.url, path, **options)

    async def worker(self, worker_id: str) -> Worker:
        """Start a Worker, and return when the server knows it, and all that was said of its beginning."""
        worker = self.runtime.create_worker(worker_id)
        last_seq = self.runtime._log._writer.last_seq
        await wait_until_async(lambda: self.view.worker(worker_id) is not None and self.view.end.seq >= last_seq)
        return worker

    @property
    def view(self) -> LogView:
        """The server's own view of the log."""
        return self.server._state.view

    def segments(self) -> list[Path]:
        return sorted(self.runtime.log_directory.glob("*.jsonl"))

    def roll(self) -> None:
        """Seal the active segment and begin the next one, without an event."""
        self.runtime._log.roll()

    def rotate_out_all_before_now(self, noisy: Worker) -> None:
        """Let ``noisy`` write until no segment that is there now is left."""
        rotate_out_all_before_now(self.runtime, noisy)

    async def shown(self, cursor: str) -> None:
        """Return when the server shows the log up to ``cursor`` at least."""
        await self.runtime.durable(cursor)  # type: ignore[arg-type]
        seq = self.runtime._log._position_of(cursor).seq  # type: ignore[arg-type]
        await wait_until_async(lambda: self.view.end.seq >= seq, message=f"seq {seq} shown")


# A small reserve to allocate at every start.
_USUAL = RuntimeOptions(segment_bytes=1 << 20)


@asynccontextmanager
async def serving(
    data_dir: Path, options: RuntimeOptions = _USUAL, platform: Platform = REAL_PLATFORM, **settings: Any
) -> AsyncIterator[Serving]:
    """Open a Runtime (on ``platform``) and its server; stop both at the end, in the order of the command line."""
    runtime = Runtime.open(data_dir, options, platform)
    try:
        server = await EventServer.start(data_dir, "127.0.0.1", 0, **settings)
        try:
            served = Serving(runtime, server)
            # What a Runtime says at its beginning is no news to anybody who connects.
            await wait_until_async(lambda: served.view.end.seq >= runtime._log._writer.end.seq)
            yield served
        finally:
            try:
                runtime.close()
            finally:
                await server.stop()
    finally:
        runtime.close()


def rotate_out_all_before_now(runtime: Runtime, noisy: Worker) -> None:
    """Let ``noisy`` write until no segment that is there now is left; needs small segments."""
    newest = max(runtime.log_directory.glob("*.jsonl"))
    while newest.exists():
        noisy.emit(TextDelta(text="x" * 600))


def http_get(url: str, path: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    """Send one request with a client that adds nothing to what it is told."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def records_of(data_dir: Path) -> list[dict[str, Any]]:
    """Return the envelopes of all records that the log in ``data_dir`` can still show, read from the files."""
    reader = LogReader(data_dir / LOG_DIRECTORY, REAL_PLATFORM)
    try:
        position, found = reader.floor(), []
        while (chunk := reader.read(position, 1 << 20)) is not None:
            found += [json.loads(line)["envelope"] for line in chunk.data.split(b"\n")[:-1]]
            position = chunk.end
        return found
    finally:
        reader.close()
