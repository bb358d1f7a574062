"""serve-idle: what subscribers cost who get nothing: handshakes, memory, processor time; and stalled ones."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import tempfile
import time
from pathlib import Path

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target
from tools.bench.light_reader import Swarm
from tools.bench.setting import Setting

__all__ = ["run"]

IDLE = 10_000
STALLED = 1_000
METHOD = (
    f"{IDLE:,} v0 subscribers connect to one server process, one after the other from one process, and get nothing: connections per second by the clock, "
    "resident memory of the server over that before, and its processor time in 5 seconds of silence against 5 seconds without subscribers. "
    f"{STALLED:,} other subscribers to a log of 100 MB ask for all of it and read nothing: resident memory per subscriber when the server can write no more (what the kernel holds is not in it)."
)


def run(setting: Setting) -> Result:
    """Measure in turn."""
    idle, stalled, seconds = (50, 20, 0.5) if setting.quick else (IDLE, STALLED, 5.0)
    quiet: list[dict[str, float]] = []
    stuck: list[float] = []
    directory = str(setting.shelf.directory)
    for number in range(setting.rounds):
        setting.say(f"round {number + 1} of {setting.rounds}")
        quiet.append(measure("serve_idle", "silence", directory=directory, subscribers=idle, seconds=seconds))
        stuck.append(measure("serve_idle", "stall", directory=directory, subscribers=stalled))
    figures = (
        Figure("handshakes", "/s", tuple(answer["per_second"] for answer in quiet), Target(at_least=1_500)),
        Figure("an idle subscriber", "KiB", tuple(answer["kib"] for answer in quiet), Target(at_most=24)),
        Figure("processor time of silence, nobody there", "ms/s", tuple(answer["before"] for answer in quiet)),
        Figure("processor time of silence, everybody there", "ms/s", tuple(answer["after"] for answer in quiet)),
        Figure("a stalled subscriber", "KiB", tuple(stuck), Target(at_most=300)),
    )
    return Result("serve-idle", METHOD, figures)


# What the measuring processes do.


def silence(directory: str, subscribers: int, seconds: float) -> dict[str, float]:
    """Return what it takes to connect so many, and what they then cost."""
    from yoi_runtime import Runtime
    from yoi_runtime.server.event_server import EventServer

    _allow_descriptors()

    async def serve() -> dict[str, float]:
        with tempfile.TemporaryDirectory(prefix="idle-", dir=directory) as data_dir, Runtime.open(data_dir):
            server = await EventServer.start(Path(data_dir), "127.0.0.1", 0)
            before = await _processor_time(seconds)
            memory, began = resident_bytes(), time.perf_counter()
            swarm = Swarm(port=server.port, paths=["/v1/events/ws"] * subscribers)
            try:
                await asyncio.to_thread(swarm.wait_connected)
                took = time.perf_counter() - began
                used = resident_bytes() - memory
                after = await _processor_time(seconds)
            finally:
                swarm.stop()
                await server.stop()
        return {
            "per_second": subscribers / took,
            "kib": used / subscribers / 1024,
            "before": before * 1000,
            "after": after * 1000,
        }

    return asyncio.run(serve())


async def _processor_time(seconds: float) -> float:
    before = time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - before) / seconds


def stall(directory: str, subscribers: int) -> float:
    """Return the memory that one costs who asks for much and reads nothing, in KiB."""
    from yoi_runtime import Runtime
    from yoi_runtime.events import TextDelta
    from yoi_runtime.server.event_server import EventServer

    _allow_descriptors()

    async def serve() -> float:
        with tempfile.TemporaryDirectory(prefix="stall-", dir=directory) as data_dir, Runtime.open(data_dir) as runtime:
            worker = runtime.create_worker("coder")
            for _ in range(6_000):
                worker.emit(TextDelta(text="x" * 16_000))
            await runtime.durable(worker.emit(TextDelta(text="")))
            server = await EventServer.start(Path(data_dir), "127.0.0.1", 0)
            memory = resident_bytes()
            swarm = Swarm(port=server.port, paths=["/v1/events/ws?from=oldest"] * subscribers, reading=False)
            try:
                await asyncio.to_thread(swarm.wait_connected)
                last = -1.0
                while (now := time.process_time()) - last > 0.05:
                    last = now
                    await asyncio.sleep(1)
                used = resident_bytes() - memory
            finally:
                swarm.stop()
                await server.stop()
        return used / subscribers / 1024

    return asyncio.run(serve())


def _allow_descriptors() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def resident_bytes() -> int:
    """Return the resident memory of this process. Source: proc(5), /proc/pid/statm."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
