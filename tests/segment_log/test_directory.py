"""What is in a log's directory, whatever else lies there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.failing_files import READING, FailingFiles
from tests.segment_log.sample_log import damage, open_log, platform_of
from yoi_runtime.errors import LogFormatError, LogNotFoundError, SegmentGoneError
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.segment import segment_name


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with_three = tmp_path / "log"
    log = open_log(with_three)
    log.roll()
    log.roll()
    log.close()
    return with_three


def test_segments_are_listed_ascending_and_other_names_passed_over(directory: Path):
    for name in ("00000000000000000009.tmp", "7.jsonl", "00000000000000000001.index.json", "notes.txt"):
        (directory / name).touch()
    segments = SegmentDirectory(directory, platform_of())
    assert segments.numbers() == [1, 2, 3]
    assert segments.path(2) == directory / segment_name(2)


def test_numbers_are_sorted_as_numbers(directory: Path):
    (directory / segment_name(2)).unlink()
    (directory / segment_name(10)).touch()
    assert SegmentDirectory(directory, platform_of()).numbers() == [1, 3, 10]


def test_no_directory_is_no_log(tmp_path: Path):
    with pytest.raises(LogNotFoundError):
        SegmentDirectory(tmp_path / "nowhere", platform_of()).numbers()
    (tmp_path / "file").touch()
    with pytest.raises(LogNotFoundError):
        SegmentDirectory(tmp_path / "file", platform_of()).numbers()


def test_a_header_is_read_once_and_kept_as_long_as_its_segment(directory: Path):
    files = FailingFiles()
    segments = SegmentDirectory(directory, platform_of(files))
    segments.numbers()
    header = segments.header(1)
    assert (header.segment, header.previous) == (1, None)
    assert segments.header(2).previous is not None
    opened = files.count("open_read")
    assert segments.header(1) == header
    assert files.count("open_read") == opened
    (directory / segment_name(1)).unlink()
    assert segments.header(1) == header
    segments.numbers()
    with pytest.raises(SegmentGoneError) as caught:
        segments.header(1)
    assert caught.value.segment == 1
    assert files.open_files == []
    assert {call.method for call in files.calls} <= READING


def test_a_damaged_header_is_a_format_error_each_time(directory: Path):
    damage(directory / segment_name(2), lambda data: data.__setitem__(20, 0))
    files = FailingFiles()
    segments = SegmentDirectory(directory, platform_of(files))
    for _ in range(2):
        with pytest.raises(LogFormatError):
            segments.header(2)
    assert files.open_files == []


def test_the_size_of_a_segment_is_that_of_its_file(directory: Path):
    segments = SegmentDirectory(directory, platform_of())
    assert segments.size(1) == (directory / segment_name(1)).stat().st_size > 0
    with pytest.raises(SegmentGoneError):
        segments.size(9)
