"""A server as a process of its own, and bare sockets that do to it what nobody should."""

from __future__ import annotations

import contextlib
import http.client
import json
import shlex
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.cli.real_program import Program, python_command, server_url, start_program
from tests.support.deadline import wait_until
from yoi_runtime.server.token_file import add_token

__all__ = ["HANDSHAKE", "Answer", "Target", "target_in"]

# Only a failing test, or a machine that is very busy, gets near it.
DEADLINE_SECONDS = 30.0
# What a process may have grown by after an attack: allocators keep some of what was freed.
_MOST_GROWTH_KIB = 32 << 10
# Files that a Runtime may open meanwhile, by itself: the next segment, a database in one more thread.
_OWN_FILES = 8

HANDSHAKE = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
]
_WORKER = "import itertools, time\nfor n in itertools.count():\n    print(n, flush=True)\n    time.sleep(0.2)"


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP; status 0: the connection was closed without a word."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def code(self) -> str:
        return json.loads(self.body)["diagnostic"]["code"]


class Target:
    """A server under attack."""

    def __init__(self, program: Program, url: str, token: str, token_file: Path) -> None:
        self.program = program
        self.token = token
        self.token_file = token_file
        self.port = urlsplit(url).port or 0
        self._descriptors = 0
        self._rss_kib = 0

    def rest(self) -> None:
        """Take note of what it needs when nobody is there; after everything was used once."""
        for _ in range(20):
            self.fresh_subscriber()
        for _ in range(20):
            # Opens the file of the transcripts, in each thread that answers.
            self.ask("/v1/workers/a/transcript", self.bearer)
        self._descriptors = self.descriptors
        self._rss_kib = self.rss_kib

    @property
    def bearer(self) -> list[tuple[str, str]]:
        return [("Authorization", f"Bearer {self.token}")]

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.program.pid}/fd").iterdir()))

    @property
    def rss_kib(self) -> int:
        return int(Path(f"/proc/{self.program.pid}/statm").read_text().split()[1]) * 4

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_SECONDS)

    def ask(
        self,
        path: str,
        headers: Sequence[tuple[str, str]] = (),
        *,
        host: str | None = "",
        method: str = "GET",
        connection: socket.socket | None = None,
    ) -> Answer:
        """Send one request, headers as given; ``host``: "" is the right one, None sends none."""
        host = f"127.0.0.1:{self.port}" if host == "" else host
        lines = [f"{method} {path} HTTP/1.1", *([f"Host: {host}"] if host is not None else [])]
        lines += [f"{name}: {value}" for name, value in headers]
        return self.say("\r\n".join([*lines, "", ""]).encode("latin-1"), method)

    def say(self, head: bytes, method: str = "GET") -> Answer:
        """Send bytes, and read what comes back as an answer."""
        with self.connect() as connection:
            try:
                connection.sendall(head)
            except ConnectionError:
                pass  # it may have answered before it had read everything
            response = http.client.HTTPResponse(connection, method=method)
            try:
                response.begin()
            except (http.client.HTTPException, ConnectionError):
                return Answer(0)
            body = b"" if response.status == 101 else response.read()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)

    def subscribed(self, path: str = "/v1/events/ws") -> socket.socket:
        """Open a stream and return the socket, its first frame read; an ``AssertionError`` where it is refused."""
        connection = self.connect()
        try:
            self._subscribe(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _subscribe(self, connection: socket.socket, path: str) -> None:
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in [*HANDSHAKE, *self.bearer]]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        seen = b""
        while b'"kind"' not in seen:
            more = connection.recv(65536)
            assert more, seen
            seen += more
        assert seen.startswith(b"HTTP/1.1 101 "), seen

    def fresh_subscriber(self) -> float:
        """Subscribe, see the first frame, leave; returns how long that took."""
        began = time.monotonic()
        connection = self.subscribed()
        took = time.monotonic() - began
        connection.close()
        return took

    def is_well(self, what: str) -> None:
        """Look whether the server serves on, and has let go of everything; say how fast it answered."""
        took = self.fresh_subscriber()
        wait_until(
            lambda: self.descriptors <= self._descriptors + _OWN_FILES, DEADLINE_SECONDS, f"{what}: descriptors back"
        )
        grown = self.rss_kib - self._rss_kib
        sys.stdout.write(f"\n{what}: a fresh subscriber after {took:.3f} s, memory {grown:+d} KiB\n")
        assert took < DEADLINE_SECONDS
        assert grown < _MOST_GROWTH_KIB, what
        assert self.program.is_running()

    @staticmethod
    def reset(connection: socket.socket) -> None:
        """End a connection with a reset."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    @staticmethod
    def frames(opcode: int, payload: bytes = b"", *, final: bool = True, times: int = 1) -> bytes:
        """Return a client's frame with a mask of zeros, ``times`` times."""
        head = bytes(((0x80 if final else 0) | opcode,))
        if len(payload) < 126:
            head += bytes((0x80 | len(payload),))
        else:
            head += b"\xff" + struct.pack(">Q", len(payload))
        return (head + bytes(4) + payload) * times

    def is_cut_off(self, connection: socket.socket, flood: bytes, most_bytes: int) -> int:
        """Send ``flood`` again and again until the server has had enough; returns how many bytes it got."""
        sent = 0
        while sent < most_bytes:
            try:
                connection.sendall(flood)
            except ConnectionError:
                return sent
            sent += len(flood)
            # What it answers is taken away, lest that stops the flood.
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                try:
                    while connection.recv(65536):
                        pass
                    return sent
                except ConnectionError:
                    return sent
            connection.settimeout(DEADLINE_SECONDS)
        raise AssertionError(f"not cut off after {sent:,} bytes")


@contextlib.contextmanager
def target_in(directory: Path, *options: str) -> Iterator[Target]:
    """Start ``yoi-runtime serve`` with two Workers and a token, and stop it at the end."""
    token_file, data = directory / "tokens.json", directory / "data"
    token, _ = add_token(token_file, label="whole", workers=[], expires_at=None)
    worker = shlex.join(python_command(_WORKER))
    arguments: list[Any] = ["serve", "--data-dir", str(data), "--bind", "127.0.0.1:0", "--token-file", str(token_file)]
    arguments += ["--worker", f"a={worker}", "--worker", f"b={worker}", *options]
    with start_program(directory, *arguments) as program:
        target = Target(program, server_url(data, program), token, token_file)
        wait_until(lambda: target.ask("/v1/workers/b", target.bearer).status == 200, DEADLINE_SECONDS, "Worker b")
        target.rest()
        yield target
        assert program.stop() == 143
