"""Writing the end of a Worker, or what else must not be lost, into a log that may have no room for it just now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from yoi_runtime.errors import LogError
from yoi_runtime.notices import Notice, named

__all__ = ["RETRY_FIRST_SECONDS", "RETRY_LAST_SECONDS", "end_or_warn", "write_when_there_is_room"]

_log = logging.getLogger("yoi_runtime.runtime")

# How soon what the log refused is offered again; each time it waits twice as long.
RETRY_FIRST_SECONDS: Final = 0.01
RETRY_LAST_SECONDS: Final = 1.0


async def write_when_there_is_room(write: Callable[[], object]) -> None:
    """Call ``write`` until it succeeds, however long the log takes to have room for it.

    Raises:
        LogError, OSError: what ``write`` raised, where the same will not succeed later.
    """
    delay = RETRY_FIRST_SECONDS
    while True:
        try:
            write()
            return
        except LogError as error:
            if not error.is_passing:
                raise
            await asyncio.sleep(delay)
            delay = min(2 * delay, RETRY_LAST_SECONDS)


def end_or_warn(worker_id: str, end: Callable[[], object]) -> None:
    """Call ``end`` once, where nobody can wait: an end that the log does not take is logged, and is ``lost`` at the next open."""
    try:
        end()
    except (LogError, OSError) as error:
        _log.warning(
            "the end of Worker %s could not be written: %s",
            worker_id,
            error,
            extra=named(Notice.WORKER_END_NOT_WRITTEN, worker_id=worker_id),
        )
