"""Redis Streams read by XREAD, spoken to by hand over its text protocol. Standard library alone."""

from __future__ import annotations

import re
import select
import socket
import subprocess
from pathlib import Path

from tools.bench.light_reader import cpu_seconds, cpu_since
from tools.bench.peers import redis_server

__all__ = ["read_all"]

_PER_PIPELINE = 1000
_PER_READ = 1000


def read_all(program: str, directory: str, readers: int, events: int, text_bytes: int) -> dict[str, float]:
    """Fill a stream with entries numbered from 1, then let every reader read all of it."""
    with redis_server(program, Path(directory)) as port:
        with socket.create_connection(("127.0.0.1", port)) as writer:
            _fill(writer, events, text_bytes)
        pid = _pid_of(port)
        peers = {}
        poll = select.epoll()
        for _ in range(readers):
            peer = socket.create_connection(("127.0.0.1", port))
            peers[peer.fileno()] = peer
            poll.register(peer.fileno(), select.EPOLLIN)
        before = cpu_seconds(pid)
        buffer = bytearray(1 << 20)
        received = 0
        last = dict.fromkeys(peers, 0)
        for peer in peers.values():
            peer.sendall(_xread(0))
        while last:
            for fd, _ in poll.poll():
                count = peers[fd].recv_into(buffer)
                received += count
                wanted = b"$%d\r\n%d-0\r\n" % (len(b"%d-0" % _next(last[fd], events)), _next(last[fd], events))
                tails = bytes(buffer[max(0, count - 2 * text_bytes - 200) : count])
                # The last entry's id stands a text before the end; a read that ends within it shows it in the next.
                if wanted in _joined(fd, tails) and tails.endswith(b"\r\n") and _is_whole(tails, text_bytes):
                    last[fd] = _next(last[fd], events)
                    _kept.pop(fd, None)
                    if last[fd] == events:
                        poll.unregister(fd)
                        del last[fd]
                    else:
                        peers[fd].sendall(_xread(last[fd]))
        cpu = cpu_since(pid, before)
        for peer in peers.values():
            peer.close()
    return {"deliveries": readers * events, "cpu_seconds": cpu, "bytes": received}


_kept: dict[int, bytes] = {}


def _joined(fd: int, tail: bytes) -> bytes:
    _kept[fd] = (_kept.get(fd, b"") + tail)[-2000:]
    return _kept[fd]


def _is_whole(tail: bytes, text_bytes: int) -> bool:
    return re.search(rb"x\r\n$", tail[-10:]) is not None and text_bytes > 0


def _next(last: int, events: int) -> int:
    return min(last + _PER_READ, events)


def _xread(after: int) -> bytes:
    return _command(b"XREAD", b"COUNT", b"%d" % _PER_READ, b"STREAMS", b"events", b"%d-0" % after)


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def _fill(writer: socket.socket, events: int, text_bytes: int) -> None:
    answers = writer.makefile("rb")
    for first in range(1, events + 1, _PER_PIPELINE):
        numbers = range(first, min(first + _PER_PIPELINE, events + 1))
        writer.sendall(
            b"".join(_command(b"XADD", b"events", b"%d-0" % number, b"text", b"x" * text_bytes) for number in numbers)
        )
        for _ in numbers:
            length = int(answers.readline()[1:])
            answers.read(length + 2)
    answers.close()


def _pid_of(port: int) -> int:
    """Return the process that listens on ``port``, asked of itself."""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(_command(b"INFO", b"server"))
        answer = peer.recv(65536)
    found = re.search(rb"process_id:([0-9]+)", answer)
    if found is None:
        raise subprocess.SubprocessError("redis-server does not say its process id")
    return int(found[1])
