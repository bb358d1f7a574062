from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from yoi_log.log_place import find_log
from yoi_log.transcript_copy import copy_transcripts, keep_sound_transcripts
from yoi_log.transcript_file import transcript_path
from yoi_log.verification import read_mark

from tests.transcript.projecting import project, whole_transcript
from tests.yoi_log.sample import make_log


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = make_log(tmp_path / "data")
    project(data)
    (tmp_path / "copy").mkdir()
    return data


def log_id_of(data: Path) -> str:
    mark, _ = read_mark(find_log(data))
    assert mark is not None
    return mark.log_id


def test_what_only_the_wal_has_is_in_the_copy_which_has_none(data: Path, tmp_path: Path):
    with closing(sqlite3.connect(transcript_path(data), isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("CREATE TABLE other(a)")
        assert copy_transcripts(find_log(data), tmp_path / "copy", log_id_of(data), log_id_of(data)) is None
    assert [path.name for path in (tmp_path / "copy" / "transcript").iterdir()] == ["transcript.db"]
    with closing(sqlite3.connect(transcript_path(tmp_path / "copy"))) as copy:
        assert copy.execute("SELECT count(*) FROM other").fetchone() == (0,)
    shutil.copytree(data / "log", tmp_path / "copy" / "log")
    assert whole_transcript(tmp_path / "copy", "helper") == whole_transcript(data, "helper")


def test_those_of_another_log_and_those_that_are_damaged_are_left_out(data: Path, tmp_path: Path):
    reason = copy_transcripts(find_log(data), tmp_path / "copy", "ab" * 8, "cd" * 8)
    assert reason is not None
    assert "another log" in reason
    transcript_path(data).write_bytes(b"nothing of ours " * 64)
    reason = copy_transcripts(find_log(data), tmp_path / "copy", log_id_of(data), log_id_of(data))
    assert reason is not None
    assert "not a database" in reason
    assert list((tmp_path / "copy").iterdir()) == []


def test_where_none_are_kept_there_is_nothing_to_say(tmp_path: Path):
    data = make_log(tmp_path / "data")
    assert copy_transcripts(find_log(data), tmp_path, log_id_of(data), log_id_of(data)) is None
    assert keep_sound_transcripts(data) is None
