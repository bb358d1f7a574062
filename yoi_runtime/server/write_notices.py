"""inotify adapter: says when a file was written to, whoever wrote. No thread; Linux alone, for others there is polling.

inotify-simple wraps the three calls of inotify(7) and nothing else. The kernel tells of ``write`` and ``pwrite`` by any process of this
machine; not of what another machine writes to a shared disk, nor of a mapping. So a notice is a hint like a ring of the
doorbell: it carries no data, and who waits for one must look by himself now and then. Decision:
docs/decisions/0036-told-by-the-kernel.md.
"""

from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import Callable
from pathlib import Path

try:
    from inotify_simple import INotify, flags
except ImportError:
    # An extra without it, or not Linux: ``WriteNotices`` says so when it is made.
    INotify = None

__all__ = ["PAUSE_SECONDS", "WriteNotices"]

# After a notice the next is listened for this much later: what is written by then is one notice more, not thousands.
PAUSE_SECONDS = 0.001


class WriteNotices:
    """Calls ``on_write`` in the running event loop after ``path`` was written to, once for all that came in a pause."""

    def __init__(self, path: Path, on_write: Callable[[], None]) -> None:
        """Begin to listen.

        Raises:
            OSError: the kernel tells nothing here: it does not know how, has no room (``fs.inotify.max_user_instances``,
                ``max_user_watches``, descriptors), or there is no such file.
        """
        if INotify is None or sys.platform != "linux":
            raise OSError(errno.ENOSYS, "inotify is not here")
        self._on_write = on_write
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._inotify = INotify(nonblocking=True)
        try:
            self._inotify.add_watch(path, flags.MODIFY)
        except OSError:
            self._inotify.close()
            raise
        self._listen()

    def take(self) -> bool:
        """Take the notices that have come, without a call; say whether there were any."""
        return bool(self._inotify.read(timeout=0))

    def close(self) -> None:
        """Listen no more; may be repeated."""
        if self._inotify.closed:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._inotify)
        self._inotify.close()

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._inotify, self._told)

    def _told(self) -> None:
        self._loop.remove_reader(self._inotify)
        self._pause = self._loop.call_later(PAUSE_SECONDS, self._listen)
        if self.take():
            self._on_write()
