"""serve-idle: what subscribers cost who get nothing: memory and processor time, where the log is written and elsewhere."""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target
from tools.bench.light_reader import Swarm, allow_descriptors, cpu_seconds
from tools.bench.setting import Setting
from tools.bench.sibling import read_only_server

__all__ = ["elsewhere", "here", "resident_bytes", "run"]

IDLE = 10_000
METHOD = (
    f"{IDLE:,} v0 subscribers connect to one server process and get nothing: resident memory of the server over that before, and its processor time in 10 seconds of silence against 10 seconds without subscribers. "
    "Once in the process that holds the log open for writing, once in another, `serve --read-only`, which the kernel tells when there is something new; and that without subscribers and without the kernel's notices, polling. "
    "Every measurement is a fresh process; they take turns."
)


def run(setting: Setting) -> Result:
    """Measure in turn."""
    idle, seconds = (50, 0.5) if setting.quick else (IDLE, 10.0)
    found: dict[str, list[dict[str, float]]] = {"here": [], "elsewhere": [], "polling": []}
    directory = str(setting.shelf.directory)
    for number in range(setting.rounds):
        setting.say(f"round {number + 1} of {setting.rounds}")
        common: dict[str, Any] = {"directory": directory, "seconds": seconds}
        found["here"].append(measure("serve_idle", "here", subscribers=idle, **common))
        found["elsewhere"].append(measure("serve_idle", "elsewhere", subscribers=idle, polling=False, **common))
        found["polling"].append(measure("serve_idle", "elsewhere", subscribers=0, polling=True, **common))

    def figure(name: str, unit: str, where: str, what: str, target: Target | None = None) -> Figure:
        return Figure(name, unit, tuple(answer[what] for answer in found[where]), target)

    figures = (
        figure("an idle subscriber", "KiB", "here", "kib", Target(at_most=24)),
        figure("processor time of silence, nobody there", "ms/s", "here", "before"),
        figure("processor time of silence, everybody there", "ms/s", "here", "after"),
        figure("an idle subscriber of another process", "KiB", "elsewhere", "kib", Target(at_most=24)),
        figure("the same of another process, nobody there", "ms/s", "elsewhere", "before"),
        figure("the same of another process, everybody there", "ms/s", "elsewhere", "after"),
        figure("the same of another process that polls, nobody there", "ms/s", "polling", "before"),
    )
    return Result("serve-idle", METHOD, figures)


# What the measuring processes do.


def here(directory: str, subscribers: int, seconds: float) -> dict[str, float]:
    """Serve in the process that has the log open for writing."""
    from yoi_runtime import Runtime
    from yoi_runtime.server.event_server import EventServer

    allow_descriptors()

    async def serve() -> dict[str, float]:
        with tempfile.TemporaryDirectory(prefix="idle-", dir=directory) as data_dir, Runtime.open(data_dir):
            server = await EventServer.start(Path(data_dir), "127.0.0.1", 0)
            try:
                return await _silence(server.port, subscribers, seconds, time.process_time, resident_bytes)
            finally:
                await server.stop()

    return asyncio.run(serve())


def elsewhere(directory: str, subscribers: int, seconds: float, polling: bool) -> dict[str, float]:
    """Serve in another process; this one has the log open and writes nothing."""
    from yoi_runtime import Runtime

    with (
        tempfile.TemporaryDirectory(prefix="idle-", dir=directory) as data_dir,
        Runtime.open(data_dir),
        read_only_server(Path(data_dir), polling=polling) as (pid, port),
    ):
        silence = _silence(port, subscribers, seconds, lambda: cpu_seconds(pid), lambda: _resident_bytes_of(pid))
        return asyncio.run(silence)


async def _silence(
    port: int, subscribers: int, seconds: float, cpu: Callable[[], float], memory: Callable[[], int]
) -> dict[str, float]:
    async def per_second() -> float:
        before = cpu()
        await asyncio.sleep(seconds)
        return (cpu() - before) / seconds * 1000

    # Once it has done what it does at its start.
    await asyncio.sleep(min(1.0, seconds))
    before = await per_second()
    if not subscribers:
        return {"before": before}
    resident = memory()
    swarm = Swarm(port=port, paths=["/v1/events/ws"] * subscribers)
    try:
        await asyncio.to_thread(swarm.wait_connected)
        await asyncio.sleep(min(1.0, seconds))
        kib = (memory() - resident) / subscribers / 1024
        return {"before": before, "kib": kib, "after": await per_second()}
    finally:
        swarm.stop()


def resident_bytes() -> int:
    """Return the resident memory of this process, without what nobody holds any more."""
    gc.collect()
    return _resident_bytes_of(os.getpid())


def _resident_bytes_of(pid: int) -> int:
    """Source: proc(5), /proc/pid/statm."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
