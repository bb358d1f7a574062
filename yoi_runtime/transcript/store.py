"""The writing side of the transcripts: what is folded, kept in memory until ``save``, and bounded.

Items, the Workers' states and the place in the log up to which all of it is folded go into the file in one
transaction: after a crash at any moment the file is as of one place of the log, and nothing is doubled or
missing. Belongs to one thread. Format: docs/transcript.md, "The file".
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic_core import from_json

from yoi_runtime.errors import CursorMalformedError, TranscriptDamagedError
from yoi_runtime.events.envelope import HEAD_PATTERN
from yoi_runtime.protocol.transcript_fold import TRANSCRIPT_EVENT_NAMES, Block, TranscriptEvent, TranscriptFold
from yoi_runtime.protocol.transcript_items import InProgress, TranscriptItem
from yoi_runtime.segment_log.cursor import CursorToken, decode_token
from yoi_runtime.transcript.database import is_damage, open_for_writing, row_crc
from yoi_runtime.transcript.kept_worker import KeptWorker, WorkerRow
from yoi_runtime.transcript.options import TranscriptOptions
from yoi_runtime.transcript.saved_place import SavedPlace

__all__ = ["TranscriptStore", "event_in", "first_index_after_loss"]

_NAMES = frozenset(name.encode("ascii") for name in TRANSCRIPT_EVENT_NAMES)
# Between an event's name and its data, and from the end of the payload's members to that of the line:
# }},"crc":"xxxxxxxx"}
_BEFORE_DATA = b'","data":'
_AFTER_DATA = 20
_BRACE = ord("}")
# So many of the oldest items are looked at in one go when room has to be made.
_TRIM_ROWS = 256


def first_index_after_loss(now_seconds: float) -> int:
    """Return the index to begin with where earlier items may have been answered that nobody can count any more.

    An index is never given to another item: from here to the next such moment fewer than a million items a second
    are made. Stays below 2**53 for two centuries.
    """
    return int(now_seconds) << 20


def event_in(lines: bytes, found: re.Match[bytes]) -> TranscriptEvent:
    """Return what the fold needs of the Worker's record that ``HEAD_PATTERN`` found in ``lines``."""
    cursor, event_id, _, _, worker_seq, time, name = found.groups()
    data: Mapping[str, object] = {}
    if name in _NAMES:
        start = found.end(7)
        # A unit event has no data.
        if lines.startswith(_BEFORE_DATA, start):
            data = _data_in(lines, start, found.end() - _AFTER_DATA)
    return TranscriptEvent(name.decode(), data, event_id.decode(), cursor.decode(), int(worker_seq), time.decode())


class TranscriptStore:
    """The transcripts in the file ``path``."""

    def __init__(self, path: Path, options: TranscriptOptions, now_seconds: Callable[[], float]) -> None:
        """Open or make the file, check it, and load the state of every Worker; no items.

        Raises:
            TranscriptDamagedError: the file does not hold what was written.
            sqlite3.Error, OSError: the disk refused.
        """
        self.path = path
        self._options = options
        self._now_seconds = now_seconds
        self._connection = open_for_writing(path)
        try:
            self._workers: dict[bytes, KeptWorker] = {}
            self._changed: dict[int, KeptWorker] = {}
            self._next_id = 1
            self._total_bytes = 0
            self.unsaved_bytes = 0
            self.place = SavedPlace.load(self._connection)
            self._load_workers()
            self._load_blocks()
        except (sqlite3.DatabaseError, ValueError, CursorMalformedError) as error:
            self._connection.close()
            if isinstance(error, sqlite3.Error) and not is_damage(error):
                raise
            raise TranscriptDamagedError(path, str(error)) from error
        except BaseException:
            self._connection.close()
            raise

    # What is stored.

    def _load_workers(self) -> None:
        for values in self._connection.execute(f"SELECT {', '.join(WorkerRow._fields)} FROM worker"):
            row = WorkerRow(*values)
            if not row.is_sound:
                raise TranscriptDamagedError(self.path, f"the row of Worker {row.worker_id!r} is damaged")
            fold = TranscriptFold(row.next_index, row.worker_seq, row.as_of)
            kept = KeptWorker(row.id, row.worker_id, fold, row.oldest_index, row.items, row.size, is_stored=True)
            self._workers[row.worker_id.encode("ascii")] = kept
            self._next_id = max(self._next_id, row.id + 1)
            self._total_bytes += row.size

    def _load_blocks(self) -> None:
        by_id = {kept.id: kept for kept in self._workers.values()}
        blocks: dict[int, list[Block]] = {}
        for worker, key, ordinal, shown, crc in self._connection.execute(
            "SELECT worker, key, ordinal, shown, crc FROM block ORDER BY worker, ordinal"
        ):
            if crc != row_crc(worker, key, ordinal, shown):
                raise TranscriptDamagedError(self.path, f"the row of block {key!r} is damaged")
            if worker not in by_id:
                raise TranscriptDamagedError(self.path, f"block {key!r} is nobody's")
            block = Block.of(InProgress.model_validate_json(shown))
            texts = []
            for text, piece_crc in self._connection.execute(
                "SELECT text, crc FROM piece WHERE worker = ? AND key = ? ORDER BY id", (worker, key)
            ):
                if piece_crc != row_crc(worker, key, text):
                    raise TranscriptDamagedError(self.path, f"a piece of block {key!r} is damaged")
                texts.append(text)
            block.saved = "".join(texts)
            block.size = len(block.saved)
            blocks.setdefault(worker, []).append(block)
            by_id[worker].stored_blocks[key] = (block, ordinal)
            by_id[worker].next_ordinal = ordinal + 1
        for worker, found in blocks.items():
            fold = by_id[worker].fold
            by_id[worker].fold = TranscriptFold(fold.next_index, fold.worker_seq, fold.as_of_cursor, found)

    # Folding.

    def fold_lines(self, lines: bytes) -> None:
        """Fold the records in ``lines``, which were not folded before (figures: docs/transcript.md)."""
        workers, changed = self._workers, self._changed
        for found in HEAD_PATTERN.finditer(lines):
            worker_id = found[4]
            if worker_id is None:
                continue
            event = event_in(lines, found)
            number = event.worker_seq
            kept = workers.get(worker_id)
            if kept is None:
                kept = self._new_worker(worker_id, is_whole=number == 1)
            fold = kept.fold
            if number <= fold.worker_seq:
                # A record comes once: its Worker's numbers began anew, because the books on them were lost.
                fold.worker_seq = 0
            items = fold.apply(event)
            changed[kept.id] = kept
            if items:
                self._add(kept, items)
        self.unsaved_bytes += len(lines)

    def lose(self, worker_id: str, worker_seq: int, time: str, as_of: CursorToken) -> None:
        """Put a gap where a Worker's events up to ``worker_seq`` are missing and no later one tells."""
        kept = self._workers.get(worker_id.encode("ascii"))
        if kept is None:
            kept = self._new_worker(worker_id.encode("ascii"), is_whole=False)
        if worker_seq > kept.fold.worker_seq:
            items = kept.fold.lose(worker_seq, time)
            kept.fold.as_of_cursor = as_of
            self._changed[kept.id] = kept
            self._add(kept, items)

    def _add(self, kept: KeptWorker, items: list[TranscriptItem]) -> None:
        self._total_bytes += kept.add(items)

    def _new_worker(self, worker_id: bytes, *, is_whole: bool) -> KeptWorker:
        """Begin a Worker's transcript; not from its first event on, an earlier transcript may have counted items."""
        first = 0 if is_whole else first_index_after_loss(self._now_seconds())
        kept = KeptWorker(self._next_id, worker_id.decode(), TranscriptFold(first), oldest_index=first)
        self._next_id += 1
        self._workers[worker_id] = kept
        return kept

    # Keeping.

    def save(self, place: SavedPlace) -> None:
        """Store everything that was folded up to ``place``, and what room that takes, in one transaction.

        Raises:
            sqlite3.Error: nothing was stored; this object is of no more use, the file is as it was.
        """
        with self._transaction():
            for kept in list(self._changed.values()):
                self._save_items(kept)
                self._save_blocks(kept)
            self._trim_total()
            for kept in self._changed.values():
                self._save_row(kept)
            place.save(self._connection)
        self._changed.clear()
        self.unsaved_bytes = 0
        self.place = place

    def _save_items(self, kept: KeptWorker) -> None:
        """Store new items and make room for them: exactly the newest that fit into the bounds stay."""
        if kept.new_items:
            # What would go at once is not even written.
            rows = kept.new_items[-self._options.max_items :]
            self._connection.executemany(
                "INSERT INTO item(worker, number, thinking, size, crc, body) VALUES (?, ?, ?, ?, ?, ?)", rows
            )
            if len(rows) < len(kept.new_items):
                size = sum(row.size for row in rows)
                self._drop(kept, rows[0].number, kept.items - len(rows), kept.size - size)
            kept.new_items = []
        while kept.items > self._options.max_items or kept.size > self._options.max_bytes:
            self._trim_worker(kept)

    def _trim_worker(self, kept: KeptWorker) -> None:
        items, size, first = kept.items, kept.size, kept.oldest_index
        dropped = 0
        for number, item_bytes in self._connection.execute(
            "SELECT number, size FROM item WHERE worker = ? ORDER BY number LIMIT ?", (kept.id, _TRIM_ROWS)
        ).fetchall():
            if items <= self._options.max_items and size <= self._options.max_bytes:
                break
            items, size, first, dropped = items - 1, size - item_bytes, number + 1, dropped + 1
        if not dropped:
            raise TranscriptDamagedError(self.path, f"Worker {kept.worker_id} has fewer items than counted")
        self._drop(kept, first, dropped, kept.size - size)

    def _drop(self, kept: KeptWorker, oldest_index: int, items: int, size: int) -> None:
        """Delete a Worker's items before ``oldest_index``: so many, of so many bytes."""
        self._connection.execute("DELETE FROM item WHERE worker = ? AND number < ?", (kept.id, oldest_index))
        kept.oldest_index = oldest_index
        kept.items -= items
        kept.size -= size
        self._total_bytes -= size
        self._changed[kept.id] = kept

    def _trim_total(self) -> None:
        """Make room in all: the items that were made first go first, whose they are."""
        by_id: dict[int, KeptWorker] = {}
        while self._total_bytes > self._options.max_total_bytes:
            by_id = by_id or {kept.id: kept for kept in self._workers.values()}
            total = self._total_bytes
            going: dict[int, tuple[int, int, int]] = {}
            for worker, number, size in self._connection.execute(
                "SELECT worker, number, size FROM item ORDER BY id LIMIT ?", (_TRIM_ROWS,)
            ).fetchall():
                if total <= self._options.max_total_bytes:
                    break
                _, items, before = going.get(worker, (0, 0, 0))
                going[worker] = (number + 1, items + 1, before + size)
                total -= size
            if not going:
                raise TranscriptDamagedError(self.path, "there are fewer items than counted")
            for worker, (oldest_index, items, size) in going.items():
                self._drop(by_id[worker], oldest_index, items, size)

    def _save_row(self, kept: KeptWorker) -> None:
        names = WorkerRow._fields
        self._connection.execute(
            f"INSERT OR REPLACE INTO worker({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", kept.row()
        )

    def _save_blocks(self, kept: KeptWorker) -> None:
        """Store what grew of the blocks in progress: of their text only what is new."""
        execute, stored, now = self._connection.execute, kept.stored_blocks, kept.fold.open
        for key in [key for key, (block, _) in stored.items() if now.get(key) is not block]:
            del stored[key]
            execute("DELETE FROM block WHERE worker = ? AND key = ?", (kept.id, key))
            execute("DELETE FROM piece WHERE worker = ? AND key = ?", (kept.id, key))
        for key, block in now.items():
            if key in stored and not block.parts:
                continue
            text = "".join(block.parts)
            shown = block.with_text("").model_dump_json().encode()
            if key not in stored:
                stored[key] = (block, kept.next_ordinal)
                kept.next_ordinal += 1
            ordinal = stored[key][1]
            execute(
                "INSERT OR REPLACE INTO block(worker, key, ordinal, shown, crc) VALUES (?, ?, ?, ?, ?)",
                (kept.id, key, ordinal, shown, row_crc(kept.id, key, ordinal, shown)),
            )
            if text:
                crc = row_crc(kept.id, key, text)
                execute("INSERT INTO piece(worker, key, crc, text) VALUES (?, ?, ?, ?)", (kept.id, key, crc, text))
            block.saved += text
            block.parts.clear()

    # Beginning anew, and forgetting.

    def begin_anew(self, place: SavedPlace) -> None:
        """Drop every item and begin at ``place``: the log went another way. Indices go on where they were.

        Raises:
            sqlite3.Error: as ``save``.
        """
        with self._transaction():
            for table in ("item", "block", "piece"):
                self._connection.execute(f"DELETE FROM {table}")
            for kept in self._workers.values():
                kept.fold = TranscriptFold(kept.fold.next_index, 0, place.origin_for(kept.worker_id))
                kept.oldest_index, kept.items, kept.size = kept.fold.next_index, 0, 0
                kept.new_items, kept.stored_blocks = [], {}
                self._save_row(kept)
            place.save(self._connection)
        self._changed.clear()
        self._total_bytes = self.unsaved_bytes = 0
        self.place = place

    def last_seqs(self) -> Iterator[tuple[str, int]]:
        """Return each Worker that has a transcript, and the seq of the place up to which its events are folded."""
        for kept in self._workers.values():
            yield kept.worker_id, decode_token(kept.fold.as_of_cursor).seq

    def worker_seq(self, worker_id: str) -> int:
        """Return the number of the newest event folded of a Worker, 0 when there is none."""
        kept = self._workers.get(worker_id.encode("ascii"))
        return kept.fold.worker_seq if kept is not None else 0

    def forget(self, worker_ids: set[str]) -> None:
        """Drop the transcripts of Workers that the Runtime has forgotten. Nothing may wait to be saved.

        Raises:
            sqlite3.Error: as ``save``.
        """
        execute = self._connection.execute
        with self._transaction():
            for worker_id in worker_ids:
                kept = self._workers.pop(worker_id.encode("ascii"))
                self._total_bytes -= kept.size
                for table in ("item", "block", "piece"):
                    execute(f"DELETE FROM {table} WHERE worker = ?", (kept.id,))
                execute("DELETE FROM worker WHERE id = ?", (kept.id,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled back already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file; what was not saved is folded again by whoever opens it next. May be repeated."""
        self._connection.close()


def _data_in(lines: bytes, start: int, end: int) -> Mapping[str, object]:
    """Return the data of an event whose name ends at ``start``, and the last member of whose payload at ``end``."""
    data: Mapping[str, object]
    if lines[end - 1] == _BRACE:
        data = from_json(lines[start + len(_BEFORE_DATA) : end])
    else:  # something stands beside it: a key
        data = from_json(b"{%s}" % lines[start + 2 : end])["data"]
    return data
