"""open: what it costs to open a large log for writing, and to resume in it, against a small one."""

from __future__ import annotations

import time
from collections import defaultdict

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target, ratio
from tools.bench.setting import LargeLog, Setting

__all__ = ["run"]

# Segments, and MiB of each. The small log has small ones: so a cursor in it lies in a sealed segment, too.
LARGE, TENTH, SMALL = (640, 16), (64, 16), (10, 1)
METHOD = (
    "`Runtime.open` on a log of 640 segments of 16 MiB and on one of 64, from the call to its return; nothing is rotated out. "
    "Clean: the last process closed it. Crash: the last process had filled the active segment to 95 % with 100-byte deltas, all of them durable, and was "
    "killed; opening checks and rewrites that segment and reads it into the ledger. The page cache is warm: it holds the files as the writing left them; cold: "
    "the kernel was told to forget them (`posix_fadvise`) just before. "
    "Resuming: `decode_token` and `LogReader.resolve` of a cursor in a sealed segment, by a new reader, which opens three files for it, and then once more by the same reader, "
    "as in a server that has had somebody in that segment: the medians of 200 cursors spread over the log (10 GB as before; 10 MB: 10 segments of 1 MiB). "
    "Opening for reading: `LogReader` itself. "
    "Every opening and resuming is a fresh process; its start and imports are not counted. Large and small take turns."
)
_Took = dict[tuple[tuple[int, int], str], list[float]]

CLEAN, CRASH, COLD = "opened after a clean close", "opened after a crash", "opened after a clean close, cold"
RESUMED, AGAIN, READ = "resumed by a new reader", "resumed again by the same", "opened for reading"


def run(setting: Setting) -> Result:
    """Measure the openings and the resumes on every log in turn."""
    logs = {size: setting.shelf.log(*size) for size in (LARGE, TENTH, SMALL)}
    took: _Took = defaultdict(list)
    for number in range(setting.rounds):
        setting.say(f"round {number + 1} of {setting.rounds}")
        for size in (LARGE, SMALL):
            for name, milliseconds in _resume(logs[size]).items():
                took[size, name].append(milliseconds)
        for name in (CLEAN, COLD, CRASH):
            for size in (LARGE, TENTH):
                took[size, name].append(_open(logs[size], name))
    return Result("open", METHOD, tuple(_figures(took)))


def _open(log: LargeLog, name: str) -> float:
    if name == CRASH:
        measure("large_log", "crash", may_die=True, **log.arguments)
    if name == COLD:
        measure("large_log", "drop_from_cache", data_dir=str(log.data_dir))
    milliseconds: float = measure("open_log", "open_runtime", **log.arguments)
    return milliseconds


def _resume(log: LargeLog) -> dict[str, float]:
    answer: dict[str, float] = measure("open_log", "resume", data_dir=str(log.data_dir), cursors=log.cursors)
    return answer


def _figures(took: _Took) -> list[Figure]:
    most, twice, even = Target(at_most=200), Target(at_most=2), Target(at_most=1.2)
    rows: list[tuple[str, str, tuple[int, int], Target | None, Target | None]] = [
        (CLEAN, "1 GB", TENTH, most, twice),
        (CRASH, "1 GB", TENTH, Target(at_most=600), twice),
        (COLD, "1 GB", TENTH, None, None),
        (RESUMED, "10 MB", SMALL, None, even),
        (AGAIN, "10 MB", SMALL, None, even),
        (READ, "10 MB", SMALL, None, None),
    ]
    figures = []
    for name, other, size, target, ratio_target in rows:
        large, small = took[LARGE, name], took[size, name]
        figures += [
            Figure(f"10 GB, {name}", "ms", tuple(large), target),
            Figure(f"{other}, {name}", "ms", tuple(small)),
            ratio(f"10 GB to {other}, {name}", large, small, ratio_target),
        ]
    return figures


# What the measuring processes do.


def open_runtime(data_dir: str, segment_bytes: int) -> float:
    """Return how long opening takes, in milliseconds; closes the log in good order."""
    from tools.bench.large_log import options
    from yoi_runtime import Runtime

    start = time.perf_counter()
    runtime = Runtime.open(data_dir, options(segment_bytes))
    took = time.perf_counter() - start
    runtime.close()
    return took * 1000


def resume(data_dir: str, cursors: list[str]) -> dict[str, float]:
    """Return how long a reader takes to open and to resolve a cursor twice, in milliseconds: medians of many."""
    from pathlib import Path
    from statistics import median

    from yoi_runtime.segment_log.cursor import decode_token
    from yoi_runtime.segment_log.reader import LogReader

    took: dict[str, list[float]] = {READ: [], RESUMED: [], AGAIN: []}
    # The first pass brings the pages into the cache: an opening before this may have been a cold one.
    for warm in (False, True):
        for token in cursors:
            times = [time.perf_counter()]
            reader = LogReader(Path(data_dir) / "log")
            times.append(time.perf_counter())
            for _ in range(2):
                reader.resolve(decode_token(token))
                times.append(time.perf_counter())
            reader.close()
            for name, start, end in zip(took, times, times[1:], strict=False):
                if warm:
                    took[name].append(end - start)
    return {name: median(values) * 1000 for name, values in took.items()}
