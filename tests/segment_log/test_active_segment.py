"""yoi_runtime.segment_log.active_segment: a file that has its header, and ends where its last record does."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.faults.failing_files import FailingFiles
from tests.segment_log.sample_log import platform_of
from yoi_runtime.segment_log.active_segment import ActiveSegment
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.platform import RealFileOps
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.segment import SegmentHeader

TIME = "2026-11-22T17:37:23.123456Z"
HEADER = SegmentHeader("0123456789abcdef", 3, 0xFEDCBA9876543210, 17, TIME, None)


def create(directory: Path, files: RealFileOps | FailingFiles) -> ActiveSegment:
    return ActiveSegment.create(SegmentDirectory(directory, platform_of(files)), files, HEADER, 5)


def test_a_new_segment_is_its_header_and_begins_after_it(tmp_path: Path):
    segment = create(tmp_path, RealFileOps())
    line = HEADER.encode()
    assert segment.path.read_bytes() == line
    assert [path.name for path in tmp_path.iterdir()] == ["00000000000000000003.jsonl"]
    assert segment.start == Position(3, HEADER.nonce, len(line), 16)
    assert (segment.offset, segment.begun_us) == (len(line), 5)
    segment.close()
    segment.close()


@pytest.mark.parametrize("method", ["create", "pwrite", "fdatasync", "rename"])
def test_a_segment_that_could_not_be_made_has_no_name_and_no_descriptor(tmp_path: Path, method: str):
    files = FailingFiles()
    files.fail(errno.EIO, method)
    with pytest.raises(OSError, match="Input/output"):
        create(tmp_path, files)
    assert files.struck == 1
    assert files.open_files == []
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_header_that_is_not_written_whole_makes_no_segment(tmp_path: Path):
    files = FailingFiles()
    files.write_short(10)
    with pytest.raises(OSError, match="short write") as refused:
        create(tmp_path, files)
    assert refused.value.errno == errno.ENOSPC
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_short_write_is_finished_and_one_that_takes_nothing_is_cut_back(tmp_path: Path):
    files = FailingFiles()
    segment = create(tmp_path, files)
    files.write_short(4)
    files.write_short(2, at=2)
    segment.write(b"0123456789")
    assert files.struck == 2
    assert segment.path.read_bytes() == HEADER.encode() + b"0123456789"
    segment.offset += 10
    files.write_short(4)
    files.write_short(0, at=2)
    with pytest.raises(OSError, match="short write"):
        segment.write(b"abcdefghij")
    assert segment.path.read_bytes().endswith(b"9abcd")
    segment.cut_back()
    assert segment.path.read_bytes() == HEADER.encode() + b"0123456789"
    segment.close()
    assert files.open_files == []
