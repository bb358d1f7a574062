from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from yoi_runtime.segment_log.cursor import NO_WORKER, Cursor, decode_token, encode_token, worker_tag
from yoi_runtime.segment_log.position import Position
from yoi_runtime.transcript.database import open_for_writing
from yoi_runtime.transcript.saved_place import SavedPlace

LOG_ID = "281da85b27412733"
# A nonce takes all of its 64 bits, which SQLite's integers have not.
PLACE = SavedPlace(LOG_ID, Position(7, 2**64 - 1, 4096, 99), encode_token(Cursor(LOG_ID, 3, 5, 100, 40, NO_WORKER, 0)))


def test_a_place_is_loaded_as_it_was_saved_and_there_is_one(tmp_path: Path):
    with closing(open_for_writing(tmp_path / "t.db")) as connection:
        assert SavedPlace.load(connection) is None
        PLACE.save(connection)
        other = SavedPlace(LOG_ID, Position(8, 1, 50, 120), PLACE.origin)
        other.save(connection)
        assert SavedPlace.load(connection) == other


def test_the_origin_is_a_cursor_of_each_workers_stream():
    cursor = decode_token(PLACE.origin_for("a"))
    assert cursor == decode_token(PLACE.origin)._replace(worker=worker_tag("a"), worker_seq=0)


@pytest.mark.parametrize("change", ["offset = offset + 1", "nonce = 'zz'", "log_id = 'x'", "origin = NULL", "crc = 0"])
def test_a_row_that_was_changed_is_not_taken_for_a_place(tmp_path: Path, change: str):
    with closing(open_for_writing(tmp_path / "t.db")) as connection:
        PLACE.save(connection)
        try:
            connection.execute(f"UPDATE place SET {change}")
        except sqlite3.IntegrityError:
            return
        with pytest.raises(ValueError, match="damaged"):
            SavedPlace.load(connection)
