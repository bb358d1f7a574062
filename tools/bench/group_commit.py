"""group-commit: events per second when every one is waited for until it survives a power cut."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target, ratio
from tools.bench.setting import Setting

__all__ = ["run"]

TASKS = 100
RECORD_BYTES = 430
METHOD = (
    f"{TASKS} asyncio tasks on one loop: each emits a `TextDelta` of 100 bytes, awaits `runtime.durable(cursor)`, and emits the next. "
    f"The peer is the disk by itself: one thread appends {RECORD_BYTES} bytes, about what our record takes, and calls `fdatasync`, for each event. "
    "Every measurement is a fresh process and a fresh file; the two take turns."
)


def run(setting: Setting) -> Result:
    """Measure both in turn."""
    each, syncs = (10, 20) if setting.quick else (500, 2_000)
    ours: list[float] = []
    disk: list[float] = []
    directory = str(setting.shelf.directory)
    for number in range(setting.rounds):
        setting.say(f"round {number + 1} of {setting.rounds}")
        ours.append(measure("group_commit", "emit_and_wait", directory=directory, each=each))
        disk.append(measure("group_commit", "write_and_sync", directory=directory, syncs=syncs))
    figures = (
        Figure(f"yoi_runtime, {TASKS} tasks, each event awaited", "/s", tuple(ours), Target(at_least=15_000)),
        Figure("the disk, one fdatasync per event", "/s", tuple(disk)),
        ratio("yoi_runtime to the disk", ours, disk),
    )
    return Result("group-commit", METHOD, figures)


# What the measuring processes do.


def emit_and_wait(directory: str, each: int) -> float:
    """Return awaited events per second."""
    from yoi_runtime import Runtime
    from yoi_runtime.events import TextDelta
    from yoi_runtime.runtime.worker import Worker

    text = "x" * 100

    async def one(runtime: Runtime, worker: Worker) -> None:
        for _ in range(each):
            await runtime.durable(worker.emit(TextDelta(text=text)))

    async def everybody(runtime: Runtime) -> float:
        workers = [runtime.create_worker(f"agent-{number}") for number in range(TASKS)]
        await runtime.durable(workers[0].emit(TextDelta(text=text)))
        start = time.perf_counter()
        await asyncio.gather(*(one(runtime, worker) for worker in workers))
        return TASKS * each / (time.perf_counter() - start)

    with tempfile.TemporaryDirectory(prefix="group-", dir=directory) as data_dir, Runtime.open(data_dir) as runtime:
        return asyncio.run(everybody(runtime))


def write_and_sync(directory: str, syncs: int) -> float:
    """Return synced appends per second, one by one."""
    record = b"x" * RECORD_BYTES
    sync = getattr(os, "fdatasync", os.fsync)
    with tempfile.TemporaryDirectory(prefix="disk-", dir=directory) as data_dir:
        fd = os.open(Path(data_dir) / "file", os.O_CREAT | os.O_WRONLY, 0o600)
        start = time.perf_counter()
        for number in range(syncs):
            os.pwrite(fd, record, number * RECORD_BYTES)
            sync(fd)
        took = time.perf_counter() - start
        os.close(fd)
        return syncs / took
