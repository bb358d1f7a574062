"""The file of the transcripts: its tables, how it is opened for writing and for reading, and when it is not trusted.

``DATA_DIR/transcript/transcript.db``, SQLite in WAL mode: one process writes, any number read meanwhile.
``synchronous=NORMAL``: a commit costs no sync; a power cut may take the last commits but leaves the file whole, and
what it took is folded from the log again. (``FULL`` would sync a second time what the log has synced; with ``OFF``
a power cut may tear the file.) Rows that a reader relies on bear a CRC-32: SQLite itself has no checksums.
Format: docs/transcript.md, "The file".
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from zlib import crc32

from yoi_runtime.errors import TranscriptDamagedError, TranscriptUnavailableError

__all__ = [
    "DATABASE",
    "FORMAT",
    "TRANSCRIPT_DIRECTORY",
    "ReadConnection",
    "check_format",
    "has_wal",
    "is_damage",
    "open_for_reading",
    "open_for_writing",
    "row_crc",
    "set_aside",
]

TRANSCRIPT_DIRECTORY = "transcript"
DATABASE = "transcript.db"
_ASIDE = "transcript.db.damaged"

# Of tables and fold together: another one, and the transcripts are made anew from the log.
FORMAT = 1
# "yoit", so that file(1) and we know the file for ours.
_APPLICATION_ID = 0x796F6974

_SCHEMA = """
CREATE TABLE place(
  only INTEGER PRIMARY KEY CHECK (only = 1),
  log_id TEXT NOT NULL, segment INTEGER NOT NULL, nonce TEXT NOT NULL, offset INTEGER NOT NULL, seq INTEGER NOT NULL,
  origin TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE worker(
  id INTEGER PRIMARY KEY, worker_id TEXT NOT NULL UNIQUE, worker_seq INTEGER NOT NULL, as_of TEXT NOT NULL,
  next_index INTEGER NOT NULL, oldest_index INTEGER NOT NULL, items INTEGER NOT NULL, size INTEGER NOT NULL,
  crc INTEGER NOT NULL);
CREATE TABLE item(
  id INTEGER PRIMARY KEY, worker INTEGER NOT NULL, number INTEGER NOT NULL, thinking INTEGER NOT NULL,
  size INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX item_number ON item(worker, number);
CREATE TABLE block(
  worker INTEGER NOT NULL, key TEXT NOT NULL, ordinal INTEGER NOT NULL, shown BLOB NOT NULL, crc INTEGER NOT NULL,
  PRIMARY KEY (worker, key)) WITHOUT ROWID;
CREATE TABLE piece(
  id INTEGER PRIMARY KEY, worker INTEGER NOT NULL, key TEXT NOT NULL, crc INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX piece_block ON piece(worker, key);
"""

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
# Extended codes hold the primary one in their lowest byte.
_PRIMARY = 0xFF


def is_damage(error: sqlite3.Error) -> bool:
    """Say whether ``error`` is one of the file's content, not of disk, locks or permissions."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY in _DAMAGE


def row_crc(*values: int | str | bytes) -> int:
    """Return the checksum of a row's values."""
    crc = 0
    for value in values:
        # A zero between two: 1 and 23 are not 12 and 3.
        crc = crc32(value if isinstance(value, bytes) else b"\0%s" % str(value).encode(), crc)
    return crc


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the database at ``path``, making it when missing, and check all of its pages.

    Raises:
        TranscriptDamagedError: it is not a sound database of ours, or one of another format.
        sqlite3.Error: the disk refused.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        # Checkpoints keep the WAL at 4 MB; what a long reader let grow beyond is given back.
        connection.execute("PRAGMA journal_size_limit=16777216")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0 and _is_empty(connection):
            connection.executescript(
                f"BEGIN; {_SCHEMA} PRAGMA application_id={_APPLICATION_ID}; PRAGMA user_version={FORMAT}; COMMIT;"
            )
        check_format(connection, path)
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise TranscriptDamagedError(path, str(verdict))
    except sqlite3.Error as error:
        connection.close()
        if is_damage(error):
            raise TranscriptDamagedError(path, str(error)) from error
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None


def check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Raise TranscriptDamagedError when the database is not one of ours, or one of another format."""
    found = tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if found != (_APPLICATION_ID, FORMAT):
        raise TranscriptDamagedError(path, f"it is no file of format {FORMAT}")


class ReadConnection(NamedTuple):
    """A connection that changes nothing. ``is_frozen``: it takes the file for one that nobody writes.

    A frozen one serves a single look; what it saw counts only if there is no WAL (``has_wal``) afterwards.
    """

    connection: sqlite3.Connection
    is_frozen: bool


def open_for_reading(path: Path) -> ReadConnection:
    """Open the database at ``path`` without changing anything, also where this process may not write.

    Raises:
        TranscriptUnavailableError: there is none, or it cannot be read at present.
        TranscriptDamagedError: it is not a sound database of ours.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        return ReadConnection(_opened(uri, path), is_frozen=False)
    except sqlite3.OperationalError as error:
        # Nobody has it open, and the files a reader of a WAL shares with others cannot be made here. Then nothing
        # changes it either, unless a writer comes.
        if not has_wal(path):
            try:
                return ReadConnection(_opened(uri + "&immutable=1", path), is_frozen=True)
            except sqlite3.OperationalError:
                pass
        raise TranscriptUnavailableError(path.parent, f"the transcripts cannot be opened: {error}") from error


def _opened(uri: str, path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        if connection.execute("PRAGMA user_version").fetchone() == (0,) and _is_empty(connection):
            raise TranscriptUnavailableError(path.parent, "the transcripts are just being made")
        check_format(connection, path)
    except sqlite3.OperationalError:
        connection.close()
        raise
    except sqlite3.DatabaseError as error:
        connection.close()
        raise TranscriptDamagedError(path, str(error)) from error
    except BaseException:
        connection.close()
        raise
    return connection


def has_wal(path: Path) -> bool:
    """Say whether somebody has the database open, or was killed with it open."""
    return path.with_name(path.name + "-wal").exists()


def set_aside(path: Path) -> None:
    """Put a damaged database out of the way, where a person may look at it; an earlier one goes.

    The WAL first: a new database must never meet the old one's.
    """
    for suffix in ("-wal", "-shm", ""):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.replace(path.with_name(_ASIDE + suffix))
