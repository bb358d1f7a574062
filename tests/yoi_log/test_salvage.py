from __future__ import annotations

from pathlib import Path

import pytest
from yoi_log.salvage import Hole, Placed, plan_salvage
from yoi_log.segment_scan import SegmentScan, scan_segment

from tests.yoi_log.damage import segments_of
from tests.yoi_log.sample import make_log
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.watermark import Watermark, read_watermark


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_log(tmp_path / "data")


def scans_of(data: Path) -> list[SegmentScan]:
    return [scan_segment(path, int(path.stem), lambda _: None) for path in segments_of(data)]


def mark_of(data: Path) -> Watermark:
    return read_watermark(data / "log", REAL_PLATFORM)


def test_a_sound_log_is_planned_as_it_is(data: Path):
    scans, mark = scans_of(data), mark_of(data)
    plan = plan_salvage(scans, mark.log_id, mark, 0)
    assert (plan.begins_after, plan.ends_before) == (None, None)
    for scan, segment in zip(scans, plan.segments, strict=True):
        assert not segment.remade
        assert [type(piece) for piece in segment.pieces] == [Placed]
        assert (segment.end_offset, segment.header) == (scan.size, scan.path.read_bytes()[: len(segment.header)])


@pytest.mark.parametrize("with_mark", [True, False])
def test_a_header_is_made_again_as_long_as_it_was(data: Path, with_mark: bool):
    mark = mark_of(data)
    path = segments_of(data)[2]
    length = path.read_bytes().index(b"\n") + 1
    path.write_bytes(b"x" * 50 + path.read_bytes()[50:])
    plan = plan_salvage(scans_of(data), mark.log_id, mark if with_mark else None, 0)
    segment = plan.segments[2]
    assert segment.remade
    assert len(segment.header) == length
    assert segment.end_offset == path.stat().st_size
    assert [type(piece) for piece in segment.pieces] == [Placed]


def test_a_hole_has_the_bytes_and_the_seqs_that_are_lost(data: Path):
    mark = mark_of(data)
    path = segments_of(data)[1]
    lines = path.read_bytes().split(b"\n")
    start = sum(len(line) + 1 for line in lines[:3])
    lines[3] = lines[3][:-1] + b"!"
    path.write_bytes(b"\n".join(lines))
    plan = plan_salvage(scans_of(data), mark.log_id, mark, 0)
    before, hole, after = plan.segments[1].pieces
    assert isinstance(before, Placed)
    assert isinstance(hole, Hole)
    assert isinstance(after, Placed)
    assert (hole.start, hole.size, hole.events, hole.bytes_at) == (start, len(lines[3]) + 1, 1, (path, start))
    assert (hole.first_seq, after.run.first_seq) == (before.run.last_seq + 1, hole.last_seq + 1)


def test_records_found_in_another_file_go_where_they_belong(data: Path):
    mark = mark_of(data)
    one, other = segments_of(data)[1:3]
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    plan = plan_salvage(scans_of(data), mark.log_id, mark, 0)
    (placed,) = plan.segments[1].pieces
    assert isinstance(placed, Placed)
    assert placed.path == other
    assert not plan.segments[1].remade


def test_beyond_a_clean_end_nothing_is_part_of_the_log(data: Path):
    mark = mark_of(data)
    path = segments_of(data)[-1]
    path.write_bytes(path.read_bytes() + b"garbage\n")
    plan = plan_salvage(scans_of(data), mark.log_id, mark, 0)
    assert plan.segments[-1].end_offset == mark.shown.offset
