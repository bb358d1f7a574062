"""Answers requests for a transcript with what it is told to, over a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

__all__ = ["page", "transcripts"]


def page(items: list[Any], as_of: str, next_start: int | None = None) -> tuple[int, bytes]:
    body = {"worker_id": "a", "items": items, "next_start": next_start, "as_of_cursor": as_of, "total_items": 9}
    return 200, json.dumps(body).encode()


@asynccontextmanager
async def transcripts(*answers: tuple[int, bytes]) -> AsyncIterator[tuple[str, list[RequestHandler]]]:
    """Serve ``answers`` one after the other; yields the address, and the requests as they come."""
    asked: list[RequestHandler] = []

    class Transcript(RequestHandler):
        def get(self) -> None:
            asked.append(self)
            status, body = answers[len(asked) - 1]
            self.set_status(status)
            self.write(body)

        def log_exception(self, *_: object) -> None: ...

    server = HTTPServer(Application([(r"/v1/workers/a/transcript", Transcript)], log_function=lambda handler: None))
    (listening,) = bind_sockets(0, "127.0.0.1")
    server.add_sockets([listening])
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
    finally:
        server.stop()
        await server.close_all_connections()
