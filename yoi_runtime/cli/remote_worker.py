"""A Worker in the log of a Runtime that another process is: its events go through ``DATA_DIR/runtime.sock``.

    events -> waiting -> in flight -> acknowledged

When the Runtime goes away, what was not acknowledged is kept, its source is held back, and all of it is sent again when
the Runtime is back. Each event has a key, so that it counts once. Protocol: docs/ingest.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from random import random
from typing import Final

from yoi_runtime.errors import IngestLostError, IngestRefusedError
from yoi_runtime.event_log.oversize import cut_event
from yoi_runtime.events import Event, encode_payload, with_key
from yoi_runtime.runtime.ingest import runtime_socket
from yoi_runtime.runtime.ingest.lines import FATAL_CODES, MAX_LINE_BYTES, PASSING_CODES, PROTOCOL, RefusalCode
from yoi_runtime.workers.adapters import wall_clock_ms

__all__ = ["MOST_HELD_BYTES", "MOST_HELD_EVENTS", "RemoteWorker"]

# Far less than the keys that a Runtime remembers of a Worker.
MOST_HELD_EVENTS: Final = 2_000
MOST_HELD_BYTES: Final = 4 << 20
_SEND_BYTES = 64 << 10
_READ_BYTES = 64 << 10
# Of a line around its payload: the key.
_AROUND_PAYLOAD_BYTES = 100
_RETRY_FIRST_SECONDS = 0.05
_RETRY_LAST_SECONDS = 2.0
# A Runtime that has accepted and says nothing is none.
_HELLO_SECONDS = 10.0
_ACK_START = b'{"kind":"ack",'


class RemoteWorker:
    """One run of a Worker, and an ``EventSink``. ``open`` it, emit, ``end`` it; ``close`` in any case. One event loop."""

    def __init__(
        self,
        data_dir: Path,
        worker_id: str,
        *,
        command: Sequence[str] | None = None,
        durable: bool = False,
        patience_seconds: float | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``patience_seconds``: how long a Runtime may be away, None for ever. ``tell``: what a person should know of it."""
        self._data_dir = data_dir
        self._patience_seconds = patience_seconds
        self._tell = tell
        hello: dict[str, object] = {"kind": "hello", "protocol": PROTOCOL, "worker_id": worker_id}
        if command is not None:
            hello["command"] = [part.encode("utf-8", "backslashreplace").decode() for part in command]
        self._hello = hello | {"durable": durable, "reconnects": True}
        # Which run of the Worker this is, by what the Runtime said of it last.
        self._run_number: object = None
        self._key_start = secrets.token_hex(6)
        self._keys = 0
        self._waiting: deque[bytes] = deque()
        self._in_flight: deque[bytes] = deque()
        self._held_bytes = 0
        self._changed = asyncio.Event()
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self._refusals = 0
        self._first_refusal = ""

    async def open(self, patience_seconds: float = 0.0) -> None:
        """Find the Runtime, within so long, and open the Worker there.

        Raises:
            IngestLostError: nobody listens.
            IngestRefusedError: the Runtime does not want this Worker, because it runs already, say.
            OSError: the socket is there and may not be used.
        """
        connection = await self._connect(patience_seconds, is_first=True)
        self._task = asyncio.get_running_loop().create_task(self._run(connection), name="remote worker")

    # The sink.

    def emit(self, event: Event) -> str:
        """Take one event, whatever is held. Its cursor is not known yet: returns an empty text.

        Raises:
            EventInvalidError, RecordTooLargeError: it was not taken.
            IngestLostError, IngestRefusedError: nothing more will reach the Runtime.
        """
        self._check()
        self._hold(self._lines_of(event))
        return ""

    def emit_many(self, events: Sequence[Event]) -> int:
        """Take as many of the events as there is room for, and return how many. Raises as ``emit``; nothing was taken."""
        self._check()
        # All before the first is taken.
        lines = [self._lines_of(event) for event in events]
        for taken, of_event in enumerate(lines):
            if not self._has_room():
                return taken
            self._hold(of_event)
        return len(events)

    async def ready(self) -> None:
        """Wait until there is room. Raises ``IngestLostError``, ``IngestRefusedError``."""
        await self._until(self._has_room)

    def _has_room(self) -> bool:
        return self.unacknowledged < MOST_HELD_EVENTS and self._held_bytes < MOST_HELD_BYTES

    @property
    def unacknowledged(self) -> int:
        """Return how many lines the Runtime has not answered yet."""
        return len(self._waiting) + len(self._in_flight)

    @property
    def refusals(self) -> tuple[int, str]:
        """Return how many events the Runtime refused, and what it said of the first."""
        return self._refusals, self._first_refusal

    def _lines_of(self, event: Event) -> list[bytes]:
        payload, most = encode_payload(event), MAX_LINE_BYTES - _AROUND_PAYLOAD_BYTES
        if len(payload) <= most:
            return [self._keyed(payload)]
        payload, alert = cut_event(event, payload, most, self._data_dir, wall_clock_ms())
        return [self._keyed(payload), self._keyed(encode_payload(alert))]

    def _keyed(self, payload: bytes) -> bytes:
        self._keys += 1
        return with_key(payload, f"{self._key_start}-{self._keys:x}") + b"\n"

    def _hold(self, lines: Sequence[bytes]) -> None:
        self._waiting.extend(lines)
        self._held_bytes += sum(map(len, lines))
        self._changed.set()

    # The end.

    async def end(self, outcome: str, exit_code: int | None = None) -> None:
        """Have everything acknowledged, and the Worker's end written. Raises ``IngestLostError``, ``IngestRefusedError``.

        Ending twice is harmless; the first outcome stays. When this is cancelled, the end is on its way all the same.
        """
        self._check()
        if not self._ending:
            self._ending = True
            said: dict[str, object] = {"kind": "end", "outcome": outcome}
            self._hold([_line(said if exit_code is None else said | {"exit_code": exit_code})])
        assert self._task is not None
        await asyncio.shield(self._task)

    async def close(self) -> None:
        """Let go of the Runtime; where ``end`` did not come to its end, the Worker has crashed."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, IngestLostError, IngestRefusedError, OSError):
                await self._task

    # The connection.

    def _check(self) -> None:
        assert self._task is not None, "not opened"
        if self._task.done():
            self._task.result()

    async def _until(self, condition: Callable[[], bool]) -> None:
        assert self._task is not None
        while not condition() and not self._task.done():
            self._moved.clear()
            moved = asyncio.ensure_future(self._moved.wait())
            try:
                await asyncio.wait({moved, self._task}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                moved.cancel()
        self._check()

    async def _run(self, connection: _Connection) -> None:
        """Converse over one connection after the other, until the end was acknowledged."""
        while True:
            try:
                if await self._converse(connection):
                    return
                reason = "it closed the connection"
            except OSError as error:
                reason = error.strerror or type(error).__name__
            except IngestRefusedError as error:
                if error.code not in PASSING_CODES:
                    raise
                reason = error.reason
            finally:
                connection.close()
            # What was sent and not acknowledged may be in the log or not: its keys will tell.
            self._waiting.extendleft(reversed(self._in_flight))
            self._in_flight.clear()
            self._tell(f"the Runtime is away ({reason}); the Worker is held back until it returns")
            connection = await self._connect(self._patience_seconds, is_first=False)
            self._tell("the Runtime is back; the Worker goes on")

    async def _connect(self, patience_seconds: float | None, *, is_first: bool) -> _Connection:
        """Return a connection on which the Worker is open."""
        began, delay = time.monotonic(), _RETRY_FIRST_SECONDS
        while True:
            try:
                return await self._say_hello()
            except (FileNotFoundError, ConnectionError, BlockingIOError, TimeoutError) as error:
                reason = _why(error, self._data_dir)
            except IngestRefusedError as error:
                # In the first moment nobody else can be the same Worker by our own doing.
                if is_first or error.code not in PASSING_CODES:
                    raise
                reason = error.reason
            waited = time.monotonic() - began
            if patience_seconds is not None and waited >= patience_seconds:
                raise IngestLostError(reason, waited, self.unacknowledged)
            await asyncio.sleep(delay * (0.5 + random() / 2))  # noqa: S311  jitter
            delay = min(2 * delay, _RETRY_LAST_SECONDS)

    async def _say_hello(self) -> _Connection:
        connection = _Connection(runtime_socket.connect(self._data_dir))
        try:
            async with asyncio.timeout(_HELLO_SECONDS):
                # When all is said, only what it has not heard of is to begin another run.
                hello = self._hello | {"ends_run": self._run_number} if self._ending else self._hello
                # Who is turned away may be so before he says a word; the answer says why.
                with contextlib.suppress(BrokenPipeError):
                    await connection.send(_line(hello))
                answers = await connection.answers()
            if not answers:
                raise ConnectionResetError("it closed the connection")
            self._run_number = _hello_in(answers[0]).get("run")
        except BaseException:
            connection.close()
            raise
        return connection

    async def _converse(self, connection: _Connection) -> bool:
        """Send and hear until the Runtime closes; return whether the end was acknowledged by then."""
        sending = asyncio.create_task(self._send(connection), name="remote worker sends")
        try:
            while answers := await connection.answers():
                for answer in answers:
                    if self._hear(answer):
                        return True
                self._moved.set()
            return False
        finally:
            sending.cancel()
            # What it ran into, the reading side meets as well.
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, connection: _Connection) -> None:
        while True:
            while self._waiting:
                lines, size = list[bytes](), 0
                while self._waiting and size < _SEND_BYTES:
                    lines.append(self._waiting.popleft())
                    size += len(lines[-1])
                # Before they are sent: the answer may come while the last of them goes.
                self._in_flight.extend(lines)
                await connection.send(b"".join(lines))
            self._changed.clear()
            await self._changed.wait()

    def _hear(self, answer: bytes) -> bool:
        """Take an answer to the oldest line in flight; return whether it was the end's."""
        if not answer.startswith(_ACK_START):
            said = _parsed(answer)
            if said.get("kind") == "error":
                if said.get("fatal") or said.get("code") in FATAL_CODES or "line" not in said:
                    raise _refusal(said)
                self._refusals += 1
                self._first_refusal = self._first_refusal or str(_refusal(said))
        if self._in_flight:
            self._held_bytes -= len(self._in_flight.popleft())
        return self._ending and not self._in_flight and not self._waiting


class _Connection:
    """A connected socket, read line by line."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._rest = b""

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def answers(self) -> list[bytes]:
        """Return the next answers, at least one; none when the Runtime has closed. Raises ``OSError``."""
        while True:
            data = await asyncio.get_running_loop().sock_recv(self._socket, _READ_BYTES)
            if not data:
                return []
            *lines, self._rest = (self._rest + data).split(b"\n")
            if lines:
                return lines

    def close(self) -> None:
        self._socket.close()


def _line(said: dict[str, object]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _refusal(said: dict[str, object]) -> IngestRefusedError:
    return IngestRefusedError(str(said.get("code")), str(said.get("message")), str(said.get("where") or ""))


def _hello_in(answer: bytes) -> dict[str, object]:
    """Return a Runtime's hello; raises what it answered instead of one."""
    said = _parsed(answer)
    if said.get("kind") != "hello":
        raise _refusal(said)
    return said


def _parsed(answer: bytes) -> dict[str, object]:
    try:
        said = json.loads(answer)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise IngestRefusedError(RefusalCode.PROTOCOL_UNKNOWN, f"what listens there does not speak {PROTOCOL}")
    return said


def _why(error: OSError, data_dir: Path) -> str:
    """Say why there is no connection, so that a person knows what to do."""
    if isinstance(error, (FileNotFoundError, ConnectionRefusedError)):
        return f"no Runtime listens at {data_dir / runtime_socket.SOCKET_NAME}; start one with yoi-runtime serve"
    return error.strerror or str(error) or type(error).__name__
