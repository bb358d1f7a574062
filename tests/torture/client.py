"""The whole way, end to end: one Runtime, four Workers, two servers, twelve clients, and somebody who breaks things.

Killed and paused are the writer and the servers; sockets are reset; retention shrinks; the disk refuses bytes (by
RLIMIT_FSIZE of the writer, which needs no rights: the kernel's EFBIG is a full disk to the log); the directory is copied
and the copy put in its place. Every append and every delivery is written down, and judged at the end: nothing lost without
word, nothing invented, reordered or doubled, one event per id for everybody, a typed reason for every disconnect, and
progress within two seconds of a server's being ready (or of the end of the wait a client was in at that time; and three
times what a start of the server and its slowest answer to a plain request take, next to nothing on a quiet machine).
"""

from __future__ import annotations

import asyncio
import math
import os
import resource
import shutil
import signal
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from tests.support.deadline import wait_until_async
from tests.torture.client_actors import FINAL, SEGMENT_BYTES, WORKERS, Actor, Stage
from tests.torture.client_witness import Journal, Seen, Sighting, judge
from tests.torture.report import Budget, Goal, Report
from yoi_runtime.client.cursor_store import CursorStore, MemoryCursorStore
from yoi_runtime.client.observe import observe
from yoi_runtime.client.observe_workers import WorkerEvents, observe_workers
from yoi_runtime.client.settings import ClientSettings
from yoi_runtime.client.stream_event import StreamEvent, StreamGap
from yoi_runtime.client.stream_state import StateDetail, StreamState
from yoi_runtime.errors import StreamRefusedError

__all__ = ["run"]

_RETAIN_BYTES = 25 * SEGMENT_BYTES
_SHRUNK_BYTES = 4 * SEGMENT_BYTES
_PROGRESS_SECONDS = 2.0
_DEADLINE_SECONDS = 60.0
_KILLS = Goal(short=4, small=30, large=3_000, per_second=0.1)
# What a client may be told when the log under it was exchanged: each of them says to begin anew.
_REFUSALS = {"runtime.cursor_ahead", "runtime.cursor_unknown", "runtime.cursor_expired", "runtime.cursor_foreign"}


Consume: TypeAlias = "Callable[[_Client, CursorStore], Awaitable[None]]"


class _Client:
    """One client: follows over one address until it has seen the last event of everybody it follows."""

    def __init__(
        self, name: str, address: Callable[[], str], worker_id: str | None, rng: Random, report: Report
    ) -> None:
        self.name = name
        self.worker_id = worker_id
        self.sightings = {worker_id: Sighting(name, worker_id)}
        self.connected_at = 0.0
        self.wait_ends_at = 0.0
        self.last_state = "not begun"
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.stays_away = False
        self.address = address
        self.rng = rng
        self.report = report
        self._finals: set[str] = set()
        self._needs = set(WORKERS) if worker_id is None else {worker_id}

    def options(self, store: CursorStore | None = None, **settings: Any) -> dict[str, Any]:
        return {
            "cursor_store": store,
            "start": "oldest",
            "on_expired": "oldest",
            "on_corrupt": "gap",
            "wait_for_worker": True,
            # A Worker that was killed with its Runtime has ended, until the Runtime makes it anew.
            "after_end": "wait",
            "on_state": self._on_state,
            "settings": ClientSettings(save_interval_seconds=0.05, random=self.rng.random, **settings),
        }

    def _on_state(self, state: StreamState, detail: StateDetail) -> None:
        now = asyncio.get_running_loop().time()
        self.last_state = f"{state} {detail}"
        if state in (StreamState.REPLAYING, StreamState.LIVE):
            self.connected_at = now
        if state is StreamState.WAITING:
            assert detail.code, "a disconnect without a typed reason"
            self.report.count("disconnects, each with its reason")
            self.report.count(f"disconnects: {detail.code}")
            self.wait_ends_at = now + (detail.delay_seconds or 0)

    def take(self, item: StreamEvent | StreamGap, sighting: Sighting | None = None) -> None:
        entry = (sighting or self.sightings[self.worker_id]).add(item)
        if isinstance(entry, Seen) and entry.text == FINAL and entry.worker_id is not None:
            self._finals.add(entry.worker_id)

    @property
    def is_done(self) -> bool:
        return self._finals >= self._needs

    async def run(self, consume: Callable[[_Client, CursorStore], Awaitable[None]]) -> None:
        """Follow until done; whoever is told to begin anew does so."""
        store = MemoryCursorStore()
        while not self.is_done:
            try:
                await consume(self, store)
            except StreamRefusedError as error:
                if error.code not in _REFUSALS:
                    raise
                self.report.count(f"refusals: {error.code}")
                for sighting in self.sightings.values():
                    sighting.refused(error.code)
                self._finals.clear()
                store = MemoryCursorStore()


# The ways to consume.


def _steadily(pause_seconds: float = 0.0, every: int = 1, **settings: Any) -> Consume:
    """Take everything, with a pause after each so many events."""

    async def consume(client: _Client, store: CursorStore) -> None:
        async with observe(client.address(), client.worker_id, **client.options(**settings)) as stream:
            taken = 0
            async for item in stream:
                client.take(item)
                taken += 1
                if client.is_done:
                    return
                if pause_seconds and taken % every == 0:
                    await asyncio.sleep(pause_seconds * client.rng.uniform(0.5, 1.5))

    return consume


async def _coming_and_going(client: _Client, store: CursorStore) -> None:
    """Open and close the stream all the time, and go on where the cursor that was stored says."""
    while not client.is_done:
        client.stays_away = not client.may_go.is_set()
        await client.may_go.wait()
        client.stays_away = False
        with suppress(TimeoutError):
            async with asyncio.timeout(client.rng.uniform(0.1, 2.0)):
                async with observe(client.address(), client.worker_id, **client.options(store)) as stream:
                    async for item in stream:
                        client.take(item)
                        stream.ack()
                        if client.is_done:
                            return
        client.report.count("streams closed and opened again")


async def _by_worker(client: _Client, store: CursorStore) -> None:
    """Take each Worker's events from an iterator of its own, over one socket."""
    client.sightings.pop(None, None)
    for worker_id in WORKERS:
        client.sightings.setdefault(worker_id, Sighting(f"{client.name}, {worker_id}", worker_id, is_part=True))

    async def take(events: WorkerEvents, sighting: Sighting) -> None:
        async for item in events:
            client.take(item, sighting)

    streams = observe_workers(client.address(), **client.options())
    iterators = {worker_id: streams.of(worker_id) for worker_id in WORKERS}
    async with streams:
        consumers = [
            asyncio.create_task(take(events, client.sightings[worker_id])) for worker_id, events in iterators.items()
        ]
        try:
            await wait_until_async(
                lambda: client.is_done or any(consumer.done() for consumer in consumers), math.inf, "one is done"
            )
        finally:
            for consumer in consumers:
                consumer.cancel()
            outcomes = await asyncio.gather(*consumers, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome


# Sockets that can be reset.


class _Relay:
    """Passes bytes on between clients and a server, and can break all connections with a reset."""

    def __init__(self, port: Callable[[], int]) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[_Relay]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self.reset()
            await server.wait_closed()

    def reset(self) -> int:
        """Reset every connection, on both sides; returns how many."""
        writers = list(self._writers)
        for writer in writers:
            found = writer.get_extra_info("socket")
            with suppress(OSError):
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return len(writers)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._port())
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))
        finally:
            self._writers -= {writer, back}

    @staticmethod
    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(64 << 10):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


# Who breaks things.


class _Canary:
    """Asks a server for its health again and again: how long that takes at most is the machine's doing, no client's."""

    def __init__(self, url: str) -> None:
        self._host, _, self._port = url.rpartition("/")[2].rpartition(":")
        self.slowest_seconds = 0.0

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._ask())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began_at = loop.time()
            try:
                reader, writer = await asyncio.open_connection(self._host, int(self._port))
                try:
                    writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                    await reader.read()
                finally:
                    writer.close()
            except OSError:
                pass  # killed again
            finally:
                self.slowest_seconds = max(self.slowest_seconds, loop.time() - began_at)
            await asyncio.sleep(0.05)


class _Nemesis:
    """Owns writer and servers, and does to them what its dice say."""

    def __init__(self, stage: Stage, directory: Path, rng: Random, report: Report) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        self.journal = directory / "journal"
        self.finish = directory / "finish"
        self.undone: list[tuple[int, int]] = []
        self.servers: list[Actor] = []
        self.ports = [0, 0]
        self.relay = _Relay(lambda: self.ports[0])
        self.clients: list[_Client] = []
        self.slowest_seconds = 0.0
        self._stage = stage
        self._rng = rng
        self._report = report
        self._lives = 0
        self._copied_at: int | None = None
        self._first: list[Callable[[], Awaitable[None]]] | None = None

    async def begin(self) -> None:
        await self._open_writer()
        self.servers = [await self._open_server(number) for number in (0, 1)]

    async def _open_writer(self, retain_bytes: int = _RETAIN_BYTES) -> None:
        self._lives += 1
        pipe = self.directory / f"journal-{self._lives}"
        os.mkfifo(pipe)
        self._noting = asyncio.create_task(asyncio.to_thread(self._note_down, pipe))
        self.writer = await self._stage.start(
            "writer",
            data_dir=str(self.data_dir),
            journal=str(pipe),
            finish=str(self.finish),
            life=self._lives,
            retain_bytes=retain_bytes,
        )

    def _note_down(self, pipe: Path) -> None:
        with pipe.open("rb") as source, self.journal.open("ab", buffering=0) as target:
            while data := source.read1(64 << 10):
                target.write(data)

    async def _open_server(self, number: int) -> Actor:
        server = await self._stage.start("server", data_dir=str(self.data_dir), port=self.ports[number])
        self.ports[number] = int(server.url.rpartition(":")[2])
        return server

    async def end(self) -> None:
        """End the writer, so that its journal is whole."""
        await self.writer.kill()
        await self._noting

    async def act(self) -> None:
        """Do one thing, and let the world go on for a while. At first each in turn, so that none is left out."""
        deeds = [
            (4, self.kill_server),
            (4, self.kill_writer),
            (1, self.kill_everybody),
            (2, self.pause_server),
            (1, self.pause_writer),
            (2, self.reset_sockets),
            (1, self.shrink_retention),
            (1, self.fill_disk),
            (1, self.copy_or_restore),
        ]
        if self._first is None:
            # Copied, and later restored.
            self._first = [*(deed for _, deed in deeds), self.copy_or_restore]
            self._rng.shuffle(self._first)
        if self._first:
            deed = self._first.pop()
        else:
            (deed,) = self._rng.choices([deed for _, deed in deeds], [weight for weight, _ in deeds])
        await deed()
        await asyncio.sleep(self._rng.uniform(0.0, 0.3))

    async def _kill(self, actor: Actor, what: str) -> None:
        await actor.kill()
        if actor is self.writer:
            await self._noting
        self._report.count("processes killed")
        self._report.count(f"{what}s killed")

    async def kill_server(self) -> None:
        number = self._rng.randrange(2)
        await self._kill(self.servers[number], "server")
        await self._restart_server(number)

    async def _restart_server(self, number: int) -> None:
        began_at = asyncio.get_running_loop().time()
        self.servers[number] = await self._open_server(number)
        await self._expect_progress(number, began_at)

    async def _expect_progress(self, number: int, began_at: float) -> None:
        """Wait until everybody who follows this server, and reads, is connected again; not for long."""
        loop = asyncio.get_running_loop()
        ready_at = loop.time()
        url = self.servers[number].url
        concerned = [c for c in self.clients if c.address() == url and not c.is_done and c.name.startswith("fast")]
        canary = _Canary(url)
        async with canary.asking():
            for client in concerned:
                await self._is_back(client, began_at)
        allowance = 3 * (self.servers[number].start_seconds + canary.slowest_seconds)
        for client in concerned:
            took = client.connected_at - max(ready_at, min(client.wait_ends_at, client.connected_at))
            self.slowest_seconds = max(self.slowest_seconds, took)
            limit = _PROGRESS_SECONDS + allowance
            assert took <= limit, f"{client.name}: no progress for {took:.2f} s after readiness (limit {limit:.2f})"
            self._report.count("times progress was held against two seconds")

    async def _is_back(self, client: _Client, began_at: float) -> None:
        try:
            await wait_until_async(
                lambda: client.connected_at >= began_at or client.is_done, _DEADLINE_SECONDS, f"{client.name} is back"
            )
        except AssertionError as error:
            error.add_note(f"it is {client.last_state}")
            raise

    async def kill_writer(self) -> None:
        await self._kill(self.writer, "writer")
        await self._open_writer()

    async def kill_everybody(self) -> None:
        for server in self.servers:
            await self._kill(server, "server")
        await self.kill_writer()
        for number in (0, 1):
            await self._restart_server(number)

    async def pause_server(self) -> None:
        await self._pause(self._rng.choice(self.servers), "servers paused")

    async def pause_writer(self) -> None:
        await self._pause(self.writer, "writers paused")

    async def _pause(self, actor: Actor, what: str) -> None:
        actor.signal(signal.SIGSTOP)
        await asyncio.sleep(self._rng.uniform(0.1, 0.6))
        actor.signal(signal.SIGCONT)
        self._report.count(what)

    async def reset_sockets(self) -> None:
        self._report.count("sockets reset", self.relay.reset())

    async def shrink_retention(self) -> None:
        """Keep a little only; somebody who comes and goes stays away until all that is there now has gone."""
        client = next(client for client in self.clients if client.name.startswith("reconnecting"))
        client.may_go.clear()
        await wait_until_async(lambda: client.stays_away, _DEADLINE_SECONDS, f"{client.name} stays away")
        await self._kill(self.writer, "writer")
        newest = max(self._segments())
        await self._open_writer(_SHRUNK_BYTES)
        await wait_until_async(lambda: min(self._segments()) > newest, _DEADLINE_SECONDS, "what was there has gone")
        client.may_go.set()
        self._report.count("times retention shrank")

    def _segments(self) -> list[str]:
        return [path.name for path in (self.data_dir / "log").glob("*.jsonl")]

    async def fill_disk(self) -> None:
        _, hard = resource.prlimit(self.writer.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.writer.pid, resource.RLIMIT_FSIZE, (4096, hard))
        await asyncio.sleep(self._rng.uniform(0.1, 0.4))
        resource.prlimit(self.writer.pid, resource.RLIMIT_FSIZE, (hard, hard))
        self._report.count("times the disk was full")

    async def copy_or_restore(self) -> None:
        """Take a copy of the directory; or put the copy in its place, as after the loss of a disk."""
        copy = self.directory / "copy"
        if self._copied_at is None:
            await self._kill(self.writer, "writer")
            shutil.copytree(self.data_dir, copy)
            self._copied_at = self._journal_lines()
            self._report.count("copies taken")
            await self._open_writer()
            return
        for server in self.servers:
            await self._kill(server, "server")
        await self._kill(self.writer, "writer")
        self.undone.append((self._copied_at, self._journal_lines()))
        shutil.rmtree(self.data_dir)
        copy.rename(self.data_dir)
        self._copied_at = None
        self._report.count("copies restored")
        await self._open_writer()
        for number in (0, 1):
            await self._restart_server(number)

    def _journal_lines(self) -> int:
        return self.journal.read_bytes().count(b"\n")


def _cast(nemesis: _Nemesis, rng: Random, report: Report) -> list[tuple[_Client, Consume]]:
    """Return the twelve, each with its way."""

    def server(number: int) -> Callable[[], str]:
        return lambda: f"http://127.0.0.1:{nemesis.ports[number]}"

    def relayed() -> str:
        return nemesis.relay.url

    def client(name: str, address: Callable[[], str], worker_id: str | None = None) -> _Client:
        return _Client(name, address, worker_id, Random(rng.random()), report)

    return [
        (client("fast, everything, server 0", server(0)), _steadily()),
        (client("fast, everything, server 1", server(1)), _steadily()),
        (client("fast, w0, server 0", server(0), "w0"), _steadily()),
        (client("fast, w1, server 1, v0", server(1), "w1"), _steadily(protocol="v0")),
        (client("fast, everything, server 1, v0", server(1)), _steadily(protocol="v0")),
        (client("relayed, w2", relayed, "w2"), _steadily()),
        (client("relayed, everything", relayed), _steadily()),
        (client("slow, everything", server(0)), _steadily(0.8, every=100, read_ahead_bytes=4096)),
        (client("stalling, w3", server(1), "w3"), _steadily(3.0, every=150, read_ahead_bytes=4096)),
        (client("reconnecting, everything", server(0)), _coming_and_going),
        (client("reconnecting, w0", server(1), "w0"), _coming_and_going),
        (client("by Worker, everything", server(0)), _by_worker),
    ]


async def _run(directory: Path, rng: Random, budget: Budget, report: Report) -> None:
    with Stage(directory) as stage:
        nemesis = _Nemesis(stage, directory, rng, report)
        await nemesis.begin()
        async with nemesis.relay.listening(), asyncio.TaskGroup() as tasks:
            cast = _cast(nemesis, rng, report)
            nemesis.clients = [client for client, _ in cast]
            for client, consume in cast:
                tasks.create_task(client.run(consume), name=client.name)
            for number in report.until("processes killed", _KILLS):
                with report.case(f"deed {number}"):
                    await nemesis.act()
            nemesis.finish.touch()
            await wait_until_async(
                lambda: all(client.is_done for client in nemesis.clients), _DEADLINE_SECONDS, "every client is done"
            )
        await nemesis.end()
        report.count("clients", len(cast))
        report.count("slowest progress, ms", int(nemesis.slowest_seconds * 1000))
        journal = Journal.read(nemesis.journal)
        report.count("texts acknowledged", len(journal.acknowledged))
        report.count("texts refused by a full disk", len(journal.refused))
        sightings = [sighting for client in nemesis.clients for sighting in client.sightings.values()]
        for what, number in judge(sightings, journal, nemesis.undone).items():
            report.count(what, number)


def run(seed: int, budget: Budget) -> Report:
    """Break things for as long as the budget says; at least thirty processes are killed."""
    report, rng = Report("client", seed, budget), Random(f"client-{seed}")
    with tempfile.TemporaryDirectory(prefix="yoi-client-") as name:
        asyncio.run(_run(Path(name), rng, budget, report))
    report.require("clients", 12)
    if budget.is_short:
        return report.finish()
    report.require("events checked", 5_000)
    report.require("acknowledged texts found", 1_000)
    for what in (
        "servers paused",
        "writers paused",
        "sockets reset",
        "times retention shrank",
        "times the disk was full",
    ):
        report.require(what, 1)
    report.require("texts refused by a full disk", 1)
    report.require("copies restored", 1)
    report.require("gaps announced", 1)
    report.require_share("disconnects, each with its reason", 2)
    report.require_share("times progress was held against two seconds", 0.5)
    report.require_share("streams closed and opened again", 0.5)
    return report.finish()
