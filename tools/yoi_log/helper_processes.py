"""Processes that take a share of long reading: one interpreter uses one core.

They are started afresh rather than forked, because a progress bar has a thread; that takes a third of a second, so little
work is done without them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

__all__ = ["WORTH_BYTES", "helper_processes"]

# What one core reads in half a second.
WORTH_BYTES = 64 << 20
# More of them wait for the disk.
_MOST = 8


@contextmanager
def helper_processes(work_bytes: int) -> Iterator[Executor | None]:
    """Give a pool for reading so much, one process for each core; None where that is not worth it.

    What runs in it and what it returns must be picklable. Nothing of it outlives the block, nor this process.

    Raises:
        OSError: one of the processes was killed.
    """
    processes = min(_cores(), _MOST)
    if work_bytes < WORTH_BYTES or processes == 1:
        yield None
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _prepare)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise OSError("a process that read a part was killed; is there too little memory?") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _prepare() -> None:
    """Leave Ctrl-C to the process that was asked, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "it was started by multiprocessing"
    parent.join()
    os._exit(1)
