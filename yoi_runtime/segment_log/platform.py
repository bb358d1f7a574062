"""The seam to the operating system: files, clock, randomness, identity of boot and process.

The only module of the storage engine that calls the operating system. Everything else takes a
``Platform``, which is how tests fail the k-th call, lose power or move the clock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

__all__ = ["REAL_PLATFORM", "Clock", "FileOps", "FileStat", "Platform", "RealClock", "RealFileOps"]


class FileStat(NamedTuple):
    """What the engine needs to know of an open file."""

    size: int
    inode: int
    links: int


class FileOps(Protocol):
    """Every file call of the engine. Each may raise ``OSError``; none retries, none buffers."""

    def open_read(self, path: Path) -> int: ...
    def open_write(self, path: Path) -> int: ...
    def create(self, path: Path) -> int: ...
    def close(self, fd: int) -> None: ...
    def pread(self, fd: int, size: int, offset: int) -> bytes: ...
    def pwrite(self, fd: int, data: bytes, offset: int) -> int: ...
    def fdatasync(self, fd: int) -> None: ...
    def ftruncate(self, fd: int, size: int) -> None: ...
    def allocate(self, fd: int, size: int) -> None: ...
    def stat(self, fd: int) -> FileStat: ...
    def rename(self, source: Path, target: Path) -> None: ...
    def unlink(self, path: Path) -> None: ...
    def list_directory(self, path: Path) -> list[str]: ...
    def make_directory(self, path: Path) -> None: ...
    def sync_directory(self, path: Path) -> None: ...
    def lock(self, fd: int) -> bool: ...


class RealFileOps:
    """The file system of this machine. Descriptors are never inherited by child processes (PEP 446)."""

    def open_read(self, path: Path) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def open_write(self, path: Path) -> int:
        """Open for reading and writing; create when missing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def create(self, path: Path) -> int:
        """Open a new, empty file for writing; what was there under this name is cut to nothing."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)

    def close(self, fd: int) -> None:
        os.close(fd)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return os.pread(fd, size, offset)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        return os.pwrite(fd, data, offset)

    def fdatasync(self, fd: int) -> None:
        _fdatasync(fd)

    def ftruncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def allocate(self, fd: int, size: int) -> None:
        """Reserve ``size`` bytes on the disk; where the platform cannot, do nothing."""
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(fd, 0, size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise

    def stat(self, fd: int) -> FileStat:
        found = os.fstat(fd)
        return FileStat(found.st_size, found.st_ino, found.st_nlink)

    def rename(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def list_directory(self, path: Path) -> list[str]:
        return os.listdir(path)

    def make_directory(self, path: Path) -> None:
        """Make the directory and its parents; fine when it exists."""
        os.makedirs(path, mode=0o750, exist_ok=True)

    def sync_directory(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def lock(self, fd: int) -> bool:
        """Take the whole-file lock for the life of ``fd``; False when somebody has it.

        flock, not lockf: POSIX locks vanish when any descriptor of the file is closed.
        """
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True


# macOS has no fdatasync in Python.
_fdatasync = getattr(os, "fdatasync", os.fsync)


class Clock(Protocol):
    """Wall clock for what people read, monotonic clock for durations."""

    def now_us(self) -> int: ...
    def monotonic(self) -> float: ...


class RealClock:
    """The clocks of this machine."""

    def now_us(self) -> int:
        """Return microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Return seconds since some fixed moment."""
        return time.monotonic()


def _boot_id() -> str:
    """Return the id of this boot of the machine, or "" where there is none (not Linux)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything outside of the process that the engine touches."""

    files: FileOps = field(default_factory=RealFileOps)
    clock: Clock = field(default_factory=RealClock)
    random_bytes: Callable[[int], bytes] = os.urandom
    boot_id: Callable[[], str] = _boot_id
    pid: Callable[[], int] = os.getpid


REAL_PLATFORM = Platform()
