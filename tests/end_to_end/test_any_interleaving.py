"""Any interleaving of append, roll, rotate, connect, drop, resume and restart, on both endpoints and in both versions.

What a Backend received plus what was announced to it as lost is what was appended, in order, once. Real sockets,
real servers, real files. A history is drawn from a seed and each Backend holds every frame against the list of
appends as it comes (tests/end_to_end/accounted_backend.py). More histories: HISTORIES=200 in the environment.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.accounted_backend import AccountedBackend, Kind, Truth
from tests.event_log.quick_files import QuickFiles
from tests.support.deadline import wait_until_async
from yoi_runtime.errors import LogClosedError, WorkerEndedError
from yoi_runtime.events import Event, Status, TextDelta, UnknownEvent
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.runtime.worker import Outcome, Worker
from yoi_runtime.segment_log.cursor import CursorToken, decode_token
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.server.event_server import EventServer

HISTORIES = int(os.environ.get("HISTORIES", "6"))
FIRST_SEED = int(os.environ.get("FIRST_SEED", "1"))
STEPS = 250
TEXTS = frozenset({"text_delta"})
STATUS = frozenset({"status"})
KINDS = [
    Kind(None),
    Kind("a"),
    Kind("b"),
    Kind("quiet"),
    Kind(None, "v1"),
    Kind("a", "v1"),
    Kind(None, "v1", batch=True),
    Kind("a", "v1", batch=True),
    Kind("quiet", "v1"),
    Kind("quiet", "v1", batch=True),
    Kind(None, "v1", names=STATUS),
    Kind("b", "v1", names=STATUS),
    Kind("a", "v1", batch=True, names=TEXTS),
    Kind(None, "v1", batch=True, names=TEXTS),
]
# What all histories together have to exercise, for every history that is run.
LEAST = {
    "events received": 500,
    "events lost and announced": 400,
    "accounts settled": len(KINDS),
    "runtime.cursor_expired at the start": 5,
    "runtime.cursor_expired in mid-stream": 5,
    "receipts: exact": 10,
    "receipts: upper bound": 1,
    "segments crossed": 100,
    "connected by cursor": 25,
    "connected by last_event_id": 1,
    "connected by a cursor that came without an event": 5,
    "frames: bookmark": 10,
    "frames: caught_up": 10,
    "batches": 10,
    "drops": 10,
    "quiet places kept over a rotation": 3,
    "servers restarted": 1,
    "rolls": 3,
    "rotations": 3,
    "events appended by a thread": 50,
}
# Rarer, so of all histories together.
LEAST_OF_ALL = {"runtimes restarted": 2, "ended": 2, "runtime.cursor_unknown at the start": 1}


class History:
    """One history: a Runtime, two servers on its log, a Backend of every kind, and what chance makes of them."""

    def __init__(self, data_dir: Path, seed: int, counts: Counter[str], truth: Truth) -> None:
        self._chance = random.Random(seed)
        self._data_dir = data_dir
        self._counts = counts
        self._truth = truth
        self._backends = [AccountedBackend(kind, truth, counts) for kind in KINDS]
        self._workers: dict[str, Worker] = {}
        self._servers: list[EventServer] = []
        # In every other history somebody else writes as well, from a thread, whatever the event loop is doing.
        self._noise = threading.Thread(target=self._make_noise) if seed % 2 else None
        self._quiet = threading.Event()
        self._options = RuntimeOptions(
            segment_bytes=4096,
            retain_segments=self._chance.choice((4, 8, 16)),
            durability=self._chance.choice(("written", "synced")),
        )

    async def run(self) -> None:
        self._open()
        try:
            self._servers = [await EventServer.start(self._data_dir, "127.0.0.1", 0) for _ in range(2)]
            if self._noise is not None:
                self._noise.start()
            for _ in range(STEPS):
                await self._step()
                for backend in self._backends:
                    backend.raise_if_wrong()
            self._silence()
            await self._settle()
        finally:
            self._silence()
            for backend in self._backends:
                await asyncio.gather(backend.drop(), return_exceptions=True)
            self._runtime.close()
            for server in self._servers:
                await server.stop()

    def _open(self) -> None:
        self._runtime = Runtime.open(self._data_dir, self._options, Platform(files=QuickFiles()))
        for worker_id in ("a", "b", "quiet", "noise"):
            self._workers[worker_id] = self._runtime.create_worker(worker_id)

    def _make_noise(self) -> None:
        while not self._quiet.wait(0.002):
            try:
                self._workers["noise"].emit(TextDelta(text="n" * 300))
                self._counts["events appended by a thread"] += 1
            except (WorkerEndedError, LogClosedError):
                continue  # the Runtime is about to be another one

    def _silence(self) -> None:
        self._quiet.set()
        if self._noise is not None and self._noise.is_alive():
            self._noise.join()

    # What may happen.

    async def _step(self) -> None:
        step = self._chance.choices(
            (self._append, self._connect, self._drop, self._pause, self._go_on, self._rotate, self._roll, self._breathe,
             self._end_worker, self._restart_server, self._restart_runtime),
            (30, 25, 6, 4, 6, 2, 4, 30, 4, 1.5, 0.7),
        )[0]  # fmt: skip
        await step()
        # Sometimes servers and Backends get to do something in between, sometimes not.
        for _ in range(self._chance.choice((0, 0, 1, 20))):
            await asyncio.sleep(0)

    async def _append(self) -> None:
        for _ in range(self._chance.choice((1, 1, 3, 10, 40))):
            self._append_one(self._chance.choices(("a", "b", "quiet"), (10, 10, 0.3))[0])

    def _append_one(self, worker_id: str) -> None:
        chance = self._chance
        text = f"{chance.random()} \u2028}},\n{{" + "x" * chance.choice((0, 50, 600))
        event: Event = TextDelta(text=text)
        if chance.random() < 0.1:
            event = Status(status=chance.choice(("idle", "running", "paused")))
        elif chance.random() < 0.1:
            event = UnknownEvent(name="x_mine", data={"text": text})
        self._workers[worker_id].emit(event)

    async def _connect(self) -> None:
        away = [backend for backend in self._backends if not backend.connected]
        if away:
            backend = self._chance.choice(away)
            await self._resume(backend, self._chance.choice(self._servers))

    async def _resume(self, backend: AccountedBackend, server: EventServer) -> None:
        await backend.finish()
        start = self._chance.choice(backend.how_to_resume())
        if backend.cursor is None and self._chance.random() < 0.3:
            start = {}
        if backend.kind.scope == "quiet" and "cursor" in start and self._is_rotated_out(start["cursor"]):
            self._counts["quiet places kept over a rotation"] += 1
        await backend.connect(server.url, start)

    def _is_rotated_out(self, cursor: str) -> bool:
        segment = decode_segment(cursor)
        return not (self._runtime.log_directory / f"{segment:020d}.jsonl").exists()

    async def _drop(self) -> None:
        connected = [backend for backend in self._backends if backend.connected]
        if connected:
            await self._chance.choice(connected).drop()

    async def _pause(self) -> None:
        self._chance.choice(self._backends).pause()

    async def _go_on(self) -> None:
        for backend in self._backends:
            if self._chance.random() < 0.5:
                backend.go_on()

    async def _rotate(self) -> None:
        """Write until no segment of now is left, up to four times over: more than sockets and servers hold."""
        for _ in range(self._chance.choice((1, 2, 4))):
            newest = max(self._runtime.log_directory.glob("*.jsonl"))
            while newest.exists():
                self._append_one(self._chance.choice("ab"))
            self._counts["rotations"] += 1
            if self._chance.random() < 0.3:
                await self._breathe()

    async def _roll(self) -> None:
        self._append_one("a")
        self._runtime._log.roll()
        self._counts["rolls"] += 1

    async def _breathe(self) -> None:
        """Let everybody who reads come near the end, or give them a moment."""
        seq = len(self._truth.events)
        if self._chance.random() < 0.5:
            views = [server._state.view for server in self._servers]
            await wait_until_async(lambda: all(view.end.seq >= seq for view in views))
        for _ in range(50):
            await asyncio.sleep(0)

    async def _end_worker(self) -> None:
        """End a Worker, let that be seen or not, and start it again."""
        worker_id = self._chance.choice(("a", "quiet"))
        outcome: Outcome = self._chance.choice(("completed", "failed"))
        self._workers[worker_id].end(outcome, restart_pending=self._chance.random() < 0.3)
        if self._chance.random() < 0.7:
            await self._breathe()
            await self._connect()
            await self._breathe()
        self._workers[worker_id] = self._runtime.create_worker(worker_id)

    async def _restart_server(self) -> None:
        index = self._chance.randrange(len(self._servers))
        await self._servers[index].stop()
        self._servers[index] = await EventServer.start(self._data_dir, "127.0.0.1", 0)
        self._counts["servers restarted"] += 1

    async def _restart_runtime(self) -> None:
        self._runtime.close()
        if self._chance.random() < 0.5:
            await self._breathe()
        self._open()
        self._counts["runtimes restarted"] += 1

    # The end.

    async def _settle(self) -> None:
        """Let every Backend come to the end, however often it has to come back for that."""
        self._append_one("quiet")
        for worker_id in ("a", "b"):
            self._workers[worker_id].emit(Status(status="idle"))
            self._append_one(worker_id)
        for backend in self._backends:
            backend.go_on()
            while not backend.is_complete():
                if not backend.connected:
                    await self._resume(backend, self._chance.choice(self._servers))
                await wait_until_async(
                    lambda backend=backend: backend.is_complete() or not backend.connected,  # type: ignore[misc]
                    # Of buffers this small the kernel may take seconds to say that there is room again.
                    deadline_seconds=60,
                    message=str(backend),
                )
                backend.raise_if_wrong()
            backend.settle()


def decode_segment(cursor: str) -> int:
    return decode_token(CursorToken(cursor)).segment


@pytest.mark.timeout(60 + 20 * HISTORIES)
async def test_received_plus_announced_is_what_was_appended_in_order_once(
    tmp_path: Path,
    truth: Truth,
    small_buffers: None,
    quick_bookmarks: None,
    quick_stops: None,
    capsys: pytest.CaptureFixture[str],
):
    counts: Counter[str] = Counter()
    for seed in range(FIRST_SEED, FIRST_SEED + HISTORIES):
        truth.clear()
        try:
            await History(tmp_path / str(seed), seed, counts, truth).run()
        except BaseException as error:
            error.add_note(f"history of seed {seed}")
            raise
        counts["events appended"] += len(truth.events)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{HISTORIES} histories: {', '.join(f'{what} {count}' for what, count in sorted(counts.items()))}\n"
        )
    too_little: dict[str, Any] = {
        what: counts[what] for what, least in LEAST.items() if counts[what] < least * HISTORIES
    }
    too_little |= {what: counts[what] for what, least in LEAST_OF_ALL.items() if counts[what] < least}
    assert not too_little
