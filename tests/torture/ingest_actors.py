"""The processes of the ingest suite, beside ``yoi-runtime emit``.

    ingest_actors.py runtime DATA_DIR                      a Runtime that listens, until its input ends
    ingest_actors.py peer DATA_DIR WORKER LINES JOURNAL BEGIN   sends numbers with keys, and writes down each acknowledgement

The peer is the manual's Python client with a journal; it needs the standard library alone, and so begins at once.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from select import select

__all__ = ["SEGMENT_BYTES"]

SEGMENT_BYTES = 1 << 20
_BATCH = 100
# No multiple of a line's length: whoever dies has mostly said half a line.
_PIECE_BYTES = 777


def runtime(data_dir: str) -> None:
    from yoi_runtime import Runtime, RuntimeOptions

    with Runtime.open(data_dir, RuntimeOptions(segment_bytes=SEGMENT_BYTES, ingest=True)):
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        sys.stdin.read()


def peer(data_dir: str, worker_id: str, lines: str, journal: str, begin: str) -> None:
    os.chdir(data_dir)
    notes = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    stream = _connect(worker_id)
    for first in range(int(begin), int(lines), _BATCH):
        numbers = range(first, min(first + _BATCH, int(lines)))
        batch = [{"text": str(number), "key": f"{worker_id}:{number}"} for number in numbers]
        stream = _deliver(stream, worker_id, batch, notes)
    _deliver(stream, worker_id, [{"kind": "end"}], notes)


def _connect(worker_id: str) -> socket.SocketIO:
    while True:
        try:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect("runtime.sock")
            stream = connection.makefile("rwb", buffering=0)
            _write(stream, [{"kind": "hello", "protocol": "yoi.ingest.v1", "worker_id": worker_id}])
            if json.loads(stream.readline() or b"{}").get("kind") == "hello":
                return stream
        except OSError:
            pass
        select([], [], [], 0.02)


def _deliver(stream: socket.SocketIO, worker_id: str, batch: list[dict[str, str]], notes: int) -> socket.SocketIO:
    while True:
        try:
            _write(stream, batch)
            for message in batch:
                answer = json.loads(stream.readline() or b'{"fatal":true}')
                if answer.get("fatal"):
                    raise ConnectionError
                assert answer["kind"] in ("ack", "ended"), answer
                if answer["kind"] == "ack":
                    note = {"n": int(message["text"]), "cursor": answer["cursor"], "repeated": "repeated" in answer}
                    os.write(notes, json.dumps(note).encode() + b"\n")
            return stream
        except OSError:
            stream = _connect(worker_id)


def _write(stream: socket.SocketIO, messages: list[dict[str, str]]) -> None:
    data = memoryview(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
    while data:
        data = data[stream.write(data[:_PIECE_BYTES]) :]


if __name__ == "__main__":
    if sys.argv[1] == "runtime":
        sys.path.insert(0, str(Path(__file__).absolute().parents[2]))
        runtime(*sys.argv[2:])
    else:
        peer(*sys.argv[2:])
