"""open: what it costs to open a large log for writing, and to resume in it, against a small one."""

from __future__ import annotations

import time

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target, ratio
from tools.bench.setting import LargeLog, Setting

__all__ = ["run"]

LARGE_MB, TENTH_MB, SMALL_MB = 10_737, 1_074, 10
METHOD = (
    "`Runtime.open` on a log of 640 segments of 16 MiB and on one of 64, from the call to its return; nothing is rotated out. "
    "Clean: the last process closed it. Crash: the last process had filled the active segment to 95 % with 100-byte deltas, all of them durable, and was "
    "killed; opening checks and rewrites that segment and reads it into the ledger. The page cache is warm: it holds the files as the writing left them; cold: "
    "the kernel was told to forget them (`posix_fadvise`) just before. "
    "Resuming: `LogReader` opened, then `resolve` of 200 cursors spread over the log, in random order: the first, and the median of all. "
    "Every opening and resuming is a fresh process; its start and imports are not counted. Large and small take turns."
)
CLEAN, CRASH, COLD = "opened after a clean close", "opened after a crash", "opened after a clean close, cold"


def run(setting: Setting) -> Result:
    """Measure the openings and the resumes on every log in turn."""
    logs = {megabytes: setting.shelf.log(megabytes) for megabytes in (LARGE_MB, TENTH_MB, SMALL_MB)}
    took: dict[tuple[int, str], list[float]] = {}
    for number in range(setting.rounds):
        setting.say(f"round {number + 1} of {setting.rounds}")
        for megabytes, log in logs.items():
            for name, milliseconds in _resume(log).items():
                took.setdefault((megabytes, name), []).append(milliseconds)
        for megabytes in (LARGE_MB, TENTH_MB):
            for name in (CLEAN, COLD, CRASH):
                took.setdefault((megabytes, name), []).append(_open(logs[megabytes], name))
    return Result("open", METHOD, tuple(_figures(took)))


def _open(log: LargeLog, name: str) -> float:
    arguments = {"data_dir": str(log.data_dir), "segment_bytes": log.segment_bytes}
    if name == CRASH:
        measure("large_log", "crash", may_die=True, **arguments)
    if name == COLD:
        measure("large_log", "drop_from_cache", data_dir=arguments["data_dir"])
    milliseconds: float = measure("open_log", "open_runtime", **arguments)
    return milliseconds


def _resume(log: LargeLog) -> dict[str, float]:
    answer: dict[str, float] = measure("open_log", "resume", data_dir=str(log.data_dir), cursors=log.cursors)
    return answer


def _figures(took: dict[tuple[int, str], list[float]]) -> list[Figure]:
    figures = []
    for name, target in ((CLEAN, Target(at_most=200)), (COLD, None), (CRASH, Target(at_most=600))):
        large, tenth = took[LARGE_MB, name], took[TENTH_MB, name]
        figures += [
            Figure(f"10 GB, {name}", "ms", tuple(large), target),
            Figure(f"1 GB, {name}", "ms", tuple(tenth)),
            ratio(f"10 GB to 1 GB, {name}", large, tenth, Target(at_most=2)),
        ]
    for name in ("the first resume in a process", "a resume"):
        large, small = took[LARGE_MB, name], took[SMALL_MB, name]
        figures += [
            Figure(f"10 GB, {name}", "ms", tuple(large)),
            Figure(f"10 MB, {name}", "ms", tuple(small)),
            ratio(f"10 GB to 10 MB, {name}", large, small, Target(at_most=1.2)),
        ]
    figures.append(Figure("10 GB, opened for reading", "ms", tuple(took[LARGE_MB, "opened for reading"])))
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
    """Return how long resolving takes, in milliseconds: the first time, and the median of all."""
    import random
    from pathlib import Path
    from statistics import median

    from yoi_runtime.segment_log.cursor import decode_token
    from yoi_runtime.segment_log.reader import LogReader

    # The same order in every process: the first one is the same cursor, then.
    random.Random(1).shuffle(cursors)
    start = time.perf_counter()
    reader = LogReader(Path(data_dir) / "log")
    opened = time.perf_counter() - start
    took = []
    for token in cursors:
        start = time.perf_counter()
        reader.resolve(decode_token(token))
        took.append(time.perf_counter() - start)
    reader.close()
    return {
        "opened for reading": opened * 1000,
        "the first resume in a process": took[0] * 1000,
        "a resume": median(took) * 1000,
    }
