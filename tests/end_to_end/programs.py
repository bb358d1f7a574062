"""Real processes: a Runtime (with its server, if wanted) and a server alone, driven over their standard streams.

A command is one line of JSON, and so is its answer. A process lives until its block ends, at the latest.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.server.serving import http_get
from tests.support.leak_watch import WATCH

__all__ = ["Program", "runtime_process", "server_process", "until_known"]

_ROOT = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).resolve().parent
# Generous: a new Python on a busy machine.
_DEADLINE_SECONDS = 30.0


class Program:
    """One process of the test's own."""

    def __init__(self, script: str, *arguments: str) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in clean_up, when the process has ended
        self.process = subprocess.Popen(
            [sys.executable, str(_HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.url = ""

    async def answer(self) -> dict[str, Any]:
        """Return the next line that the process writes. Raises ``EOFError`` when it writes none any more."""
        assert self.process.stdout is not None
        async with asyncio.timeout(_DEADLINE_SECONDS):
            line = await asyncio.to_thread(self.process.stdout.readline)
        if not line:
            raise EOFError(f"process {self.process.pid} has ended")
        return json.loads(line)

    async def do(self, what: str, **arguments: object) -> dict[str, Any]:
        """Let the process do something, and return its answer."""
        self.tell(what, **arguments)
        return await self.answer()

    def tell(self, what: str, **arguments: object) -> None:
        """Let the process do something that it answers to later, or over and over."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **arguments}).encode() + b"\n")
        self.process.stdin.flush()

    async def kill(self) -> None:
        """End it as power or the kernel would: SIGKILL."""
        self.process.kill()
        await asyncio.to_thread(self.process.wait)

    async def end(self) -> int:
        """Let it end in order, and return its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(_DEADLINE_SECONDS):
            return await asyncio.to_thread(self.process.wait)

    async def rest(self) -> list[dict[str, Any]]:
        """Return what a process that has ended wrote and nobody read yet; a line cut short is none."""
        assert self.process.stdout is not None
        data = await asyncio.to_thread(self.process.stdout.read)
        return [json.loads(line) for line in data.split(b"\n")[:-1]]

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._stderr.seek(0)
        said = self._stderr.read().decode("utf-8", "replace")
        WATCH.program(said)
        # For who looks why a test has failed.
        sys.stderr.write(said)
        self._stderr.close()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None and not stream.closed:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue


async def until_known(server: Program, *worker_ids: str) -> None:
    """Return when the server knows these Workers; it answers 404 with Retry-After until then."""
    for worker_id in worker_ids:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while (await asyncio.to_thread(http_get, server.url, f"/v1/workers/{worker_id}")).status != 200:
                continue


@asynccontextmanager
async def runtime_process(data_dir: Path, *, serve: bool = False, **options: Any) -> AsyncIterator[Program]:
    """Open a Runtime (``options``: ``RuntimeOptions``) in a process of its own, with its server at ``url`` if wanted."""
    program = Program("runtime_program.py", str(data_dir), json.dumps({"serve": serve, "options": options}))
    try:
        program.url = (await program.answer())["url"]
        yield program
    finally:
        program.clean_up()


@asynccontextmanager
async def server_process(data_dir: Path) -> AsyncIterator[Program]:
    """Serve a directory that others write, from a process of its own, as ``serve --read-only`` does."""
    program = Program("server_program.py", str(data_dir))
    try:
        program.url = (await program.answer())["url"]
        yield program
    finally:
        program.clean_up()
