"""The sealed segments of a log: right whenever they are asked for, and not looked at before."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.faults.clocks import ManualClock
from tests.faults.failing_files import FailingFiles
from tests.segment_log.sample_log import append_many, damage, open_log, platform_of
from yoi_runtime.segment_log.directory import SegmentDirectory
from yoi_runtime.segment_log.sealed import SealedSegment, SealedSegments
from yoi_runtime.segment_log.segment import Previous, segment_name


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def directory(tmp_path: Path, clock: ManualClock) -> Path:
    """A log of three segments, a minute each, closed in good order; the first record is seq 1, the last seq 9."""
    log = open_log(tmp_path / "log", platform_of(clock=clock))
    for _ in range(2):
        append_many(log, 3)
        clock.pass_seconds(60)
        log.roll()
    append_many(log, 3)
    log.close()
    return tmp_path / "log"


@pytest.fixture
def segments(directory: Path) -> SegmentDirectory:
    return SegmentDirectory(directory, platform_of())


def test_sealed_segments_are_described_from_their_headers(segments: SegmentDirectory, clock: ManualClock):
    nonce = segments.header(3).nonce
    sealed = SealedSegments(segments, [1, 2, 3], Previous(3, nonce, segments.size(3), 9), clock.now_us())
    assert [(segment.number, segment.first_seq, segment.last_seq) for segment in sealed] == [
        (1, 1, 3),
        (2, 4, 6),
        (3, 7, 9),
    ]
    assert [segment.nonce for segment in sealed] == [segments.header(number).nonce for number in (1, 2, 3)]
    assert [segment.size_bytes for segment in sealed] == [segments.size(number) for number in (1, 2, 3)]
    assert [clock.now_us() - segment.sealed_us for segment in sealed] == [60_000_000, 0, 0]
    assert len(SealedSegments(segments, [], None, 5)) == 0


@pytest.mark.parametrize("damaged", [1, 2, 3])
def test_a_damaged_header_borrows_from_its_neighbours(directory: Path, clock: ManualClock, damaged: int):
    damage(directory / segment_name(damaged), lambda data: data.__setitem__(3, 0))
    segments = SegmentDirectory(directory, platform_of())
    sealed = SealedSegments(segments, [1, 2, 3], Previous(3, 1, segments.size(3), 9), clock.now_us())
    assert [segment.number for segment in sealed] == [1, 2, 3]
    assert sealed[damaged - 1].nonce == 0
    assert sealed[-1].last_seq == 9
    for before, after in pairwise(sealed):
        assert after.first_seq == before.last_seq + 1
        assert after.sealed_us >= before.sealed_us


def test_nothing_is_read_before_it_is_asked_for(directory: Path, clock: ManualClock):
    files = FailingFiles()
    sealed = SealedSegments(SegmentDirectory(directory, platform_of(files)), [1, 2, 3], Previous(3, 1, 9, 9), 7)
    assert len(sealed) == 3
    assert sealed.oldest_number == 1
    assert files.count("open_read") == 0
    assert sealed.ages()[2].sealed_us == 7
    assert files.count("open_read") == 0
    assert [age.size_bytes for age in sealed.ages()] == [segment.size_bytes for segment in sealed]
    assert files.count("open_read") == 6, "each size and each header once"
    assert sealed.ages()[0].sealed_us == sealed[0].sealed_us
    assert sealed[-1].last_seq == 9
    assert files.count("open_read") == 6


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_in_whatever_order_they_are_asked_for_the_answers_are_the_same(
    segments: SegmentDirectory, order: tuple[int, ...]
):
    def fresh() -> SealedSegments:
        return SealedSegments(segments, [1, 2, 3], Previous(3, 1, 9, 9), 7)

    asked = fresh()
    assert {index: asked[index] for index in order} == dict(enumerate(fresh()))


def test_rolled_segments_come_after_those_found_and_the_oldest_go_first(segments: SegmentDirectory):
    sealed = SealedSegments(segments, [1, 2, 3], Previous(3, 1, 9, 9), 7)
    rolled = SealedSegment(4, 5, 10, 12, 100, 8)
    sealed.append(rolled)
    assert sealed[-1] == rolled
    assert sealed[:][3] == rolled
    sealed.drop_oldest()
    assert [segment.number for segment in sealed] == [2, 3, 4]
    assert [segment.first_seq for segment in sealed] == [4, 7, 10]
    assert sealed[1:] == (sealed[1], rolled)


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_file_that_somebody_deleted_meanwhile_is_described_as_damaged(directory: Path, gone: int):
    sealed = SealedSegments(SegmentDirectory(directory, platform_of()), [1, 2, 3], Previous(3, 1, 9, 9), 7)
    (directory / segment_name(gone)).unlink()
    found = list(sealed)
    assert [segment.number for segment in found] == [1, 2, 3]
    assert (found[gone - 1].nonce, found[gone - 1].size_bytes) == (0, 0)
    for before, after in pairwise(found):
        assert after.first_seq == before.last_seq + 1


def test_a_disk_that_fails_says_so_and_is_asked_again(directory: Path):
    files = FailingFiles()
    sealed = SealedSegments(SegmentDirectory(directory, platform_of(files)), [1, 2, 3], Previous(3, 1, 9, 9), 7)
    files.fail(5, "pread", name=segment_name(1))
    with pytest.raises(OSError, match="error"):
        list(sealed)
    assert [(segment.first_seq, segment.last_seq) for segment in sealed] == [(1, 3), (4, 6), (7, 9)]
    assert files.open_files == []
