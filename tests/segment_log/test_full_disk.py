"""A disk that refuses a record, at any byte of it: nothing is lost, nothing injected, and the log goes on."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.faults.failing_files import FailingFiles
from tests.faults.small_disk import SmallDisk
from tests.segment_log.sample_log import (
    all_seqs,
    append_many,
    body,
    open_log,
    platform_of,
    read_all,
    seqs_of,
)
from yoi_runtime.errors import (
    LogBrokenError,
    LogDiskError,
    LogFullError,
)
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.segment_log.segment import segment_name
from yoi_runtime.segment_log.writer import LogOptions


def test_a_disk_that_fills_at_any_byte_of_a_record_loses_nothing_and_injects_nothing(tmp_path: Path, exercised):
    directory = tmp_path / "log"
    files = FailingFiles()
    log = open_log(directory, platform_of(files), LogOptions())
    first = log.append(body("the first", 60))
    size = log.append(body("not this one", 60)).position.offset - first.position.offset
    log.commit_once()
    accepted = [1, 2]
    for cut in range(size):
        before = log.end
        files.write_short(cut, name=segment_name(1))
        files.fail(errno.ENOSPC, "pwrite", name=segment_name(1), at=2)
        with pytest.raises(LogFullError) as caught:
            log.append(body(f"refused {cut:03}", 60))
        assert (caught.value.seq, caught.value.offset) == (before.seq + 1, before.offset)
        assert log.end == before
        assert (directory / segment_name(1)).stat().st_size == before.offset
        if cut % 3 == 0:
            accepted.append(log.append(body(f"accepted {cut}", cut % 50)).position.seq)
            log.commit_once()
    exercised("bytes at which the disk filled", size)
    assert size > 200
    assert files.struck == 2 * size
    log.close()
    data = (directory / segment_name(1)).read_bytes()
    assert b"refused" not in data
    assert seqs_of(b"".join(read_all(LogReader(directory, platform_of())).lines)) == accepted
    log = open_log(directory)
    assert log.recovery is None
    append_many(log, 1)
    log.close()
    assert all_seqs(directory) == [*accepted, accepted[-1] + 1]


def test_a_write_of_nothing_is_a_full_disk_too(tmp_path: Path):
    files = FailingFiles()
    log = open_log(tmp_path / "log", platform_of(files))
    files.write_short(0, for_ever=True)
    with pytest.raises(LogFullError):
        log.append(body("x"))
    files.heal()
    append_many(log, 1)
    log.close()
    assert all_seqs(tmp_path / "log") == [1]


def test_a_write_in_many_small_pieces_is_finished(tmp_path: Path):
    files = FailingFiles()
    log = open_log(tmp_path / "log", platform_of(files))
    files.write_short(7, name=segment_name(1), for_ever=True)
    append_many(log, 3)
    assert files.struck > 60
    log.close()
    assert all_seqs(tmp_path / "log") == [1, 2, 3]


@pytest.mark.parametrize("error", [errno.EIO, errno.EINTR, errno.EROFS])
def test_any_other_refusal_says_where_and_leaves_the_segment_as_it_was(tmp_path: Path, error: int):
    files = FailingFiles()
    log = open_log(tmp_path / "log", platform_of(files))
    append_many(log, 2)
    before = log.end
    files.write_short(50)
    files.fail(error, "pwrite", at=2)
    with pytest.raises(LogDiskError) as caught:
        log.append(body("x"))
    assert caught.value.errno == error
    assert caught.value.file == tmp_path / "log" / segment_name(1)
    assert (caught.value.offset, caught.value.seq) == (before.offset, 3)
    assert log.end == before
    assert (tmp_path / "log" / segment_name(1)).stat().st_size == before.offset
    append_many(log, 1)
    log.close()
    assert all_seqs(tmp_path / "log") == [1, 2, 3]


def test_a_record_that_cannot_be_taken_back_ends_the_writer_and_is_gone_after_reopening(tmp_path: Path):
    directory = tmp_path / "log"
    files = FailingFiles()
    log = open_log(directory, platform_of(files))
    append_many(log, 2)
    files.write_short(50, name=segment_name(1))
    files.fail(errno.ENOSPC, "pwrite", name=segment_name(1), at=2)
    files.fail(errno.EIO, "ftruncate")
    with pytest.raises(LogBrokenError, match="could not be taken back"):
        log.append(body("never"))
    for _ in range(2):
        with pytest.raises(LogBrokenError):
            log.append(body("x"))
    with pytest.raises(LogBrokenError):
        log.close()
    assert files.open_files == []
    log = open_log(directory)
    assert log.recovery is not None
    assert (log.recovery.kept_records, log.recovery.dropped_bytes) == (2, 50)
    append_many(log, 1)
    log.close()
    assert all_seqs(directory) == [1, 2, 3]


def test_a_small_disk_fills_and_empties_and_the_log_goes_on(tmp_path: Path):
    directory = tmp_path / "log"
    disk = SmallDisk(room_bytes=40_000)
    log = open_log(directory, platform_of(disk))
    accepted, refused = 0, 0
    for turn in range(6):
        while True:
            try:
                append_many(log, 1)
                accepted += 1
            except LogFullError:
                refused += 1
                break
        assert accepted > 20
        assert log.end.seq == accepted
        log.rotate_out(2 + turn % 2)
    log.close()
    assert refused == 6
    found = read_all(LogReader(directory, platform_of()))
    assert found.gaps == []
    assert found.seqs == list(range(found.seqs[0], accepted + 1))
