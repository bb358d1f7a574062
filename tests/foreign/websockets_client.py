"""Follows a stream with the ``websockets`` library, drops the connection again and again, and resumes.

Takes one argument, the task as JSON (``tests.foreign.foreign_clients``), and prints one line of JSON for each event. Knows
nothing of yoi_runtime: what it needs is in docs/protocol.md.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from typing import Any
from zlib import crc32

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

_BATCH_START, _BATCH_END = '{"kind":"batch","frames":[', "]}"


async def frames(task: dict[str, Any], start: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the frames from ``start`` on, those of a batch one by one, until the caller has had enough."""
    offered = [Subprotocol("yoi.events.v1")] if task["version"] == "v1" else None
    query = start + ("&batch=1" if task["batch"] else "")
    async with connect(f"{task['url']}?{query}", proxy=None, subprotocols=offered, close_timeout=1) as connection:
        try:
            while True:
                message = await asyncio.wait_for(connection.recv(), 20)
                assert isinstance(message, str), "frames are text messages"
                for frame in apart(message):
                    check_sum(frame)
                    yield json.loads(frame)
        finally:
            # Dropped, not closed: what is under way is lost, as with a cable that is pulled.
            connection.transport.abort()


def apart(message: str) -> list[str]:
    """Take a batch apart at its joints, without parsing it."""
    if message.startswith(_BATCH_START):
        return message[len(_BATCH_START) : -len(_BATCH_END)].split(",\n")
    return [message]


def check_sum(frame: str) -> None:
    found = re.search(r',"crc":"([0-9a-f]{8})"}$', frame)
    if found is not None and int(found[1], 16) != crc32(frame[: found.start()].encode()):
        sys.exit(f"wrong checksum: {frame}")


def opened(frame: dict[str, Any]) -> str:
    """Return where the first frame says that the stream starts."""
    match frame:
        case {"kind": "hello", "resumed_from": start}:
            return str(start)
        case {"kind": "diagnostic", "diagnostic": {"code": "runtime.stream_opened", "resume_cursor": start}}:
            return str(start)
        case {"kind": "event", "envelope": {"event_id": event_id, "cursor": start}} if event_id == f"snapshot:{start}":
            return str(start)
        case _:
            sys.exit(f"not the frame that begins a stream: {frame}")


async def main(task: dict[str, Any]) -> None:
    cursor: str | None = None
    received = 0
    while received < task["events"]:
        stream = frames(task, "from=oldest" if cursor is None else f"cursor={cursor}")
        start = opened(await anext(stream))
        assert cursor in (None, start), "a stream resumes where it was asked to"
        taken = 0
        async for frame in stream:
            assert frame["kind"] != "diagnostic", frame
            if frame["kind"] != "event":
                continue
            envelope = frame["envelope"]
            cursor = envelope["cursor"]
            line = {name: envelope[name] for name in ("event_id", "cursor", "worker_id", "seq")}
            sys.stdout.write(json.dumps({**line, "event": envelope["payload"]["event"]}) + "\n")
            taken += 1
            received += 1
            if taken == task["drop_after"] or received == task["events"]:
                break
        await stream.aclose()  # type: ignore[attr-defined]
    stream = frames(task, "cursor=nonsense")
    sys.stdout.write(json.dumps({"diagnostic": (await anext(stream))["diagnostic"]["code"]}) + "\n")
    await stream.aclose()  # type: ignore[attr-defined]


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
