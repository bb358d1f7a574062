"""A new directory that appears whole or not at all, and a log kept from its writer while it is copied."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from yoi_runtime.errors import LogHeldError
from yoi_runtime.segment_log.lock import LOCK
from yoi_runtime.segment_log.platform import REAL_PLATFORM

__all__ = ["DirectoryExistsError", "new_directory", "writer_kept_out"]

_HOLDER_BYTES = 32


class DirectoryExistsError(OSError):
    """What was to be made is there already; it was left as it is."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: is there already; name a directory that does not exist")


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Give a directory to fill under a temporary name beside ``path``; it gets its name when the block ends well.

    Everything in it is synced first. When the block fails nothing is left; a killed process leaves ``.NAME.…tmp``.

    Raises:
        DirectoryExistsError: ``path`` exists.
        OSError: the disk refused; nothing was made.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow a last part that is a link
    if path.exists() or path.is_symlink():
        raise DirectoryExistsError(path)
    aside = Path(mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    try:
        yield aside
        _sync_all(aside)
        aside.chmod(0o750)
        if path.exists():
            raise DirectoryExistsError(path)
        aside.rename(path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    REAL_PLATFORM.files.sync_directory(path.parent)


def _sync_all(directory: Path) -> None:
    for here, _, names in os.walk(directory, topdown=False):
        for name in names:
            fd = os.open(Path(here, name), os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        REAL_PLATFORM.files.sync_directory(Path(here))


@contextmanager
def writer_kept_out(log_directory: Path) -> Iterator[None]:
    """Hold the log's lock, without writing to it: no writer has the log, and none gets it before the block ends.

    Raises:
        LogHeldError: a writer has it.
    """
    files = REAL_PLATFORM.files
    try:
        fd = files.open_read(log_directory / LOCK)
    except FileNotFoundError:
        yield  # copied without it: nobody writes what nobody has opened
        return
    try:
        if not files.lock(fd):
            raise LogHeldError(log_directory, _holder(files.pread(fd, _HOLDER_BYTES, 0)))
        yield
    finally:
        files.close(fd)


def _holder(line: bytes) -> int | None:
    try:
        return int(line)
    except ValueError:
        return None
