"""Replacing a small file so that after any crash it is the old one or the new one, whole."""

from __future__ import annotations

import errno
from pathlib import Path

from yoi_runtime.segment_log.platform import Platform

__all__ = ["replace_file"]


def replace_file(path: Path, data: bytes, platform: Platform) -> None:
    """Write ``data`` under a temporary name, sync it, rename it to ``path``, sync the directory.

    Raises:
        OSError: the file at ``path`` is as it was, or already the new one; a ``.tmp`` file may be left.
    """
    files = platform.files
    aside = path.with_name(path.name + ".tmp")
    fd = files.create(aside)
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
    files.rename(aside, path)
    files.sync_directory(path.parent)
