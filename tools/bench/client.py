"""client: how fast our client takes a backlog, beside the ``websockets`` client; and what it holds while nobody takes.

    python -m tools.bench.client DATA_DIR

serves that directory until it is killed, and prints the address: the server is a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target, ratio
from tools.bench.setting import Setting

__all__ = ["run"]

TEXT_BYTES = 200
_ROOT = Path(__file__).resolve().parents[2]
METHOD = (
    "A backlog of one Worker's `TextDelta` events of 200 bytes each, served from the disk by a process of its own. Our client: `observe`, `start='oldest'`, v1 in batches, "
    "every number checked; undecoded, an `async for` that counts; in batches, one over `stream.batches()` that counts; decoded, one that calls `event.decode()` and has the typed event. "
    "The other: `websockets.connect` without compression, v0, one message an event, `json.loads`, which checks nothing; it takes the first fifth. "
    "Events per second of the client's own CPU time (user and system), which the server's speed does not touch. "
    "Memory: what a client holds more, two seconds after the first event, when nobody has asked for the second; and what it grows by from the first hundredth of the backlog to the most it ever holds, "
    "when all of it is taken with a pause of 1 ms after every 100 events, which makes the server wait. Every measurement is a fresh process; they take turns."
)


def run(setting: Setting) -> Result:
    """Measure ours and the peer in turn."""
    events = 20_000 if setting.quick else 1_000_000
    data_dir = setting.shelf.directory / "client-backlog"
    setting.say(f"making a backlog of {events:,} events")
    measure("client", "make", data_dir=str(data_dir), events=events)
    rates: dict[str, list[float]] = {"undecoded": [], "batches": [], "decoded": [], "websockets": []}
    held: list[float] = []
    grown: list[float] = []
    with _server(data_dir) as url:
        for number in range(setting.rounds):
            setting.say(f"round {number + 1} of {setting.rounds}")
            rates["undecoded"].append(measure("client", "take_undecoded", url=url, events=events))
            rates["batches"].append(measure("client", "take_batches", url=url, events=events))
            rates["decoded"].append(measure("client", "take_decoded", url=url, events=events))
            rates["websockets"].append(measure("client", "take_with_websockets", url=url, events=events // 5))
            held.append(measure("client", "stand_still", url=url))
            grown.append(measure("client", "take_slowly", url=url, events=events))
    ours, batches, decoded, theirs = (tuple(values) for values in rates.values())
    figures = (
        Figure("undecoded", "/CPU s", ours, Target(at_least=250_000)),
        Figure("undecoded, in batches", "/CPU s", batches),
        Figure("decoded", "/CPU s", decoded, Target(at_least=100_000)),
        Figure("websockets, v0, json.loads", "/CPU s", theirs),
        ratio("undecoded to websockets", ours, theirs, Target(at_least=5)),
        ratio("decoded to websockets", decoded, theirs, Target(at_least=2)),
        Figure("held while nobody takes", "MB", tuple(held), Target(at_most=16)),
        Figure("grown while one takes slowly", "MB", tuple(grown), Target(at_most=4)),
    )
    notes = (f"{events:,} events", f"websockets {version('websockets')}", f"tornado {version('tornado')}")
    return Result("client", METHOD, figures, notes)


@contextlib.contextmanager
def _server(data_dir: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "tools.bench.client", str(data_dir)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()


# What the measuring processes do.


def make(data_dir: str, events: int) -> None:
    """Make the backlog and close it in good order."""
    from yoi_runtime import Runtime
    from yoi_runtime.events import TextDelta
    from yoi_runtime.runtime.options import RuntimeOptions

    text = "x" * TEXT_BYTES
    with Runtime.open(data_dir, RuntimeOptions(retain_bytes=None, retain_age_seconds=None)) as runtime:
        worker = runtime.create_worker("coder")
        for _ in range(events):
            worker.emit(TextDelta(text=text))


def take_undecoded(url: str, events: int) -> float:
    return asyncio.run(_take(url, events, decode=False))


def take_decoded(url: str, events: int) -> float:
    return asyncio.run(_take(url, events, decode=True))


def take_batches(url: str, events: int) -> float:
    return asyncio.run(_take_batches(url, events))


async def _take_batches(url: str, events: int) -> float:
    from yoi_runtime.client.observe import observe

    async with observe(url, "coder", start="oldest") as stream:
        start = time.process_time()
        taken = 0
        async for batch in stream.batches():
            taken += len(batch)
            if taken >= events:
                break
        return events / (time.process_time() - start)


async def _take(url: str, events: int, *, decode: bool) -> float:
    from yoi_runtime.client.observe import observe

    async with observe(url, "coder", start="oldest") as stream:
        start = time.process_time()
        taken = 0
        event = None
        if decode:
            async for event in stream:
                event.decode()
                taken += 1
                if taken == events:
                    break
        else:
            async for event in stream:  # noqa: B007  looked at when all are there
                taken += 1
                if taken == events:
                    break
        assert event is not None
        assert event.worker_seq == events
        return events / (time.process_time() - start)


def take_with_websockets(url: str, events: int) -> float:
    async def take() -> float:
        from websockets.asyncio.client import connect

        address = url.replace("http:", "ws:") + "/v1/workers/coder/events/ws?from=oldest"
        async with connect(address, compression=None, max_size=None) as socket:
            await socket.recv()  # the snapshot that begins a Worker's stream
            start = time.process_time()
            await _count(socket, events)
            return events / (time.process_time() - start)

    return asyncio.run(take())


async def _count(messages: AsyncIterable[Any], events: int) -> None:
    taken = 0
    async for message in messages:
        json.loads(message)
        taken += 1
        if taken == events:
            break


def stand_still(url: str) -> float:
    """Return how much more memory is resident, in MB, when nobody has asked for the second event for two seconds."""
    from tools.bench.memory import resident_mb
    from yoi_runtime.client.observe import observe

    async def stand() -> float:
        # One that has run its course, so that everything is imported.
        async with observe(url, "coder", start="now") as stream:
            async for _ in stream:
                pass
        before = resident_mb()
        async with observe(url, "coder", start="oldest") as stream:
            await anext(stream)
            await asyncio.sleep(2)
            return resident_mb() - before

    return asyncio.run(stand())


def take_slowly(url: str, events: int) -> float:
    """Return by how many MB the process grows while it takes a backlog more slowly than it is sent."""
    from tools.bench.memory import resident_mb
    from yoi_runtime.client.observe import observe

    async def take() -> float:
        first, most = 0.0, 0.0
        async with observe(url, "coder", start="oldest") as stream:
            taken = 0
            async for _ in stream:
                taken += 1
                if taken % 100 == 0:
                    await asyncio.sleep(0.001)
                    if taken % (events // 100) == 0:
                        most = max(most, resident_mb())
                    if taken == events // 100:
                        first = most
                    if taken == events:
                        break
        return most - first

    return asyncio.run(take())


async def _serve(data_dir: str) -> None:
    from yoi_runtime.server.event_server import EventServer

    server = await EventServer.start(Path(data_dir), "127.0.0.1", 0)
    print(server.url, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
