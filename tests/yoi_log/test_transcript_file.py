from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from yoi_log.transcript_file import has_transcripts, taken_transcripts, transcript_path

from tests.transcript.projecting import project
from tests.yoi_log.sample import make_log
from yoi_runtime.errors import TranscriptUnavailableError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    project(make_log(tmp_path / "data"))
    return transcript_path(tmp_path / "data")


def content(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in directory.iterdir()}


def items_at(uri: str) -> int:
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM item").fetchone()[0])


def test_nothing_beside_the_file_is_made_or_changed(path: Path):
    before = content(path.parent)
    with taken_transcripts(path) as uri:
        assert items_at(uri) > 0
        assert content(path.parent) == before
    assert content(path.parent) == before
    assert has_transcripts(path.parent.parent)
    assert not has_transcripts(path.parent.parent / "log")


def test_what_a_writer_has_only_in_its_wal_is_seen_and_left_there(path: Path):
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("DELETE FROM item WHERE number % 2 = 1")
        left = writer.execute("SELECT count(*) FROM item").fetchone()[0]
        before = content(path.parent)
        assert set(before) == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
        with taken_transcripts(path) as uri:
            assert items_at(uri) == left
        assert content(path.parent) == before


def test_what_a_killed_writer_left_is_seen_and_left_there(path: Path, tmp_path: Path):
    killed = tmp_path / "killed"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("DELETE FROM item")
        shutil.copytree(path.parent, killed)
    before = content(killed)
    with taken_transcripts(killed / path.name) as uri:
        assert items_at(uri) == 0
    assert content(killed) == before


def test_a_file_that_changes_all_the_time_is_not_looked_at(path: Path, monkeypatch: pytest.MonkeyPatch):
    copyfile, copies = shutil.copyfile, []

    def copy_under_a_writer(source: Path, target: Path) -> None:
        copyfile(source, target)
        copies.append(source)
        os.utime(path, ns=(len(copies), len(copies)))

    monkeypatch.setattr(shutil, "copyfile", copy_under_a_writer)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("DELETE FROM item")
        with pytest.raises(TranscriptUnavailableError, match="without a pause"), taken_transcripts(path):
            pass
    assert len(copies) > 10


def test_a_writer_that_comes_meanwhile_is_noticed(path: Path):
    def write_while_they_are_read() -> None:
        with taken_transcripts(path), closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("DELETE FROM item")

    with pytest.raises(TranscriptUnavailableError, match="while they were read"):
        write_while_they_are_read()
