"""serve-stalled: what subscribers cost who ask for much and read nothing, and whether others notice them."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target, ratio
from tools.bench.light_reader import Swarm, allow_descriptors
from tools.bench.serve_fan_out import stream_arguments
from tools.bench.serve_idle import resident_bytes
from tools.bench.serve_scoped import emit_steadily, percentile
from tools.bench.setting import Setting

__all__ = ["beside", "run"]

STALLED = 1_000
LIVE = 20
PER_SECOND = 1_000
# Half of what is usual, so that it does not take as long.
STALL_SECONDS = 10.0
# Something is wrong with a server that has not parted with the stalled by then.
_LONGEST_SECONDS = 90.0
METHOD = (
    f"A log of 100 MB. {STALLED:,} subscribers ask for all of it and read nothing: resident memory for each when the server can write no more (what the kernel holds is not in it, nor what is in memory for all). "
    f"Then {PER_SECOND:,} events a second, `synced`, come to {LIVE} subscribers who read, until the stalled ones have all been cut off, here after {STALL_SECONDS:g} to {2 * STALL_SECONDS:g} s without a byte, and that is over: the delays of all that time, beside those of as long a time with nobody stalled. "
    "The readers are two other processes. Every measurement is a fresh process; the two take turns."
)


def run(setting: Setting) -> Result:
    """Measure with nobody stalled and with many, in turn."""
    stalled, stall_seconds = (20, 0.5) if setting.quick else (STALLED, STALL_SECONDS)
    found: dict[int, list[dict[str, float]]] = {0: [], stalled: []}
    for number in range(setting.rounds):
        setting.say(f"round {number + 1} of {setting.rounds}")
        for count, answers in found.items():
            answer = measure(
                "serve_stalled",
                "beside",
                directory=str(setting.shelf.directory),
                stalled=count,
                stall_seconds=stall_seconds,
                records=600 if setting.quick else 6_000,
            )
            answers.append(answer)

    def values(count: int, what: str) -> tuple[float, ...]:
        return tuple(answer[what] for answer in found[count])

    figures = (
        Figure("a stalled subscriber", "KiB", values(stalled, "kib"), Target(at_most=300)),
        Figure("with nobody stalled, p50", "ms", values(0, "p50")),
        Figure("with nobody stalled, p99", "ms", values(0, "p99")),
        Figure("beside the stalled, p50", "ms", values(stalled, "p50")),
        Figure("beside the stalled, p99", "ms", values(stalled, "p99"), Target(at_most=10)),
        Figure("beside the stalled, the longest", "ms", values(stalled, "longest")),
        ratio("p50 beside the stalled to p50 without", values(stalled, "p50"), values(0, "p50"), Target(at_most=1.2)),
        Figure("the server's processor time per second beside the stalled", "s", values(stalled, "cpu_share")),
    )
    return Result("serve-stalled", METHOD, figures)


# What the measuring process does.


def beside(directory: str, stalled: int, stall_seconds: float, records: int) -> dict[str, float]:
    """Serve the live ones while the others are stalled, and until the last of those is gone."""
    from yoi_runtime import Runtime
    from yoi_runtime.events import TextDelta
    from yoi_runtime.server.event_server import EventServer

    allow_descriptors()

    async def serve() -> dict[str, float]:
        with tempfile.TemporaryDirectory(prefix="stall-", dir=directory) as data_dir, Runtime.open(data_dir) as runtime:
            worker = runtime.create_worker("coder")
            for _ in range(records):
                worker.emit(TextDelta(text="x" * 16_000))
            await runtime.settled()
            server = await EventServer.start(Path(data_dir), "127.0.0.1", 0, stall_seconds=stall_seconds)
            live = Swarm(**stream_arguments(server.port, 1, LIVE), stamped=True)
            silent = None
            kib = 0.0
            try:
                await asyncio.to_thread(live.wait_connected)
                if stalled:
                    memory = resident_bytes()
                    silent = Swarm(port=server.port, paths=["/v1/events/ws?from=oldest"] * stalled, reading=False)
                    await asyncio.to_thread(silent.wait_connected)
                    await _until_it_rests()
                    kib = (resident_bytes() - memory) / stalled / 1024
                before, began = time.process_time(), time.monotonic()
                least = began + 2 * stall_seconds
                while time.monotonic() < least or (stalled and server.subscribers > LIVE):
                    await emit_steadily([worker], PER_SECOND, 1, more_to_come=True)
                    if time.monotonic() - began > _LONGEST_SECONDS:
                        raise RuntimeError(f"{server.subscribers - LIVE} stalled subscribers are still there")
                await emit_steadily([worker], PER_SECOND, 1)
                used, seconds = time.process_time() - before, time.monotonic() - began
                account = await asyncio.to_thread(live.account)
            finally:
                live.stop()
                if silent is not None:
                    silent.stop()
                await server.stop()
        delays = account["delays_ms"]
        return {
            "kib": kib,
            "p50": percentile(delays, 0.5),
            "p99": percentile(delays, 0.99),
            "longest": delays[-1],
            "cpu_share": used / seconds,
        }

    return asyncio.run(serve())


async def _until_it_rests() -> None:
    """Return when this process has nothing to do any more."""
    last = -1.0
    while (now := time.process_time()) - last > 0.05:
        last = now
        await asyncio.sleep(0.5)
