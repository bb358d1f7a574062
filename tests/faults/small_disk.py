"""A disk with little room: what fits is written, what does not is refused as a full disk refuses it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from yoi_runtime.segment_log.platform import FileOps, FileStat, RealFileOps

__all__ = ["SmallDisk"]


class SmallDisk:
    """A ``FileOps`` around another one on which only ``room_bytes`` more can be written.

    Bytes are counted by file size, without blocks. A write for which there is not all the room writes what
    fits and returns that (Linux does so); with no room left it raises ENOSPC. Writing over existing bytes
    takes no room. Cutting, replacing and deleting files gives their bytes back; a file that is still open
    gives them back at once (Linux waits for the last close).
    """

    def __init__(self, room_bytes: int, inner: FileOps | None = None) -> None:
        self.inner: FileOps = inner if inner is not None else RealFileOps()
        self.room_bytes = room_bytes
        # How often something was refused or cut short.
        self.refused = 0

    def open_read(self, path: Path) -> int:
        return self.inner.open_read(path)

    def open_write(self, path: Path) -> int:
        return self.inner.open_write(path)

    def create(self, path: Path) -> int:
        freed = self._size_at(path)
        fd = self.inner.create(path)
        self.room_bytes += freed
        return fd

    def close(self, fd: int) -> None:
        self.inner.close(fd)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return self.inner.pread(fd, size, offset)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        size = self.inner.stat(fd).size
        needed = max(0, offset + len(data) - size)
        missing = max(0, needed - self.room_bytes)
        if missing:
            self.refused += 1
        if missing >= len(data):
            raise _no_space()
        written = self.inner.pwrite(fd, data[: len(data) - missing], offset)
        self.room_bytes -= max(0, offset + written - size)
        return written

    def fdatasync(self, fd: int) -> None:
        self.inner.fdatasync(fd)

    def ftruncate(self, fd: int, size: int) -> None:
        before = self.inner.stat(fd).size
        self.inner.ftruncate(fd, size)
        self.room_bytes += before - size

    def allocate(self, fd: int, size: int) -> None:
        needed = max(0, size - self.inner.stat(fd).size)
        if needed > self.room_bytes:
            self.refused += 1
            raise _no_space()
        self.inner.allocate(fd, size)
        self.room_bytes -= needed

    def stat(self, fd: int) -> FileStat:
        return self.inner.stat(fd)

    def rename(self, source: Path, target: Path) -> None:
        freed = self._size_at(target)
        self.inner.rename(source, target)
        self.room_bytes += freed

    def unlink(self, path: Path) -> None:
        freed = self._size_at(path)
        self.inner.unlink(path)
        self.room_bytes += freed

    def list_directory(self, path: Path) -> list[str]:
        return self.inner.list_directory(path)

    def make_directory(self, path: Path) -> None:
        self.inner.make_directory(path)

    def sync_directory(self, path: Path) -> None:
        self.inner.sync_directory(path)

    def lock(self, fd: int) -> bool:
        return self.inner.lock(fd)

    def filesystem_type(self, path: Path) -> str:
        return self.inner.filesystem_type(path)

    def _size_at(self, path: Path) -> int:
        try:
            fd = self.inner.open_read(path)
        except FileNotFoundError:
            return 0
        try:
            return self.inner.stat(fd).size
        finally:
            self.inner.close(fd)


def _no_space() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
