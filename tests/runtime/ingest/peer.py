"""A local program of a test: one connection to a Runtime's socket, line by line, with a deadline on everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.deadline import wait_until
from yoi_runtime.runtime.ingest.lines import PROTOCOL
from yoi_runtime.runtime.ingest.runtime_socket import connect

__all__ = ["Peer", "peer_of", "refuse_none", "text", "texts_written", "wait_for_texts"]

_DEADLINE_SECONDS = 30.0

Said = dict[str, Any]


class Peer:
    def __init__(self, data_dir: Path) -> None:
        self.socket = connect(data_dir)
        self.socket.settimeout(_DEADLINE_SECONDS)
        self._rest = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def say(self, *messages: Said) -> None:
        self.send(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def hear(self) -> Said:
        """Return the next answer. Raises ``EOFError`` when the Runtime has closed."""
        while b"\n" not in self._rest:
            data = self.socket.recv(1 << 16)
            if not data:
                assert not self._rest, self._rest
                raise EOFError
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        answer: Said = json.loads(line)
        return answer

    def ask(self, *messages: Said) -> list[Said]:
        """Say something and return the answer to each."""
        self.say(*messages)
        return [self.hear() for _ in messages]

    def hello(self, worker_id: str = "coder", **more: object) -> Said:
        (answer,) = self.ask({"kind": "hello", "protocol": PROTOCOL, "worker_id": worker_id, **more})
        return answer

    def rest(self) -> list[Said]:
        """Return what still comes until the Runtime closes."""
        answers = []
        while True:
            try:
                answers.append(self.hear())
            except (EOFError, ConnectionResetError):
                return answers

    def close(self) -> None:
        self.socket.close()


@contextmanager
def peer_of(data_dir: Path) -> Iterator[Peer]:
    peer = Peer(data_dir)
    try:
        yield peer
    finally:
        peer.close()


def refuse_none(answers: list[Said]) -> list[str]:
    """Return the cursors of answers that all accept."""
    assert [answer["kind"] for answer in answers] == ["ack"] * len(answers), answers
    return [answer["cursor"] for answer in answers]


def text(number: int, key: str | None = None) -> Said:
    return {"text": f"number {number}"} if key is None else {"text": f"number {number}", "key": key}


def texts_written(data_dir: Path) -> int:
    """Return how many texts are in the log's files; for who asks often."""
    return sum(
        path.read_bytes().count(b'"payload":{"event":"text_done"') for path in (data_dir / "log").glob("*.jsonl")
    )


def wait_for_texts(data_dir: Path, more_than: int) -> None:
    """Wait until there are so many, and not all there ever will be."""
    wait_until(lambda: texts_written(data_dir) > more_than, 60)
