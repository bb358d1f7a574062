"""NATS as a peer, spoken to by hand over its text protocol: core fan-out and JetStream, over WebSocket. Standard library alone."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.bench.light_reader import MARK, Swarm, cpu_seconds, cpu_since, masked, upgrade

__all__ = ["can_sync_always", "fan_out", "nats_server", "replay", "synced_delays"]

_CONNECT = 'CONNECT {"verbose":false,"pedantic":false,"headers":true}\r\n'
_PER_WRITE = 64
_START_SECONDS = 10.0


@contextmanager
def nats_server(
    program: str, directory: str, *, sync: str | None = None, stream: bool = False
) -> Iterator[tuple[int, int, int]]:
    """Run a NATS server; yields (pid, TCP port, WebSocket port)."""
    with tempfile.TemporaryDirectory(prefix="nats-", dir=directory) as data:
        port, web_port = _free_port(), _free_port()
        options = [
            f'listen: "127.0.0.1:{port}"',
            f'websocket {{ listen: "127.0.0.1:{web_port}", no_tls: true, compression: false }}',
            "max_pending: 1GB",
            'write_deadline: "60s"',
        ]
        if stream:
            interval = f", sync_interval: {sync}" if sync else ""
            options.append(f'jetstream {{ store_dir: "{data}"{interval} }}')
        config = Path(data) / "nats.conf"
        config.write_text("\n".join(options), "utf-8")
        log = Path(data) / "nats.log"
        command = [program, "--config", str(config), "--log", str(log)]
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + _START_SECONDS
            while b"Server is ready" not in (log.read_bytes() if log.exists() else b""):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"nats-server does not start: {log.read_text() if log.exists() else ''}")
                select.select([], [], [], 0.02)
            yield server.pid, port, web_port
        finally:
            server.kill()
            server.communicate()


def can_sync_always(program: str, directory: str) -> bool:
    """Say whether this version can sync every message."""
    with tempfile.TemporaryDirectory(prefix="nats-", dir=directory) as data:
        config = Path(data) / "nats.conf"
        config.write_text(f'jetstream {{ store_dir: "{data}", sync_interval: always }}', "utf-8")
        return subprocess.run([program, "-t", "-c", str(config)], capture_output=True, check=False).returncode == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Client:
    """One TCP connection; knows just enough of the protocol."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._file = self._socket.makefile("rb")
        self.send(_CONNECT.encode())
        self.ping()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def ping(self) -> None:
        """Return when the server has taken everything that was sent."""
        self.send(b"PING\r\n")
        while not (line := self._file.readline()).startswith(b"PONG"):
            if not line or line.startswith(b"-ERR"):
                raise ConnectionError(line.decode())

    def ask(self, subject: str, question: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of JetStream's interface to a question."""
        inbox = f"_INBOX.{os.urandom(6).hex()}"
        body = json.dumps(question).encode() if question else b""
        self.send(f"SUB {inbox} 9\r\nPUB {subject} {inbox} {len(body)}\r\n".encode() + body + b"\r\n")
        while not (line := self._file.readline()).startswith(b"MSG"):
            if not line or line.startswith(b"-ERR"):
                raise ConnectionError(line.decode())
        answer: dict[str, Any] = json.loads(self._file.read(int(line.split()[-1]) + 2))
        self.send(b"UNSUB 9\r\n")
        if "error" in answer:
            raise RuntimeError(str(answer["error"]))
        return answer

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def _publish(client: _Client, events: int, text_bytes: int) -> None:
    one = b"PUB events %d\r\n%s\r\n" % (text_bytes, b"x" * text_bytes)
    left = events - 1
    while left:
        client.send(one * min(_PER_WRITE, left))
        left -= min(_PER_WRITE, left)
    client.send(b"PUB events %d\r\n%s\r\n" % (text_bytes, MARK.encode().ljust(text_bytes)))


def fan_out(program: str, directory: str, subscribers: int, events: int, text_bytes: int) -> dict[str, float]:
    """Publish to subscribers over WebSocket; nothing is stored."""
    with nats_server(program, directory) as (pid, port, web_port):
        hello = _CONNECT + "SUB events 1\r\n"
        swarm = Swarm(port=web_port, paths=["/"] * subscribers, hello=hello)
        try:
            swarm.wait_connected()
            client = _Client(port)
            # A subscription that was sent is known to the server a moment later.
            select.select([], [], [], 0.2)
            before = cpu_seconds(pid)
            _publish(client, events, text_bytes)
            swarm.account()
            cpu = cpu_since(pid, before)
            client.close()
        finally:
            swarm.stop()
    return {"deliveries": subscribers * events, "cpu_seconds": cpu}


def replay(program: str, directory: str, readers: int, events: int, text_bytes: int, spread: bool) -> dict[str, float]:
    """Replay a stream from its file to readers over WebSocket; ``spread``: each begins elsewhere."""
    with nats_server(program, directory, stream=True) as (pid, port, web_port):
        client = _Client(port)
        client.ask(
            "$JS.API.STREAM.CREATE.EVENTS",
            {"name": "EVENTS", "subjects": ["events"], "storage": "file", "retention": "limits", "num_replicas": 1},
        )
        _publish(client, events, text_bytes)
        client.ping()
        while client.ask("$JS.API.STREAM.INFO.EVENTS", {})["state"]["messages"] < events:
            select.select([], [], [], 0.05)
        starts = [1 + events * number // (2 * readers) if spread else 1 for number in range(readers)]
        sockets = []
        for number in range(readers):
            peer = upgrade(web_port, "/")
            peer.sendall(masked(f"{_CONNECT}SUB deliver.{number} 1\r\n".encode()))
            sockets.append(peer)
        select.select([], [], [], 0.2)
        before = cpu_seconds(pid)
        for number, start in enumerate(starts):
            consumer = {
                "deliver_subject": f"deliver.{number}",
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": start,
                "ack_policy": "none",
                "replay_policy": "instant",
                "durable_name": f"reader{number}",
            }
            client.ask(
                f"$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.reader{number}", {"stream_name": "EVENTS", "config": consumer}
            )
        _read_to_mark(sockets)
        cpu = cpu_since(pid, before)
        client.close()
    return {"deliveries": sum(events - start + 1 for start in starts), "cpu_seconds": cpu}


def _read_to_mark(sockets: list[socket.socket]) -> None:
    """Read each socket until the last event has come through."""
    poll = select.epoll()
    peers = {peer.fileno(): peer for peer in sockets}
    tails = dict.fromkeys(peers, b"")
    for fd, peer in peers.items():
        peer.setblocking(False)
        poll.register(fd, select.EPOLLIN)
    buffer = bytearray(1 << 20)
    mark = MARK.encode()
    waiting = set(peers)
    while waiting:
        for fd, _ in poll.poll():
            count = peers[fd].recv_into(buffer)
            if not count:
                raise ConnectionError("NATS closed a stream")
            tails[fd] = (tails[fd] + bytes(buffer[max(0, count - 1024) : count]))[-1024:]
            if mark in tails[fd] and fd in waiting:
                waiting.discard(fd)
                poll.unregister(fd)
    for peer in sockets:
        peer.close()


def synced_delays(
    program: str, directory: str, subscribers: int, events: int, per_second: int, text_bytes: int
) -> dict[str, Any]:
    """Publish at a steady rate into a stream that syncs every message; return the readers' delays in ms."""
    with nats_server(program, directory, stream=True, sync="always") as (_, port, web_port):
        client = _Client(port)
        client.ask(
            "$JS.API.STREAM.CREATE.EVENTS",
            {"name": "EVENTS", "subjects": ["events"], "storage": "file", "retention": "limits", "num_replicas": 1},
        )
        # Every reader is on one consumer's subject: what JetStream delivers is what was stored.
        swarm = Swarm(port=web_port, paths=["/"] * subscribers, hello=_CONNECT + "SUB deliver 1\r\n", stamped=True)
        try:
            swarm.wait_connected()
            consumer = {
                "deliver_subject": "deliver",
                "deliver_policy": "new",
                "ack_policy": "none",
                "durable_name": "readers",
            }
            client.ask("$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.readers", {"stream_name": "EVENTS", "config": consumer})
            began = time.monotonic()
            for number in range(events):
                due = began + number / per_second
                if (left := due - time.monotonic()) > 0:
                    select.select([], [], [], left)
                last = MARK if number == events - 1 else ""
                text = f"sent-at-{time.monotonic_ns()}-{last}".ljust(text_bytes, "x").encode()
                client.send(b"PUB events %d\r\n%s\r\n" % (len(text), text))
            account = swarm.account()
        finally:
            swarm.stop()
        client.close()
    return account
