"""The transcripts of a data directory, opened without changing a byte of it, whoever has them open.

SQLite writes beside a file in WAL mode even to read it. So a file without a WAL is opened as one that nobody writes; one
with a WAL, which a Runtime has open or was killed with, is copied elsewhere together with it, and the copy is opened.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias
from urllib.parse import quote

from yoi_runtime.errors import TranscriptUnavailableError
from yoi_runtime.transcript.database import DATABASE, TRANSCRIPT_DIRECTORY, has_wal

__all__ = ["has_transcripts", "taken_transcripts", "transcript_path"]

# A Runtime that writes all the time leaves no moment for a copy; one that pauses for the time of a copy is met soon.
_ATTEMPTS = 20

_Fingerprint: TypeAlias = tuple[tuple[int, int, int] | None, ...]


def transcript_path(data_directory: Path) -> Path:
    """Return where a data directory has its transcripts."""
    return data_directory / TRANSCRIPT_DIRECTORY / DATABASE


def has_transcripts(data_directory: Path | None) -> bool:
    """Say whether there are any; without a data directory nobody knows of any."""
    return data_directory is not None and transcript_path(data_directory).is_file()


@contextmanager
def taken_transcripts(path: Path) -> Iterator[str]:
    """Give the SQLite URI of the transcripts in the file ``path`` as of one moment, to be opened while the block lasts.

    Needs room for a copy where there is a WAL.

    Raises:
        TranscriptUnavailableError: they are written without a pause, or a writer came meanwhile: what was seen counts
            for nothing.
        OSError: the disk refused.
    """
    if has_wal(path):
        with TemporaryDirectory(prefix="yoi-log-") as directory:
            copy = Path(directory) / DATABASE
            _copy_still(path, copy)
            yield _uri(copy, "mode=rw")
        return
    before = _fingerprint(path)
    yield _uri(path, "mode=ro&immutable=1")
    if _fingerprint(path) != before:
        raise TranscriptUnavailableError(path.parent, "a Runtime opened the transcripts while they were read")


def _uri(path: Path, options: str) -> str:
    return f"file:{quote(str(path.absolute()))}?{options}"


def _copy_still(path: Path, copy: Path) -> None:
    """Copy the file with its WAL, both as of one moment."""
    for _ in range(_ATTEMPTS):
        before = _fingerprint(path)
        shutil.copyfile(path, copy)
        try:
            shutil.copyfile(_wal_of(path), _wal_of(copy))
        except FileNotFoundError:
            # Its writer has just closed it: all is in the file now, which the next attempt copies.
            _wal_of(copy).unlink(missing_ok=True)
        if _fingerprint(path) == before:
            return
    raise TranscriptUnavailableError(path.parent, "a Runtime writes them without a pause")


def _wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _fingerprint(path: Path) -> _Fingerprint:
    """Return what changes when one of the files does."""
    return tuple(_stat(one) for one in (path, _wal_of(path)))


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
