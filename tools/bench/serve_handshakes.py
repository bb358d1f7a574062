"""serve-handshakes: how many subscribers can come in a second, beside NATS and naive Tornado."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target, ratio
from tools.bench.handshaker import Handshakes
from tools.bench.light_reader import allow_descriptors, cpu_seconds, cpu_since
from tools.bench.nats_peer import nats_server
from tools.bench.peers import PeerMissingError, nats_program, nats_version
from tools.bench.setting import Setting

__all__ = ["nats", "ours", "run", "tornado"]

HANDSHAKES = 3_000
AT_A_TIME = 50
TOKENS = 100
_AFTER_SECONDS = 0.2
METHOD = (
    f"{HANDSHAKES:,} WebSockets are opened by another process (raw sockets, one epoll, {AT_A_TIME} under way at a time) and stay open until the last one is. By the clock: from the first connection to the last answer. "
    "The server's processor time each: user and system, until a moment after the last answer, so what a new subscriber is sent first is in it. Plain: everything, v0, nobody asked for a token. "
    f"With a token: the stream of one of 100 Workers, v1, the token one of {TOKENS} in the file. Naive Tornado: a `WebSocketHandler` that sends nothing. NATS: its WebSocket handshake and its INFO; a client would go on with CONNECT. Every measurement is a fresh process; they take turns."
)


def run(setting: Setting) -> Result:
    """Measure ours, plain and with a token, and the peers, in turn."""
    count = 50 if setting.quick else HANDSHAKES
    directory = str(setting.shelf.directory)
    notes: list[str] = []
    program = None
    try:
        program = nats_program(install=setting.install)
        notes.append(f"NATS {nats_version(program)}")
    except PeerMissingError as error:
        notes.append(f"no figures of NATS: {error}")
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(setting.rounds):
        setting.say(f"round {number + 1} of {setting.rounds}")
        for name, function, arguments in (
            ("plain", "ours", {"directory": directory, "guarded": False}),
            ("token", "ours", {"directory": directory, "guarded": True}),
            ("tornado", "tornado", {}),
            ("nats", "nats", {"program": program, "directory": directory}),
        ):
            if name != "nats" or program is not None:
                answer = measure("serve_handshakes", function, count=count, **arguments)
                found.setdefault(name, []).append(answer)
    titles = {
        "plain": "yoi_runtime",
        "token": "yoi_runtime, a Worker's, with a token",
        "tornado": "naive Tornado",
        "nats": "NATS",
    }
    figures = []
    for name, answers in found.items():
        target = Target(at_least=1_500) if name in ("plain", "token") else None
        figures.append(Figure(titles[name], "/s", tuple(answer["per_second"] for answer in answers), target))
        each = tuple(answer["server_us"] for answer in answers)
        figures.append(Figure(f"{titles[name]}, the server's processor time each", "µs", each))
    figures.append(
        ratio(
            "processor time to naive Tornado's",
            [answer["server_us"] for answer in found["plain"]],
            [answer["server_us"] for answer in found["tornado"]],
        )
    )
    drivers = tuple(answer["driver_us"] for answer in found["plain"])
    figures.append(Figure("the driver's processor time each", "µs", drivers))
    return Result("serve-handshakes", METHOD, tuple(figures), tuple(notes))


# What the measuring processes do.


def ours(directory: str, count: int, guarded: bool) -> dict[str, float]:
    """Serve a log with 100 Workers in it; ``guarded``: to those who have a token of one of them."""
    from yoi_runtime import Runtime
    from yoi_runtime.server.access import ServerAccess
    from yoi_runtime.server.event_server import EventServer
    from yoi_runtime.server.token_file import add_token

    async def serve() -> dict[str, float]:
        with (
            tempfile.TemporaryDirectory(prefix="handshakes-", dir=directory) as data_dir,
            Runtime.open(data_dir) as runtime,
        ):
            for number in range(100):
                runtime.create_worker(f"agent-{number}")
            await runtime.settled()
            driven: dict[str, Any] = {"path": "/v1/events/ws"}
            access = None
            if guarded:
                tokens = Path(data_dir) / "tokens.json"
                labels = [f"backend {number}" for number in range(TOKENS)]
                made = [add_token(tokens, label=label, workers=["agent-7"], expires_at=None) for label in labels]
                access = ServerAccess(token_file=tokens)
                path = "/v1/workers/agent-7/events/ws?batch=1"
                driven = {"path": path, "protocol": "yoi.events.v1", "token": made[-1][0]}
            server = await EventServer.start(Path(data_dir), "127.0.0.1", 0, access=access)
            try:
                return await _driven(server.port, count, driven, time.process_time)
            finally:
                await server.stop()

    allow_descriptors()
    return asyncio.run(serve())


def tornado(count: int) -> dict[str, float]:
    """The handshake of Tornado alone."""
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.web import Application
    from tornado.websocket import WebSocketHandler

    class Stream(WebSocketHandler):
        def on_message(self, message: str | bytes) -> None:
            return

    async def serve() -> dict[str, float]:
        server = HTTPServer(Application([("/", Stream)]))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        try:
            return await _driven(sockets[0].getsockname()[1], count, {"path": "/"}, time.process_time)
        finally:
            server.stop()

    allow_descriptors()
    return asyncio.run(serve())


def nats(program: str, directory: str, count: int) -> dict[str, float]:
    """That of NATS."""
    with nats_server(program, directory) as (pid, _, web_port):
        before = cpu_seconds(pid)
        return asyncio.run(_driven(web_port, count, {"path": "/"}, lambda: before + cpu_since(pid, before)))


async def _driven(port: int, count: int, arguments: dict[str, Any], cpu: Callable[[], float]) -> dict[str, float]:
    """Have another process shake hands; ``cpu`` says what the server has used of the processor so far."""
    before = cpu()
    driver = Handshakes(port=port, count=count, at_a_time=AT_A_TIME, **arguments)
    try:
        account = await asyncio.to_thread(driver.account)
        # What was handed to tasks of the new subscribers.
        await asyncio.sleep(_AFTER_SECONDS)
        used = cpu() - before
    finally:
        await asyncio.to_thread(driver.stop)
    return {
        "per_second": count / account["seconds"],
        "server_us": used / count * 1e6,
        "driver_us": account["cpu_seconds"] / count * 1e6,
    }
