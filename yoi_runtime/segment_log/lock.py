"""The one-writer rule: the file LOCK, held by flock for the life of a writer."""

from __future__ import annotations

from pathlib import Path

from yoi_runtime.errors import LogHeldError
from yoi_runtime.segment_log.platform import Platform

__all__ = ["LOCK", "WriterLock"]

LOCK = "LOCK"


class WriterLock:
    """Holds a log for writing. The file stays when the lock is gone: its inode is the lock."""

    def __init__(self, directory: Path, platform: Platform) -> None:
        """Take the lock.

        Raises:
            LogHeldError: another writer has it; carries the pid that the holder wrote down.
        """
        self._files = platform.files
        self._fd = self._files.open_write(directory / LOCK)
        try:
            if not self._files.lock(self._fd):
                raise LogHeldError(directory, self._holder())
            line = b"%d\n" % platform.pid()
            self._files.ftruncate(self._fd, 0)
            self._files.pwrite(self._fd, line, 0)
        except BaseException:
            self._files.close(self._fd)
            raise

    def _holder(self) -> int | None:
        try:
            return int(self._files.pread(self._fd, 32, 0))
        except ValueError:
            return None

    def release(self) -> None:
        """Let the next writer in. Call once."""
        self._files.close(self._fd)
