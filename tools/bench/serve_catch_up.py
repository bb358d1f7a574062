"""serve-catch-up: readers of an old log, beside JetStream, Redis Streams and a bare socket writer."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target, ratio
from tools.bench.light_reader import MARK, Swarm
from tools.bench.peers import PeerMissingError, nats_program, nats_version, redis_program, redis_version
from tools.bench.serve_fan_out import stream_arguments
from tools.bench.setting import Setting

__all__ = ["run"]

READERS = 10
HOT_READERS = 50
TEXT_BYTES = 200
METHOD = (
    f"A log of `TextDelta`s of {TEXT_BYTES} bytes, in segments of 16 MiB, is read by a server process that does nothing else; what was read is in the kernel's cache. "
    f"{READERS} readers begin at the oldest event, or each at another place of the first half; {HOT_READERS} readers for the hot range, whose bytes a second are held against one process that writes "
    "128 KiB of nothing at a time to as many sockets. Deliveries per second of the server's CPU time. "
    "JetStream: the same texts in a file stream, a push consumer without acknowledgement for each reader, over WebSocket. Redis: `XREAD COUNT 1000` over TCP, ids known beforehand. "
    "The readers are another process, as in serve-fan-out. Every measurement is a fresh server; they take turns."
)


def run(setting: Setting) -> Result:
    """Measure ours and the peers' in turn."""
    events = 2_000 if setting.quick else 200_000
    notes: list[str] = []
    nats = redis = None
    try:
        nats = nats_program(install=setting.install)
        notes.append(f"NATS {nats_version(nats)}")
    except PeerMissingError as error:
        notes.append(f"no figures of NATS: {error}")
    try:
        redis = redis_program(install=setting.install)
        notes.append(f"Redis {redis_version(redis)}")
    except PeerMissingError as error:
        notes.append(f"no figures of Redis: {error}")
    found: dict[str, list[dict[str, float]]] = {}
    directory = str(setting.shelf.directory)
    with tempfile.TemporaryDirectory(prefix="catch-up-", dir=directory) as data_dir:
        starts = measure("serve_catch_up", "make", data_dir=data_dir, events=events, starts=READERS)
        ours = {"data_dir": data_dir, "events": events}
        theirs = {"directory": directory, "readers": READERS, "events": events, "text_bytes": TEXT_BYTES}
        for number in range(setting.rounds):
            setting.say(f"round {number + 1} of {setting.rounds}")

            def take(name: str, module: str, function: str, **arguments: Any) -> None:
                found.setdefault(name, []).append(measure(module, function, **arguments))

            for version in (1, 0):
                take(f"same v{version}", "serve_catch_up", "read", version=version, starts=[None] * READERS, **ours)
                take(f"spread v{version}", "serve_catch_up", "read", version=version, starts=starts, **ours)
            take("hot", "serve_catch_up", "read", version=1, starts=[None] * HOT_READERS, warm=True, **ours)
            size = int(found["hot"][-1]["bytes"]) // HOT_READERS
            take("raw", "serve_catch_up", "write_raw", readers=HOT_READERS, size_bytes=size)
            if nats is not None:
                take("nats same", "nats_peer", "replay", program=nats, spread=False, **theirs)
                take("nats spread", "nats_peer", "replay", program=nats, spread=True, **theirs)
            if redis is not None:
                take("redis", "redis_streams", "read_all", program=redis, **theirs)

    def per_cpu(name: str) -> list[float]:
        return [answer["deliveries"] / answer["cpu_seconds"] for answer in found[name]]

    figures = [
        Figure(f"{READERS} readers of the same range, v1 batch", "/CPU-s", tuple(per_cpu("same v1"))),
        Figure(f"{READERS} readers of the same range, v0", "/CPU-s", tuple(per_cpu("same v0"))),
        Figure(f"{READERS} readers at unrelated places, v1 batch", "/CPU-s", tuple(per_cpu("spread v1"))),
        Figure(f"{READERS} readers at unrelated places, v0", "/CPU-s", tuple(per_cpu("spread v0"))),
    ]
    if nats is not None:
        figures += [
            Figure("JetStream, the same range", "/CPU-s", tuple(per_cpu("nats same"))),
            Figure("JetStream, unrelated places", "/CPU-s", tuple(per_cpu("nats spread"))),
            ratio("same range, v1 batch to JetStream", per_cpu("same v1"), per_cpu("nats same"), Target(at_least=8)),
            ratio("same range, v0 to JetStream", per_cpu("same v0"), per_cpu("nats same"), Target(at_least=4)),
            ratio("unrelated, v1 batch to JetStream", per_cpu("spread v1"), per_cpu("nats spread"), Target(at_least=5)),
            ratio("unrelated, v0 to JetStream", per_cpu("spread v0"), per_cpu("nats spread"), Target(at_least=2)),
        ]
    if redis is not None:
        figures += [
            Figure("Redis, XREAD", "/CPU-s", tuple(per_cpu("redis"))),
            ratio("same range, v1 batch to Redis", per_cpu("same v1"), per_cpu("redis"), Target(at_least=3)),
            ratio("same range, v0 to Redis", per_cpu("same v0"), per_cpu("redis"), Target(at_least=1.5)),
        ]

    def per_second(name: str) -> list[float]:
        return [answer["bytes"] / answer["seconds"] / 1e6 for answer in found[name]]

    figures += [
        Figure(f"{HOT_READERS} readers of a hot range, v1 batch", "MB/s", tuple(per_second("hot"))),
        Figure("one process that only writes", "MB/s", tuple(per_second("raw"))),
        ratio("hot range to bare writing", per_second("hot"), per_second("raw"), Target(at_least=0.6)),
    ]
    return Result("serve-catch-up", METHOD, tuple(figures), tuple(notes))


# What the measuring processes do.


def make(data_dir: str, events: int, starts: int) -> list[str]:
    """Make the log, with its place files, and return cursors spread over its first half."""
    from tools.bench.large_log import index_places
    from yoi_runtime import Runtime
    from yoi_runtime.events import TextDelta

    text = "x" * TEXT_BYTES
    cursors: list[str] = []
    with Runtime.open(data_dir) as runtime:
        worker = runtime.create_worker("coder")
        for number in range(events - 1):
            cursor = worker.emit(TextDelta(text=text))
            if number % (events // (2 * starts)) == 0 and len(cursors) < starts:
                cursors.append(cursor)
        worker.emit(TextDelta(text=MARK.ljust(TEXT_BYTES)))
    Runtime.open(data_dir).close()
    index_places(data_dir)
    return cursors


def read(data_dir: str, events: int, version: int, starts: list[str | None], warm: bool = False) -> dict[str, float]:
    """Serve the log to readers that begin at ``starts`` (None: the oldest event); ``warm``: not the first ones."""
    from yoi_runtime.segment_log.cursor import decode_token
    from yoi_runtime.server.event_server import EventServer

    async def serve() -> dict[str, float]:
        server = await EventServer.start(Path(data_dir), "127.0.0.1", 0)
        try:
            if warm:
                await _read_by(stream_arguments(server.port, version, 1, "?from=oldest"))
            before = time.process_time()
            arguments = stream_arguments(server.port, version, len(starts), "?START")
            arguments["paths"] = [
                path.replace("START", f"cursor={start}" if start else "from=oldest")
                for path, start in zip(arguments["paths"], starts, strict=True)
            ]
            account = await _read_by(arguments)
            cpu = time.process_time() - before
        finally:
            await server.stop()
        deliveries = sum(events - (decode_token(start).seq if start else 0) for start in starts)
        return {**account, "cpu_seconds": cpu, "deliveries": deliveries}

    return asyncio.run(serve())


async def _read_by(arguments: dict[str, Any]) -> dict[str, Any]:
    swarm = Swarm(**arguments)
    try:
        return await asyncio.to_thread(swarm.account)
    finally:
        swarm.stop()


def write_raw(readers: int, size_bytes: int) -> dict[str, float]:
    """Write so many bytes to each of so many sockets, 128 KiB at a time, whenever one has room."""
    import select

    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(readers)
        swarm = Swarm(port=door.getsockname()[1], paths=[""] * readers, raw=True, expect_bytes=size_bytes)
        try:
            peers = {}
            poll = select.epoll()
            for _ in range(readers):
                peer, _ = door.accept()
                peer.setblocking(False)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 << 10)
                peers[peer.fileno()] = peer
                poll.register(peer.fileno(), select.EPOLLOUT)
            swarm.wait_connected()
            block = memoryview(b"x" * (128 << 10))
            left = dict.fromkeys(peers, size_bytes)
            while left:
                for fd, _ in poll.poll():
                    sent = peers[fd].send(block[: left[fd]])
                    left[fd] -= sent
                    if not left[fd]:
                        poll.unregister(fd)
                        del left[fd]
            account = swarm.account()
        finally:
            swarm.stop()
    return {"bytes": account["bytes"], "seconds": account["seconds"]}
