"""Answers requests for a transcript with what it is told to, over a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

__all__ = ["page", "transcripts"]


def page(numbers: Iterable[int], as_of: str, total: int | None = None, **members: Any) -> tuple[int, bytes]:
    """Return the answer with the items of these numbers, of ``total`` in all; without it they are the last ones."""
    items: list[dict[str, Any]] = [
        {"index": n, "kind": "text", "event_id": f"e{n}", "worker_seq": n + 1, "time": "t", "data": {"text": str(n)}}
        for n in numbers
    ]
    following = items[-1]["index"] + 1 if items else 0
    body = {
        "worker_id": "a",
        "start": items[0]["index"] if items else 0,
        "items": items,
        "next_start": following,
        "total_items": following if total is None else total,
        "in_progress": [],
        "worker_seq": following if total is None else total,
        "as_of_cursor": as_of,
    }
    return 200, json.dumps(body | members).encode()


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
