"""The reading side of the transcripts, in any process: pages with their tags, as one moment of the file has them.

Reads only; never waits for the writer, and the writer never for it. Any thread may call, one at a time is served.
Format: docs/transcript.md, "The file".
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from pydantic_core import to_json

from yoi_runtime.errors import (
    CursorMalformedError,
    TranscriptDamagedError,
    TranscriptExpiredError,
    TranscriptUnavailableError,
)
from yoi_runtime.notices import Notice, named
from yoi_runtime.protocol.transcript_fold import Block
from yoi_runtime.protocol.transcript_items import InProgress
from yoi_runtime.protocol.transcript_query import TranscriptPage, TranscriptQuery
from yoi_runtime.transcript.database import (
    DATABASE,
    FORMAT,
    TRANSCRIPT_DIRECTORY,
    ReadConnection,
    has_wal,
    is_damage,
    open_for_reading,
    row_crc,
)
from yoi_runtime.transcript.kept_worker import WorkerRow
from yoi_runtime.transcript.saved_place import SavedPlace

__all__ = ["TranscriptReader"]

_log = logging.getLogger("yoi_runtime.transcript")
_T = TypeVar("_T")

# A page ends after the item that makes it this long, whatever its limit: a thousand items may be large ones.
_PAGE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class _State:
    """All that an answer says beside its items; the answer is a function of it and the query."""

    worker_id: str
    row_id: int
    worker_seq: int
    as_of: str
    next_index: int
    oldest_index: int


class TranscriptReader:
    """Reads the transcripts in ``data_dir``, whoever writes them, also before there are any."""

    def __init__(self, data_dir: Path, on_damage: Callable[[], None] | None = None) -> None:
        """Open nothing yet. ``on_damage`` of the keeper in this process is called when the file is found damaged."""
        self._on_damage = on_damage
        self._path = data_dir / TRANSCRIPT_DIRECTORY / DATABASE
        self._lock = threading.Lock()
        self._open: ReadConnection | None = None
        self._inode = 0
        self._told = ""
        self._closed = False

    def page(
        self, log_id: str, worker_id: str, query: TranscriptQuery, is_known: Callable[[str], bool]
    ) -> TranscriptPage:
        """Return a page of a Worker's transcript, without a body when ``is_known`` says so of its tag. Blocks for a read.

        A Worker of which nothing was folded has an empty transcript: whether there is such a Worker is known elsewhere.

        Raises:
            TranscriptUnavailableError: there are none here, none of this log yet, or they cannot be read at present.
            TranscriptExpiredError: ``query.start`` is below the oldest item that is kept.
        """
        page = self._read(lambda connection: self._page(connection, log_id, worker_id, query, is_known), self._tell)
        self._told = ""
        return page

    def as_of_seq(self, log_id: str) -> int:
        """Return up to which event of a log the transcripts are folded. Blocks for a read.

        Raises:
            TranscriptUnavailableError: as ``page``.
        """
        # Untold: it is asked for by a machine every few seconds, and the figure is missing then, which says it, too.
        return self._read(lambda connection: self._place(connection, log_id).position.seq, lambda error: error)

    def _read(
        self,
        read: Callable[[sqlite3.Connection], _T],
        tell: Callable[[TranscriptUnavailableError], TranscriptUnavailableError],
    ) -> _T:
        """Return what ``read`` finds in one state of the file; ``tell`` hears of what goes wrong with it."""
        with self._lock:
            if self._closed:
                raise TranscriptUnavailableError(self._path.parent, "the transcripts are closed")
            try:
                opened = self._opened()
                opened.connection.execute("BEGIN")
                try:
                    found = read(opened.connection)
                finally:
                    opened.connection.execute("ROLLBACK")
                    if opened.is_frozen:
                        self._close()
            except (sqlite3.Error, ValueError, CursorMalformedError, TranscriptDamagedError) as error:
                self._close()
                raise tell(self._failure(error)) from error
            except TranscriptUnavailableError as error:
                raise tell(error) from error.__cause__
            if opened.is_frozen and has_wal(self._path):
                raise TranscriptUnavailableError(self._path.parent, "a writer has just come")
            return found

    def _tell(self, failure: TranscriptUnavailableError) -> TranscriptUnavailableError:
        """Log what is wrong, once, however many ask: the operator needs the reason, which no peer gets.

        Where the keeper is in this process, it does that.
        """
        if self._on_damage is None and self._told != str(failure):
            self._told = str(failure)
            _log.warning(
                "transcripts cannot be answered at present: %s", failure, extra=named(Notice.TRANSCRIPTS_UNREADABLE)
            )
        return failure

    def _failure(self, error: Exception) -> TranscriptUnavailableError:
        if isinstance(error, sqlite3.Error) and not is_damage(error):
            return TranscriptUnavailableError(self._path.parent, f"the transcripts cannot be read at present: {error}")
        if self._on_damage is not None:
            self._on_damage()
        return TranscriptUnavailableError(self._path.parent, f"the transcripts are damaged: {error}")

    def close(self) -> None:
        """Close the file; nothing is answered any more. May be repeated."""
        with self._lock:
            self._closed = True
            self._close()

    def _close(self) -> None:
        if self._open is not None:
            self._open.connection.close()
            self._open = None

    def _opened(self) -> ReadConnection:
        """Return the connection to the file that bears the name now: the writer may have set the last one aside."""
        try:
            inode = self._path.stat().st_ino
        except OSError as error:
            self._close()
            raise TranscriptUnavailableError(self._path.parent, "no transcripts are kept here, or none yet") from error
        if self._open is None or inode != self._inode:
            self._close()
            self._open = open_for_reading(self._path)
            self._inode = inode
        return self._open

    def _page(
        self,
        connection: sqlite3.Connection,
        log_id: str,
        worker_id: str,
        query: TranscriptQuery,
        is_known: Callable[[str], bool],
    ) -> TranscriptPage:
        state = self._state(connection, log_id, worker_id)
        start = state.oldest_index if query.start is None else query.start
        if start < state.oldest_index:
            raise TranscriptExpiredError(self._path.parent, start, state.oldest_index)
        etag = _etag(state, start, query)
        if is_known(etag):
            return TranscriptPage(etag, None)
        items, next_start = self._items(connection, state, start, query)
        members = [
            b'{"worker_id":"%s"' % worker_id.encode("ascii"),
            b'"start":%d' % start,
            b'"limit":%d' % query.limit,
            b'"thinking":%s' % (b"true" if query.thinking else b"false"),
            b'"total_items":%d' % state.next_index,
            b'"oldest_start":%d' % state.oldest_index,
            b'"items":[%s]' % b",".join(items),
            b'"next_start":%d' % next_start,
            b'"in_progress":%s' % to_json(self._in_progress(connection, state, thinking=query.thinking)),
            b'"worker_seq":%d' % state.worker_seq,
            b'"as_of_cursor":"%s"}' % state.as_of.encode("ascii"),
        ]
        return TranscriptPage(etag, b",".join(members))

    def _place(self, connection: sqlite3.Connection, log_id: str) -> SavedPlace:
        place = SavedPlace.load(connection)
        if place is None or place.log_id != log_id:
            raise TranscriptUnavailableError(self._path.parent, "the transcripts of this log are still being made")
        return place

    def _state(self, connection: sqlite3.Connection, log_id: str, worker_id: str) -> _State:
        place = self._place(connection, log_id)
        names = ", ".join(WorkerRow._fields)
        found = connection.execute(f"SELECT {names} FROM worker WHERE worker_id = ?", (worker_id,)).fetchone()
        if found is None:
            return _State(worker_id, 0, 0, place.origin_for(worker_id), 0, 0)
        row = WorkerRow(*found)
        if not row.is_sound:
            raise TranscriptDamagedError(self._path, f"the row of Worker {worker_id!r} is damaged")
        return _State(worker_id, row.id, row.worker_seq, row.as_of, row.next_index, row.oldest_index)

    def _items(
        self, connection: sqlite3.Connection, state: _State, start: int, query: TranscriptQuery
    ) -> tuple[list[bytes], int]:
        """Return the items of the page, and where the next one starts."""
        wanted = "" if query.thinking else "AND thinking = 0 "
        bodies: list[bytes] = []
        size, next_start = 0, max(start, state.next_index)
        # One more than is shown: it says whether there is another page.
        for number, crc, body in connection.execute(
            f"SELECT number, crc, body FROM item WHERE worker = ? AND number >= ? {wanted}ORDER BY number LIMIT ?",
            (state.row_id, start, query.limit + 1),
        ):
            if len(bodies) == query.limit or size >= _PAGE_BYTES:
                next_start = number
                break
            if crc != row_crc(state.row_id, number, body):
                raise TranscriptDamagedError(self._path, f"item {number} of Worker {state.worker_id} is damaged")
            bodies.append(body)
            size += len(body)
        return bodies, next_start

    def _in_progress(self, connection: sqlite3.Connection, state: _State, *, thinking: bool) -> list[InProgress]:
        shown: list[InProgress] = []
        for key, ordinal, head, crc in connection.execute(
            "SELECT key, ordinal, shown, crc FROM block WHERE worker = ? ORDER BY ordinal", (state.row_id,)
        ).fetchall():
            if crc != row_crc(state.row_id, key, ordinal, head):
                raise TranscriptDamagedError(self._path, f"the row of block {key!r} is damaged")
            block = Block.of(InProgress.model_validate_json(head))
            if thinking or block.kind != "thinking":
                block.parts = self._pieces(connection, state.row_id, key)
            shown.append(block.in_progress())
        return shown

    def _pieces(self, connection: sqlite3.Connection, row_id: int, key: str) -> list[str]:
        rows = connection.execute(
            "SELECT text, crc FROM piece WHERE worker = ? AND key = ? ORDER BY id", (row_id, key)
        ).fetchall()
        if any(crc != row_crc(row_id, key, text) for text, crc in rows):
            raise TranscriptDamagedError(self._path, f"a piece of block {key!r} is damaged")
        return [text for text, _ in rows]


def _etag(state: _State, start: int, query: TranscriptQuery) -> str:
    """Return a strong tag (RFC 9110, 8.8.3) of all that the answer depends on; each of these stands in the answer."""
    parts = (
        FORMAT,
        state.worker_id,
        state.worker_seq,
        state.as_of,
        state.next_index,
        state.oldest_index,
        start,
        query.limit,
        query.thinking,
    )
    return f'"{blake2b(repr(parts).encode(), digest_size=12).hexdigest()}"'
