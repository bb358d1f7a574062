"""A program for tests that kill it: writes as two Workers, and says which events are durable.

    python -m tests.runtime.killed_writer DIR endless
    python -m tests.runtime.killed_writer DIR "until the first deletion"

The second kills itself when a segment has been counted as gone and is about to be deleted.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.event_log.quick_files import QuickFiles
from yoi_runtime.events import TextDelta
from yoi_runtime.runtime.options import RuntimeOptions
from yoi_runtime.runtime.runtime import Runtime
from yoi_runtime.segment_log.platform import Platform

KEEP_THREE = RuntimeOptions(segment_bytes=4096, retain_bytes=None, retain_age_seconds=None, retain_segments=3)


class DeadlyFiles(QuickFiles):
    """Kills the process where it would delete a segment."""

    def unlink(self, path: Path) -> None:
        if path.suffix == ".jsonl":
            os.kill(os.getpid(), signal.SIGKILL)
        super().unlink(path)


def main(data_dir: Path, how: str) -> None:
    """Write until somebody kills us."""
    files = QuickFiles() if how == "endless" else DeadlyFiles()
    runtime = Runtime.open(data_dir, KEEP_THREE, Platform(files=files))
    workers = [runtime.create_worker(worker_id) for worker_id in "ab"]
    number = 0
    while True:
        number += 1
        tokens = [worker.emit(TextDelta(text=f"{number} " + "x" * (number % 400))) for worker in workers]
        if number % 3 == 0:
            runtime.wait_durable(tokens[-1])
            sys.stdout.write(f"{tokens[-1]}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
