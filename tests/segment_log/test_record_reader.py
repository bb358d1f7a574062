"""Reading records without a cursor: what there is, and on from a place. The rest is in test_reader."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.faults.failing_files import FailingFiles
from tests.segment_log.sample_log import append_many, open_log, platform_of, seqs_of
from yoi_runtime.errors import LogNotFoundError, SegmentGoneError
from yoi_runtime.segment_log.platform import Platform
from yoi_runtime.segment_log.record_reader import RecordReader
from yoi_runtime.segment_log.watermark import COMMITTED


def test_it_reads_every_record_from_the_floor_to_the_end_in_pieces_of_any_size(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 50)
    reader = RecordReader(tmp_path / "log")
    for max_bytes in (1, 300, 1 << 20):
        position, seqs = reader.floor(), []
        while (chunk := reader.read(position, max_bytes)) is not None:
            seqs += seqs_of(chunk.data)
            position = chunk.end
        assert seqs == list(range(1, 51))
        assert position == reader.end
    reader.close()
    log.close()


def test_it_says_what_there_is(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 50)
    reader = RecordReader(tmp_path / "log")
    files = sorted((tmp_path / "log").glob("*.jsonl"))
    assert reader.segment_numbers() == [int(file.stem) for file in files]
    assert [reader.segment_size(number) for number in reader.segment_numbers()] == [f.stat().st_size for f in files]
    assert reader.readable_bytes() == sum(file.stat().st_size for file in files)
    assert (reader.floor().seq, reader.end.seq) == (0, 50)
    with pytest.raises(SegmentGoneError):
        reader.segment_size(99)
    reader.close()
    log.close()


def test_what_is_not_committed_is_not_there(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 3)
    reader = RecordReader(tmp_path / "log")
    append_many(log, 2, commit=False)
    assert not reader.refresh()
    assert reader.end.seq == 3
    log.commit_once()
    assert reader.refresh()
    assert reader.end.seq == 5
    reader.close()
    log.close()


def test_what_was_committed_while_the_directory_could_not_be_listed_is_seen_by_the_next_look(tmp_path: Path):
    log = open_log(tmp_path / "log")
    append_many(log, 3)
    files = FailingFiles()
    reader = RecordReader(tmp_path / "log", Platform(files=files))
    log.roll()
    append_many(log, 2)
    files.fail(errno.EMFILE, "list_directory")
    with pytest.raises(OSError, match="Too many open files"):
        reader.refresh()
    assert reader.refresh()
    assert reader.end.seq == 5
    reader.close()
    log.close()


def test_there_is_no_log_where_no_writer_has_opened_one(tmp_path: Path):
    with pytest.raises(LogNotFoundError):
        RecordReader(tmp_path / "log")


@pytest.mark.parametrize(("method", "name"), [("pread", COMMITTED), ("list_directory", "log")])
def test_a_look_for_new_records_that_failed_is_made_again(tmp_path: Path, method: str, name: str):
    directory, files = tmp_path / "log", FailingFiles()
    log = open_log(directory)
    append_many(log, 1)
    reader = RecordReader(directory, platform_of(files))
    position = reader.end
    log.roll()
    end = append_many(log, 2)[-1].position
    for at in (1, 2) if method == "pread" else (1,):
        files.fail(errno.EMFILE, method, name=name, at=at)
        with pytest.raises(OSError, match="open files"):
            reader.refresh()
        assert reader.end == position
    assert reader.refresh(), "nothing is committed any more that would tell it of"
    assert reader.end == end
    assert not reader.refresh()
    reader.close()
    log.close()
