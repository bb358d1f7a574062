"""serve-latency: how long after its append an event is at its subscribers, beside JetStream that syncs every message."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target
from tools.bench.light_reader import Swarm
from tools.bench.nats_peer import can_sync_always, synced_delays
from tools.bench.peers import PeerMissingError, nats_program, nats_version
from tools.bench.serve_fan_out import stream_arguments
from tools.bench.serve_scoped import emit_steadily, percentile
from tools.bench.setting import Setting

__all__ = ["jetstream", "ours", "run"]

PER_SECOND = 1_000
TEXT_BYTES = 200
METHOD = (
    f"{PER_SECOND:,} events a second for 5 seconds; each text says when it was emitted, on the machine's monotonic clock. The readers are one other process that looks at each text "
    "(its processor time is in the table: what it takes is in the delays, ours and theirs). v1 with `batch=1`. "
    "JetStream: file storage, `sync_interval: always`, published over TCP without waiting for acknowledgements, delivered by one push consumer to as many WebSocket subscribers."
)


def run(setting: Setting) -> Result:
    """Measure ours in both durabilities, and JetStream's, in turn."""
    seconds = 1 if setting.quick else 5
    notes: list[str] = []
    nats = None
    try:
        nats = nats_program(install=setting.install)
        if not can_sync_always(nats, str(setting.shelf.directory)):
            raise PeerMissingError(f"NATS {nats_version(nats)} does not know sync_interval (2.10 does)")
        notes.append(f"NATS {nats_version(nats)}")
    except PeerMissingError as error:
        nats = None
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
        if nats is not None:
            answer = measure("serve_latency", "jetstream", program=nats, directory=directory, seconds=seconds)
            found.setdefault("JetStream, 20 subscribers", []).append(answer)
    most = {
        "written, 20 subscribers": (1, 8),
        "synced, 20 subscribers": (1.5, 10),
        "written, 100 subscribers": (None, 25),
        "synced, 100 subscribers": (None, 25),
    }
    figures = []
    for name, answers in found.items():
        p50, p99 = most.get(name, (None, None))
        for share, bound in (("p50", p50), ("p99", p99)):
            target = Target(at_most=bound) if bound is not None else None
            figures.append(Figure(f"{name}, {share}", "ms", tuple(answer[share] for answer in answers), target))
        readers = tuple(answer["reader_share"] for answer in answers)
        figures.append(Figure(f"{name}, the readers' processor time per second", "s", readers))
    return Result("serve-latency", METHOD, tuple(figures), tuple(notes))


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


def jetstream(program: str, directory: str, seconds: float) -> dict[str, float]:
    """The same from JetStream."""
    events = int(PER_SECOND * seconds)
    account = synced_delays(program, directory, 20, events, PER_SECOND, TEXT_BYTES)
    return _shares(account["delays_ms"], account["cpu_seconds"] / seconds)


def _shares(delays: list[float], reader_share: float) -> dict[str, float]:
    return {"p50": percentile(delays, 0.5), "p99": percentile(delays, 0.99), "reader_share": reader_share}
