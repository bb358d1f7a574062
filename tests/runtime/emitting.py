"""A Worker that says something."""

from __future__ import annotations

from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.worker import Worker
from yoi_runtime.segment_log.cursor import CursorToken

__all__ = ["emit"]


def emit(worker: Worker, count: int, size: int = 20) -> list[CursorToken]:
    """Let ``worker`` emit ``count`` events of at least ``size`` bytes; returns their cursors."""
    return [worker.emit(TextDelta(text="x" * size)) for _ in range(count)]
