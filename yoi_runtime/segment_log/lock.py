"""The one-writer rule: the file LOCK, held by flock for the life of a writer."""

from __future__ import annotations

import errno
from pathlib import Path

from yoi_runtime.errors import LogHeldError
from yoi_runtime.segment_log.platform import Platform, abandon_after_fork

__all__ = ["LOCK", "WriterLock"]

LOCK = "LOCK"
_HOLDER_BYTES = 32
_MOVED = "the log's directory was removed or replaced"


class WriterLock:
    """Holds a log for writing. The file stays when the lock is gone: its inode is the lock."""

    def __init__(self, directory: Path, platform: Platform) -> None:
        """Take the lock.

        Raises:
            LogHeldError: another writer has it; carries the pid that the holder wrote down.
        """
        self._files = platform.files
        self._path = directory / LOCK
        self._fd = self._files.open_write(directory / LOCK)
        try:
            if not self._files.lock(self._fd):
                raise LogHeldError(directory, self._holder())
            self._write_holder(platform.pid())
        except BaseException:
            self._files.close(self._fd)
            raise
        abandon_after_fork(self)

    def abandon_in_child(self) -> None:
        """Let go of the lock in a forked child, also where the writer was just being opened or closed."""
        self.release()

    def _write_holder(self, pid: int) -> None:
        # Over the line before, of the same length: a full disk refuses nothing then. When it does all the same,
        # only a message gets poorer.
        try:
            self._files.pwrite(self._fd, (b"%d" % pid).ljust(_HOLDER_BYTES - 1) + b"\n", 0)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    def _holder(self) -> int | None:
        try:
            return int(self._files.pread(self._fd, _HOLDER_BYTES, 0))
        except ValueError:
            return None

    def lost_because(self) -> str | None:
        """Return why the lock protects the log no longer, in words for an error; None while it does.

        Raises:
            OSError: that cannot be told now.
        """
        try:
            fd = self._files.open_read(self._path)
        except FileNotFoundError:
            return self._missing_because()
        except NotADirectoryError:
            return _MOVED
        try:
            is_ours = self._files.stat(fd).inode == self._files.stat(self._fd).inode
        finally:
            self._files.close(fd)
        return None if is_ours else f"{_MOVED}, or its file {LOCK}: another one stands there"

    def _missing_because(self) -> str:
        try:
            names = self._files.list_directory(self._path.parent)
        except FileNotFoundError:
            names = []
        return f"its file {LOCK} was deleted: nothing would keep a second writer out" if names else _MOVED

    def release(self) -> None:
        """Let the next writer in. Releasing twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._files.close(fd)
