"""Replacing a small file so that after any crash it is the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from yoi_runtime.segment_log.platform import FileOps, Platform

__all__ = ["remove_leftover", "replace_file"]


def replace_file(path: Path, data: bytes, platform: Platform) -> None:
    """Write ``data`` under a temporary name, sync it, rename it to ``path``, sync the directory.

    Raises:
        OSError: the file at ``path`` is as it was, or already the new one.
    """
    files = platform.files
    aside = _aside(path)
    try:
        _write_whole(aside, data, files)
        files.rename(aside, path)
    except BaseException:
        # Where the disk is full, what nobody will read must not keep it so.
        with contextlib.suppress(OSError):
            files.unlink(aside)
        raise
    files.sync_directory(path.parent)


def _write_whole(path: Path, data: bytes, files: FileOps) -> None:
    """Make a file of ``data`` and sync it. Raises ``OSError``: some of it may be there."""
    fd = files.create(path)
    try:
        written = 0
        while written < len(data):
            count = files.pwrite(fd, data[written:], written)
            if count == 0:
                raise OSError(errno.ENOSPC, "short write")
            written += count
        files.fdatasync(fd)
    finally:
        files.close(fd)


def remove_leftover(path: Path, platform: Platform) -> None:
    """Delete what a ``replace_file`` left that a crash ended; call before the first one of a process.

    After a power cut in the middle of a rename, both names may stand for one file: to write aside would then be to
    write over the very file that is to stay whole.
    """
    try:
        platform.files.unlink(_aside(path))
    except FileNotFoundError:
        pass


def _aside(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")
