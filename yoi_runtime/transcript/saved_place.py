"""Up to which place of which log the transcripts are folded, as the file keeps it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from yoi_runtime.segment_log.cursor import CursorToken, decode_token, encode_token, worker_tag
from yoi_runtime.segment_log.position import Position
from yoi_runtime.transcript.database import row_crc

__all__ = ["SavedPlace"]


@dataclass(frozen=True, slots=True)
class SavedPlace:
    """Up to where the log ``log_id`` is folded. ``origin``: the cursor of the place where folding began."""

    log_id: str
    position: Position
    origin: CursorToken

    def origin_for(self, worker_id: str) -> CursorToken:
        """Return the cursor of a Worker of which no event was folded yet, on its stream."""
        return encode_token(decode_token(self.origin)._replace(worker=worker_tag(worker_id), worker_seq=0))

    def save(self, connection: sqlite3.Connection) -> None:
        """Write the one row that says it; within the caller's transaction."""
        position = self.position
        # A nonce has 64 bits, SQLite's integers have 63 and a sign.
        nonce = f"{position.nonce:016x}"
        values = (self.log_id, position.segment, nonce, position.offset, position.seq, self.origin)
        connection.execute(
            "INSERT OR REPLACE INTO place(only, log_id, segment, nonce, offset, seq, origin, crc)"
            " VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
            (*values, row_crc(*values)),
        )

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> SavedPlace | None:
        """Read that row; None when nothing was folded yet.

        Raises:
            ValueError, CursorMalformedError: the row is damaged.
        """
        row = connection.execute("SELECT log_id, segment, nonce, offset, seq, origin, crc FROM place").fetchone()
        if row is None:
            return None
        *values, crc = row
        if crc != row_crc(*values):
            raise ValueError("the row of the place is damaged")
        log_id, segment, nonce, offset, seq, origin = values
        return cls(log_id, Position(segment, int(nonce, 16), offset, seq), CursorToken(origin))
