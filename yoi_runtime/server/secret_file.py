"""Files that hold secrets, or say who may come in: read only when nobody else can have a hand in them.

The file belongs to this user and nobody else may read or write it, as ssh has it; or it belongs to root, and then a
group may read it, as PostgreSQL has it: so keys are given to services, and so systemd's LoadCredential= shows its
files. The check is made on the file that was opened, not on its name: nothing can be put in its place in between.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from yoi_runtime.errors import SecretFileError

__all__ = ["FileStamp", "read_secret_file", "stamp_of"]

_ROOT = 0


class FileStamp(NamedTuple):
    """What changes when a file is written, exchanged, or opened to others. Compared for equality only."""

    device: int
    inode: int
    size: int
    changed_ns: int
    status_changed_ns: int
    mode: int
    owner: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileStamp:
        """Take the stamp from a ``stat``."""
        return cls(
            found.st_dev,
            found.st_ino,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
            found.st_mode,
            found.st_uid,
        )


def stamp_of(path: Path) -> FileStamp | None:
    """Return the stamp of the file at ``path``, None when there is none or it cannot be looked at."""
    try:
        return FileStamp.of(path.stat())
    except OSError:
        return None


def read_secret_file(path: Path, most_bytes: int, what: str) -> tuple[bytes, FileStamp]:
    """Return what the file holds, and its stamp. ``what`` names it in errors: "the token file".

    Raises:
        SecretFileError: it is not there, not a plain file, too large, or in reach of others; says what to do.
    """
    try:
        # Not to wait at a pipe that bears the name; on a plain file it changes nothing.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SecretFileError(path, f"{what} cannot be read: {error.strerror}") from error
    try:
        found = os.fstat(fd)
        _check(path, found, what)
        if found.st_size > most_bytes:
            raise SecretFileError(path, f"{what} is larger than {most_bytes:,} bytes; it is another file")
        data = b""
        # One byte more than allowed: it may have grown since.
        while len(data) <= most_bytes and (more := os.read(fd, most_bytes + 1 - len(data))):
            data += more
    except OSError as error:
        raise SecretFileError(path, f"{what} cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)
    if len(data) > most_bytes:
        raise SecretFileError(path, f"{what} is larger than {most_bytes:,} bytes; it is another file")
    return data, FileStamp.of(found)


def _check(path: Path, found: os.stat_result, what: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise SecretFileError(path, f"{what} is not a plain file")
    if found.st_uid not in (os.geteuid(), _ROOT):
        raise SecretFileError(
            path,
            f"{what} belongs to user {found.st_uid}, who could change it; make it this user's: chown {os.geteuid()}",
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & (0o037 if found.st_uid == _ROOT else 0o077):
        raise SecretFileError(path, f"{what} is open to others (mode {mode:04o}); close it: chmod 600")
