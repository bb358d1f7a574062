"""A log and a view of it, without a server around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.server.foreign_client import DEADLINE_SECONDS
from tests.support.deadline import wait_until_async
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import LOG_DIRECTORY, Runtime
from yoi_runtime.segment_log.cursor import CursorToken, decode_token
from yoi_runtime.segment_log.platform import REAL_PLATFORM, Platform
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.record import seq_of_line
from yoi_runtime.server.log_view import CACHE_BYTES, LogView

__all__ = ["Viewing", "read_on", "seqs_between", "shown", "viewing", "viewing_only"]


@dataclass
class Viewing:
    """What a test holds: the Runtime writes, the view shows."""

    runtime: Runtime
    view: LogView

    async def shown(self, cursor: CursorToken) -> None:
        """Return when the view shows the event of ``cursor``."""
        await shown(self.view, cursor)


async def shown(view: LogView, cursor: CursorToken) -> None:
    seq = decode_token(cursor).seq
    await wait_until_async(lambda: view.end.seq >= seq, DEADLINE_SECONDS, f"seq {seq} shown")


@asynccontextmanager
async def viewing_only(
    data_dir: Path, platform: Platform = REAL_PLATFORM, cache_bytes: int = CACHE_BYTES
) -> AsyncIterator[LogView]:
    """Open a view of the log in ``data_dir``, whoever writes it."""
    view = LogView(data_dir, data_dir / LOG_DIRECTORY, platform, cache_bytes)
    try:
        await view.start()
        yield view
    finally:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await view.close()


# A small reserve to allocate at every start.
_USUAL = RuntimeOptions(segment_bytes=1 << 20)


@asynccontextmanager
async def viewing(data_dir: Path, options: RuntimeOptions = _USUAL) -> AsyncIterator[Viewing]:
    """Open a Runtime and a view of its log."""
    with Runtime.open(data_dir, options) as runtime:
        async with viewing_only(data_dir) as view:
            yield Viewing(runtime, view)


async def read_on(view: LogView, position: Position) -> tuple[list[int], Position]:
    """Read to the end of what the view shows; returns the seqs and the place after them."""
    seqs: list[int] = []
    while (chunk := view.read(position)) is not None:
        assert chunk.start.seq == position.seq
        assert chunk.end <= view.end
        found = list(seqs_in(chunk.data))
        assert found == list(range(chunk.start.seq + 1, chunk.end.seq + 1))
        assert chunk.records == len(found)
        seqs += found
        position = chunk.end
        await asyncio.sleep(0)
    return seqs, position


def seqs_in(data: bytes) -> Iterator[int]:
    for line in data.split(b"\n")[:-1]:
        seq = seq_of_line(line)
        assert seq is not None
        yield seq


def seqs_between(after: CursorToken | Position, last: CursorToken | Position) -> list[int]:
    """Return the seqs that follow one place, up to and with another."""
    return list(range(_seq_of(after) + 1, _seq_of(last) + 1))


def _seq_of(place: CursorToken | Position) -> int:
    return place.seq if isinstance(place, Position) else decode_token(place).seq
