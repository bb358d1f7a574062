"""Waiting for what happens elsewhere: a condition and a deadline, never a guessed pause.

The one place of the tests that may sleep. The deadline is generous, for a busy machine: it is
reached only when the test is going to fail.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["DEADLINE_SECONDS", "DeadlineError", "wait_until", "wait_until_async"]

_T = TypeVar("_T")
DEADLINE_SECONDS = 30.0
# Short enough not to slow a test down, long enough to leave the processor to what is waited for.
_POLL_SECONDS = 0.005


class DeadlineError(AssertionError):
    """The condition did not come true in time."""


def wait_until(predicate: Callable[[], _T], deadline_seconds: float = DEADLINE_SECONDS, message: str = "") -> _T:
    """Call ``predicate`` until it returns something true, and return that.

    Blocks the thread; in a coroutine use ``wait_until_async``. What the predicate raises rises at once.

    Raises:
        DeadlineError: it was still false after ``deadline_seconds``; shows its last answer.
    """
    deadline = time.monotonic() + deadline_seconds
    while not (answer := predicate()):
        if time.monotonic() >= deadline:
            raise DeadlineError(_describe(predicate, answer, deadline_seconds, message))
        time.sleep(_POLL_SECONDS)  # noqa: TID251  the pause that every other test borrows
    return answer


async def wait_until_async(
    predicate: Callable[[], _T], deadline_seconds: float = DEADLINE_SECONDS, message: str = ""
) -> _T:
    """Do as ``wait_until`` does, and let the event loop run between two looks.

    The predicate is a plain function.

    Raises:
        DeadlineError: it was still false after ``deadline_seconds``; shows its last answer.
    """
    deadline = time.monotonic() + deadline_seconds
    while not (answer := predicate()):
        if time.monotonic() >= deadline:
            raise DeadlineError(_describe(predicate, answer, deadline_seconds, message))
        await asyncio.sleep(_POLL_SECONDS)
    return answer


def _describe(predicate: object, answer: object, deadline_seconds: float, message: str) -> str:
    what = message or getattr(predicate, "__qualname__", repr(predicate))
    return f"not true within {deadline_seconds:g} s: {what} (last answer: {answer!r})"
