"""What one writes first: a WebSocket server that pushes each event to each subscriber. With Tornado, and with ``websockets``."""

from __future__ import annotations

import asyncio
import time

from tools.bench.light_reader import MARK, Swarm

__all__ = ["broadcast", "tornado"]


def _texts(events: int, text_bytes: int) -> list[str]:
    return ["x" * text_bytes] * (events - 1) + [MARK.ljust(text_bytes)]


def tornado(subscribers: int, events: int, text_bytes: int) -> dict[str, float]:
    """Call ``write_message`` for every event and subscriber."""
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.web import Application
    from tornado.websocket import WebSocketHandler

    peers: set[WebSocketHandler] = set()

    class Stream(WebSocketHandler):
        def open(self, *args: str, **kwargs: str) -> None:
            peers.add(self)

        def on_message(self, message: str | bytes) -> None:
            return

        def on_close(self) -> None:
            peers.discard(self)

    async def serve() -> dict[str, float]:
        server = HTTPServer(Application([("/", Stream)]))
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        swarm = Swarm(port=sockets[0].getsockname()[1], paths=["/"] * subscribers)
        try:
            await asyncio.to_thread(swarm.wait_connected)
            before = time.process_time()
            for number, text in enumerate(_texts(events, text_bytes)):
                for peer in peers:
                    peer.write_message(text)
                if number % 16 == 0:
                    await asyncio.sleep(0)
            await asyncio.to_thread(swarm.account)
            return {"deliveries": subscribers * events, "cpu_seconds": time.process_time() - before}
        finally:
            swarm.stop()
            server.stop()

    return asyncio.run(serve())


def broadcast(subscribers: int, events: int, text_bytes: int) -> dict[str, float]:
    """Hand every event to ``websockets.asyncio.server.broadcast``."""
    from websockets.asyncio import server as websockets

    peers: set[websockets.ServerConnection] = set()

    async def stream(peer: websockets.ServerConnection) -> None:
        peers.add(peer)
        await peer.wait_closed()

    async def serve() -> dict[str, float]:
        async with websockets.serve(stream, "127.0.0.1", 0, compression=None) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            swarm = Swarm(port=port, paths=["/"] * subscribers)
            try:
                await asyncio.to_thread(swarm.wait_connected)
                before = time.process_time()
                for number, text in enumerate(_texts(events, text_bytes)):
                    websockets.broadcast(peers, text)
                    if number % 16 == 0:
                        await asyncio.sleep(0)
                await asyncio.to_thread(swarm.account)
                return {"deliveries": subscribers * events, "cpu_seconds": time.process_time() - before}
            finally:
                swarm.stop()

    return asyncio.run(serve())
