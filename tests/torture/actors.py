"""The processes of the suite ``processes``: ``python -m tests.torture.actors writers`` and ``... follower``.

``writers`` reads orders from stdin, a line each: ``open DIRECTORY`` forks a Runtime that emits events without end and
answers with its pid; ``wait`` waits for its end and answers with how it ended. ``follower DIRECTORY FILE REOPEN`` reads
the log on and on, across the deaths of its writers, and writes each byte it was given to FILE, until FILE.stop says up
to which seq; every REOPEN chunks it begins anew with nothing but the last cursor. It answers with what it did.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
import threading
from pathlib import Path

from yoi_runtime.errors import LogNotFoundError, LogUnavailableError
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import LOG_DIRECTORY, Runtime
from yoi_runtime.segment_log.cursor import decode_token
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader

__all__ = ["OPTIONS"]

_POLL_SECONDS = 0.002
# Rolls come often, and nothing is rotated out under those who follow.
OPTIONS = RuntimeOptions(segment_bytes=48 << 10, retain_bytes=None, retain_age_seconds=None)


def _emit_without_end(directory: Path) -> None:
    runtime = Runtime.open(directory, OPTIONS)
    workers = [runtime.create_worker(name) for name in ("a", "b")]
    for number in itertools.count():
        workers[number % 2].emit(TextDelta(text=f"{number} " + "x" * (number * 37 % 600)))
        if number % 16 == 0:
            threading.Event().wait(0.001)


def _serve_writers() -> None:
    child = 0
    for line in sys.stdin:
        order, _, directory = line.rstrip("\n").partition(" ")
        if order == "open":
            child = os.fork()
            if child == 0:
                try:
                    _emit_without_end(Path(directory))
                finally:
                    # It is not to read the next order.
                    os._exit(1)
            answer = child
        else:
            _, status = os.waitpid(child, 0)
            answer = os.waitstatus_to_exitcode(status)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


class _Follower:
    def __init__(self, directory: Path, output: Path, reopen_every: int) -> None:
        self.directory = directory / LOG_DIRECTORY
        self.stop = output.with_name(output.name + ".stop")
        self.output = output.open("wb")
        self.reopen_every = reopen_every
        self.token: str | None = None
        self.counts = {"chunks": 0, "records": 0, "segments": 0, "reopened": 0, "unavailable": 0}

    def follow(self) -> None:
        """Follow the log until it is told where to stop."""
        reader = self._open()
        position = reader.floor()
        segments = {position.segment}
        while True:
            chunk = reader.read(position, 8 << 10)
            if chunk is None:
                if self.stop.exists() and position.seq >= int(self.stop.read_text() or "0") > 0:
                    break
                if not reader.refresh():
                    threading.Event().wait(_POLL_SECONDS)
                continue
            assert chunk.start.seq == position.seq
            self.output.write(chunk.data)
            position = chunk.end
            segments.add(position.segment)
            self.counts["chunks"] += 1
            self.counts["records"] += chunk.records
            if self.reopen_every and self.counts["chunks"] % self.reopen_every == 0:
                self.token = re.findall(rb'"cursor":"([^"]+)"', chunk.data)[-1].decode()
                reader.close()
                reader, position = self._resume()
        self.output.close()
        self.counts["segments"] = len(segments)
        sys.stdout.write(json.dumps(self.counts) + "\n")

    def _open(self) -> LogReader:
        while True:
            try:
                return LogReader(self.directory)
            except LogNotFoundError:
                threading.Event().wait(_POLL_SECONDS)

    def _resume(self) -> tuple[LogReader, Position]:
        assert self.token is not None
        reader = self._open()
        self.counts["reopened"] += 1
        while True:
            try:
                return reader, reader.resolve(decode_token(self.token))
            except LogUnavailableError:
                self.counts["unavailable"] += 1
                threading.Event().wait(_POLL_SECONDS)


if __name__ == "__main__":
    if sys.argv[1] == "writers":
        _serve_writers()
    else:
        _Follower(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])).follow()
