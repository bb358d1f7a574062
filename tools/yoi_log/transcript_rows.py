"""The file of the transcripts by itself: pages, checksums of rows, and what each Worker's row says of its items.

What the rows say is held against the log in ``transcript_comparison``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from yoi_log.defect import Defect
from yoi_runtime.errors import CursorMalformedError, TranscriptDamagedError
from yoi_runtime.transcript.database import DATABASE, check_format, row_crc
from yoi_runtime.transcript.kept_worker import WorkerRow
from yoi_runtime.transcript.saved_place import SavedPlace

__all__ = ["TranscriptRows", "check_rows", "transcript_defect"]

# Of a file whose pages are damaged the rest of the messages says nothing new.
_MOST_MESSAGES = 20


@dataclass(slots=True)
class TranscriptRows:
    """What the file says: up to where it is folded, None for nowhere yet, and the sound row of each Worker by its id."""

    place: SavedPlace | None = None
    workers: dict[str, WorkerRow] = field(default_factory=dict)
    items: int = 0
    defects: list[Defect] = field(default_factory=list)


def transcript_defect(reason: str, worker_id: str | None = None, *, wrong: bool = False) -> Defect:
    """Return a defect of the file; ``wrong``: it is sound, and does not agree with the log."""
    return Defect("transcript_wrong" if wrong else "transcript_damaged", DATABASE, None, None, None, reason, worker_id)


def check_rows(connection: sqlite3.Connection) -> TranscriptRows:
    """Read every page and every row."""
    rows = TranscriptRows()
    try:
        _check(connection, rows)
    except TranscriptDamagedError as error:
        rows.defects.append(transcript_defect(error.reason))
    except sqlite3.Error as error:
        rows.defects.append(transcript_defect(f"it cannot be read: {error}"))
    return rows


def _check(connection: sqlite3.Connection, rows: TranscriptRows) -> None:
    if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
        # A Runtime has just made it, or was killed then.
        return
    check_format(connection, Path(DATABASE))
    for (message,) in connection.execute(f"PRAGMA integrity_check({_MOST_MESSAGES})"):
        if message != "ok":
            rows.defects.append(transcript_defect(str(message)))
    if rows.defects:
        return
    try:
        rows.place = SavedPlace.load(connection)
    except (ValueError, CursorMalformedError) as error:
        rows.defects.append(transcript_defect(f"table place: {error}"))
    by_number: dict[int, WorkerRow] = {}
    for values in connection.execute(f"SELECT {', '.join(WorkerRow._fields)} FROM worker ORDER BY id"):
        row = WorkerRow(*values)
        by_number[row.id] = row
        if row.is_sound:
            rows.workers[row.worker_id] = row
        else:
            rows.defects.append(_bad_row("worker", row.id, "its checksum does not match"))
    rows.defects += _check_items(connection, rows, by_number)
    rows.defects += _check_blocks(connection, by_number)


def _bad_row(table: str, row: object, reason: str, worker: WorkerRow | None = None) -> Defect:
    return transcript_defect(f"table {table}, row {row}: {reason}", worker.worker_id if worker is not None else None)


def _check_items(
    connection: sqlite3.Connection, rows: TranscriptRows, by_number: dict[int, WorkerRow]
) -> Iterator[Defect]:
    counted = {number: _Counted() for number in by_number}
    for row, worker, number, thinking, size, crc, body in connection.execute(
        "SELECT id, worker, number, thinking, size, crc, body FROM item ORDER BY id"
    ):
        rows.items += 1
        owner = by_number.get(worker)
        if owner is None:
            yield _bad_row("item", row, "it belongs to no Worker")
            continue
        counted[worker].add(number, size)
        if crc != row_crc(worker, number, body):
            yield _bad_row("item", row, f"the checksum of item {number} does not match", owner)
        elif size != len(body):
            yield _bad_row("item", row, f"item {number} has {len(body)} bytes, and not {size} as is said here", owner)
        elif bool(thinking) != body.startswith(b'{"index":%d,"kind":"thinking"' % number):
            yield _bad_row("item", row, f"whether item {number} is thinking is said wrong", owner)
    for worker in rows.workers.values():
        reason = counted[worker.id].difference(worker)
        if reason is not None:
            yield _bad_row("worker", worker.id, reason, worker)


@dataclass(slots=True)
class _Counted:
    """The items of a Worker as they are there."""

    items: int = 0
    size: int = 0
    first: int = 0
    last: int = 0

    def add(self, number: int, size: int) -> None:
        self.first = min(self.first, number) if self.items else number
        self.last = max(self.last, number) if self.items else number
        self.items += 1
        self.size += size

    def difference(self, row: WorkerRow) -> str | None:
        """Say what the Worker's row says that is not so."""
        if self.items != row.items:
            return f"it counts {row.items} items, and there are {self.items}"
        if self.size != row.size:
            return f"it counts {row.size} bytes of items, and there are {self.size}"
        # No number is given twice (a unique index), so none is missing when as many are there as from first to last.
        first, last = (self.first, self.last) if self.items else (row.oldest_index, row.oldest_index - 1)
        if (row.oldest_index, row.next_index) != (first, last + 1) or last - first + 1 != self.items:
            here = f"{self.items} from {first} to {last}"
            return (
                f"it says that the items are those from {row.oldest_index} up to {row.next_index}, and there are {here}"
            )
        return None


def _check_blocks(connection: sqlite3.Connection, by_number: dict[int, WorkerRow]) -> Iterator[Defect]:
    known = set()
    for worker, key, ordinal, shown, crc in connection.execute("SELECT worker, key, ordinal, shown, crc FROM block"):
        known.add((worker, key))
        owner = by_number.get(worker)
        if owner is None:
            yield _bad_row("block", f"({worker}, {key!r})", "it belongs to no Worker")
        elif crc != row_crc(worker, key, ordinal, shown):
            yield _bad_row("block", f"({worker}, {key!r})", "its checksum does not match", owner)
    for row, worker, key, text, crc in connection.execute("SELECT id, worker, key, text, crc FROM piece ORDER BY id"):
        if (worker, key) not in known:
            yield _bad_row("piece", row, "it belongs to no block", by_number.get(worker))
        elif crc != row_crc(worker, key, text):
            yield _bad_row("piece", row, "its checksum does not match", by_number.get(worker))
