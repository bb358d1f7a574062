"""A file system in memory that forgets, at a power cut, what no sync made durable.

What a program sees (live) and what is on the disk (stable) are kept apart, for the bytes of each
file, for its size, and for each name in each directory:

- ``fdatasync`` makes the bytes and the size of one file stable, ``sync_directory`` the names in one directory;
- ``cut_power`` leaves, per 512-byte sector, any state that the sector went through since the last sync, or
  zeros where the disk never had it; any size the file went through; and per name, anything it stood for
  since the last ``sync_directory``. So unsynced writes are lost, torn, reordered and zeroed, unsynced creates,
  renames and unlinks are lost or half done. That is harsher than a journaling file system.

Every call is counted. At a chosen one ``PowerCutError`` takes the program down, there and at every later call.
"""

from __future__ import annotations

import errno
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Concatenate, ParamSpec, TypeVar

from yoi_runtime.segment_log.platform import FileStat

__all__ = ["SECTOR_BYTES", "MemoryFiles", "PowerCutError"]

SECTOR_BYTES = 512
_State = TypeVar("_State")
_Result = TypeVar("_Result")
_Parameters = ParamSpec("_Parameters")


class PowerCutError(BaseException):
    """The power is off. Not an Exception: no handler of errors may go on from here."""


def _one_at_a_time(
    method: Callable[Concatenate[MemoryFiles, _Parameters], _Result],
) -> Callable[Concatenate[MemoryFiles, _Parameters], _Result]:
    """Count the call, and let no other thread in while it lasts."""

    @functools.wraps(method)
    def call(files: MemoryFiles, /, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        with files._mutex:
            files._count()
            return method(files, *args, **kwargs)

    return call


@dataclass(eq=False)
class _File:
    number: int
    live: bytearray = field(default_factory=bytearray)
    stable: bytearray = field(default_factory=bytearray)
    # Since the last sync: (offset, bytes) of a write, (size, None) of a cut to a size.
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    links: int = 0
    locked_by: int | None = None


@dataclass(eq=False)
class _Directory:
    live: dict[str, _File | _Directory] = field(default_factory=dict)
    stable: dict[str, _File | _Directory] = field(default_factory=dict)
    # Since the last sync: what each name stood for, one entry a change; None: nothing.
    pending: dict[str, list[_File | _Directory | None]] = field(default_factory=dict)

    def bind(self, name: str, node: _File | _Directory | None) -> None:
        before = self.live.get(name)
        if isinstance(before, _File):
            before.links -= 1
        if isinstance(node, _File):
            node.links += 1
        if node is None:
            self.live.pop(name, None)
        else:
            self.live[name] = node
        self.pending.setdefault(name, []).append(node)


class MemoryFiles:
    """A ``FileOps``; safe from any thread. Paths are absolute; the root directory is there."""

    def __init__(self) -> None:
        self._root = _Directory()
        self._inodes = itertools.count(1)
        self._fds: dict[int, tuple[_File, bool]] = {}
        self._next_fd = itertools.count(3)
        self.calls = 0
        self._cut_at: int | None = None
        self._mutex = threading.RLock()

    # The power.

    def cut_power_at(self, call: int | None) -> None:
        """Let the power fail just before call number ``call`` (``calls`` counts them); None: never."""
        self._cut_at = call

    def cut_power(self, rng: Random) -> MemoryFiles:
        """Return what one power cut, here and now, may have left on the disk; this file system stays as it is.

        One time in five nothing that was not synced is left, one time in five all of it is.
        """
        return next(self.cuts(rng))

    def cuts(self, rng: Random) -> Iterator[MemoryFiles]:
        """Yield what power cuts may have left, one after the other, all of them here and now; nothing may change meanwhile."""
        histories = _Histories()
        while True:
            survivor = MemoryFiles()
            with self._mutex:
                survivor._root = _Remains(rng, survivor, histories).of_directory(self._root)
            yield survivor

    def kill(self) -> None:
        """End the process that uses these files: descriptors and locks go, every byte stays; and so does the power."""
        self.drop_descriptors()
        self._cut_at = None

    def drop_descriptors(self) -> None:
        """Do as ``kill`` does, with the power still to fail where it was said."""
        for fd in list(self._fds):
            self._release(fd)

    def lose_unsynced_pages(self, path: Path) -> None:
        """Do as Linux may after a failed sync: programs go on seeing the bytes, no later sync writes them."""
        file = self._file(path)
        file.pending.clear()

    def read_bytes(self, path: Path) -> bytes:
        """Return what programs see in the file; not counted as a call."""
        return bytes(self._file(path).live)

    def write_bytes(self, path: Path, data: bytes) -> None:
        """Put ``data`` in the place of the file's bytes, durably: damage done while nobody looked."""
        file = self._file(path)
        file.live[:] = file.stable[:] = data
        file.pending.clear()

    def image(self, directory: Path) -> tuple[tuple[str, bytes], ...]:
        """Return the name and the bytes of every file in a directory, as programs see them; not counted as a call."""
        live = self._directory(directory).live
        return tuple((name, bytes(file.live)) for name, file in sorted(live.items()) if isinstance(file, _File))

    @property
    def open_files(self) -> int:
        return len(self._fds)

    def _count(self) -> None:
        self.calls += 1
        if self._cut_at is not None and self.calls >= self._cut_at:
            raise PowerCutError(f"before call {self._cut_at}")

    # Paths and descriptors.

    def _directory(self, path: Path) -> _Directory:
        return self._walk(path.parts[1:], path)

    def _walk(self, parts: tuple[str, ...], path: Path) -> _Directory:
        node: _File | _Directory = self._root
        for part in parts:
            found = node.live.get(part) if isinstance(node, _Directory) else None
            if found is None:
                raise _os_error(errno.ENOENT, path)
            node = found
        if not isinstance(node, _Directory):
            raise _os_error(errno.ENOTDIR, path)
        return node

    def _file(self, path: Path) -> _File:
        # Not by way of path.parent and path.name: each takes as long as the whole walk.
        parts = path.parts
        found = self._walk(parts[1:-1], path).live.get(parts[-1])
        if found is None:
            raise _os_error(errno.ENOENT, path)
        if not isinstance(found, _File):
            raise _os_error(errno.EISDIR, path)
        return found

    def _open(self, file: _File, *, writable: bool) -> int:
        fd = next(self._next_fd)
        self._fds[fd] = (file, writable)
        return fd

    def _at(self, fd: int, *, write: bool = False) -> _File:
        if fd not in self._fds or (write and not self._fds[fd][1]):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._fds[fd][0]

    def _release(self, fd: int) -> None:
        file, _ = self._fds.pop(fd)
        if file.locked_by == fd:
            file.locked_by = None

    # FileOps.

    @_one_at_a_time
    def open_read(self, path: Path) -> int:
        return self._open(self._file(path), writable=False)

    @_one_at_a_time
    def open_write(self, path: Path) -> int:
        return self._open_write(path)

    def _open_write(self, path: Path) -> int:
        parts = path.parts
        directory = self._walk(parts[1:-1], path)
        if parts[-1] not in directory.live:
            directory.bind(parts[-1], _File(next(self._inodes)))
        return self._open(self._file(path), writable=True)

    @_one_at_a_time
    def create(self, path: Path) -> int:
        fd = self._open_write(path)
        self._resize(self._at(fd), 0)
        return fd

    @_one_at_a_time
    def close(self, fd: int) -> None:
        self._at(fd)
        self._release(fd)

    @_one_at_a_time
    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return bytes(self._at(fd).live[offset : offset + size])

    @_one_at_a_time
    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        file = self._at(fd, write=True)
        _write(file.live, offset, data)
        file.pending.append((offset, bytes(data)))
        return len(data)

    @_one_at_a_time
    def fdatasync(self, fd: int) -> None:
        file = self._at(fd)
        for offset, data in file.pending:
            _redo(file.stable, offset, data)
        file.pending.clear()

    @_one_at_a_time
    def ftruncate(self, fd: int, size: int) -> None:
        self._resize(self._at(fd, write=True), size)

    def _resize(self, file: _File, size: int) -> None:
        if size != len(file.live):
            _redo(file.live, size, None)
            file.pending.append((size, None))

    @_one_at_a_time
    def allocate(self, fd: int, size: int) -> None:
        file = self._at(fd, write=True)
        self._resize(file, max(size, len(file.live)))

    @_one_at_a_time
    def stat(self, fd: int) -> FileStat:
        file = self._at(fd)
        return FileStat(len(file.live), file.number, file.links)

    @_one_at_a_time
    def rename(self, source: Path, target: Path) -> None:
        file = self._file(source)
        self._directory(target.parent).bind(target.name, file)
        self._directory(source.parent).bind(source.name, None)

    @_one_at_a_time
    def unlink(self, path: Path) -> None:
        self._file(path)
        self._directory(path.parent).bind(path.name, None)

    @_one_at_a_time
    def list_directory(self, path: Path) -> list[str]:
        return list(self._directory(path).live)

    @_one_at_a_time
    def make_directory(self, path: Path) -> None:
        """Make the directory and its parents, and their names durable, as ``RealFileOps`` does."""
        node = self._root
        for part in path.parts[1:]:
            if part not in node.live:
                made = _Directory()
                node.live[part] = node.stable[part] = made
            child = node.live[part]
            if not isinstance(child, _Directory):
                raise _os_error(errno.ENOTDIR, path)
            node = child

    @_one_at_a_time
    def sync_directory(self, path: Path) -> None:
        directory = self._directory(path)
        directory.stable = dict(directory.live)
        directory.pending.clear()

    @_one_at_a_time
    def lock(self, fd: int) -> bool:
        file = self._at(fd)
        if file.locked_by not in (None, fd):
            return False
        file.locked_by = fd
        return True

    @_one_at_a_time
    def filesystem_type(self, path: Path) -> str:
        return "memory"


def _os_error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))


def _write(data: bytearray, offset: int, piece: bytes) -> None:
    if offset > len(data):
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(piece)] = piece


def _redo(data: bytearray, offset: int, piece: bytes | None) -> None:
    """Apply one pending write, or one cut to the size ``offset``."""
    if piece is not None:
        _write(data, offset, piece)
    elif offset <= len(data):
        del data[offset:]
    else:
        data.extend(bytes(offset - len(data)))


# Of each file with pending writes: the sizes and the states of sectors since its sync.
_Histories = dict[int, tuple[list[int], dict[int, list[bytes]]]]


class _Remains:
    """Draws what is left after one power cut."""

    def __init__(self, rng: Random, survivor: MemoryFiles, histories: _Histories) -> None:
        self._rng = rng
        self._survivor = survivor
        self._histories = histories
        self._files: dict[int, _File] = {}
        # How likely it is, for each single thing, that something newer than its synced state is left.
        self._chance = rng.choice((0.0, 0.2, 0.5, 0.8, 1.0))

    def _draw(self, states: list[_State]) -> _State:
        """Choose one of the states since the sync; when everything is left, the last."""
        return states[-1] if self._chance == 1.0 else self._rng.choice(states)

    def _is_newer(self) -> bool:
        return self._rng.random() < self._chance

    def of_directory(self, directory: _Directory) -> _Directory:
        names: dict[str, _File | _Directory | None] = dict(directory.stable)
        for name, states in directory.pending.items():
            if self._is_newer():
                names[name] = self._draw(states)
        copy = _Directory()
        for name, node in names.items():
            if isinstance(node, _Directory):
                copy.live[name] = self.of_directory(node)
            elif node is not None:
                file = self._files.get(node.number)
                if file is None:
                    file = self._files[node.number] = self._of_file(node)
                file.links += 1
                copy.live[name] = file
        copy.stable = dict(copy.live)
        return copy

    def _of_file(self, file: _File) -> _File:
        data = bytearray(file.stable)
        if file.pending:
            if file.number not in self._histories:
                self._histories[file.number] = _states_since_the_sync(file)
            sizes, sectors = self._histories[file.number]
            if self._is_newer():
                data = bytearray(_to_size(data, self._draw(sizes)))
            for sector, states in sectors.items():
                at = sector * SECTOR_BYTES
                if at < len(data) and self._is_newer():
                    length = min(SECTOR_BYTES, len(data) - at)
                    data[at : at + length] = _to_size(self._draw(states), length)
        return _File(next(self._survivor._inodes), data[:], data)


def _states_since_the_sync(file: _File) -> tuple[list[int], dict[int, list[bytes]]]:
    """Return the sizes that the file went through, and the states of each sector that was written to."""
    image = bytearray(file.stable)
    sizes, sectors = [len(image)], dict[int, list[bytes]]()
    for offset, piece in file.pending:
        touched = _sectors(offset, len(piece)) if piece is not None else _sectors(offset, max(0, len(image) - offset))
        _redo(image, offset, piece)
        sizes.append(len(image))
        for sector in touched:
            at = sector * SECTOR_BYTES
            # A sector the disk never had may turn out as zeros.
            before = [bytes(SECTOR_BYTES)] if at >= len(file.stable) else []
            sectors.setdefault(sector, before).append(bytes(image[at : at + SECTOR_BYTES]))
    return sizes, sectors


def _sectors(offset: int, length: int) -> Iterable[int]:
    return range(offset // SECTOR_BYTES, (offset + length + SECTOR_BYTES - 1) // SECTOR_BYTES)


def _to_size(data: bytes | bytearray, size: int) -> bytes:
    return bytes(data[:size]).ljust(size, b"\0")
