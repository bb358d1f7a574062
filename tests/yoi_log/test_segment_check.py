from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from yoi_log.segment_check import Lost, SegmentCheck, Witness, check_segment
from yoi_log.segment_scan import Bad, SegmentScan, scan_segment

from tests.yoi_log.damage import segments_of
from tests.yoi_log.sample import make_log


@pytest.fixture
def scans(tmp_path: Path) -> list[SegmentScan]:
    paths = segments_of(make_log(tmp_path / "data"))
    return [scan_segment(path, int(path.stem), lambda _: None) for path in paths]


def checked(scan: SegmentScan, following: SegmentScan, before: SegmentCheck | None = None) -> SegmentCheck:
    assert scan.header is not None
    log_id = scan.header.log_id
    return check_segment(scan, before, Witness.of_next(scan, following, log_id), log_id)


def test_segments_that_follow_each_other_are_sound(scans: list[SegmentScan]):
    first = checked(scans[0], scans[1])
    second = checked(scans[1], scans[2], first)
    assert (first.defects, second.defects) == ([], [])
    assert second.first_seq == first.end_seq + 1


def test_each_thing_that_a_header_says_is_held_against_the_one_before(scans: list[SegmentScan]):
    header = scans[1].header
    assert header is not None
    assert header.previous is not None
    previous = header.previous
    wrong = {
        "nonce": dataclasses.replace(previous, nonce=previous.nonce ^ 1),
        "ends at": dataclasses.replace(previous, valid_length=previous.valid_length + 1),
        "ends with": dataclasses.replace(previous, last_seq=previous.last_seq - 1),
    }
    for words, said in wrong.items():
        scans[1].header = dataclasses.replace(header, previous=said)
        (defect,) = checked(scans[0], scans[1]).defects
        assert defect.kind == "chain_broken"
        assert words in defect.reason
        assert defect.file == scans[1].path.name


def test_records_that_a_neighbour_vouches_for_are_missed(scans: list[SegmentScan]):
    run = scans[0].runs[0]
    last_seq = run.last_seq
    scans[0].pieces.clear()
    check = checked(scans[0], scans[1])
    assert check.lost == [Lost(1, last_seq)]
    assert [(defect.kind, defect.first_seq, defect.last_seq) for defect in check.defects] == [
        ("records_missing", 1, last_seq)
    ]


def test_a_missing_file_is_one_defect_with_its_seqs(scans: list[SegmentScan]):
    first = checked(scans[0], scans[1])
    third = checked(scans[2], scans[3], first)
    (defect,) = third.defects
    gone = scans[1].runs[0]
    assert (defect.kind, defect.file) == ("segment_missing", scans[1].path.name)
    assert (defect.first_seq, defect.last_seq) == (gone.first_seq, gone.last_seq)


def test_records_of_another_segment_are_misplaced(scans: list[SegmentScan]):
    scans[0].pieces, scans[1].pieces = scans[1].pieces, scans[0].pieces
    log_id = scans[2].runs[0].log_id
    check = check_segment(scans[0], None, Witness.of_next(scans[0], scans[1], log_id), log_id)
    assert [defect.kind for defect in check.defects] == ["record_misplaced", "record_damaged"]
    assert check.defects[0].reason == "its records belong to segment 2"


def test_bytes_behind_the_valid_length_are_no_part_of_the_log(scans: list[SegmentScan]):
    scans[0].pieces.append(Bad(scans[0].size, 10, "it is not a record"))
    assert checked(scans[0], scans[1]).defects == []
