"""A Runtime that plays scripts: one for each connection, in order, over real sockets.

It is a foreign program, made with another library than our client, and can do what a sound Runtime never
does: leave events out, send them twice, break off anywhere, fall silent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qsl, urlsplit
from zlib import crc32

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.client.stream_state import StateDetail, StreamState
from yoi_runtime.protocol.diagnostics import Diagnostic, DiagnosticCode, diagnostic
from yoi_runtime.protocol.frames import snapshot_frame, stream_opened_frame

__all__ = [
    "FakeTime",
    "Refusal",
    "Script",
    "ScriptedRuntime",
    "States",
    "Step",
    "batch",
    "bookmark",
    "caught_up",
    "closing",
    "drop",
    "end",
    "event",
    "fall_silent",
    "hello",
    "opened",
    "problem",
    "snapshot",
    "until",
]

# What a peer does in this room is the test's affair; its log would speak of every connection we break.
_quiet = logging.getLogger("tests.scripted_runtime")
_quiet.disabled = True

Step: TypeAlias = bytes | str | Callable[[ServerConnection], Awaitable[None]]


@dataclass(frozen=True)
class Refusal:
    """An HTTP answer instead of an upgrade; the body is a diagnostic, or anything."""

    status: int
    body: Diagnostic | bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Script: TypeAlias = Sequence[Step] | Refusal


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    target: str


class ScriptedRuntime:
    """Use in ``async with``. A script that comes to its end leaves the connection open."""

    def __init__(self, *scripts: Script, version: str | None = None, ssl_context: ssl.SSLContext | None = None) -> None:
        """``version``: the subprotocol it speaks; None for v0, which has none."""
        self._ssl_context = ssl_context
        self._scripts = list(scripts)
        self._version = Subprotocol(version) if version is not None else None
        self._server: Server | None = None
        self._failures: list[BaseException] = []
        self.asked: list[Asked] = []
        # Of each connection that has ended: the client's close code, 1006 if it just went.
        self.close_codes: list[int | None] = []
        self.connections: list[ServerConnection] = []

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._play,
            "127.0.0.1",
            0,
            process_request=self._answer,
            select_subprotocol=lambda _, offered: self._version if self._version in offered else None,
            compression=None,
            ping_interval=None,
            max_size=1024,
            logger=_quiet,
            ssl=self._ssl_context,
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        if exc is None and self._failures:
            raise self._failures[0]

    @property
    def port(self) -> int:
        assert self._server is not None
        return next(iter(self._server.sockets)).getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def queries(self) -> list[dict[str, str]]:
        """Return what each request asked for; that it would take batches goes without saying."""
        return [{name: value for name, value in asked.query.items() if name != "batch"} for asked in self.asked]

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.asked.append(Asked(parts.path, query, dict(request.headers.raw_items()), request.path))
        if len(self.asked) > len(self._scripts):
            self._failures.append(AssertionError(f"no script for this request: {request.path}"))
            return Response(HTTPStatus.GONE, "Gone", Headers(), b"")
        script = self._scripts[len(self.asked) - 1]
        if not isinstance(script, Refusal):
            connection.script = script  # type: ignore[attr-defined]  # carried from here to _play
            return None
        body = script.body.frame() if isinstance(script.body, Diagnostic) else script.body
        headers = Headers({"Content-Length": str(len(body)), **script.headers})
        return Response(script.status, "Scripted", headers, body)

    async def _play(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        try:
            for step in connection.script:  # type: ignore[attr-defined]
                if callable(step):
                    await step(connection)
                else:
                    await connection.send(step.decode() if isinstance(step, bytes) else step)
            await connection.wait_closed()
        except ConnectionClosed:
            pass
        except Exception as error:
            self._failures.append(error)
            raise
        finally:
            self.close_codes.append(connection.close_code)


async def drop(connection: ServerConnection) -> None:
    """Break the connection without a word."""
    connection.transport.abort()
    await connection.wait_closed()


async def fall_silent(connection: ServerConnection) -> None:
    """Keep the socket open and read nothing more: no pong, no answer to a close."""
    connection.transport.pause_reading()


def closing(code: int, reason: str = "") -> Step:
    async def close(connection: ServerConnection) -> None:
        await connection.close(code, reason)

    return close


def until(gate: asyncio.Event) -> Step:
    async def wait(connection: ServerConnection) -> None:
        await gate.wait()

    return wait


def event(n: int, **changes: Any) -> bytes:
    """Return the frame of event ``n``, with number ``n`` in the log and of its Worker, its cursor ``c<n>``."""
    envelope = {
        "cursor": f"c{n}",
        "event_id": f"e{n}",
        "seq": n,
        "worker_id": "a",
        "worker_seq": n,
        "time": "2026-01-02T03:04:05.000006Z",
        "payload": {"event": "text_delta", "data": {"text": f"text {n}"}},
    } | changes
    frame = json.dumps({"kind": "event", "envelope": envelope}, separators=(",", ":")).encode()
    return b'%s,"crc":"%08x"}' % (frame[:-1], crc32(frame[:-1]))


def hello(cursor: str, **changes: Any) -> bytes:
    """Return what begins a stream in v1: of Worker ``a``, unless ``changes`` say otherwise."""
    frame = {
        "kind": "hello",
        "protocol": "yoi.events.v1",
        "runtime_id": "rt-1",
        "log_id": "1",
        "scope": {"worker_id": "a"},
        "filters": {"events": None},
        "resumed_from": cursor,
        "oldest_cursor": "c0",
        "latest_cursor": "c99",
        "durable_cursor": "c99",
        "heartbeat_ms": 3_600_000,
        "max_frame_bytes": 524288,
        "retention": None,
    }
    return json.dumps(frame | changes).encode()


def caught_up(cursor: str, replayed: int = 0) -> bytes:
    return json.dumps({"kind": "caught_up", "cursor": cursor, "replayed": replayed}).encode()


def bookmark(cursor: str, **changes: Any) -> bytes:
    frame = {"kind": "bookmark", "cursor": cursor, "durable_cursor": cursor, "worker_seq": None}
    return json.dumps(frame | {"behind": {"events": 0, "bytes": 0}, "time": "2026-01-02T03:04:05Z"} | changes).encode()


def end(cursor: str, outcome: str = "completed") -> bytes:
    return json.dumps({"kind": "end", "worker_id": "a", "outcome": outcome, "cursor": cursor}).encode()


def batch(*frames: bytes) -> bytes:
    return b'{"kind":"batch","frames":[' + b",\n".join(frames) + b"]}"


def opened(cursor: str) -> bytes:
    """Return what begins a stream of everything."""
    return stream_opened_frame(cursor, cursor)


def snapshot(cursor: str, status: Any = "running") -> bytes:
    """Return what begins a Worker's stream."""
    return snapshot_frame(cursor, "a", status)


def problem(code: DiagnosticCode, **fields: Any) -> Diagnostic:
    return diagnostic(code, "because the script says so", **fields)


class FakeTime:
    """The clock and the chance of a client: waits take no time and are written down, jitter is always the largest."""

    def __init__(self) -> None:
        self.now_seconds = 0.0
        self.waits_seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits_seconds.append(seconds)
        self.now_seconds += seconds
        await asyncio.sleep(0)

    def settings(self, **changes: Any) -> ClientSettings:
        return ClientSettings(
            **{"random": lambda: 1.0, "monotonic_seconds": lambda: self.now_seconds, "sleep": self.sleep} | changes
        )


class States:
    """An ``on_state`` that writes down what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[StreamState, StateDetail]] = []

    def __call__(self, state: StreamState, detail: StateDetail) -> None:
        self.seen.append((state, detail))

    @property
    def names(self) -> list[str]:
        return [state.value for state, _ in self.seen]

    @property
    def reasons(self) -> list[str]:
        """Return why it waited, each time."""
        return [detail.reason for state, detail in self.seen if state is StreamState.WAITING]

    @property
    def codes(self) -> list[str]:
        """Return the same for programs."""
        return [detail.code for state, detail in self.seen if state is StreamState.WAITING]
