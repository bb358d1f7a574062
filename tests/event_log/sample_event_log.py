"""An event log over a directory of a test: real files, small segments, a clock that stands still."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

from tests.event_log.memory_books import MemoryBooks
from tests.event_log.quick_files import QuickFiles
from tests.faults.clocks import ManualClock
from tests.faults.failing_files import FailingFiles
from yoi_runtime.event_log.bookkeeper import Bookkeeper
from yoi_runtime.event_log.event_log import EventLog
from yoi_runtime.events import TextDelta
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.retention import RetentionPolicy
from yoi_runtime.segment_log.writer import LogOptions, LogWriter

__all__ = [
    "BIG",
    "DAY_SECONDS",
    "FIRST",
    "KEEP_ALL",
    "SMALL",
    "TEN_YEARS_SECONDS",
    "append_segments",
    "fill",
    "filling",
    "numbers_in",
    "open_event_log",
    "run_threads",
]

BIG = LogOptions(segment_bytes=1 << 20)
FIRST = "00000000000000000001.jsonl"
DAY_SECONDS = 86_400.0
TEN_YEARS_SECONDS = 3652 * DAY_SECONDS
# The smallest segments there are: a roll every ten events or so.
SMALL = LogOptions(segment_bytes=4096)

KEEP_ALL = RetentionPolicy(retain_bytes=None, retain_age_seconds=None, retain_segments=None)


def open_event_log(
    directory: Path,
    books: Bookkeeper | None = None,
    *,
    options: LogOptions = SMALL,
    retention: RetentionPolicy = KEEP_ALL,
    platform: Platform | None = None,
) -> EventLog:
    """Open an event log that commits in the background; close it in the end."""
    platform = platform if platform is not None else Platform(files=QuickFiles(), clock=ManualClock())
    writer = LogWriter(directory, options, platform)
    return EventLog(writer, books if books is not None else MemoryBooks(), retention, platform)


def run_threads(count: int, work: Callable[[int], None]) -> None:
    """Run ``work(0)`` to ``work(count - 1)`` at once; raise what the first failing one raised."""
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001  handed to the test
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def filling(clock: ManualClock | None = None) -> tuple[FailingFiles, Platform]:
    """Return a disk that can be filled up, and the platform it belongs to."""
    files = FailingFiles(QuickFiles())
    return files, Platform(files=files, clock=clock or ManualClock())


def fill(files: FailingFiles, error: int = errno.ENOSPC) -> None:
    """Let the first segment take nothing more until ``files.heal``."""
    files.fail(error, "pwrite", name=FIRST, for_ever=True)


def numbers_in(log_directory: Path) -> list[int]:
    """Return the numbers of the segments that are there."""
    return sorted(int(path.stem) for path in log_directory.glob("*.jsonl"))


def append_segments(log: EventLog, count: int) -> None:
    """Append an event and roll, ``count`` times."""
    for _ in range(count):
        log.append(TextDelta(text="x" * 100), "w")
        log.roll()
