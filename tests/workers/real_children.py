"""Commands of real children, and what the kernel knows of them, for the tests of Workers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

__all__ = ["DEADLINE_SECONDS", "open_descriptors", "process_state", "python", "run"]

# Generous: a deadline is only reached by a failing test.
DEADLINE_SECONDS = 60.0

_T = TypeVar("_T")


def python(code: str, *arguments: str) -> list[str]:
    """Return a command that runs ``code`` in a new Python, fast to start."""
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


def run(test: Callable[[], Awaitable[_T]]) -> _T:
    """Run a test's coroutine on a loop of its own, with a deadline."""

    async def with_deadline() -> _T:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await test()

    return asyncio.run(with_deadline())


def open_descriptors() -> set[str]:
    """Return the numbers of this process's open files."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def process_state(pid: int) -> str | None:
    """Return the state letter of a process (``S``: it sleeps); None when it is gone, zombies included."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state = stat.rpartition(")")[2].split()[0]
    return None if state in "ZX" else state
