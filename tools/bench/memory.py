"""memory: what an open log adds to the memory of its process, whatever its size."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from tools.bench.child import measure
from tools.bench.figures import Figure, Result, Target
from tools.bench.open_log import LARGE_MB, SMALL_MB
from tools.bench.setting import Setting

__all__ = ["run"]

METHOD = (
    "Resident memory of a process that opened a log for writing (`Runtime.open`), less that of one that imported the same modules and opened nothing; "
    "both after a garbage collection. After a crash: the active segment was filled to 95 % with 100-byte deltas, and recovered at this opening. "
    "Every measurement is a fresh process; they take turns. 1 MB = 1,000,000 bytes."
)


def run(setting: Setting) -> Result:
    """Measure idle, small and large in turn."""
    small, large = setting.shelf.log(SMALL_MB), setting.shelf.log(LARGE_MB)
    idle: list[float] = []
    over: dict[str, list[float]] = {"10 MB": [], "10 GB": [], "10 GB, after a crash": []}
    for number in range(setting.rounds):
        setting.say(f"round {number + 1} of {setting.rounds}")
        idle.append(measure("memory", "idle"))
        for name, log in (("10 MB", small), ("10 GB", large), ("10 GB, after a crash", large)):
            arguments = {"data_dir": str(log.data_dir), "segment_bytes": log.segment_bytes}
            if "crash" in name:
                measure("large_log", "crash", may_die=True, **arguments)
            over[name].append(measure("memory", "with_open_log", **arguments) - idle[-1])
    figures = [Figure("idle, modules imported", "MB", tuple(idle))]
    figures += [Figure(f"an open log of {name}, over idle", "MB", tuple(over[name]), Target(at_most=30)) for name in over]
    return Result("memory", METHOD, tuple(figures))


# What the measuring processes do.


def idle() -> float:
    """Return the resident memory of a process that does nothing, in MB."""
    import tools.bench.large_log  # noqa: F401  what opening imports

    return _resident_mb()


def with_open_log(data_dir: str, segment_bytes: int) -> float:
    """Return the resident memory of a process with an open log, in MB."""
    from tools.bench.large_log import options
    from yoi_runtime import Runtime

    with Runtime.open(data_dir, options(segment_bytes)):
        return _resident_mb()


def _resident_mb() -> float:
    """Return the resident memory of this process in MB. Source: proc(5), /proc/pid/statm."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
