from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from yoi_runtime.errors import TranscriptDamagedError, TranscriptUnavailableError
from yoi_runtime.transcript.database import (
    has_wal,
    is_damage,
    open_for_reading,
    open_for_writing,
    row_crc,
    set_aside,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a sound database with a thousand items in it, closed."""
    path = tmp_path / "transcript.db"
    with closing(open_for_writing(path)) as connection:
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO item(worker, number, thinking, size, crc, body) VALUES (1, ?, 0, 3, 0, ?)",
            [(number, b"abc" * 50) for number in range(1000)],
        )
        connection.execute("COMMIT")
    return path


def flip(path: Path, *places: int) -> None:
    data = bytearray(path.read_bytes())
    for at in places:
        data[at] ^= 0xFF
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "nothing of a database": lambda path: path.write_bytes(b"not a database, but long enough to look at" * 100),
    "its header": lambda path: flip(path, 3),
    "pages of its tables": lambda path: flip(path, *(4096 * page + at for page in range(3, 9) for at in range(12))),
    "cut in the middle": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "another program's": lambda path: change(path, "PRAGMA application_id=7"),
    "of another format": lambda path: change(path, "PRAGMA user_version=99"),
}


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_file_that_is_not_sound_is_not_opened_for_writing(path: Path, damage: Callable[[Path], object]):
    damage(path)
    with pytest.raises(TranscriptDamagedError):
        open_for_writing(path)
    set_aside(path)
    assert path.with_name("transcript.db.damaged").exists()
    with closing(open_for_writing(path)) as connection:
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (0,)


def test_a_new_file_never_meets_the_wal_of_the_one_that_was_set_aside(path: Path):
    writer = open_for_writing(path)
    writer.execute("DELETE FROM item WHERE number > 500")
    copies = {name: path.with_name(name).read_bytes() for name in ("transcript.db", "transcript.db-wal")}
    writer.close()
    for name, data in copies.items():  # as a killed process leaves them
        path.with_name(name).write_bytes(data)
    assert has_wal(path)
    set_aside(path)
    assert not has_wal(path)
    with closing(open_for_writing(path)) as connection:
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (0,)
    # A second one takes the place of the first.
    set_aside(path)
    assert not path.exists()


def test_it_is_written_without_a_sync_at_each_commit_and_read_meanwhile(path: Path):
    with closing(open_for_writing(path)) as writer:
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert writer.execute("PRAGMA synchronous").fetchone() == (1,)
        opened = open_for_reading(path)
        assert not opened.is_frozen
        with closing(opened.connection) as reader:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM item")
            assert reader.execute("SELECT count(*) FROM item").fetchone() == (1000,)
            writer.execute("COMMIT")
            assert reader.execute("SELECT count(*) FROM item").fetchone() == (0,)
            with pytest.raises(sqlite3.OperationalError):
                reader.execute("DELETE FROM item")


def test_what_is_not_there_is_unavailable_and_not_made(tmp_path: Path):
    with pytest.raises(TranscriptUnavailableError):
        open_for_reading(tmp_path / "transcript.db")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_just_being_made_is_no_damaged_one(path: Path):
    path.write_bytes(b"")
    with pytest.raises(TranscriptUnavailableError, match="being made"):
        open_for_reading(path)


def test_a_reader_does_not_trust_another_file(path: Path):
    change(path, "PRAGMA user_version=99")
    with pytest.raises(TranscriptDamagedError):
        open_for_reading(path)
    path.write_bytes(b"nothing of a database" * 100)
    with pytest.raises(TranscriptDamagedError):
        open_for_reading(path)


def test_a_name_with_signs_of_a_uri_in_it_is_a_name(tmp_path: Path):
    path = tmp_path / "a?b#c%41.db"
    open_for_writing(path).close()
    open_for_reading(path).connection.close()
    assert [found.name for found in tmp_path.iterdir() if found.suffix == ".db"] == [path.name]


def test_a_locked_or_full_file_is_no_damaged_one(path: Path):
    with closing(open_for_writing(path)) as writer, closing(open_for_writing(path)) as other:
        writer.execute("BEGIN IMMEDIATE")
        other.execute("PRAGMA busy_timeout=0")
        with pytest.raises(sqlite3.OperationalError) as caught:
            other.execute("BEGIN IMMEDIATE")
    assert not is_damage(caught.value)
    assert not is_damage(sqlite3.Error("no code at all"))


def test_a_checksum_tells_where_one_value_ends():
    assert row_crc(1, 23) != row_crc(12, 3)
    assert row_crc("a", "") != row_crc("", "a")
    assert row_crc(1, b"x") == row_crc(1, b"x")
