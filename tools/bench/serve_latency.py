"""serve-latency: how long after its append an event is at its subscribers, of this process and another, beside JetStream that syncs."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tools.bench.built_nats import built_nats_program
from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target, ratio
from tools.bench.light_reader import Swarm, cpu_seconds
from tools.bench.nats_peer import can_sync_always, synced_delays
from tools.bench.peers import PeerMissingError, nats_program, nats_version
from tools.bench.serve_fan_out import stream_arguments
from tools.bench.serve_scoped import emit_steadily, percentile
from tools.bench.setting import Setting
from tools.bench.sibling import read_only_server

__all__ = ["elsewhere", "jetstream", "ours", "run"]

PER_SECOND = 1_000
TEXT_BYTES = 200
METHOD = (
    f"{PER_SECOND:,} events a second for 5 seconds; each text says when it was emitted, on the machine's monotonic clock. The readers are one other process that looks at each text "
    "(its processor time is in the table: what it takes is in the delays, ours and theirs). v1 with `batch=1`. "
    "Another process: served by `serve --read-only` beside the process that emits, told by the kernel when there is something new; polling: the same without being told. "
    "JetStream: file storage, `sync_interval: always`, published over TCP without waiting for acknowledgements, delivered by one push consumer to as many WebSocket subscribers."
)
_SYNCED = "synced, 20 subscribers"
_ELSEWHERE = "synced, 20 subscribers of another process"
_POLLING = "synced, 20 subscribers of another process that polls"
_JETSTREAM = "JetStream, 20 subscribers"


def run(setting: Setting) -> Result:
    """Measure ours in both durabilities, of this process and another, and JetStream's, in turn."""
    seconds = 1 if setting.quick else 5
    notes: list[str] = []
    nats = None
    try:
        nats = _syncing_nats(setting)
        notes.append(f"NATS {nats_version(nats)}")
    except PeerMissingError as error:
        notes.append(f"no figures of NATS: {error}")
    found: dict[str, list[dict[str, float]]] = {}
    directory = str(setting.shelf.directory)
    for number in range(setting.rounds):
        setting.say(f"round {number + 1} of {setting.rounds}")
        for durability in ("written", "synced"):
            for subscribers in (20, 100):
                answer = measure(
                    "serve_latency",
                    "ours",
                    directory=directory,
                    durability=durability,
                    subscribers=subscribers,
                    seconds=seconds,
                )
                found.setdefault(f"{durability}, {subscribers} subscribers", []).append(answer)
        for polling in (False, True):
            answer = measure(
                "serve_latency", "elsewhere", directory=directory, subscribers=20, seconds=seconds, polling=polling
            )
            found.setdefault(_POLLING if polling else _ELSEWHERE, []).append(answer)
        if nats is not None:
            answer = measure("serve_latency", "jetstream", program=nats, directory=directory, seconds=seconds)
            found.setdefault(_JETSTREAM, []).append(answer)
    most = {
        "written, 20 subscribers": (1, 8),
        "synced, 20 subscribers": (1.5, 10),
        "written, 100 subscribers": (None, 25),
        "synced, 100 subscribers": (None, 25),
        _ELSEWHERE: (None, 10),
    }
    figures = []
    for name, answers in found.items():
        p50, p99 = most.get(name, (None, None))
        for share, bound in (("p50", p50), ("p99", p99)):
            target = Target(at_most=bound) if bound is not None else None
            figures.append(Figure(f"{name}, {share}", "ms", tuple(answer[share] for answer in answers), target))
        readers = tuple(answer["reader_share"] for answer in answers)
        figures.append(Figure(f"{name}, the readers' processor time per second", "s", readers))
        if "server_share" in answers[0]:
            shares = tuple(answer["server_share"] for answer in answers)
            figures.append(Figure(f"{name}, the server's processor time per second", "s", shares))
    if nats is not None:
        own, theirs = ([answer["p50"] for answer in found[name]] for name in (_SYNCED, _JETSTREAM))
        figures.append(ratio("synced to JetStream, 20 subscribers, p50", own, theirs, Target(at_most=1)))
    return Result("serve-latency", METHOD, tuple(figures), tuple(notes))


def _syncing_nats(setting: Setting) -> str:
    """Return a NATS that can sync every message: the one built for that, else the distribution's if it can."""
    try:
        return built_nats_program(install=setting.install)
    except PeerMissingError as error:
        program = nats_program(install=setting.install)
        if can_sync_always(program, str(setting.shelf.directory)):
            return program
        raise PeerMissingError(f"NATS {nats_version(program)} cannot sync every message (2.10 can); {error}") from error


# What the measuring processes do.


def ours(directory: str, durability: str, subscribers: int, seconds: float) -> dict[str, float]:
    """Emit and serve in one process."""
    from yoi_runtime import Runtime, RuntimeOptions
    from yoi_runtime.server.event_server import EventServer

    async def serve() -> dict[str, float]:
        options = RuntimeOptions(durability=durability)  # type: ignore[arg-type]
        with (
            tempfile.TemporaryDirectory(prefix="serve-", dir=directory) as data_dir,
            Runtime.open(data_dir, options) as runtime,
        ):
            worker = runtime.create_worker("coder")
            server = await EventServer.start(Path(data_dir), "127.0.0.1", 0)
            swarm = Swarm(**stream_arguments(server.port, 1, subscribers), stamped=True)
            try:
                await asyncio.to_thread(swarm.wait_connected)
                await emit_steadily([worker], PER_SECOND, seconds)
                account = await asyncio.to_thread(swarm.account)
            finally:
                swarm.stop()
                await server.stop()
        return _shares(account["delays_ms"], account["cpu_seconds"] / seconds)

    return asyncio.run(serve())


def elsewhere(directory: str, subscribers: int, seconds: float, polling: bool) -> dict[str, float]:
    """Emit here, and have another process serve."""
    from yoi_runtime import Runtime

    async def emit() -> dict[str, float]:
        with (
            tempfile.TemporaryDirectory(prefix="serve-", dir=directory) as data_dir,
            Runtime.open(data_dir) as runtime,
            read_only_server(Path(data_dir), polling=polling) as (pid, port),
        ):
            worker = runtime.create_worker("coder")
            swarm = Swarm(**stream_arguments(port, 1, subscribers), stamped=True)
            try:
                await asyncio.to_thread(swarm.wait_connected)
                before = cpu_seconds(pid)
                await emit_steadily([worker], PER_SECOND, seconds)
                account = await asyncio.to_thread(swarm.account)
                used = cpu_seconds(pid) - before
            finally:
                swarm.stop()
        shares = _shares(account["delays_ms"], account["cpu_seconds"] / seconds)
        return {**shares, "server_share": used / seconds}

    return asyncio.run(emit())


def jetstream(program: str, directory: str, seconds: float) -> dict[str, float]:
    """The same from JetStream."""
    events = int(PER_SECOND * seconds)
    account = synced_delays(program, directory, 20, events, PER_SECOND, TEXT_BYTES)
    return _shares(account["delays_ms"], account["cpu_seconds"] / seconds)


def _shares(delays: list[float], reader_share: float) -> dict[str, float]:
    return {"p50": percentile(delays, 0.5), "p99": percentile(delays, 0.99), "reader_share": reader_share}
