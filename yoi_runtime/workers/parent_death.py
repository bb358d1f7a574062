"""Tie a child process to this one's life: when we are gone, killed even, the kernel kills it.

Linux only (``prctl(2)``, PR_SET_PDEATHSIG); elsewhere a Worker outlives a killed Runtime.

Limits, which are the kernel's:

- The signal comes when the *thread* that created the child ends. Start Workers on the main
  thread, or on one that lives as long as the process.
- A child's own children do not inherit it: they outlive a killed Runtime, unless the Worker ties
  them to itself or the Runtime runs in something that ends as a whole (a systemd unit, a
  container). Writing to the closed pipe ends most of them.
- A command that is set-user-ID or has file capabilities drops it at exec.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
from collections.abc import Callable

__all__ = ["die_with_parent"]

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> Callable[[], None] | None:
    """Return what the child must call between fork and exec; None where the system cannot do it.

    Everything is looked up here, before the fork: a lookup in the child could wait for a lock that
    another thread held when it forked.
    """
    prctl = _prctl()
    if prctl is None:
        return None
    # As plain ints: the child of a multi-threaded process should do as little as can be.
    parent, kill = os.getpid(), int(signal.SIGKILL)
    getppid, getpid, send = os.getppid, os.getpid, os.kill

    def in_child() -> None:
        if prctl(_PR_SET_PDEATHSIG, kill, 0, 0, 0) != 0:
            raise OSError("prctl(PR_SET_PDEATHSIG) was refused")
        # The parent may have died between fork and prctl; then no signal ever comes.
        if getppid() != parent:
            send(getpid(), kill)

    return in_child


@functools.cache
def _prctl() -> Callable[[int, int, int, int, int], int] | None:
    """Return the C library's prctl, None where there is none (macOS, BSD)."""
    try:
        # PyDLL: the call keeps the GIL, whose release and retaking would be one more lock after fork.
        prctl = ctypes.PyDLL(None).prctl
    except (OSError, AttributeError):
        return None
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    prctl.restype = ctypes.c_int

    def call(option: int, first: int, second: int, third: int, fourth: int) -> int:
        return int(prctl(option, first, second, third, fourth))

    return call
