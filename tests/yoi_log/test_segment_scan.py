from __future__ import annotations

from pathlib import Path

import pytest
from yoi_log.segment_scan import Bad, Run, scan_segment

from tests.yoi_log.damage import segments_of
from tests.yoi_log.sample import make_log


def scanned(path: Path, **options):
    return scan_segment(path, int(path.stem), lambda _: None, **options)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return segments_of(make_log(tmp_path_factory.mktemp("log") / "data"))[0]


def test_a_sound_segment_is_a_header_and_one_run(first: Path):
    scan = scanned(first)
    assert scan.header is not None
    (run,) = scan.pieces
    assert isinstance(run, Run)
    assert (run.file_offset, run.start, run.end) == (scan.header.length, scan.header.length, first.stat().st_size)
    assert (run.first_seq, run.segment, run.nonce, run.log_id) == (1, 1, scan.header.nonce, scan.header.log_id)
    assert sum(part.events for part in run.workers.values()) == run.last_seq


@pytest.mark.parametrize("read_bytes", [1, 7, 300, 4096])
def test_it_does_not_matter_in_what_pieces_a_file_is_read(first: Path, read_bytes: int):
    assert scanned(first, read_bytes=read_bytes) == scanned(first)


def test_a_damaged_line_parts_two_runs(first: Path, tmp_path: Path):
    lines = first.read_bytes().split(b"\n")
    lines[4] = lines[4].replace(b"time", b"tine")
    path = tmp_path / first.name
    path.write_bytes(b"\n".join(lines))
    before, bad, after = scanned(path).pieces
    assert isinstance(bad, Bad)
    assert (bad.size, bad.reason) == (len(lines[4]) + 1, "its checksum does not match")
    assert isinstance(before, Run)
    assert isinstance(after, Run)
    assert (before.last_seq, after.first_seq) == (3, 5)
    assert (before.end, after.start) == (bad.file_offset, bad.file_end)


def test_records_say_where_they_belong_wherever_they_stand(first: Path, tmp_path: Path):
    whole = scanned(first)
    assert whole.header is not None
    moved = tmp_path / f"{7:020d}.jsonl"
    moved.write_bytes(b"x\n" + first.read_bytes()[whole.header.length :])
    bad, run = scanned(moved).pieces
    assert isinstance(bad, Bad)
    assert isinstance(run, Run)
    assert (run.segment, run.file_offset, run.start) == (1, 2, whole.header.length)


def test_what_only_looks_like_a_record_is_told_by_its_cursor_and_event_id(first: Path, tmp_path: Path):
    from yoi_runtime.segment_log.record import seal_object

    lines = first.read_bytes().split(b"\n")
    body = lines[3][: lines[3].rindex(b',"crc"')]
    for old, new, reason in (
        (b'"seq":3,', b'"seq":4,', "event id"),
        (b'-3","seq":3,', b'-4","seq":4,', "cursor"),
        (b'"worker_id":null,"worker_seq":null', b'"worker_id":"x","worker_seq":1', "cursor"),
    ):
        assert old in body
        path = tmp_path / first.name
        path.write_bytes(b"\n".join([*lines[:3], seal_object(body.replace(old, new) + b"}"), *lines[4:]]))
        bad = next(piece for piece in scanned(path).pieces if isinstance(piece, Bad))
        assert reason in bad.reason


def test_a_torn_tail_and_an_empty_file(first: Path, tmp_path: Path):
    path = tmp_path / first.name
    path.write_bytes(first.read_bytes()[:-10])
    last = scanned(path).pieces[-1]
    assert isinstance(last, Bad)
    assert not last.whole_lines
    path.write_bytes(b"")
    assert (scanned(path).header_problem, scanned(path).pieces) == ("the file is empty", [])


def test_reading_stops_where_it_is_told(first: Path):
    whole = scanned(first)
    run = whole.runs[0]
    scan = scanned(first, until=run.end - 1)
    assert isinstance(scan.pieces[-1], Bad)
    assert scan.size == run.end - 1
