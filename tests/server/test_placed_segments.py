"""Which places are believed: those that go on without a hole, and files of just the segment that stands there."""

from __future__ import annotations

from pathlib import Path

from tests.server.test_own_reading import make_log
from yoi_runtime.catalog.place_file import place_path
from yoi_runtime.catalog.places import Places
from yoi_runtime.runtime.runtime import LOG_DIRECTORY
from yoi_runtime.segment_log.platform import REAL_PLATFORM
from yoi_runtime.segment_log.position import Position
from yoi_runtime.segment_log.reader import LogReader
from yoi_runtime.server.placed_segments import PlacedSegments


def opened(data_dir: Path) -> tuple[LogReader, PlacedSegments]:
    make_log(data_dir, 1, records=800)
    reader = LogReader(data_dir / LOG_DIRECTORY, REAL_PLATFORM)
    return reader, PlacedSegments(reader, REAL_PLATFORM)


def test_a_file_is_good_for_the_segment_that_it_was_made_of_and_leads_to_the_next(tmp_path: Path):
    reader, segments = opened(tmp_path)
    start = reader.start_of(1)
    placed = segments.around(start)
    assert placed is not None
    assert segments.following(placed) == reader.start_of(2)
    assert segments.around(start._replace(nonce=start.nonce ^ 1)) is None
    block = segments.block_at(start)
    assert block is not None
    assert segments.block_at(start._replace(offset=start.offset + 1)) is None
    assert segments.around(reader.end) is None, "the active segment has no file"
    reader.close()


def test_a_file_whose_end_is_not_where_the_segment_ends_is_not_believed(tmp_path: Path):
    reader, _ = opened(tmp_path)
    log_directory = tmp_path / LOG_DIRECTORY
    # A sound file of segment 1, in a log whose segment 1 is another one.
    other = tmp_path / "other"
    make_log(other, 2, records=800)
    place_path(log_directory, 1).write_bytes(place_path(other / LOG_DIRECTORY, 1).read_bytes())
    segments = PlacedSegments(reader, REAL_PLATFORM)
    assert segments.around(reader.start_of(1)) is None
    assert segments.block_at(reader.start_of(1)) is None
    reader.close()


def test_noted_places_begin_anew_where_something_is_between(tmp_path: Path):
    reader, segments = opened(tmp_path)
    start = reader.start_of(1)
    first = segments.noted_before(start)
    first.end = start._replace(offset=start.offset + 1000, seq=start.seq + 3)
    assert segments.noted_before(first.end) is first
    later = first.end._replace(offset=first.end.offset + 500, seq=first.end.seq + 2)
    second = segments.noted_before(later)
    assert second is not first
    assert second.start == later
    segments.forget_below(2)
    assert segments.noted_before(later) is not second
    reader.close()


def test_places_lead_on_only_from_just_where_their_segment_ends(tmp_path: Path):
    reader, segments = opened(tmp_path)
    end = reader.header(2).previous
    assert end is not None
    places = Places(reader.start_of(1))
    places.end = Position(1, end.nonce, end.valid_length, end.last_seq)
    assert segments.following(places) == reader.start_of(2)
    for wrong in ({"offset": end.valid_length - 1}, {"nonce": end.nonce ^ 1}, {"seq": end.last_seq - 1}):
        places.end = Position(1, end.nonce, end.valid_length, end.last_seq)._replace(**wrong)
        assert segments.following(places) is None
    reader.close()
