"""The listener at ``DATA_DIR/runtime.sock``: a thread with an event loop of its own, for any program around a Runtime."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from yoi_runtime.notices import Notice, named
from yoi_runtime.runtime.ingest.connection import Connection
from yoi_runtime.runtime.ingest.key_history import KeyHistory
from yoi_runtime.runtime.ingest.key_window import KeyWindow, KeyWindows
from yoi_runtime.runtime.ingest.lines import RefusalCode, refusal_line
from yoi_runtime.runtime.ingest.runtime_socket import is_welcome, listen, peer_uid, remove
from yoi_runtime.runtime.worker import Outcome, Worker
from yoi_runtime.segment_log.cursor import CursorToken
from yoi_runtime.segment_log.platform import Platform, abandon_after_fork
from yoi_runtime.workers.worker_counts import IngestCounts, WorkerCounts

__all__ = ["MOST_CONNECTIONS", "IngestListener", "Owner"]

_log = logging.getLogger("yoi_runtime.runtime")

MOST_CONNECTIONS: Final = 256
# Of descriptors there are none: those that are open may be closed soon.
_ACCEPT_RETRY_SECONDS = 0.2


class Owner(Protocol):
    """The Runtime, as far as its listener knows it."""

    @property
    def data_dir(self) -> Path: ...
    @property
    def log_id(self) -> str: ...
    @property
    def log_directory(self) -> Path: ...
    @property
    def worker_counts(self) -> WorkerCounts: ...
    def create_worker(self, worker_id: str, *, command: Sequence[str] | None = None) -> Worker: ...
    def is_over(self, worker_id: str, run: int) -> bool: ...
    def end_run(self, worker_id: str, run: int, outcome: Outcome, exit_code: int | None = None) -> None: ...
    async def durable(self, cursor: CursorToken) -> None: ...
    async def settled(self) -> None: ...


class IngestListener:
    """Listens from its making until ``stop``."""

    def __init__(self, owner: Owner, platform: Platform) -> None:
        """Bind the socket and start the thread. The owner holds the log.

        Raises:
            OSError: there can be no socket in that directory.
        """
        self._owner = owner
        self.counts: IngestCounts = owner.worker_counts.ingest
        self._history = KeyHistory(owner.log_directory, platform)
        self._windows = KeyWindows()
        self._listener = listen(owner.data_dir)
        self._connections: dict[asyncio.Task[None], socket.socket] = {}
        self._reading = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="yoi-ingest", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            remove(owner.data_dir)
            self._listener.close()
            self._loop.close()
            raise
        abandon_after_fork(self)

    def stop(self) -> None:
        """Take no more, tell every peer that the Runtime stops, and return when all is closed.

        Their Workers have ended then, ``cancelled``. Stopping twice is harmless.
        """
        if self._thread.is_alive():
            # RuntimeError: the thread has ended just now.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def abandon_in_child(self) -> None:
        """Leave the sockets to the parent in a forked child: held open there, they would outlive the Runtime."""
        # Not by their objects, nor by the loop: what the loop waits with is shared with the parent.
        for held in (self._listener, *self._connections.values()):
            with contextlib.suppress(OSError):
                os.close(held.detach())

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._accept_from_now_on()
        try:
            await self._stopping.wait()
        finally:
            self._loop.remove_reader(self._listener)
            remove(self._owner.data_dir)
            self._listener.close()
            # The loop's end waits for its threads.
            self._history.stop()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept_from_now_on(self) -> None:
        if not self._stopping.is_set():
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return  # it was gone again
        except OSError as error:
            _log.warning("no local program can connect at present: %s", error, extra=named(Notice.INGEST_UNAVAILABLE))
            self._loop.remove_reader(self._listener)
            self._loop.call_later(_ACCEPT_RETRY_SECONDS, self._accept_from_now_on)
            return
        if not is_welcome(peer_uid(connection), os.geteuid()):
            self._turn_away(connection, RefusalCode.FORBIDDEN, "this Runtime takes events of its own user only")
        elif len(self._connections) >= MOST_CONNECTIONS:
            reason = f"{MOST_CONNECTIONS} programs are connected already"
            self._turn_away(connection, RefusalCode.TOO_MANY_CONNECTIONS, reason)
        else:
            connection.setblocking(False)
            task = self._loop.create_task(Connection(connection, self).run(), name="ingest connection")
            self._connections[task] = connection
            self.counts.connections = len(self._connections)
            task.add_done_callback(self._gone)

    def _turn_away(self, connection: socket.socket, code: RefusalCode, reason: str) -> None:
        """Say why, as far as there is room at once, and close."""
        self.counts.refused[code] += 1
        with contextlib.suppress(OSError):
            connection.send(refusal_line(code, reason), socket.MSG_DONTWAIT)
        connection.close()

    def _gone(self, task: asyncio.Task[None]) -> None:
        # Closed already, unless the task was cancelled before it began.
        self._connections.pop(task).close()
        self.counts.connections = len(self._connections)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a local program's connection failed", exc_info=error, extra=named(Notice.INGEST_FAILED))

    # What connections ask for.

    @property
    def log_id(self) -> str:
        return self._owner.log_id

    def create_worker(self, worker_id: str, *, command: list[str] | None = None) -> Worker:
        return self._owner.create_worker(worker_id, command=command)

    def is_over(self, worker_id: str, run: int) -> bool:
        return self._owner.is_over(worker_id, run)

    def end_run(self, worker_id: str, run: int, outcome: Outcome, exit_code: int | None) -> None:
        self._owner.end_run(worker_id, run, outcome, exit_code)

    async def durable(self, cursor: str) -> None:
        await self._owner.durable(CursorToken(cursor))

    async def settled(self) -> None:
        await self._owner.settled()

    async def window_of(self, worker_id: str, *, is_new: bool) -> KeyWindow:
        """Return the newest keys of a Worker that has just been opened; read from the log when nobody remembers them."""
        window = self._windows.take(worker_id)
        if window is not None:
            return window
        if is_new:
            return KeyWindow()
        await self._owner.settled()
        async with self._reading:
            return KeyWindow(await asyncio.to_thread(self._history.newest_of, worker_id))

    def give_back(self, worker_id: str, window: KeyWindow) -> None:
        self._windows.give_back(worker_id, window)
