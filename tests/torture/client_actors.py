"""The processes of the client suite: a writer and servers, forked by one process that has everything imported.

    python -m tests.torture.client_actors

reads orders from standard input, a JSON object a line, and answers each with the pid of the process it forked. Such a
process says that it is ready by creating the file it was told. It is ended by a signal; nobody waits for it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.support.deadline import wait_until_async
from yoi_runtime import Runtime, RuntimeOptions
from yoi_runtime.errors import LogFullError
from yoi_runtime.events import TextDelta
from yoi_runtime.server.event_server import EventServer

__all__ = ["FINAL", "WORKERS", "Actor", "Stage"]

_ROOT = Path(__file__).absolute().parents[2]
WORKERS = ("w0", "w1", "w2", "w3")
FINAL = "final"
SEGMENT_BYTES = 64 << 10
_TEXT_BYTES = 200
_PAUSE_SECONDS = 0.01
_DEADLINE_SECONDS = 30.0


def _write(ready: str, data_dir: str, journal: str, finish: str, life: int, retain_bytes: int) -> None:
    """Append texts that nobody else ever appends; the journal, a named pipe, has each before (I) and after it (A, or R: refused)."""
    # A pipe: what was written survives us, and no limit on the size of files holds for it.
    notes = os.open(journal, os.O_WRONLY)
    options = RuntimeOptions(segment_bytes=SEGMENT_BYTES, retain_bytes=retain_bytes, retain_age_seconds=None)
    pause = threading.Event()
    with Runtime.open(data_dir, options) as runtime:
        workers = {worker_id: runtime.create_worker(worker_id) for worker_id in WORKERS}
        Path(ready).touch()
        number = 0
        while not Path(finish).exists():
            number += 1
            for worker_id, worker in workers.items():
                text = f"{life}:{worker_id}:{number}:".ljust(_TEXT_BYTES, ".")
                os.write(notes, b"I %s\n" % text.encode())
                try:
                    worker.emit(TextDelta(text=text))
                    os.write(notes, b"A %s\n" % text.encode())
                except LogFullError:
                    os.write(notes, b"R %s\n" % text.encode())
            pause.wait(_PAUSE_SECONDS)
        for worker in workers.values():
            cursor = worker.emit(TextDelta(text=FINAL))
        runtime.wait_durable(cursor)
        signal.pause()


async def _serve(ready: str, data_dir: str, port: int) -> None:
    server = await EventServer.start(Path(data_dir), "127.0.0.1", port)
    await asyncio.to_thread(Path(ready).write_text, server.url)
    await asyncio.Event().wait()


def _play(role: str, order: dict[str, Any]) -> None:
    if role == "writer":
        _write(**order)
    else:
        asyncio.run(_serve(**order))


def _fork_on_order() -> None:
    # The kernel takes the dead away; nobody asks how they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(0)
                _play(order.pop("role"), order)
            finally:
                # Not sys.exit: the child must not read the next order.
                os._exit(1)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


@dataclass
class Actor:
    """A process of the stage. ``url`` is a server's."""

    pid: int
    url: str = ""
    start_seconds: float = 0.0

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def is_alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    async def kill(self) -> None:
        """Kill it and return when it is gone, its lock and its port with it."""
        self.signal(signal.SIGKILL)
        await wait_until_async(lambda: not self.is_alive(), _DEADLINE_SECONDS)


@dataclass
class Stage:
    """Starts actors. Use in ``with``: at the end all of them are killed."""

    directory: Path
    actors: list[Actor] = field(default_factory=list)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.torture.client_actors"]
        self._forker = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
        )
        return self

    def __exit__(self, *exc: object) -> None:
        for actor in self.actors:
            if actor.is_alive():
                actor.signal(signal.SIGKILL)
        self._forker.communicate()

    async def start(self, role: str, **order: object) -> Actor:
        """Start an actor and return when it is ready."""
        loop = asyncio.get_running_loop()
        ready = self.directory / f"ready-{len(self.actors)}"
        began = loop.time()
        stdin, stdout = self._forker.stdin, self._forker.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"role": role, "ready": str(ready), **order}) + "\n")
        stdin.flush()
        actor = Actor(int(await asyncio.to_thread(stdout.readline)))
        self.actors.append(actor)

        def is_ready() -> bool:
            assert actor.is_alive(), f"{role} did not start: {order}"
            return ready.exists() and (role == "writer" or bool(ready.read_text()))

        await wait_until_async(is_ready, _DEADLINE_SECONDS, f"{role} is ready")
        actor.url, actor.start_seconds = ready.read_text(), loop.time() - began
        return actor


if __name__ == "__main__":
    _fork_on_order()
