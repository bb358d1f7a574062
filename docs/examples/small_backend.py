"""A small Backend: mirrors a Runtime into SQLite, and shows it to clients of its own.

    small_backend.py RUNTIME_URL DATABASE [PORT]

The mirror knows nothing of HTTP, the views know nothing of the Runtime: they meet in the database.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from yoi_runtime.client.observe import observe
from yoi_runtime.client.stream_event import StreamEvent, StreamGap
from yoi_runtime.errors import StreamError

__all__ = ["Mirror", "make_application"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, worker_id TEXT, worker_seq INTEGER,
    time TEXT, name TEXT NOT NULL, payload TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS event_of_worker ON event (worker_id, id);
CREATE TABLE IF NOT EXISTS gap (before_id INTEGER NOT NULL, code TEXT NOT NULL, events INTEGER, exact INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS place (only INTEGER PRIMARY KEY CHECK (only = 1), cursor TEXT NOT NULL);
"""
_ROWS_AT_ONCE = 500


class Mirror:
    """The database, and the one task that writes to it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._changed = asyncio.Condition()
        database.execute("PRAGMA journal_mode=WAL")
        database.executescript(_SCHEMA)

    @property
    def cursor(self) -> str | None:
        """The place behind the last event in the database."""
        row = self._database.execute("SELECT cursor FROM place").fetchone()
        return None if row is None else str(row[0])

    async def follow(self, url: str, token: str | None = None) -> None:
        """Mirror everything until cancelled. Whatever is passing, the client sits out by itself.

        Raises:
            StreamError: somebody has to look: the Runtime's log is another one, the token is not good.
        """
        async with observe(
            url, cursor=self.cursor, start="oldest", token=token, on_expired="oldest", on_corrupt="gap"
        ) as stream:
            async for item in stream:
                self.add(item)
                async with self._changed:
                    self._changed.notify_all()

    def add(self, item: StreamEvent | StreamGap) -> None:
        """Write an event, or a gap, and the cursor behind it: both or neither."""
        with self._database:
            if isinstance(item, StreamGap):
                events, exact = (None, False) if item.lost is None else (item.lost.events, item.lost.exact)
                self._database.execute(
                    "INSERT INTO gap SELECT coalesce(max(id), 0) + 1, ?, ?, ? FROM event", (item.code, events, exact)
                )
            else:
                row = (item.event_id, item.worker_id, item.worker_seq, item.time, item.event_name)
                self._database.execute(
                    "INSERT INTO event (event_id, worker_id, worker_seq, time, name, payload) VALUES (?, ?, ?, ?, ?, ?)",
                    (*row, item.payload_json.decode()),
                )
            if item.cursor is not None:
                self._database.execute("INSERT OR REPLACE INTO place VALUES (1, ?)", (item.cursor,))

    def workers(self) -> list[str]:
        rows = self._database.execute("SELECT DISTINCT worker_id FROM event WHERE worker_id IS NOT NULL ORDER BY 1")
        return [str(row[0]) for row in rows]

    def events(self, worker_id: str, after: int) -> list[dict[str, Any]]:
        """Return the next events of a Worker, in the words of this Backend: its own ids, no cursors."""
        rows = self._database.execute(
            "SELECT id, time, name, payload FROM event WHERE worker_id = ? AND id > ? ORDER BY id LIMIT ?",
            (worker_id, after, _ROWS_AT_ONCE),
        )
        return [{"id": row[0], "time": row[1], "event": row[2], "data": json.loads(row[3]).get("data")} for row in rows]

    def text(self, worker_id: str) -> str:
        """Return what a Worker has said, as far as it came in finished pieces."""
        rows = self._database.execute(
            "SELECT payload FROM event WHERE worker_id = ? AND name = 'text_done' ORDER BY id", (worker_id,)
        )
        return "\n".join(str(json.loads(row[0])["data"]["text"]) for row in rows)

    def missing(self) -> list[dict[str, Any]]:
        """Return the gaps, each with the id of the event it lies before."""
        rows = self._database.execute("SELECT before_id, code, events, exact FROM gap")
        return [{"before_id": row[0], "code": row[1], "events": row[2], "exact": bool(row[3])} for row in rows]

    async def events_when_there_are_some(self, worker_id: str, after: int) -> list[dict[str, Any]]:
        """Return the next events of a Worker; wait for one."""
        async with self._changed:
            while not (events := self.events(worker_id, after)):
                await self._changed.wait()
        return events


class _View(RequestHandler):
    """Everything this Backend shows is for those who know its own token, which is not the Runtime's."""

    def initialize(self, mirror: Mirror, token: str) -> None:
        self.mirror = mirror
        self._token = token

    def prepare(self) -> None:
        if not hmac.compare_digest(self.request.headers.get("Authorization", ""), f"Bearer {self._token}"):
            raise HTTPError(401)


class Workers(_View):
    def get(self) -> None:
        self.write({"workers": self.mirror.workers(), "gaps": self.mirror.missing()})


class Text(_View):
    def get(self, worker_id: str) -> None:
        self.write({"worker_id": worker_id, "text": self.mirror.text(worker_id)})


class Live(WebSocketHandler):
    """A Worker's events from any id on, as they come. A browser cannot set a header: the first message is the token.

    Tornado refuses pages of other origins.
    """

    def initialize(self, mirror: Mirror, token: str) -> None:
        self._mirror = mirror
        self._token = token
        self._telling: asyncio.Task[None] | None = None

    def open(self, worker_id: str) -> None:
        self._worker_id = worker_id
        self._after = int(self.get_query_argument("after", "0"))

    def on_message(self, message: str | bytes) -> None:
        given = message if isinstance(message, bytes) else message.encode()
        if self._telling is not None or not hmac.compare_digest(given, self._token.encode()):
            self.close(4401, "not the token")
            return
        # Not awaited here: Tornado reads nothing, and sees no close, until this returns.
        self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        after = self._after
        try:
            while True:
                events = await self._mirror.events_when_there_are_some(self._worker_id, after)
                after = events[-1]["id"]
                # Awaited: a client that does not read holds up nobody but itself.
                await self.write_message({"events": events})
        except WebSocketClosedError:
            pass

    def on_close(self) -> None:
        if self._telling is not None:
            self._telling.cancel()


def make_application(mirror: Mirror, token: str) -> Application:
    """Return the Backend's own views; ``token`` is what its clients need."""
    parts = {"mirror": mirror, "token": token}
    return Application(
        [
            ("/workers", Workers, parts),
            ("/workers/([A-Za-z0-9_-]+)/text", Text, parts),
            ("/workers/([A-Za-z0-9_-]+)/live", Live, parts),
        ]
    )


async def serve(
    runtime_url: str, database: str, port: int, token: str, runtime_token: str | None, ready: Callable[[int], None]
) -> None:
    """Mirror and show until cancelled. Raises ``StreamError`` as ``Mirror.follow`` does."""
    mirror = Mirror(sqlite3.connect(database))
    server = HTTPServer(make_application(mirror, token))
    sockets = bind_sockets(port, "127.0.0.1")
    server.add_sockets(sockets)
    ready(sockets[0].getsockname()[1])
    try:
        await mirror.follow(runtime_url, runtime_token)
    finally:
        server.stop()


def main(runtime_url: str, database: str, port: str = "8000") -> int:
    token = os.environ.get("BACKEND_TOKEN", "let-me-in")
    try:
        asyncio.run(
            serve(
                runtime_url,
                database,
                int(port),
                token,
                os.environ.get("RUNTIME_TOKEN"),
                lambda bound: print(f"http://127.0.0.1:{bound}", flush=True),
            )
        )
    except StreamError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
