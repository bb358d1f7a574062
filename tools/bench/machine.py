"""The machine that a figure was taken on, and whether it had anything else to do."""

from __future__ import annotations

import os
import platform
import sysconfig
import threading
from pathlib import Path

from yoi_runtime.segment_log.platform import RealFileOps

__all__ = ["busy_share", "describe", "is_on_a_disk"]

_WATCH_SECONDS = 1.0


def describe(directory: Path) -> str:
    """Return the machine in one line; ``directory`` is where the logs are made."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    system, processors = f"{platform.system()} {platform.release()}", f"{os.cpu_count()} x {_processor()}"
    return f"{processors}, {memory:.0f} GB of memory, {_file_system(directory) or 'unknown file system'}, {system}, {_python()}"


def _python() -> str:
    """Return the interpreter and its build: one without profile-guided optimization takes about a sixth longer."""
    optimized = "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    build = "" if optimized else ", built without --enable-optimizations"
    return f"{platform.python_implementation()} {platform.python_version()}{build}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _file_system(directory: Path) -> str:
    return RealFileOps().filesystem_type(directory)


def is_on_a_disk(directory: Path) -> bool:
    """Return whether a sync in ``directory`` reaches a disk, as far as its file system tells."""
    return _file_system(directory) not in ("tmpfs", "ramfs")


def busy_share() -> float | None:
    """Return which share of the processors (0 to 1) others used during the next second; None where nobody tells.

    Source: proc(5), /proc/stat.
    """
    before = _ticks()
    threading.Event().wait(_WATCH_SECONDS)
    after = _ticks()
    if before is None or after is None or after[1] == before[1]:
        return None
    return 1 - (after[0] - before[0]) / (after[1] - before[1])


def _ticks() -> tuple[int, int] | None:
    """Return (idle, all) ticks of all processors since the machine was started."""
    try:
        fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]
    except OSError:
        return None
    ticks = [int(field) for field in fields]
    return ticks[3] + ticks[4], sum(ticks)
