"""Logs of any size, made through the Runtime as a Worker would, and what is done to them in fresh processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from yoi_runtime import Runtime, RuntimeOptions
from yoi_runtime.catalog.place_indexer import index_segment
from yoi_runtime.events import TextDelta, TextDone
from yoi_runtime.segment_log.platform import REAL_PLATFORM

__all__ = ["crash", "index_places", "make", "options"]

# Opening reads no sealed segment, so large records do and are made ten times as fast.
_TEXT_BYTES = 16 << 10
_WORKERS = 10
_CURSORS = 200


def options(segment_bytes: int) -> RuntimeOptions:
    """Return the default options, but nothing is ever rotated out."""
    return RuntimeOptions(segment_bytes=segment_bytes, retain_bytes=None, retain_age_seconds=None)


def make(data_dir: str, size_bytes: int, segment_bytes: int) -> list[str]:
    """Make a log of ``size_bytes``, close it in good order, and return cursors spread over it."""
    text = "x" * min(_TEXT_BYTES, segment_bytes // 64)
    events = size_bytes // (len(text) + 360)
    every = max(1, events // _CURSORS)
    cursors: list[str] = []
    # Opened again at the end: the last cursors, too, then lie in a sealed segment.
    with Runtime.open(data_dir, options(segment_bytes)) as runtime:
        workers = [runtime.create_worker(f"agent-{number}") for number in range(_WORKERS)]
        for number in range(events):
            cursor = workers[number % _WORKERS].emit(TextDone(text=text))
            if number % every == every // 2:
                cursors.append(cursor)
    Runtime.open(data_dir, options(segment_bytes)).close()
    return cursors


def index_places(data_dir: str) -> None:
    """Make the place files of a closed log now; a Runtime makes them in the background."""
    with Runtime.open(data_dir) as runtime:
        for segment in runtime._log.sealed_segments():
            index_segment(runtime.log_directory, segment, REAL_PLATFORM)


def crash(data_dir: str, segment_bytes: int) -> None:
    """Fill the active segment nearly with 100-byte deltas, wait until all is on the disk, and die on the spot."""
    runtime = Runtime.open(data_dir, options(segment_bytes))
    worker = runtime.create_worker("agent-0")
    active = max(runtime.log_directory.glob("*.jsonl"))
    text = "x" * 100
    cursor = worker.emit(TextDelta(text=text))
    while active.stat().st_size < 0.95 * segment_bytes:
        for _ in range(segment_bytes // 20_000):
            cursor = worker.emit(TextDelta(text=text))
    runtime.wait_durable(cursor)
    os.kill(os.getpid(), signal.SIGKILL)


def drop_from_cache(data_dir: str) -> None:
    """Have the kernel forget the files' pages, as far as they are on the disk: the next reader reads from there."""
    for path in Path(data_dir).rglob("*"):
        if path.is_file():
            fd = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)
