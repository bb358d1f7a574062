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

__all__ = ["INotify", "WriteNotices"]


class WriteNotices:
    """Calls ``on_write`` in the running event loop after ``path`` was written to, at most once in a turn of it.

    The kernel makes one notice of all that nobody has read yet, so a loop that is busy hears once of many writes. A notice
    costs 3.3 µs (and who writes, 1.1). Listening again only a millisecond later took a fifth less processor time at 1,000
    events a second, and half a millisecond more for each.
    """

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
        self._inotify = INotify(nonblocking=True)
        try:
            self._inotify.add_watch(path, flags.MODIFY)
        except OSError:
            self._inotify.close()
            raise
        self._loop.add_reader(self._inotify, self._told)

    def take(self) -> bool:
        """Take the notices that have come, without a call; say whether there were any."""
        return bool(self._inotify.read(timeout=0))

    def close(self) -> None:
        """Listen no more; may be repeated."""
        if self._inotify.closed:
            return
        self._loop.remove_reader(self._inotify)
        self._inotify.close()

    def _told(self) -> None:
        if self.take():
            self._on_write()
