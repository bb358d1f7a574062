"""The seam to the operating system: files, clock, randomness, identity of boot and process.

The only module of the storage engine that calls the operating system. Everything else takes a
``Platform``, which is how tests fail the k-th call, lose power or move the clock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, cast

__all__ = [
    "REAL_PLATFORM",
    "Clock",
    "FileOps",
    "FileStat",
    "Platform",
    "RealClock",
    "RealFileOps",
    "abandon_after_fork",
]


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
    def filesystem_type(self, path: Path) -> str: ...


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

    # No method of Python's around it: this one is called for every append (0.06 µs).
    pwrite = staticmethod(cast("Callable[[int, bytes, int], int]", os.pwrite))

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
        """Make the directory and its missing parents, each durable before the next; fine when it exists.

        Parents that are made, the data directory among them, are their owner's alone. What lies in them may be read by
        a group: whoever opens the data directory to one, for a server of another user, has opened the log to it.
        """
        self._make_directory(path, 0o750)

    def _make_directory(self, path: Path, mode: int) -> None:
        if not os.path.isdir(path.parent):
            self._make_directory(path.parent, 0o700)
        try:
            os.mkdir(path, mode=mode)
        except FileExistsError:
            if not os.path.isdir(path):
                raise
        else:
            self.sync_directory(path.parent)

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

    def filesystem_type(self, path: Path) -> str:
        """Return the type of the file system that holds ``path`` (``ext4``, ``nfs4``), "" where none can be told.

        Source: proc(5), /proc/pid/mountinfo.
        """
        try:
            mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
        except OSError:
            return ""
        wanted = os.path.realpath(path)
        best, found = -1, ""
        for line in mounts:
            fields, _, rest = line.partition(" - ")
            point = _unescape_mount(fields.split(" ")[4])
            inside = wanted == point or wanted.startswith(point.rstrip("/") + "/")
            # Not less: of two mounts on one point the later one covers the earlier.
            if inside and len(point) >= best:
                best, found = len(point), rest.split(" ")[0]
        return found


def _unescape_mount(point: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), point)


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


_after_fork: weakref.WeakSet[_ForkAware] = weakref.WeakSet()


class _ForkAware(Protocol):
    def abandon_in_child(self) -> None: ...


def abandon_after_fork(owner: _ForkAware) -> None:
    """Have ``owner.abandon_in_child()`` called in every child process that is forked without an exec.

    An inherited flock outlives its owner: without this a forked child would keep the log held.
    """
    _after_fork.add(owner)


def _run_after_fork() -> None:
    for owner in list(_after_fork):
        owner.abandon_in_child()


os.register_at_fork(after_in_child=_run_after_fork)


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
