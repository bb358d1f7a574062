"""A TCP port on which several cases are played, each below a path of its own, or one at the root."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import Final, Self, TypeAlias

from yoi_runtime.conformance.handshake import HEAD_END, HttpRequest, RequestFaultError, answer, parse_request
from yoi_runtime.protocol.diagnostics import DiagnosticCode, diagnostic

__all__ = ["Listener", "Take", "send_answer"]

_HEAD_SECONDS: Final = 10.0
_MAX_HEAD_BYTES: Final = 16 * 1024

Take: TypeAlias = Callable[[HttpRequest, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Serves one request to its end; the path comes without the prefix."""


class Listener:
    """Use in ``async with``. Port 0 is a free one."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None
        self._takes: dict[str, Take] = {}
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self._port, limit=_MAX_HEAD_BYTES)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    def put(self, prefix: str, take: Take) -> None:
        """Give requests below ``prefix`` ("" or "/name") to ``take``."""
        self._takes[prefix] = take

    def url(self, prefix: str) -> str:
        """Return the base URL for requests below ``prefix``."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}{prefix}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # A peer that went away, or never said anything.
        except asyncio.CancelledError:
            pass  # Ours, from __aexit__: asyncio's streams would report it as an error of the callback.
        finally:
            self._serving.discard(task)
            if not writer.transport.is_closing():
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(HEAD_END)
            request = parse_request(head)
        except (RequestFaultError, asyncio.LimitOverrunError) as fault:
            await send_answer(writer, 400, {"error": str(fault)})
            return
        _, slash, below = request.path.partition("/")
        first = slash + below.partition("/")[0]
        for prefix in (first, ""):
            if prefix in self._takes:
                inner = replace(request, path=request.path.removeprefix(prefix))
                await self._takes[prefix](inner, reader, writer)
                return
        problem = diagnostic(DiagnosticCode.INVALID_REQUEST, "no case is played at this path")
        writer.write(answer(404, problem.frame()))
        await writer.drain()
        writer.close()


async def send_answer(writer: asyncio.StreamWriter, status: int, body: object) -> None:
    """Answer a request with JSON and end its connection."""
    writer.write(answer(status, json.dumps(body).encode()))
    await writer.drain()
    writer.close()
