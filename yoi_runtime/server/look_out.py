"""When a view looks at the watermark: as soon as somebody says that it moved, and by itself now and then.

Three say so: the writer's bell, where the writer is in this process; the kernel, where it tells of writes by others
(``WriteNotices``); and the clock. Two are hints that may be lost, so the clock is never off, only slower: half a second
while somebody is there to tell. A kernel that tells nothing is found out by that: news that a look finds unasked, and of which no
notice has come, ends the trust, and from then on the clock goes by milliseconds, until a notice comes after all. So no list of
file systems is kept of which notices are to be had.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from yoi_runtime.notices import Notice, named
from yoi_runtime.segment_log.doorbell import doorbell_of
from yoi_runtime.segment_log.platform import Clock
from yoi_runtime.segment_log.watermark import COMMITTED
from yoi_runtime.server.write_notices import WriteNotices

__all__ = ["LookOut"]

_log = logging.getLogger("yoi_runtime.server")

# Where nobody tells: an event is seen this much later at most. While events come it looks more often: 70 µs each time on a
# busy machine, a fiftieth of a processor.
_POLL_SECONDS = 0.01
_POLL_BUSY_SECONDS = 0.004
_BUSY_FOR_SECONDS = 1.0
# Where somebody tells, this is for what was not heard.
_POLL_WHEN_TOLD_SECONDS = 0.5


class LookOut:
    """For the one task that follows the log in ``log_directory``; one event loop."""

    def __init__(self, log_directory: Path, clock: Clock) -> None:
        self._directory = log_directory
        self._clock = clock
        self._last_news = clock.monotonic()
        self._rung = asyncio.Event()
        # Whether the last look was only the clock's.
        self._unasked = False
        self._notices: WriteNotices | None = None
        self._trusted = True
        self._may_ask_kernel = True

    def start(self) -> None:
        """Begin to listen, in the running event loop."""
        loop = asyncio.get_running_loop()

        def ring() -> None:
            loop.call_soon_threadsafe(self.ring)

        self._bell = doorbell_of(self._directory)
        self._stop_listening = self._bell.listen(ring)

    def ring(self) -> None:
        """Have the next look at once."""
        self._unasked = False
        self._rung.set()

    async def next_look(self) -> None:
        """Return when it is time to look. What was written before the last look began wakes nobody again."""
        self._rung.clear()
        self._unasked = False
        self._choose_who_tells()
        timer = asyncio.get_running_loop().call_later(self._patience_seconds(), self._look_unasked)
        try:
            await self._rung.wait()
        finally:
            timer.cancel()

    def found_news(self) -> None:
        """Take note that a look has found something new; another look comes before ``next_look``."""
        self._last_news = self._clock.monotonic()
        # A notice that has come and not been heard yet is taken here: what it tells of, the other look finds.
        if self._unasked and self._notices is not None and self._trusted and not self._notices.take():
            self._trusted = False
            self._say("it does not tell of writes here")
        self._unasked = False

    def look_elsewhere(self) -> None:
        """Take note that another log is in the directory now."""
        self._close_notices()
        self._trusted = self._may_ask_kernel = True

    def close(self) -> None:
        """Stop listening; may be repeated."""
        self._stop_listening()
        self._may_ask_kernel = False
        self._close_notices()

    def _choose_who_tells(self) -> None:
        """Ask the kernel for notices where no writer is here to ring: one of them is enough."""
        if self._bell.has_ringer:
            self._close_notices()
        elif self._notices is None and self._may_ask_kernel:
            try:
                self._notices = WriteNotices(self._directory / COMMITTED, self._noticed)
            except FileNotFoundError:
                return  # the log is gone for the moment; when there is another, there are notices of that
            except OSError as error:
                self._may_ask_kernel = False
                self._say(error.strerror or str(error))
            else:
                # What was written before there were notices is told by none.
                self.ring()

    def _patience_seconds(self) -> float:
        if self._bell.has_ringer or (self._notices is not None and self._trusted):
            return _POLL_WHEN_TOLD_SECONDS
        quiet_seconds = self._clock.monotonic() - self._last_news
        return _POLL_BUSY_SECONDS if quiet_seconds < _BUSY_FOR_SECONDS else _POLL_SECONDS

    def _look_unasked(self) -> None:
        if not self._rung.is_set():
            self._unasked = True
            self._rung.set()

    def _noticed(self) -> None:
        self._trusted = True
        self.ring()

    def _close_notices(self) -> None:
        if self._notices is not None:
            self._notices.close()
            self._notices = None

    def _say(self, reason: str) -> None:
        _log.info(
            "the kernel does not say when there are new events, looking for them every few milliseconds: %s",
            reason,
            extra=named(Notice.LOG_POLLED),
        )
