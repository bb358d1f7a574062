"""Readers that cost next to nothing: many raw sockets, one epoll, one buffer. Standard library alone.

They take no message apart: a stream is done when the last event's mark has come through, which is text of its own.
``Swarm`` is the parent's end: it starts a process of readers, waits until all are connected, and gets their account.
"""

from __future__ import annotations

import base64
import json
import os
import re
import resource
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

__all__ = [
    "MARK",
    "Swarm",
    "allow_descriptors",
    "cpu_seconds",
    "cpu_since",
    "masked",
    "read_streams",
    "upgrade",
    "upgrade_request",
]

_ROOT = Path(__file__).resolve().parents[2]
# In the last event of a run.
MARK = "the-last-event-of-this-run"
_BUFFER_BYTES = 1 << 20
# The mark stands this near to the end of what comes with it, or nearer.
_TAIL_BYTES = 8192
_STAMP = re.compile(rb"sent-at-([0-9]{10,20})-")
_TIMEOUT_SECONDS = 120.0
# Fewer than a listening socket keeps waiting.
_AT_A_TIME = 100


def cpu_seconds(pid: int) -> float:
    """Return how much processor time a process has used. Source: proc(5), /proc/pid/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_since(pid: int, before: float) -> float:
    """Return how much a process has used since ``cpu_seconds`` said ``before``; at least one tick, which is what is told."""
    return max(cpu_seconds(pid) - before, 1 / os.sysconf("SC_CLK_TCK"))


def allow_descriptors() -> None:
    """Let this process open as many files as it may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Swarm:
    """A process that runs ``read_streams``."""

    def __init__(self, **arguments: Any) -> None:
        command = [sys.executable, "-m", "tools.bench.light_reader"]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        # Not on the command line, where 10,000 paths have no room.
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(arguments))
        self._process.stdin.close()
        self._process.stdin = None

    def wait_connected(self) -> None:
        """Return when every reader has its stream. Raises ``RuntimeError`` with what the process said."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            _, words = self._process.communicate()
            raise RuntimeError(f"the readers failed: {words.strip()}")

    def account(self) -> dict[str, Any]:
        """Return what ``read_streams`` returned, when it has."""
        answer, words = self._process.communicate(timeout=_TIMEOUT_SECONDS)
        if self._process.returncode != 0:
            raise RuntimeError(f"the readers failed: {words.strip()}")
        found: dict[str, Any] = json.loads(answer.splitlines()[-1])
        return found

    def stop(self) -> None:
        """End the process if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def masked(payload: bytes) -> bytes:
    """Return a client's text frame; its masking key is zero, which leaves the payload as it is."""
    length = len(payload)
    if length < 126:
        return bytes((0x81, 0x80 | length)) + bytes(4) + payload
    if length < 1 << 16:
        return b"\x81\xfe" + struct.pack(">H", length) + bytes(4) + payload
    return b"\x81\xff" + struct.pack(">Q", length) + bytes(4) + payload


def upgrade(port: int, path: str, protocol: str | None = None) -> socket.socket:
    """Connect and return the socket of an open WebSocket; what came after the handshake stays to be read."""
    peer = _ask(port, path, protocol)
    _take_answer(peer)
    return peer


def _connect_all(port: int, paths: list[str], protocol: str | None) -> list[socket.socket]:
    """Return as many open WebSockets; so many at a time are asked for before the first answer is looked at."""
    peers = []
    for first in range(0, len(paths), _AT_A_TIME):
        asked = [_ask(port, path, protocol) for path in paths[first : first + _AT_A_TIME]]
        for peer in asked:
            _take_answer(peer)
        peers += asked
    return peers


def _ask(port: int, path: str, protocol: str | None) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), timeout=60)
    peer.sendall(upgrade_request(port, path, protocol))
    return peer


def _take_answer(peer: socket.socket) -> None:
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        # One byte at a time near the end would be slow; one frame too many would be lost: peek, then take.
        seen = peer.recv(4096, socket.MSG_PEEK)
        if not seen:
            raise ConnectionError(f"closed in the handshake: {answer!r}")
        end = (answer + seen).find(b"\r\n\r\n")
        answer += peer.recv(len(seen) if end < 0 else end + 4 - len(answer))
    if b" 101 " not in answer.split(b"\r\n")[0]:
        raise ConnectionError(f"refused: {answer!r}")


def upgrade_request(port: int, path: str, protocol: str | None = None, token: str | None = None) -> bytes:
    """Return what a client asks to get a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    offered = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
    offered += f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offered}\r\n"
    ).encode()


def read_streams(
    port: int,
    paths: list[str],
    protocol: str | None = None,
    hello: str | None = None,
    stamped: bool = False,
    expect_bytes: int | None = None,
    raw: bool = False,
    timed: bool = False,
    reading: bool = True,
) -> dict[str, Any]:
    """Read each stream to its mark (or ``expect_bytes`` of each), and return bytes, times and our own CPU time.

    ``hello``: what a client of that peer says first. ``raw``: no WebSocket. ``stamped``: events say when they were sent; return the delays.
    ``timed``: count from the request on. ``reading`` False: connect, and read nothing until somebody ends us.
    Says "ready" on stdout when all are connected.
    """
    asked = time.perf_counter()
    allow_descriptors()
    poll = select.epoll()
    peers: dict[int, socket.socket] = {}
    for peer in (
        [socket.create_connection(("127.0.0.1", port)) for _ in paths] if raw else _connect_all(port, paths, protocol)
    ):
        if hello is not None:
            peer.sendall(masked(hello.encode()))
        peer.setblocking(False)
        peers[peer.fileno()] = peer
    tails = dict.fromkeys(peers, b"")
    received = dict.fromkeys(peers, 0)
    delays: list[float] = []
    mark = MARK.encode()
    buffer = bytearray(_BUFFER_BYTES)
    view = memoryview(buffer)
    waiting = set(peers)
    for fd in peers:
        poll.register(fd, select.EPOLLIN)
    print("ready", flush=True)
    while not reading:
        select.select([], [], [], 60)
    began, cpu_began, reads = 0.0, 0.0, 0
    while waiting:
        for fd, _ in poll.poll(_TIMEOUT_SECONDS) or _timed_out(waiting):
            count = peers[fd].recv_into(buffer)
            if not began:
                began, cpu_began = time.perf_counter(), time.process_time()
            if not count:
                raise ConnectionError(f"a stream ended after {received[fd]} bytes: {tails[fd][-500:]!r}")
            reads += 1
            received[fd] += count
            if stamped:
                now = time.monotonic_ns()
                delays += [(now - int(stamp)) / 1e6 for stamp in _STAMP.findall(view[:count])]
            old = b"" if count >= _TAIL_BYTES else tails[fd]
            tail = tails[fd] = (old + bytes(view[max(0, count - _TAIL_BYTES) : count]))[-_TAIL_BYTES:]
            if mark in tail if expect_bytes is None else received[fd] >= expect_bytes:
                waiting.discard(fd)
                poll.unregister(fd)
    took = time.perf_counter() - began
    for peer in peers.values():
        peer.close()
    return {
        "seconds": took,
        "from_request_seconds": time.perf_counter() - asked if timed else None,
        "cpu_seconds": time.process_time() - cpu_began,
        "bytes": sum(received.values()),
        "reads": reads,
        "delays_ms": sorted(delays),
    }


def _timed_out(waiting: set[int]) -> list[tuple[int, int]]:
    raise TimeoutError(f"{len(waiting)} streams did not come to their end")


if __name__ == "__main__":
    print(json.dumps(read_streams(**json.load(sys.stdin))))
