"""A Runtime in a directory of a test, and its whole history, what was rotated out included."""

from __future__ import annotations

import os
from pathlib import Path

from tests.event_log.quick_files import QuickFiles
from tests.faults.clocks import ManualClock
from yoi_runtime.events import Envelope, decode_record
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.platform import Clock, FileOps, Platform

__all__ = ["SMALL", "AtticFiles", "open_runtime", "platform_of"]

# A roll every ten events or so, and nothing is deleted.
SMALL = RuntimeOptions(segment_bytes=4096, retain_bytes=None, retain_age_seconds=None)


def platform_of(files: FileOps | None = None, clock: Clock | None = None) -> Platform:
    """Return a platform on which time stands still and syncs cost nothing."""
    return Platform(files=files or QuickFiles(), clock=clock or ManualClock())


def open_runtime(
    data_dir: Path, options: RuntimeOptions = SMALL, files: FileOps | None = None, clock: Clock | None = None
) -> Runtime:
    return Runtime.open(data_dir, options, platform_of(files, clock))


class AtticFiles(QuickFiles):
    """Keeps every segment that is deleted, so that the whole history can be read."""

    def __init__(self, attic: Path) -> None:
        self.attic = attic
        attic.mkdir(exist_ok=True)

    def unlink(self, path: Path) -> None:
        if path.suffix == ".jsonl":
            os.link(path, self.attic / path.name)
        super().unlink(path)

    def history(self, log_directory: Path) -> list[Envelope]:
        """Return every event that ever was in the log. For a log that is closed."""
        paths = sorted([*self.attic.glob("*.jsonl"), *log_directory.glob("*.jsonl")], key=lambda path: path.name)
        lines = [line for path in paths for line in path.read_bytes().split(b"\n")[1:-1]]
        return [decode_record(line) for line in lines]
