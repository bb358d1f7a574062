"""A driver of handshakes that costs next to nothing: raw sockets, one epoll, so many under way at a time. Standard library alone.

``Handshakes`` is the parent's end: it starts a process that shakes hands and keeps what it opened until it is told to go.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tools.bench.light_reader import allow_descriptors, upgrade_request

__all__ = ["Handshakes", "shake_hands"]

_ROOT = Path(__file__).resolve().parents[2]

_TIMEOUT_SECONDS = 30.0
_MOST_HEAD_BYTES = 4096


class Handshakes:
    """A process that runs ``shake_hands``."""

    def __init__(self, **arguments: Any) -> None:
        command = [sys.executable, "-m", "tools.bench.handshaker", json.dumps(arguments)]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def account(self) -> dict[str, float]:
        """Return what ``shake_hands`` found; the sockets stay open. Raises ``RuntimeError`` with what the process said."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, words = self._process.communicate()
            raise RuntimeError(f"the handshakes failed: {words.strip()}")
        found: dict[str, float] = json.loads(line)
        return found

    def stop(self) -> None:
        """Close what it opened, and end the process."""
        self._process.communicate()


def shake_hands(
    port: int, path: str, count: int, at_a_time: int, protocol: str | None = None, token: str | None = None
) -> tuple[dict[str, float], list[socket.socket]]:
    """Open ``count`` WebSockets; return how long that took, our own CPU time, and the sockets.

    What comes behind a handshake's answer is left unread.
    """
    request = upgrade_request(port, path, protocol, token)
    poll = select.epoll()
    under_way: dict[int, socket.socket] = {}
    heads: dict[int, bytes] = {}
    done: list[socket.socket] = []
    asked, began, cpu_began = 0, time.perf_counter(), time.process_time()
    while len(done) < count:
        while asked < count and len(under_way) < at_a_time:
            peer = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS)
            peer.sendall(request)
            poll.register(peer.fileno(), select.EPOLLIN)
            under_way[peer.fileno()], heads[peer.fileno()] = peer, b""
            asked += 1
        for fd, _ in poll.poll(_TIMEOUT_SECONDS) or _timed_out(len(done)):
            head = heads[fd] = heads[fd] + under_way[fd].recv(_MOST_HEAD_BYTES)
            if b"\r\n\r\n" in head:
                if b" 101 " not in head.partition(b"\r\n")[0]:
                    raise ConnectionError(f"refused: {head!r}")
                poll.unregister(fd)
                done.append(under_way.pop(fd))
            elif not head or len(head) >= _MOST_HEAD_BYTES:
                raise ConnectionError(f"no answer to a handshake: {head!r}")
    return {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu_began}, done


def _timed_out(done: int) -> list[tuple[int, int]]:
    raise TimeoutError(f"no answer after {done} handshakes")


def _main(arguments: str) -> None:
    allow_descriptors()
    account, peers = shake_hands(**json.loads(arguments))
    print(json.dumps(account), flush=True)
    # Not closed before the server's account is taken.
    sys.stdin.read()
    for peer in peers:
        peer.close()


if __name__ == "__main__":
    _main(sys.argv[1])
