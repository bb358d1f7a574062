"""Tells the operator when the disk takes no events any more, when it takes them again, and when the log is out of service.

Workers are held back then, in silence: nothing fails that anybody would hear of. Looked at once a second, by what the
writer knows anyway.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from yoi_runtime.notices import Notice, named
from yoi_runtime.segment_log.figures import LogFigures

__all__ = ["LogWatch"]

_log = logging.getLogger("yoi_runtime.cli")

_LOOK_SECONDS: Final = 1.0


class LogWatch:
    """Of one writer, in this process."""

    def __init__(self, figures: LogFigures) -> None:
        self._figures = figures
        self._is_refusing = False
        self._is_over = False

    def look(self) -> None:
        """Say what has changed since the last look."""
        if self._is_over:
            return
        if (failure := self._figures.failure) is not None:
            self._is_over = True
            _log.error("the log takes nothing until a restart: %s", failure, extra=named(Notice.LOG_OUT_OF_SERVICE))
            return
        reason = self._figures.refused_because
        if reason is not None and not self._is_refusing:
            text = "the disk takes no events, and Workers wait for it: %s"
            _log.error(text, reason, extra=named(Notice.LOG_TAKES_NOTHING, reason=reason))
        elif reason is None and self._is_refusing:
            _log.warning("the disk takes events again", extra=named(Notice.LOG_TAKES_AGAIN))
        self._is_refusing = reason is not None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.look()
