"""File calls that fail when they are told to, and a record of every call.

``FailingFiles`` wraps any ``FileOps`` (the real one, or ``MemoryFiles``): the k-th call from now on,
counted over all calls or over those of one method or path, raises an error or writes less than it
was asked to, once or for ever. Whatever does not fail goes through unchanged.

    files = FailingFiles()
    platform = Platform(files=files)
    files.fail(errno.EIO, "fdatasync")            # the next sync, once
    files.fail(errno.ENOSPC, at=7, for_ever=True)   # the 7th call of any kind, and all after it
    files.write_short(100)                        # the next write writes 100 bytes and says so
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from yoi_runtime.segment_log.platform import FileOps, FileStat, RealFileOps

__all__ = ["METHODS", "READING", "Call", "FailingFiles"]

METHODS = (
    "open_read",
    "open_write",
    "create",
    "close",
    "pread",
    "pwrite",
    "fdatasync",
    "ftruncate",
    "allocate",
    "stat",
    "rename",
    "unlink",
    "list_directory",
    "make_directory",
    "sync_directory",
    "lock",
    "filesystem_type",
)
# The calls that change nothing on the disk.
READING = frozenset({"open_read", "close", "pread", "stat", "list_directory"})


class Call(NamedTuple):
    """One call: the method, and the name of the file or directory it was for."""

    method: str
    name: str


@dataclass
class _Fault:
    """Strikes at the ``left``-th matching call; ``short`` is a count of bytes, None for an error."""

    error: int
    method: str | None
    name: str | None
    left: int
    for_ever: bool
    short: int | None

    def strikes(self, call: Call) -> bool:
        if self.method not in (None, call.method) or self.name not in (None, call.name) or self.left < 0:
            return False
        self.left -= 1
        if self.left > 0:
            return False
        self.left = 1 if self.for_ever else -1
        return True


class FailingFiles:
    """A ``FileOps`` around another one. Counts, records and fails calls; safe from any thread."""

    def __init__(self, inner: FileOps | None = None) -> None:
        self.inner: FileOps = inner if inner is not None else RealFileOps()
        self.calls: list[Call] = []
        # How often a fault struck: a test whose faults never did proves nothing.
        self.struck = 0
        self._faults: list[_Fault] = []
        self._names: dict[int, str] = {}
        self._mutex = threading.Lock()

    # What to do.

    def fail(
        self,
        error: int,
        method: str | None = None,
        *,
        name: str | None = None,
        at: int = 1,
        for_ever: bool = False,
    ) -> None:
        """Let the ``at``-th call from now on raise ``OSError(error)``; ``for_ever``: and every one after it.

        Counted are the calls of ``method`` for the file called ``name``; None means any. A ``close`` that
        fails closes all the same, as Linux does.
        """
        _check_method(method)
        self._faults.append(_Fault(error, method, name, at, for_ever, None))

    def write_short(self, count: int, *, name: str | None = None, at: int = 1, for_ever: bool = False) -> None:
        """Let the ``at``-th ``pwrite`` from now on write ``count`` bytes only and return that, without an error."""
        self._faults.append(_Fault(0, "pwrite", name, at, for_ever, count))

    def heal(self) -> None:
        """Forget every fault that was planned."""
        self._faults.clear()

    def forget_calls(self) -> None:
        self.calls.clear()

    def count(self, method: str, name: str | None = None) -> int:
        """Return how many calls of ``method`` there were (for ``name``)."""
        _check_method(method)
        return sum(call.method == method and name in (None, call.name) for call in self.calls)

    @property
    def open_files(self) -> list[str]:
        """Return the names behind the descriptors that are open at present."""
        return sorted(self._names.values())

    def _enter(self, method: str, name: str) -> int | None:
        """Take note of a call; raise when it is to fail, return the bytes of a short write, None otherwise."""
        call = Call(method, name)
        with self._mutex:
            self.calls.append(call)
            # Every fault counts the call, also when an earlier one strikes.
            striking = [fault for fault in self._faults if fault.strikes(call)]
            if not striking:
                return None
            self.struck += 1
        fault = striking[0]
        if fault.short is None:
            raise OSError(fault.error, os.strerror(fault.error), name)
        return fault.short

    def _opened(self, fd: int, path: Path) -> int:
        self._names[fd] = path.name
        return fd

    def _name(self, fd: int) -> str:
        return self._names.get(fd, "?")

    # FileOps.

    def open_read(self, path: Path) -> int:
        self._enter("open_read", path.name)
        return self._opened(self.inner.open_read(path), path)

    def open_write(self, path: Path) -> int:
        self._enter("open_write", path.name)
        return self._opened(self.inner.open_write(path), path)

    def create(self, path: Path) -> int:
        self._enter("create", path.name)
        return self._opened(self.inner.create(path), path)

    def close(self, fd: int) -> None:
        # Taken out before the close: another thread may be given the same number right after it.
        name = self._names.pop(fd, "?")
        self.inner.close(fd)
        self._enter("close", name)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self._enter("pread", self._name(fd))
        return self.inner.pread(fd, size, offset)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        short = self._enter("pwrite", self._name(fd))
        if short is None:
            return self.inner.pwrite(fd, data, offset)
        return self.inner.pwrite(fd, data[:short], offset) if short else 0

    def fdatasync(self, fd: int) -> None:
        self._enter("fdatasync", self._name(fd))
        self.inner.fdatasync(fd)

    def ftruncate(self, fd: int, size: int) -> None:
        self._enter("ftruncate", self._name(fd))
        self.inner.ftruncate(fd, size)

    def allocate(self, fd: int, size: int) -> None:
        self._enter("allocate", self._name(fd))
        self.inner.allocate(fd, size)

    def stat(self, fd: int) -> FileStat:
        self._enter("stat", self._name(fd))
        return self.inner.stat(fd)

    def rename(self, source: Path, target: Path) -> None:
        self._enter("rename", target.name)
        self.inner.rename(source, target)
        for fd in [fd for fd, name in self._names.items() if name == source.name]:
            self._names[fd] = target.name

    def unlink(self, path: Path) -> None:
        self._enter("unlink", path.name)
        self.inner.unlink(path)

    def list_directory(self, path: Path) -> list[str]:
        self._enter("list_directory", path.name)
        return self.inner.list_directory(path)

    def make_directory(self, path: Path) -> None:
        self._enter("make_directory", path.name)
        self.inner.make_directory(path)

    def sync_directory(self, path: Path) -> None:
        self._enter("sync_directory", path.name)
        self.inner.sync_directory(path)

    def lock(self, fd: int) -> bool:
        self._enter("lock", self._name(fd))
        return self.inner.lock(fd)

    def filesystem_type(self, path: Path) -> str:
        self._enter("filesystem_type", path.name)
        return self.inner.filesystem_type(path)


def _check_method(method: str | None) -> None:
    if method is not None and method not in METHODS:
        raise ValueError(f"FileOps has no method {method!r}")
