"""A Runtime as a program for the tests of the whole path: ``runtime_program.py DATA_DIR SETTINGS``.

Commands on standard input, a JSON object a line; each is answered with one, ``pour`` with many. It ends when its
input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from yoi_runtime.cli import operator_log
from yoi_runtime.cli.operator_log import LogFormat
from yoi_runtime.events import Status, TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.runtime.worker import Worker
from yoi_runtime.server.event_server import EventServer


class Program:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._workers: dict[str, Worker] = {}
        self._pouring: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        while line := await asyncio.to_thread(sys.stdin.readline):
            command: dict[str, Any] = json.loads(line)
            await getattr(self, "do_" + command.pop("do"))(**command)

    def _worker(self, worker_id: str) -> Worker:
        if worker_id not in self._workers:
            self._workers[worker_id] = self._runtime.create_worker(worker_id)
        return self._workers[worker_id]

    async def do_create(self, worker: str) -> None:
        self._worker(worker)
        say()

    async def do_emit(self, worker: str, texts: list[str]) -> None:
        """Emit the texts and answer with their cursors, at once."""
        found = [self._worker(worker).emit(TextDelta(text=text)) for text in texts]
        say(cursors=found)

    async def do_status(self, worker: str, status: Any) -> None:
        say(cursors=[self._worker(worker).emit(Status(status=status))])

    async def do_pour(self, worker: str, size: int, tell: bool) -> None:
        """Emit without end, numbers as text; tell each cursor once it is durable."""
        self._pouring.add(asyncio.create_task(self._pour(self._worker(worker), size, tell)))

    async def _pour(self, worker: Worker, size: int, tell: bool) -> None:
        number = 0
        while True:
            cursors = []
            for _ in range(20):
                number += 1
                cursors.append(worker.emit(TextDelta(text=str(number).ljust(size, "."))))
            await self._runtime.durable(cursors[-1])
            if tell:
                say(durable=cursors[-1], number=number)

    async def do_rotate_out(self, worker: str, times: int) -> None:
        """Let ``worker`` write until no segment of now is left, so many times over."""
        for _ in range(times):
            newest = max(self._runtime.log_directory.glob("*.jsonl"))
            while newest.exists():
                self._worker(worker).emit(TextDelta(text="x" * 600))
            await asyncio.sleep(0)
        say(cursors=[self._worker(worker).emit(TextDelta(text="rotated out"))])

    async def do_end_worker(self, worker: str) -> None:
        self._workers.pop(worker).end("completed")
        say()


def say(**answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def main(data_dir: Path, serve: bool, options: dict[str, Any]) -> None:
    with Runtime.open(data_dir, RuntimeOptions(**options)) as runtime:
        server = await EventServer.start(data_dir, "127.0.0.1", 0) if serve else None
        say(url=server.url if server is not None else "")
        await Program(runtime).run()
        if server is not None:
            await server.stop()


if __name__ == "__main__":
    operator_log.set_up(LogFormat.JSON).hide(Path(sys.argv[1]), "DATA_DIR")
    asyncio.run(main(Path(sys.argv[1]), **json.loads(sys.argv[2])))
