"""Our client for the conformance kit: ``our_client.py URL WORKER MODE STATE``.

An empty WORKER stands for everything. Hands each event over by printing its id; says with ``!`` that the stream is over, or that events are missing.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from yoi_runtime.client.cursor_store import FileCursorStore
from yoi_runtime.client.observe import observe
from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.client.stream_event import StreamGap
from yoi_runtime.errors import StreamError


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(url: str, worker_id: str, mode: Any, state: str) -> int:
    store = FileCursorStore(Path(state) / "cursor")
    settings = ClientSettings(protocol=mode)
    stream = observe(
        url,
        worker_id or None,
        cursor_store=store,
        start="oldest",
        on_corrupt="gap",
        wait_for_worker=True,
        settings=settings,
    )
    async with stream:
        try:
            async for item in stream:
                say(f"! {item.code}" if isinstance(item, StreamGap) else item.event_id)
        except StreamError as error:
            say(f"! {error}")
            return 1
        say(f"! the Worker has ended: {stream.outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
