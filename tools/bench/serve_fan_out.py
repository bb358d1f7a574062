"""serve-fan-out: events to 50 subscribers as they happen, beside NATS, naive Tornado and a bare socket writer."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target, ratio
from tools.bench.light_reader import MARK, Swarm
from tools.bench.peers import PeerMissingError, nats_program, nats_version
from tools.bench.setting import Setting

__all__ = ["run"]

SUBSCRIBERS = 50
TEXT_BYTES = 200
AT_ONCE = 64
_PER_TURN = 256
METHOD = (
    f"{SUBSCRIBERS} subscribers on loopback WebSockets, texts of {TEXT_BYTES} bytes. Deliveries per second of the server process's own CPU time (user and system). "
    "yoi_runtime: one process emits `TextDelta`s (typed, checksummed, durability `synced`) in a task of its event loop and serves them; 64 events in one `emit_many`, as the publisher of NATS "
    "puts 64 into one write, and for comparison one by one. "
    "NATS: core publish and subscribe over WebSocket, nothing is stored, no types; one connection publishes over TCP. "
    "Naive Tornado: one `write_message` for each event and subscriber, awaited by nobody. `websockets`: its `broadcast`. "
    "The readers are another process: raw sockets, one epoll, one buffer, no parsing. Every measurement is a fresh process; they take turns."
)


def run(setting: Setting) -> Result:
    """Measure ours and the peers' in turn."""
    events = 500 if setting.quick else 60_000
    few = 100 if setting.quick else 2_000
    notes: list[str] = []
    nats = None
    try:
        nats = nats_program(install=setting.install)
        notes.append(f"NATS {nats_version(nats)}")
    except PeerMissingError as error:
        notes.append(f"no figures of NATS: {error}")
    found: dict[str, list[dict[str, float]]] = {}
    directory = str(setting.shelf.directory)
    for number in range(setting.rounds):
        setting.say(f"round {number + 1} of {setting.rounds}")
        for name, module, function, arguments in (
            ("v1", "serve_fan_out", "ours", {"directory": directory, "version": 1, "events": events}),
            ("v0", "serve_fan_out", "ours", {"directory": directory, "version": 0, "events": events}),
            (
                "v1 singly",
                "serve_fan_out",
                "ours",
                {"directory": directory, "version": 1, "events": events, "at_once": 1},
            ),
            (
                "v0 singly",
                "serve_fan_out",
                "ours",
                {"directory": directory, "version": 0, "events": events, "at_once": 1},
            ),
            ("nats", "nats_peer", "fan_out", {"program": nats, "directory": directory, "events": events}),
            ("tornado", "naive_peers", "tornado", {"events": few}),
            ("websockets", "naive_peers", "broadcast", {"events": few * 2}),
        ):
            if name != "nats" or nats is not None:
                answer = measure(module, function, subscribers=SUBSCRIBERS, text_bytes=TEXT_BYTES, **arguments)
                found.setdefault(name, []).append(answer)

    def per_cpu(name: str) -> list[float]:
        return [answer["deliveries"] / answer["cpu_seconds"] for answer in found[name]]

    figures = [
        Figure("yoi_runtime, v1 batch, synced", "/CPU-s", tuple(per_cpu("v1"))),
        Figure("yoi_runtime, v0, synced", "/CPU-s", tuple(per_cpu("v0"))),
        Figure("yoi_runtime, v1 batch, synced, emitted one by one", "/CPU-s", tuple(per_cpu("v1 singly"))),
        Figure("yoi_runtime, v0, synced, emitted one by one", "/CPU-s", tuple(per_cpu("v0 singly"))),
        Figure("naive Tornado", "/CPU-s", tuple(per_cpu("tornado"))),
        Figure("websockets, broadcast", "/CPU-s", tuple(per_cpu("websockets"))),
        ratio("v1 batch to naive Tornado", per_cpu("v1"), per_cpu("tornado"), Target(at_least=60)),
        ratio("v0 to naive Tornado", per_cpu("v0"), per_cpu("tornado"), Target(at_least=40)),
    ]
    if "nats" in found:
        figures += [
            Figure("NATS, core", "/CPU-s", tuple(per_cpu("nats"))),
            ratio("v1 batch to NATS core", per_cpu("v1"), per_cpu("nats"), Target(at_least=1.3)),
            ratio("v0 to NATS core", per_cpu("v0"), per_cpu("nats"), Target(at_least=1)),
        ]
    figures += [
        Figure("yoi_runtime, v1 batch, by the clock", "/s", tuple(answer["per_second"] for answer in found["v1"])),
        Figure(
            "the readers' CPU in the v1 run, per CPU of the server",
            "",
            tuple(answer["reader_cpu"] / answer["cpu_seconds"] for answer in found["v1"]),
        ),
    ]
    return Result("serve-fan-out", METHOD, tuple(figures), tuple(notes))


# What the measuring processes do.


def ours(
    directory: str, version: int, subscribers: int, events: int, text_bytes: int, at_once: int = AT_ONCE
) -> dict[str, float]:
    """Emit and serve in one process; return what was delivered and what it took."""
    from yoi_runtime import Runtime
    from yoi_runtime.server.event_server import EventServer

    async def serve() -> dict[str, float]:
        with tempfile.TemporaryDirectory(prefix="serve-", dir=directory) as data_dir, Runtime.open(data_dir) as runtime:
            worker = runtime.create_worker("coder")
            server = await EventServer.start(Path(data_dir), "127.0.0.1", 0)
            swarm = Swarm(**stream_arguments(server.port, version, subscribers))
            try:
                await asyncio.to_thread(swarm.wait_connected)
                before, began = time.process_time(), time.perf_counter()
                await _emit(worker, events, text_bytes, at_once)
                account = await asyncio.to_thread(swarm.account)
                cpu, took = time.process_time() - before, time.perf_counter() - began
            finally:
                swarm.stop()
                await server.stop()
            deliveries = subscribers * events
            return {
                "deliveries": deliveries,
                "cpu_seconds": cpu,
                "per_second": deliveries / took,
                "reader_cpu": account["cpu_seconds"],
                "bytes": account["bytes"],
            }

    return asyncio.run(serve())


def stream_arguments(port: int, version: int, subscribers: int, query: str = "") -> dict[str, Any]:
    """Return what ``read_streams`` needs for so many streams of everything."""
    path = "/v1/events/ws" + query
    if version == 1:
        path += ("&" if query else "?") + "batch=1"
        return {"port": port, "paths": [path] * subscribers, "protocol": "yoi.events.v1"}
    return {"port": port, "paths": [path] * subscribers}


async def _emit(worker: Any, events: int, text_bytes: int, at_once: int) -> None:
    """Emit as fast as it goes, so many in one call; every few events the others of the loop have their turn."""
    from yoi_runtime.events import TextDelta

    text = "x" * text_bytes
    left = events - 1
    while left:
        for _ in range(max(1, _PER_TURN // at_once)):
            count = min(at_once, left)
            if count == 1:
                worker.emit(TextDelta(text=text))
            elif count:
                worker.emit_many([TextDelta(text=text) for _ in range(count)])
            left -= count
        await asyncio.sleep(0)
    worker.emit(TextDelta(text=MARK.ljust(text_bytes)))
