"""serve-scoped: a thousand Workers with a subscriber each, live; and one Worker's resume in a log of a thousand."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target
from tools.bench.light_reader import MARK, Swarm
from tools.bench.setting import Setting

__all__ = ["percentile", "run"]

WORKERS = 1_000
PER_SECOND = 20_000
TEXT_BYTES = 200
METHOD = (
    f"Live: {WORKERS:,} Workers, one v1 subscriber to each, {PER_SECOND:,} events a second in all, emitted in turn by a task of the serving process, durability `synced`; "
    "each text says when it was emitted, and the readers (another process, on the other core) how much later it came. "
    f"Resume: a log of 1 GB with {WORKERS:,} Workers in turn and its place files; a fresh server, then one v1 subscriber from the oldest event of one Worker; from the request to its last event, "
    "and the bytes that the server read from files meanwhile (`/proc/self/io`). Every measurement is a fresh process."
)


def run(setting: Setting) -> Result:
    """Measure both."""
    workers, per_second, seconds = (20, 500, 1) if setting.quick else (WORKERS, PER_SECOND, 5)
    events = 20_000 if setting.quick else 1_000_000
    live: list[dict[str, float]] = []
    resumed: list[dict[str, float]] = []
    directory = str(setting.shelf.directory)
    with tempfile.TemporaryDirectory(prefix="scoped-", dir=directory) as data_dir:
        setting.say(f"making a log of {events:,} events")
        measure("serve_scoped", "make", data_dir=data_dir, workers=workers, events=events)
        for number in range(setting.rounds):
            setting.say(f"round {number + 1} of {setting.rounds}")
            live.append(
                measure(
                    "serve_scoped", "emit", directory=directory, workers=workers, per_second=per_second, seconds=seconds
                )
            )
            resumed.append(measure("serve_scoped", "resume", data_dir=data_dir))
    figures = (
        Figure("live, events a second reached", "/s", _of(live, "per_second"), Target(at_least=0.98 * per_second)),
        Figure("live, from append to receipt, p50", "ms", _of(live, "p50")),
        Figure("live, from append to receipt, p99", "ms", _of(live, "p99"), Target(at_most=50)),
        Figure("live, processor time of the server per second", "s", _of(live, "cpu_share")),
        Figure("live, processor time of the readers per second", "s", _of(live, "reader_share")),
        Figure("resume of one Worker, to its last event", "ms", _of(resumed, "ms"), Target(at_most=100)),
        Figure("resume of one Worker, bytes read to bytes sent", "", _of(resumed, "read_share"), Target(at_most=4)),
    )
    return Result("serve-scoped", METHOD, figures)


def _of(answers: list[dict[str, float]], name: str) -> tuple[float, ...]:
    return tuple(answer[name] for answer in answers)


def percentile(ordered: list[float], share: float) -> float:
    """Return the value below which that share of an ordered list lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# What the measuring processes do.


def make(data_dir: str, workers: int, events: int) -> None:
    """Make a log in which the Workers take turns, with its place files."""
    from tools.bench.large_log import index_places, options
    from yoi_runtime import Runtime
    from yoi_runtime.events import TextDelta

    text = "x" * (2 * TEXT_BYTES + 250)
    with Runtime.open(data_dir, options(16 << 20)) as runtime:
        agents = [runtime.create_worker(f"agent-{number}") for number in range(workers)]
        for number in range(events):
            agents[number % workers].emit(TextDelta(text=text))
        for agent in agents:
            agent.emit(TextDelta(text=MARK))
    Runtime.open(data_dir, options(16 << 20)).close()
    index_places(data_dir)


def resume(data_dir: str) -> dict[str, float]:
    """Let one subscriber read all of one Worker's events."""
    from yoi_runtime.server.event_server import EventServer

    async def serve() -> dict[str, float]:
        server = await EventServer.start(Path(data_dir), "127.0.0.1", 0)
        path = "/v1/workers/agent-7/events/ws?from=oldest&batch=1"
        try:
            swarm = Swarm(port=server.port, paths=[path], protocol="yoi.events.v1", timed=True)
            try:
                before = _bytes_read()
                account = await asyncio.to_thread(swarm.account)
                read = _bytes_read() - before
            finally:
                swarm.stop()
        finally:
            await server.stop()
        return {"ms": account["from_request_seconds"] * 1000, "read_share": read / account["bytes"]}

    return asyncio.run(serve())


def _bytes_read() -> int:
    """Return how many bytes this process has asked of files and got. Source: proc(5), /proc/pid/io."""
    return int(Path("/proc/self/io").read_text("ascii").split()[1])


def emit(directory: str, workers: int, per_second: int, seconds: float) -> dict[str, float]:
    """Emit at a steady rate, in turn, to a subscriber of each Worker."""
    from yoi_runtime import Runtime
    from yoi_runtime.server.event_server import EventServer

    async def serve() -> dict[str, float]:
        with (
            tempfile.TemporaryDirectory(prefix="scoped-", dir=directory) as data_dir,
            Runtime.open(data_dir) as runtime,
        ):
            agents = [runtime.create_worker(f"agent-{number}") for number in range(workers)]
            server = await EventServer.start(Path(data_dir), "127.0.0.1", 0)
            await _known(server, workers)
            paths = [f"/v1/workers/agent-{number}/events/ws?batch=1" for number in range(workers)]
            swarm = Swarm(port=server.port, paths=paths, protocol="yoi.events.v1", stamped=True)
            try:
                await asyncio.to_thread(swarm.wait_connected)
                before, began = time.process_time(), time.perf_counter()
                events = await emit_steadily(agents, per_second, seconds)
                took = time.perf_counter() - began
                account = await asyncio.to_thread(swarm.account)
                cpu = time.process_time() - before
            finally:
                swarm.stop()
                await server.stop()
        delays = account["delays_ms"]
        return {
            "per_second": events / took,
            "p50": percentile(delays, 0.5),
            "p99": percentile(delays, 0.99),
            "cpu_share": cpu / took,
            "reader_share": account["cpu_seconds"] / took,
        }

    return asyncio.run(serve())


async def _known(server: Any, workers: int) -> None:
    view = server._state.view
    while len(view.ledger.workers) < workers:
        await view.beyond(view.end)


async def emit_steadily(agents: list[Any], per_second: int, seconds: float, *, more_to_come: bool = False) -> int:
    """Let the Workers emit in turn, so many a second in all; return how many there were.

    Each ends with a mark, unless there is ``more_to_come``.
    """
    from yoi_runtime.events import TextDelta

    loop = asyncio.get_running_loop()
    total, done, began = int(per_second * seconds), 0, loop.time()
    while done < total:
        due = min(total, int((loop.time() - began) * per_second) + 1)
        # At most a millisecond of work at a time, also when it is behind.
        for number in range(done, min(due, done + 50)):
            last = MARK if number >= total - len(agents) and not more_to_come else ""
            text = f"sent-at-{time.monotonic_ns()}-{last}".ljust(TEXT_BYTES, "x")
            agents[number % len(agents)].emit(TextDelta(text=text))
        done = min(due, done + 50)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.sleep(max(0.0, began + done / per_second - loop.time()))
    return total
