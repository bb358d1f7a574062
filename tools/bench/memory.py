"""memory: what an open log adds to the memory of its process, whatever its size."""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from pathlib import Path

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target
from tools.bench.open_log import LARGE, SMALL
from tools.bench.setting import Setting

__all__ = ["resident_mb", "run"]

METHOD = (
    "Resident memory of a process that opened a log for writing (`Runtime.open`), less that of one that imported the same modules and opened nothing; "
    "both after a garbage collection. After a crash: the active segment was filled to 95 % with 100-byte deltas, and recovered at this opening. "
    "Every measurement is a fresh process; they take turns. 1 MB = 1,000,000 bytes."
)


def run(setting: Setting) -> Result:
    """Measure idle, small and large in turn."""
    small, large = setting.shelf.log(*SMALL), setting.shelf.log(*LARGE)
    events = 500 if setting.quick else 200_000
    idle: list[float] = []
    over: dict[str, list[float]] = defaultdict(list)
    for number in range(setting.rounds):
        setting.say(f"round {number + 1} of {setting.rounds}")
        idle.append(measure("memory", "idle"))
        for name, log, appends in (
            ("10 MB", small, 0),
            ("10 GB", large, 0),
            ("10 GB, after a crash", large, 0),
            (f"10 GB, after {events:,} appends", large, events),
        ):
            if name.endswith("crash"):
                measure("large_log", "crash", may_die=True, **log.arguments)
            over[name].append(measure("memory", "with_open_log", appends=appends, **log.arguments) - idle[-1])
    figures = [Figure("idle, modules imported", "MB", tuple(idle))]
    figures += [
        Figure(f"an open log of {name}, over idle", "MB", tuple(values), Target(at_most=30))
        for name, values in over.items()
    ]
    return Result("memory", METHOD, tuple(figures))


# What the measuring processes do.


def idle() -> float:
    """Return the resident memory of a process that does nothing, in MB."""
    import tools.bench.large_log  # noqa: F401  what opening imports

    return resident_mb()


def with_open_log(data_dir: str, segment_bytes: int, appends: int) -> float:
    """Return the resident memory of a process with an open log, in MB, after so many appends."""
    from tools.bench.large_log import options
    from yoi_runtime import Runtime
    from yoi_runtime.events import TextDelta

    with Runtime.open(data_dir, options(segment_bytes)) as runtime:
        worker = runtime.create_worker("agent-0") if appends else None
        if worker is not None:
            for _ in range(appends):
                worker.emit(TextDelta(text="x" * 100))
        return resident_mb()


def resident_mb() -> float:
    """Return the resident memory of this process in MB. Source: proc(5), /proc/pid/statm."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
